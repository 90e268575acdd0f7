//! What the gateway makes of a small machine: control groups of its own, few file descriptors.

use super::{
    support::{Gateway, edgeway},
    tour,
};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{self, Command},
};

const PING: &str = "routes: [{ id: ping, match: { path: /ping }, respond: { body: one }, auth: public }]\n";
const HALF_A_CORE: u64 = 50_000;
const SMALL: u64 = 64 << 20;

/// Control groups that are removed with this, once nobody is in them.
struct Groups(Vec<PathBuf>);

impl Groups {
    /// Of version 1 or 2, with half a core and 64 MiB; or why there are none.
    fn small() -> io::Result<Self> {
        let name = format!("edgeway-test-{}", process::id());
        let mut groups = Self(Vec::new());
        if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            let folder = groups.add("/sys/fs/cgroup", &name)?;
            fs::write(folder.join("cpu.max"), format!("{HALF_A_CORE} 100000"))?;
            fs::write(folder.join("memory.max"), SMALL.to_string())?;
            return Ok(groups);
        }
        let folder = groups.add("/sys/fs/cgroup/cpu", &name)?;
        fs::write(folder.join("cpu.cfs_period_us"), "100000")?;
        fs::write(folder.join("cpu.cfs_quota_us"), HALF_A_CORE.to_string())?;
        let folder = groups.add("/sys/fs/cgroup/memory", &name)?;
        fs::write(folder.join("memory.limit_in_bytes"), SMALL.to_string())?;
        Ok(groups)
    }

    fn add(&mut self, tree: &str, name: &str) -> io::Result<PathBuf> {
        let folder = Path::new(tree).join(name);
        fs::create_dir(&folder)?;
        self.0.push(folder.clone());
        Ok(folder)
    }

    /// A shell that steps into the groups and becomes `command`.
    fn hold(&self, command: &Command) -> Command {
        let enter: String =
            self.0.iter().map(|group| format!("echo $$ > {}/cgroup.procs && ", group.display())).collect();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("{enter}exec \"$0\" \"$@\"")]).arg(command.get_program()).args(command.get_args());
        shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.get_current_dir().map(|folder| shell.current_dir(folder));
        shell
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in self.0.iter().rev() {
            // Whoever was in it is gone, and the system needs a moment to know.
            super::support::within_patience(|| fs::remove_dir(group).is_ok());
        }
    }
}

#[test]
fn half_a_core_and_64_mib_are_one_worker_and_the_whole_tour() {
    let groups = match Groups::small() {
        Ok(groups) => groups,
        Err(error) => {
            // Past what a test prints and nobody sees.
            writeln!(io::stderr(), "not run on a small machine: no control groups can be made here: {error}").unwrap();
            return;
        }
    };
    let gateway = Gateway::demo_below(|command| groups.hold(&command));
    gateway.tells(&["1 worker threads: the CPU limit is 0.5 (cgroup v", " with 1 worker threads, "]);
    tour::leads_through(&gateway, "README.md");
    assert_eq!(gateway.exit_code(), None, "{}", gateway.stderr());
    drop(gateway);
}

/// The gateway with at most `soft` and `hard` file descriptors.
fn with_descriptors(soft: u32, hard: u32, sections: &str) -> Gateway {
    Gateway::start_below(sections, |command| {
        let mut shell = Command::new("/bin/sh");
        let limits = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
        shell.args(["-c", &limits]).arg(command.get_program()).args(command.get_args());
        shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.get_current_dir().map(|folder| shell.current_dir(folder));
        shell
    })
}

#[test]
fn the_soft_limit_of_descriptors_is_raised_and_too_few_are_said() {
    let listener = |most: u32| format!("listeners: [{{ address: \"127.0.0.1:0\", max_connections: {most} }}]\n{PING}");
    let enough = with_descriptors(256, 1024, &listener(100));
    assert_eq!(enough.metric("process_max_fds"), Some(1024.0));
    assert_eq!(enough.get("/ping", &[]).status, 200);
    assert!(!enough.stderr().contains("file descriptors"), "{}", enough.stderr());
    // 512 + 2 × 8 + 2 × 100 are for others, and two for each connection.
    let few = with_descriptors(256, 800, &listener(100));
    few.tells(&[
        "100 connections need 928 file descriptors, and 800 may be open: there will be 36 connections at most",
    ]);
    few.tells(&["Set LimitNOFILE=928 (systemd)"]);
    let mut kept: Vec<_> = (0..40).map(|_| few.client()).collect();
    let served = kept.iter_mut().map(|client| client.get("/ping", &[]).status).filter(|status| *status == 200).count();
    assert_eq!(served, 36);
}

#[test]
fn check_says_nothing_about_the_machine() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("edgeway.yaml");
    fs::write(&file, format!("server: {{ max_connections: 10000000 }}\n{PING}")).unwrap();
    let output = edgeway(folder.path()).args(["check", "--config"]).arg(&file).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !said.contains("descriptors"), "{said}");
}
