//! The unit, as systemd reads it, and what the process tells systemd. `scripts/setup.sh test` installs systemd's tools.

use super::support::{Gateway, PATIENCE, binary, edgeway, within_patience};
use nix::sys::signal::Signal::{SIGINT, SIGTERM};
use regex::Regex;
use std::{
    fs,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const PING: &str = "routes: [{ id: ping, match: { path: /ping }, respond: { body: one }, auth: public }]\n";

/// The unit with our binary where it looks for its own: `verify` wants it to be there.
fn unit(folder: &TempDir, change: impl Fn(String) -> String) -> PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd/edgeway.service");
    let text = fs::read_to_string(shipped).unwrap();
    assert_eq!(text.matches("/usr/bin/edgeway ").count(), 2, "ExecStart and ExecReload");
    let path = folder.path().join("edgeway.service");
    fs::write(&path, change(text.replace("/usr/bin/edgeway ", &format!("{} ", binary().display())))).unwrap();
    path
}

/// What it says, and whether that is a success.
fn analyze(arguments: &[&str], unit: &Path) -> (bool, String, String) {
    let output = Command::new("systemd-analyze").args(arguments).arg(unit).output();
    let output = output.unwrap_or_else(|error| panic!("systemd-analyze: {error}; run scripts/setup.sh test"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_unit_is_what_systemd_takes_it_for() {
    let folder = TempDir::new().unwrap();
    // It exits with 0 where it knows a key not, so that only silence is good.
    let (good, _, said) = analyze(&["verify", "--man=no"], &unit(&folder, |text| text));
    assert_eq!((good, said.as_str()), (true, ""));
    let broken = unit(&folder, |text| text.replace("NotifyAccess=", "NotifiyAccess="));
    assert!(analyze(&["verify", "--man=no"], &broken).2.contains("NotifiyAccess"));
}

#[test]
fn the_unit_gives_away_little() {
    let folder = TempDir::new().unwrap();
    let arguments = ["security", "--offline=true", "--threshold=20", "--no-pager"];
    let (good, told, said) = analyze(&arguments, &unit(&folder, |text| text));
    assert!(good, "{told}\n{said}");
    let open =
        unit(&folder, |text| text.lines().filter(|line| !line.starts_with("Protect")).collect::<Vec<_>>().join("\n"));
    assert!(!analyze(&arguments, &open).0);
}

/// Stands in for systemd: what was told, in its order.
struct Ear {
    socket: UnixDatagram,
    name: String,
    heard: Vec<String>,
}

impl Ear {
    fn at(address: &SocketAddr, name: String) -> Self {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, name, heard: Vec::new() }
    }

    /// The next word, with the time in it made the same in every run.
    fn next(&mut self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{error} after {:?}", self.heard));
        let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
        let text = Regex::new(r"MONOTONIC_USEC=[1-9]\d+").unwrap().replace(&text, "MONOTONIC_USEC=now").into_owned();
        self.heard.push(text.clone());
        text
    }

    #[track_caller]
    fn hears(&mut self, words: &[&str]) {
        let heard: Vec<_> = words.iter().map(|_| self.next()).collect();
        assert_eq!(heard, words);
    }

    /// Nothing more comes from a process that is gone.
    fn hears_no_more(&mut self) {
        self.socket.set_nonblocking(true).unwrap();
        assert!(self.socket.recv(&mut [0; 4096]).is_err());
    }
}

fn started(ear: &Ear, pause: &str) -> Gateway {
    let server =
        format!("server: {{ threads: 1, run_dir: \"${{RUN_DIR}}\", drain: {{ pause: {pause}, deadline: 35s }} }}\n");
    Gateway::start_with(&format!("{server}{PING}"), &[("NOTIFY_SOCKET", &ear.name)])
}

const RELOADING: &str = "RELOADING=1\nMONOTONIC_USEC=now";
const REFUSED: &str = "STATUS=the last reload was refused, as the log says; generation 2 of the configuration serves";
const LEAVING: [&str; 2] = ["STOPPING=1", "STATUS=leaving: finishes what is in flight"];

#[test]
fn systemd_hears_of_start_reloads_and_end_in_their_order() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let mut ear = Ear::at(&SocketAddr::from_pathname(&path).unwrap(), path.display().to_string());
    let gateway = started(&ear, "0s");
    ear.hears(&["READY=1", "STATUS=generation 1 of the configuration serves"]);
    assert_eq!(gateway.get("/ping", &[]).status, 200);
    assert!(gateway.reload());
    ear.hears(&[RELOADING, "READY=1", "STATUS=generation 2 of the configuration serves"]);
    fs::write(gateway.path("edgeway.yaml"), "routes: nonsense").unwrap();
    assert!(!gateway.reload());
    ear.hears(&[RELOADING, "READY=1", REFUSED]);
    gateway.signal(SIGTERM);
    ear.hears(&LEAVING);
    assert_eq!(gateway.wait_for_exit(), 0);
    ear.hears_no_more();
}

#[test]
fn a_socket_with_an_abstract_name_hears_of_a_stop_at_once() {
    let name = format!("edgeway-test-{}", std::process::id());
    let mut ear = Ear::at(&SocketAddr::from_abstract_name(&name).unwrap(), format!("@{name}"));
    let gateway = started(&ear, "60s");
    ear.hears(&["READY=1", "STATUS=generation 1 of the configuration serves"]);
    gateway.signal(SIGTERM);
    ear.hears(&LEAVING);
    // Once is enough, however often it is asked.
    gateway.signal(SIGTERM);
    gateway.signal(SIGINT);
    assert_eq!(gateway.wait_for_exit(), 0);
    ear.hears_no_more();
}

#[test]
fn nobody_hears_ready_from_a_start_that_fails() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let mut ear = Ear::at(&SocketAddr::from_pathname(&path).unwrap(), path.display().to_string());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let file = folder.path().join("edgeway.yaml");
    let admin = "admin: { enabled: false }\n";
    fs::write(&file, format!("{admin}listeners: [{{ address: \"{}\" }}]\n{PING}", taken.local_addr().unwrap()))
        .unwrap();
    let status =
        edgeway(folder.path()).args(["run", "--config"]).arg(&file).env("NOTIFY_SOCKET", &path).output().unwrap();
    assert_eq!(status.status.code(), Some(1), "{}", String::from_utf8_lossy(&status.stderr));
    ear.hears_no_more();
}

#[test]
fn a_supervisor_that_is_gone_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let gateway = Gateway::start_with(PING, &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    assert_eq!(gateway.get("/ping", &[]).status, 200);
    gateway.tells(&["NOTIFY_SOCKET: ", "the supervisor was not told READY=1"]);
    let gateway = Gateway::start_with(PING, &[("NOTIFY_SOCKET", "nonsense")]);
    assert!(within_patience(|| gateway.get("/ping", &[]).status == 200));
    gateway.tells(&["NOTIFY_SOCKET nonsense: neither a path nor a name after @"]);
}
