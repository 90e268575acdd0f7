//! A new process takes over: `edgeway upgrade`, SIGQUIT, and everything that can go wrong on the way.

use super::support::{Gateway, Outcome, edgeway, within_patience};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

const PING: &str = "routes: [{ id: ping, match: { path: /ping }, respond: { body: one }, auth: public }]\n";

/// A timetable for people without patience.
fn quick(watch: &str, linger: &str, rest: &str) -> String {
    format!(
        "server: {{ threads: 1, run_dir: \"${{RUN_DIR}}\", reload_on_change: false, drain: {{ pause: 0s, deadline: 5s }}, \
         handoff: {{ ready: 20s, watch: {watch}, linger: {linger}, streams: 20s }} }}\n{rest}"
    )
}

pub(super) fn pid(gateway: &Gateway) -> i32 {
    gateway.pid_file()
}

pub(super) fn upgrade(gateway: &Gateway, arguments: &[&str]) -> Command {
    let mut command = edgeway(&gateway.path("."));
    command.args(["upgrade", "--config"]).arg(gateway.path("edgeway.yaml")).args(arguments);
    command
}

pub fn upgraded(gateway: &Gateway, arguments: &[&str]) -> Outcome {
    upgrade(gateway, arguments).output().unwrap().into()
}

pub fn runs(pid: i32) -> bool {
    // A zombie of the test's own is none that runs.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn answers(gateway: &Gateway) -> bool {
    gateway.get("/ping", &[]).body == "one"
}

/// A script in the place of the binary: `--version` and `check` as ever, and `body` for what starts the new process.
pub fn binary(gateway: &Gateway, name: &str, body: &str) -> PathBuf {
    let path = gateway.path(name);
    let real = super::support::binary();
    let real = real.display();
    let text = format!("#!/bin/sh\ncase \"$1\" in\n take-over) shift\n{body}\n;;\n *) exec {real} \"$@\" ;;\nesac\n");
    fs::write(&path, text.replace("REAL", &real.to_string())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_new_process_takes_over_and_the_old_one_leaves() {
    let gateway = Gateway::start(&quick("1s", "3s", PING));
    let old = pid(&gateway);
    let mut kept = gateway.client();
    assert_eq!(kept.get("/ping", &[]).header("connection"), Some("keep-alive"));
    let outcome = upgraded(&gateway, &[]);
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    for number in 1..=7 {
        assert!(outcome.stdout.contains(&format!("{number}/8 ")), "{}", outcome.stdout);
    }
    let new = pid(&gateway);
    assert!(new != old && runs(new) && runs(old), "{old} {new}");
    // The old one is polite, and as ready as ever.
    let answer = kept.get("/ping", &[]);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(gateway.get("/health/ready", &[]).status, 200);
    // Operators talk to the new one, which tells about the old one.
    let health: serde_json::Value = serde_json::from_str(&gateway.operate("GET", "/health", &[], "").body).unwrap();
    assert_eq!(health["former_process"]["pid"], old, "{health}");
    assert_eq!(gateway.metric("edgeway_handoffs_total{result=\"done\"}"), Some(1.0));
    assert_eq!(gateway.metric("edgeway_former_process_pid"), Some(f64::from(old)));
    assert_eq!(gateway.operate("POST", "/api/v1/reload", &[], "").status, 200);
    assert!(within_patience(|| !runs(old)), "{}", gateway.stderr());
    gateway.tells(&["handoff 8/8", "the old process has left"]);
    assert_eq!(gateway.metric("edgeway_former_process_pid"), None);
    assert!(answers(&gateway) && pid(&gateway) == new);
    // And once more, from the one that was new.
    assert_eq!(upgraded(&gateway, &["--watch", "200ms"]).code, Some(0));
    assert!(pid(&gateway) != new && answers(&gateway));
}

#[test]
fn sigquit_is_the_same_without_options_and_sigterm_ends_both() {
    let gateway = Gateway::start(&quick("300ms", "30s", PING));
    let old = pid(&gateway);
    gateway.signal(Signal::SIGQUIT);
    assert!(within_patience(|| pid(&gateway) != old), "{}", gateway.stderr());
    let new = pid(&gateway);
    assert!(answers(&gateway));
    // As a supervisor does it: everybody in the group, some of them twice.
    for process in [new, old, old] {
        kill(Pid::from_raw(process), Signal::SIGTERM).unwrap();
    }
    assert!(within_patience(|| !runs(old) && !runs(new)), "{}", gateway.stderr());
    assert!(!gateway.path("run/edgeway.pid").exists() && !gateway.path("run/edgeway.sock").exists());
}

#[test]
fn whoever_is_asked_to_leave_in_the_middle_does_and_nobody_takes_over() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        for step in ["handoff 2/8", "handoff 3/8", "handoff 5/8"] {
            let gateway = Gateway::start(&quick("60s", "60s", PING));
            let old = pid(&gateway);
            gateway.signal(Signal::SIGQUIT);
            gateway.tells(&[step]);
            gateway.signal(signal);
            assert_eq!(gateway.wait_for_exit(), 0);
            let new = successor(&gateway, old);
            assert!(within_patience(|| new.is_none_or(|new| !runs(new))), "{signal} {step}:\n{}", gateway.stderr());
            assert!(std::net::TcpStream::connect(gateway.address).is_err(), "{signal} {step}:\n{}", gateway.stderr());
        }
    }
}

