use super::*;
use std::path::PathBuf;

/// A root with these files.
struct Root(tempfile::TempDir);

impl Root {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        Self(folder)
    }

    fn read(&self) -> Machine {
        Machine::read(self.0.path())
    }

    /// The CPUs and the bytes that are allowed, and the file of the former below this root.
    fn limits(&self) -> (Option<f64>, Option<u64>, PathBuf) {
        let machine = self.read();
        assert_eq!(machine.problems, [""; 0]);
        let file = machine.cpu_limit.as_ref().map(|limit| limit.file.clone()).unwrap_or_default();
        let file = file.strip_prefix(self.0.path()).map(Path::to_owned).unwrap_or_default();
        (machine.cpu_limit.map(|limit| limit.cpus), machine.memory_limit.map(|limit| limit.bytes), file)
    }
}

const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate";
const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                  32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
                  35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";

#[test]
fn a_group_of_version_2_has_both_limits_in_one_folder() {
    let root = Root::with(&[
        ("proc/self/mountinfo", V2),
        ("proc/self/cgroup", "0::/system.slice/edgeway.service"),
        ("sys/fs/cgroup/system.slice/edgeway.service/cpu.max", "250000 100000"),
        ("sys/fs/cgroup/system.slice/edgeway.service/memory.max", "67108864"),
        ("sys/fs/cgroup/system.slice/edgeway.service/memory.high", "max"),
    ]);
    let file = "sys/fs/cgroup/system.slice/edgeway.service/cpu.max";
    assert_eq!(root.limits(), (Some(2.5), Some(64 << 20), file.into()));
    let limit = root.read().cpu_limit.unwrap();
    assert!(limit.to_string().starts_with("2.5 (cgroup v2, /"), "{limit}");
}

#[test]
fn the_smallest_limit_on_the_way_to_the_top_counts() {
    for (inner, outer, cpus, file) in [
        ("400000 100000", "50000 100000", 0.5, "sys/fs/cgroup/pod/cpu.max"),
        ("max 100000", "150000 100000", 1.5, "sys/fs/cgroup/pod/cpu.max"),
        ("100000 100000", "max 100000", 1.0, "sys/fs/cgroup/pod/box/cpu.max"),
    ] {
        let root = Root::with(&[
            ("proc/self/mountinfo", V2),
            ("proc/self/cgroup", "0::/pod/box"),
            ("sys/fs/cgroup/pod/box/cpu.max", inner),
            ("sys/fs/cgroup/pod/cpu.max", outer),
            ("sys/fs/cgroup/pod/box/memory.max", "max"),
            ("sys/fs/cgroup/pod/memory.max", "max"),
            ("sys/fs/cgroup/pod/memory.high", "1048576"),
        ]);
        // What is slowed down above this is as good as limited by it.
        assert_eq!(root.limits(), (Some(cpus), Some(1 << 20), file.into()), "{inner} {outer}");
    }
}

#[test]
fn groups_of_version_1_have_a_tree_for_each_controller() {
    let root = Root::with(&[
        ("proc/self/mountinfo", V1),
        ("proc/self/cgroup", "4:memory:/m/edgeway\n2:cpu,cpuacct:/c/edgeway\n1:name=systemd:/"),
        ("sys/fs/cgroup/cpu,cpuacct/c/edgeway/cpu.cfs_quota_us", "50000"),
        ("sys/fs/cgroup/cpu,cpuacct/c/edgeway/cpu.cfs_period_us", "100000"),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1"),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000"),
        ("sys/fs/cgroup/memory/m/edgeway/memory.limit_in_bytes", "9223372036854771712"),
        ("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "67108864"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712"),
    ]);
    let file = "sys/fs/cgroup/cpu,cpuacct/c/edgeway/cpu.cfs_quota_us";
    assert_eq!(root.limits(), (Some(0.5), Some(64 << 20), file.into()));
}

#[test]
fn trees_of_both_versions_side_by_side_are_both_asked() {
    let mounts = format!("{V1}\n41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw");
    let root = Root::with(&[
        ("proc/self/mountinfo", &mounts),
        ("proc/self/cgroup", "4:memory:/\n2:cpu,cpuacct:/\n0::/edgeway"),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "300000"),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000"),
        // No controller of the second tree is on.
        ("sys/fs/cgroup/unified/edgeway/cgroup.procs", ""),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824"),
    ]);
    assert_eq!(root.limits(), (Some(3.0), Some(1 << 30), "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us".into()));
}

#[test]
fn a_container_sees_its_own_group_at_the_mount() {
    // With the mount's root its own group, without a namespace and with one that it was moved out of.
    for (mounted, group) in [("/docker/abc", "/docker/abc"), ("/docker/abc", "/docker/other"), ("/", "/../other")] {
        let root = Root::with(&[
            ("proc/self/mountinfo", &V2.replace("0:26 /", &format!("0:26 {mounted}"))),
            ("proc/self/cgroup", &format!("0::{group}")),
            ("sys/fs/cgroup/cpu.max", "50000 100000"),
            // Not ours.
            ("sys/fs/other/cpu.max", "1000 100000"),
        ]);
        assert_eq!(root.limits(), (Some(0.5), None, "sys/fs/cgroup/cpu.max".into()), "{mounted} {group}");
    }
}

#[test]
fn a_folder_whose_name_has_a_blank_is_found() {
    let root = Root::with(&[
        ("proc/self/mountinfo", &V2.replace("/sys/fs/cgroup", "/control\\040groups")),
        ("proc/self/cgroup", "0::/a"),
        ("control groups/a/cpu.max", "200000 100000"),
    ]);
    assert_eq!(root.limits().0, Some(2.0));
}

#[test]
fn no_limit_is_none() {
    let nothing: [&[(&str, &str)]; 3] = [
        &[],
        &[("proc/self/mountinfo", "what is this"), ("proc/self/cgroup", "and this")],
        &[
            ("proc/self/mountinfo", V2),
            ("proc/self/cgroup", "0::/"),
            ("sys/fs/cgroup/cpu.max", "max 100000"),
            ("sys/fs/cgroup/memory.max", "max"),
        ],
    ];
    for files in nothing {
        assert_eq!(Root::with(files).limits(), (None, None, PathBuf::new()), "{files:?}");
    }
}

#[test]
fn what_is_no_limit_is_said_and_taken_as_none() {
    for text in ["", "much", "max", "100000", "0 100000", "-5 100000", "100000 0", "100000 soon", "1e5 100000"] {
        let root = Root::with(&[
            ("proc/self/mountinfo", V2),
            ("proc/self/cgroup", "0::/a"),
            ("sys/fs/cgroup/a/cpu.max", text),
            ("sys/fs/cgroup/a/memory.max", "many"),
            ("sys/fs/cgroup/memory.max", "1048576"),
        ]);
        let machine = root.read();
        assert_eq!(machine.cpu_limit, None, "{text}");
        assert_eq!(machine.memory_limit.map(|limit| limit.bytes), Some(1 << 20), "the others count");
        let told: Vec<_> = machine.problems.iter().filter(|problem| problem.contains("is no limit")).collect();
        assert_eq!(told.len(), 2, "{text}: {:?}", machine.problems);
        assert!(told[0].contains("/a/cpu.max"), "{told:?}");
    }
}

#[test]
fn this_machine_can_be_read() {
    let machine = Machine::read(Path::new("/"));
    assert_eq!(machine.problems, [""; 0]);
    assert!(machine.cpus.get() <= 1024);
    assert!(Descriptors::raise().most > 0);
}
