//! `edgeway demo --services-only`: the six services apart from the gateway, as `compose.yaml` runs them.

use super::support::{Gateway, SECRET, edgeway, within_patience};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// The ports are fixed, so every test has an address of its own: all of 127.0.0.0/8 is this machine.
fn own_address(test: u8) -> String {
    let id = std::process::id();
    format!("127.{test}.{}.{}", id / 250 % 250 + 1, id % 250 + 1)
}

/// Ends with the test.
struct Services(Child);

impl Drop for Services {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn command(folder: &Path, address: &str) -> Command {
    let mut command = edgeway(folder);
    command.args(["demo", "--services-only", address]).env("JWT_SECRET_KEY", SECRET).stdout(Stdio::null());
    command
}

#[test]
fn the_shipped_file_serves_them_by_its_usual_ports_and_the_same_key() {
    let (folder, address) = (TempDir::new().unwrap(), own_address(77));
    let _services = Services(command(folder.path(), &address).spawn().unwrap());
    let ports = [8010, 8001, 8002, 8003, 8004, 8000];
    assert!(within_patience(|| ports.iter().all(|port| TcpStream::connect((&*address, *port)).is_ok())));
    // The file's own defaults, with the address in place of the services' names.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/edgeway.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let names =
        ["auth-service", "member-service", "customer-service", "calendar-service", "notice-service", "honeybox"];
    let text = names
        .iter()
        .fold(text, |text, name| text.replace(&format!(":-http://{name}:"), &format!(":-http://{address}:")));
    let here = folder.path().join("edgeway.yaml");
    std::fs::write(&here, text).unwrap();
    let variables = [("JWT_SECRET_KEY", SECRET), ("HOST", "127.0.0.1"), ("PORT", "0"), ("RATE_LIMIT_MODE", "local")];
    let gateway = Gateway::start_file(folder, &here, &variables);
    assert!(within_patience(|| gateway.get("/health", &[]).body.matches("\"healthy\"").count() == 7));
    let login = gateway.request(
        "POST",
        "/api/auth/login",
        &["Content-Type: application/json"],
        r#"{"username":"kim","password":"kim"}"#,
    );
    let token = login.body.split('"').nth(3).unwrap_or_else(|| panic!("{login:?}")).to_owned();
    let members = gateway.get("/api/members", &[&format!("Authorization: Bearer {token}")]);
    assert_eq!(members.status, 200, "{members:?}");
}

#[test]
fn they_leave_when_they_are_told_to() {
    for (test, signal) in [(78, Signal::SIGTERM), (79, Signal::SIGINT)] {
        let (folder, address) = (TempDir::new().unwrap(), own_address(test));
        let mut services = Services(command(folder.path(), &address).spawn().unwrap());
        assert!(within_patience(|| TcpStream::connect((&*address, 8000)).is_ok()));
        kill(Pid::from_raw(services.0.id().try_into().unwrap()), signal).unwrap();
        let mut ended = None;
        assert!(within_patience(|| {
            ended = services.0.try_wait().unwrap();
            ended.is_some()
        }));
        assert_eq!(ended.unwrap().code(), Some(0));
    }
}

#[test]
fn a_port_in_use_is_named() {
    let (folder, address) = (TempDir::new().unwrap(), own_address(80));
    let taken = std::net::TcpListener::bind((&*address, 8003)).unwrap();
    let output = command(folder.path(), &address).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("calendar: cannot listen on {}", taken.local_addr().unwrap())), "{said}");
}