#[test]
fn whatever_is_wrong_with_the_new_process_the_old_one_serves_on() {
    let gateway = Gateway::start(&quick("1s", "3s", PING).replace("ready: 20s", "ready: 3s"));
    let old = pid(&gateway);
    let bad = gateway.path("bad.yaml");
    fs::write(&bad, "routs: []\n").unwrap();
    let crash = binary(&gateway, "crash", "exit 3");
    let hang = binary(&gateway, "hang", "exec sleep 600");
    let silent = binary(&gateway, "silent", "exec 3<&0\nsleep 600 <&3 &\nexit 0");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let cases = [
        (vec!["--binary".to_owned(), text(&bad)], "ermission denied"),
        (vec!["--binary".to_owned(), "/bin/false".to_owned()], "--version ends with"),
        (vec!["--binary".to_owned(), text(&crash)], "ended at its start with exit status: 3"),
        (vec!["--binary".to_owned(), text(&hang)], "in time"),
        (vec!["--binary".to_owned(), text(&silent)], "in time"),
    ];
    for (arguments, expected) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let outcome = upgraded(&gateway, &arguments);
        assert_eq!(outcome.code, Some(1), "{arguments:?}: {}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stderr.contains(expected), "{arguments:?}: {}", outcome.stderr);
        assert!(answers(&gateway) && pid(&gateway) == old);
    }
    // A bad file is found by whoever asks, and by the process that is asked.
    let mut command = edgeway(&gateway.path("."));
    let outcome: Outcome = command.args(["upgrade", "--config"]).arg(&bad).output().unwrap().into();
    assert_eq!(outcome.code, Some(78), "{}", outcome.stderr);
    fs::write(gateway.path("edgeway.yaml"), "routs: []\n").unwrap();
    gateway.signal(Signal::SIGQUIT);
    gateway.tells(&["handoff failed, this process serves on", "did you mean \"routes\"?"]);
    assert!(answers(&gateway) && pid(&gateway) == old);
    assert_eq!(gateway.metric("edgeway_handoffs_total{result=\"failed\"}"), Some(6.0));
}

#[test]
fn when_the_new_process_dies_after_it_has_taken_over_the_old_one_is_the_gateway_again() {
    let gateway = Gateway::start(&quick("300ms", "60s", PING));
    let old = pid(&gateway);
    assert_eq!(upgraded(&gateway, &[]).code, Some(0));
    let new = pid(&gateway);
    kill(Pid::from_raw(new), Signal::SIGKILL).unwrap();
    gateway.tells(&["is the gateway again"]);
    assert!(within_patience(|| pid(&gateway) == old));
    // As before: kept connections, operators, and another try.
    let mut kept = gateway.client();
    assert_eq!(kept.get("/ping", &[]).header("connection"), Some("keep-alive"));
    assert_eq!(gateway.metric("edgeway_handoffs_total{result=\"taken_back\"}"), Some(1.0));
    assert_eq!(upgraded(&gateway, &[]).code, Some(0));
    assert!(pid(&gateway) != old && answers(&gateway));
}

#[test]
fn the_first_of_three_processes_does_not_come_back() {
    let gateway = Gateway::start(&quick("200ms", "60s", PING));
    let first = pid(&gateway);
    assert_eq!(upgraded(&gateway, &[]).code, Some(0));
    let second = pid(&gateway);
    assert_eq!(upgraded(&gateway, &[]).code, Some(0));
    let third = pid(&gateway);
    kill(Pid::from_raw(second), Signal::SIGKILL).unwrap();
    gateway.tells(&["is gone, and another one is the gateway"]);
    assert!(pid(&gateway) == third && runs(first));
    // Polite, as before: whoever meets it is sent to the third.
    let kept: Vec<bool> =
        (0..20).map(|_| gateway.client().get("/ping", &[]).header("connection") == Some("close")).collect();
    assert!(kept.iter().filter(|close| **close).count() < 20, "the third is not polite");
    assert_eq!(gateway.metric("edgeway_handoffs_total{result=\"taken_back\"}"), Some(0.0));
    assert!(!gateway.stderr().contains("is the gateway again"), "{}", gateway.stderr());
}

#[test]
fn who_ends_the_gateway_ends_the_former_process_too() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let gateway = Gateway::start(&quick("200ms", "60s", PING));
        let old = pid(&gateway);
        assert_eq!(upgraded(&gateway, &[]).code, Some(0));
        let new = pid(&gateway);
        kill(Pid::from_raw(new), signal).unwrap();
        assert!(within_patience(|| !runs(new) && !runs(old)), "{signal}:\n{}", gateway.stderr());
        assert!(!gateway.stderr().contains("is the gateway again"), "{}", gateway.stderr());
        assert!(std::net::TcpStream::connect(gateway.address).is_err(), "{signal}");
        assert!(!gateway.path("run/edgeway.pid").exists() && !gateway.path("run/edgeway.sock").exists());
    }
}

#[test]
fn a_process_that_leaves_holds_up_nobody_who_starts_after_it() {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (address, admin) = (free(), free());
    let service = super::support::Upstream::start(|_| super::support::Answer::Hang);
    let sections = format!(
        "listeners: [{{ address: \"{address}\" }}]\nadmin: {{ address: \"{admin}\" }}\n\
         services: {{ s: {{ endpoints: [\"{}\"], health: {{ probe: off }} }} }}\n{PING}\
         - {{ id: long, match: {{ path: /long }}, service: s, auth: public, timeouts: {{ request: 60s, attempt: 60s }} }}\n",
        service.url()
    );
    let sections =
        quick("200ms", "300ms", &sections.replace("routes: [", "routes:\n- ").replace("public }]", "public }"));
    let gateway = Gateway::start(&sections);
    let old = pid(&gateway);
    let mut long = gateway.client();
    long.send(b"GET /long HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert!(within_patience(|| !service.seen().is_empty()));
    assert_eq!(upgraded(&gateway, &[]).code, Some(0), "{}", gateway.stderr());
    gateway.tells(&["handoff 8/8"]);
    kill(Pid::from_raw(pid(&gateway)), Signal::SIGKILL).unwrap();
    gateway.tells(&["is gone while this one leaves"]);
    assert!(runs(old), "{}", gateway.stderr());
    // As a supervisor does it.
    let mut next = edgeway(&gateway.path("."));
    let mut next =
        next.args(["run", "--config"]).arg(gateway.path("edgeway.yaml")).stderr(Stdio::null()).spawn().unwrap();
    let there = within_patience(|| gateway.is_there("/ping"));
    _ = next.kill();
    _ = next.wait();
    assert!(there, "it cannot start");
}

#[test]
fn a_second_gateway_in_one_run_dir_leaves_the_first_ones_files_alone() {
    let first = Gateway::start(&quick("200ms", "1s", PING));
    let old = pid(&first);
    let second = Gateway::start_with(
        &quick("200ms", "1s", PING).replace("${RUN_DIR}", "${SHARED}"),
        &[("SHARED", first.path("run").to_str().unwrap())],
    );
    second.tells(&["another gateway answers there"]);
    second.signal(Signal::SIGTERM);
    second.wait_for_exit();
    assert!(pid(&first) == old && first.path("run/edgeway.sock").exists());
    assert_eq!(upgraded(&first, &[]).code, Some(0), "{}", first.stderr());
}

#[test]
fn a_new_process_that_answers_worse_is_not_taken() {
    let upstream = super::support::Upstream::start(|_| super::support::Answer::Text("one".to_owned()));
    let service = |address: String| {
        quick(
            "20s",
            "3s",
            &format!(
                "services: {{ s: {{ endpoints: [\"http://{address}\"] }} }}\n\
                 routes: [{{ id: ping, match: {{ path: /ping }}, service: s, auth: public }}]\n"
            ),
        )
    };
    let gateway = Gateway::start(&service(upstream.address.to_string()));
    let old = pid(&gateway);
    // Where nobody listens.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    gateway.rewrite(&service(nobody.to_string()));
    let over = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                gateway.get("/ping", &[]);
            }
        });
        let outcome = upgraded(&gateway, &[]);
        over.store(true, Relaxed);
        outcome
    });
    assert_eq!(outcome.code, Some(1), "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stderr.contains("answers were 5xx"), "{}", outcome.stderr);
    assert_eq!(pid(&gateway), old);
    assert!((0..20).all(|_| answers(&gateway)), "{}", gateway.stderr());
}

#[test]
fn listeners_and_threads_change_with_a_handoff() {
    let gateway = Gateway::start(&quick("200ms", "1s", PING));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let more = quick("200ms", "1s", PING).replace("threads: 1", "threads: 2")
        + &format!("listeners: [{{ address: \"127.0.0.1:0\" }}, {{ address: \"{free}\" }}]\n");
    gateway.rewrite(&more);
    assert!(!gateway.reload());
    gateway.tells(&["`edgeway upgrade` changes it without losing a request"]);
    assert_eq!(upgraded(&gateway, &[]).code, Some(0), "{}", gateway.stderr());
    assert!(answers(&gateway));
    assert_eq!(super::support::Client::connect(free).get("/ping", &[]).body, "one");
    gateway.tells(&["with 2 worker threads"]);
    // The same address under another name.
    gateway.rewrite(&more.replace(&free.to_string(), &format!("localhost:{}", free.port())));
    assert_eq!(upgraded(&gateway, &[]).code, Some(0), "{}", gateway.stderr());
    assert_eq!(super::support::Client::connect(free).get("/ping", &[]).body, "one");
    // Who knows where it is needs no configuration.
    let mut command = edgeway(&gateway.path("."));
    let run_dir = gateway.path("run");
    let outcome: Outcome = command.args(["upgrade", "--run-dir"]).arg(run_dir).output().unwrap().into();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

/// The lines by which one sees how far a handoff is.
const STEPS: [&str; 8] = [
    "handoff 1/8",
    "handoff 2/8",
    "handoff 3/8",
    "handoff 4/8",
    "handoff 5/8",
    "handoff 6/8",
    "handoff 7/8",
    "takes over",
];

/// How often each is tried.
const TRIES: usize = 10;

/// The number of the new process, from the log.
pub fn successor(gateway: &Gateway, old: i32) -> Option<i32> {
    let said = gateway.said(r"process (\d+) \(");
    said.last().map(|pid| *pid as i32).filter(|pid| *pid != old)
}

#[track_caller]
fn killed_at(step: &str, kills_old: bool) {
    let gateway = Gateway::start(&quick("100ms", "20s", PING));
    let old = pid(&gateway);
    gateway.signal(Signal::SIGQUIT);
    assert!(within_patience(|| gateway.stderr().contains(step)), "{step}:\n{}", gateway.stderr());
    let victim = if kills_old {
        old
    } else {
        // It has a name from step 3 on, and a short life before that.
        let mut new = None;
        assert!(within_patience(|| {
            new = successor(&gateway, old);
            new.is_some()
        }));
        new.unwrap()
    };
    _ = kill(Pid::from_raw(victim), Signal::SIGKILL);
    assert!(within_patience(|| !runs(victim)), "{victim} lives");
    let who = if kills_old { "old" } else { "new" };
    // Somebody answers, and says that it is the gateway.
    let there = within_patience(|| gateway.is_there("/ping") && runs(pid(&gateway)));
    assert!(there, "{who} killed at {step}:\n{}", gateway.stderr());
    assert!((0..10).all(|_| answers(&gateway)), "{who} killed at {step}:\n{}", gateway.stderr());
    assert_eq!(gateway.operate("GET", "/health/ready", &[], "").status, 200, "{who} at {step}");
}

#[test]
fn whoever_is_killed_at_whatever_step_somebody_answers() {
    // The old process is alone until it has started the new one.
    let old = || STEPS[1..].iter().for_each(|step| (0..TRIES).for_each(|_| killed_at(step, true)));
    let new = || STEPS.iter().for_each(|step| (0..TRIES).for_each(|_| killed_at(step, false)));
    thread::scope(|scope| {
        scope.spawn(old);
        scope.spawn(new);
    });
}

fn bearer(user: &str) -> String {
    let config = format!("{{ algorithm: HS256, secret: {} }}", super::support::SECRET);
    let config: edgeway::auth::JwtConfig = serde_yaml::from_str(&config).unwrap();
    let claims = edgeway::auth::MintClaims {
        sub: user.to_owned(),
        username: None,
        role: None,
        permissions: Vec::new(),
        ttl: std::time::Duration::from_secs(600),
    };
    format!("Authorization: Bearer {}", edgeway::auth::Minter::build(&config, None).unwrap().mint(&claims).unwrap())
}

#[test]
fn what_a_handoff_keeps_and_what_it_loses() {
    let sections = quick(
        "200ms",
        "2s",
        "auth: { jwt: { algorithm: HS256, secret: SECRET }, revocation: { mode: local } }\n\
         routes:\n\
         - { id: ping, match: { path: /ping }, respond: { body: one }, limits: [{ key: consumer, requests: 3, window: 1h, mode: local }] }\n",
    )
    .replace("SECRET", super::support::SECRET);
    let gateway = Gateway::start(&sections);
    let (anna, ben) = (bearer("anna"), bearer("ben"));
    for _ in 0..3 {
        assert_eq!(gateway.get("/ping", &[&anna]).status, 200);
    }
    assert_eq!(gateway.get("/ping", &[&anna]).status, 429);
    assert_eq!(gateway.get("/ping", &[&ben]).status, 200);
    let revoked = gateway.operate("POST", "/api/v1/revocations", &[], "{\"user\":\"ben\"}");
    assert_eq!(revoked.status, 200, "{}", revoked.body);
    assert_eq!(gateway.get("/ping", &[&ben]).status, 401);
    assert_eq!(upgraded(&gateway, &[]).code, Some(0), "{}", gateway.stderr());
    assert!(within_patience(|| gateway.stderr().contains("the old process has left")));
    // Kept: what is revoked. Lost: what was counted here.
    assert_eq!(gateway.get("/ping", &[&ben]).status, 401);
    assert_eq!(gateway.get("/ping", &[&anna]).status, 200);
    assert_eq!(gateway.metric("edgeway_config_generation"), Some(1.0));
}

#[test]
fn only_a_gateway_starts_what_takes_over_and_only_its_user_asks_for_it() {
    let folder = tempfile::TempDir::new().unwrap();
    let outcome: Outcome =
        edgeway(folder.path()).args(["take-over", "--detached"]).stdin(Stdio::null()).output().unwrap().into();
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("edgeway upgrade"), "{}", outcome.stderr);
    let gateway = Gateway::start(&quick("200ms", "1s", PING));
    let mode = |name: &str| fs::metadata(gateway.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("run"), 0o700);
    // Whoever comes without a question, or with one of another time, changes nothing.
    for (question, expected) in [("{}\n", "version 0"), ("x\n", "not understood"), ("", "not understood")] {
        use std::io::{Read, Write};
        let mut stream = std::os::unix::net::UnixStream::connect(gateway.path("run/edgeway.sock")).unwrap();
        stream.write_all(question.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("{\"failed\":") && answer.contains(expected), "{question:?}: {answer}");
    }
    gateway.signal(Signal::SIGTERM);
    gateway.wait_for_exit();
    // Nobody is there.
    let outcome = upgraded(&gateway, &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("no gateway is there to be asked"), "{}", outcome.stderr);
}

#[test]
fn one_handoff_at_a_time() {
    let gateway = Gateway::start(&quick("2s", "1s", PING));
    let first: Child = upgrade(&gateway, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    gateway.tells(&["handoff 5/8"]);
    let second = upgraded(&gateway, &[]);
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("one is under way already"), "{}", second.stderr);
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(0));
    assert!(answers(&gateway));
}

#[test]
fn a_socket_that_nobody_answers_on_is_replaced() {
    let gateway = Gateway::start(&quick("200ms", "1s", PING));
    kill(Pid::from_raw(pid(&gateway)), Signal::SIGKILL).unwrap();
    gateway.wait_for_exit();
    assert!(gateway.path("run/edgeway.sock").exists());
    let again = gateway.start_again();
    assert_eq!(upgraded(&again, &[]).code, Some(0), "{}", again.stderr());
}
