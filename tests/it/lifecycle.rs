//! Start, reload and end of the process.

use super::support::{Answer, Gateway, Upstream, bearer, within_patience};
use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::{
    fs,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

const PING: &str = "routes: [{ id: ping, match: { path: /ping }, respond: { body: one }, auth: public }]\n";

/// Drains for this long before the listeners close.
fn pausing(gateway_sections: &str, pause: &str) -> Gateway {
    Gateway::start(&format!(
        "server: {{ threads: 1, run_dir: \"${{RUN_DIR}}\", drain: {{ pause: {pause}, deadline: 35s }} }}\n{gateway_sections}"
    ))
}

#[test]
fn a_reload_replaces_routes_and_a_bad_file_changes_nothing() {
    let gateway = Gateway::start(PING);
    assert_eq!(gateway.get("/ping", &[]).body, "one");
    gateway.rewrite(&PING.replace("one", "two"));
    assert!(gateway.reload());
    assert_eq!(gateway.get("/ping", &[]).body, "two");
    gateway.rewrite(&PING.replace("respond", "respnod").replace("one", "three"));
    assert!(!gateway.reload());
    assert_eq!(gateway.get("/ping", &[]).body, "two");
    gateway.tells(&["reload refused, the running configuration stays", "unknown key; did you mean \"respond\"?"]);
    fs::remove_file(gateway.path("edgeway.yaml")).unwrap();
    assert!(!gateway.reload());
    assert_eq!(gateway.get("/ping", &[]).body, "two");
}

#[test]
fn a_reload_changes_the_log_level() {
    let gateway = Gateway::start(PING);
    let told = || gateway.stderr().matches("reloaded: ").count();
    gateway.rewrite(&format!("log: {{ level: warn }}\n{}", PING.replace("one", "two")));
    gateway.signal(SIGHUP);
    assert!(within_patience(|| gateway.get("/ping", &[]).body == "two"));
    gateway.rewrite(&format!("log: {{ level: debug }}\n{}", PING.replace("one", "three")));
    gateway.signal(SIGHUP);
    assert!(within_patience(|| gateway.get("/ping", &[]).body == "three" && told() == 1), "{}", gateway.stderr());
}

#[test]
fn a_reload_switches_the_access_log_off_and_on() {
    let gateway = Gateway::start(&format!("log: {{ access: false }}\n{PING}"));
    assert_eq!(gateway.get("/ping", &[]).status, 200);
    gateway.rewrite(&PING.replace("one", "two"));
    assert!(gateway.reload());
    let answer = gateway.get("/ping", &[]);
    assert_eq!(answer.body, "two");
    // The lines of one thread come in their order: with this one, an earlier one would be there.
    gateway.log_line(answer.header("x-request-id").unwrap());
    assert_eq!(gateway.access_log().len(), 1);
}

#[test]
fn what_needs_a_restart_is_refused_in_a_reload_with_that_explanation() {
    let gateway = Gateway::start(PING);
    for (section, place) in [
        ("listeners: [{ address: \"127.0.0.1:1\" }]\n", "listeners"),
        ("server: { threads: 7 }\n", "server.threads"),
        ("admin: { address: \"127.0.0.1:1\" }\n", "admin.address"),
    ] {
        gateway.rewrite(&format!("{section}{}", PING.replace("one", "two")));
        assert!(!gateway.reload(), "{section}");
        let said = || gateway.stderr();
        let explained = || said().lines().any(|line| line.contains(place) && line.contains("restart"));
        assert!(within_patience(explained), "{}", said());
    }
    assert_eq!(gateway.get("/ping", &[]).body, "one");
}

#[test]
fn sigterm_finishes_what_is_in_flight_and_leaves_when_idle() {
    let upstream = Upstream::start(|_| {
        thread::sleep(Duration::from_millis(1500));
        Answer::Text("slow".to_owned())
    });
    let url = upstream.url();
    let gateway = pausing(
        &format!(
            "services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\n\
             routes: [{{ id: all, match: {{ path: /x }}, service: s, auth: public }}]\n"
        ),
        "0s",
    );
    thread::scope(|scope| {
        let asked = scope.spawn(|| gateway.client().get("/x", &[]));
        assert!(within_patience(|| !upstream.seen().is_empty()));
        let since = Instant::now();
        gateway.signal(SIGTERM);
        let response = asked.join().unwrap();
        assert_eq!((response.status, response.body.as_str(), response.complete), (200, "slow", true));
        assert_eq!(gateway.wait_for_exit(), 0);
        // pingora alone would sleep 300 s, and our deadline is 35 s.
        assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    });
    assert_eq!(gateway.access_log().len(), 1, "the last line is written");
    assert!(!gateway.path("run/edgeway.pid").exists());
}

#[test]
fn while_it_pauses_it_is_not_ready_and_asks_callers_to_go() {
    let gateway = pausing(PING, "2s");
    let mut kept = gateway.client();
    assert_eq!(kept.get("/ping", &[]).header("connection"), Some("keep-alive"));
    assert_eq!(gateway.get("/health/ready", &[]).status, 200);
    gateway.signal(SIGTERM);
    assert!(within_patience(|| gateway.get("/health/ready", &[]).status == 503));
    assert_eq!(gateway.get("/health/live", &[]).status, 200);
    let answer = kept.get("/ping", &[]);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    // A second one changes nothing: supervisors send it twice.
    gateway.signal(SIGTERM);
    assert_eq!(gateway.get("/ping", &[]).status, 200);
    assert_eq!(gateway.wait_for_exit(), 0);
}

#[test]
fn sigint_leaves_at_once_and_sigquit_is_a_line_in_the_log() {
    let gateway = pausing(PING, "15s");
    gateway.signal(SIGQUIT);
    gateway.tells(&["SIGQUIT"]);
    assert_eq!(gateway.get("/ping", &[]).status, 200);
    let since = Instant::now();
    gateway.signal(SIGINT);
    assert_eq!(gateway.wait_for_exit(), 0);
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert_eq!(gateway.access_log().len(), 1, "the last line is written");
}

#[test]
fn sigint_ends_a_drain_too() {
    let gateway = pausing(PING, "60s");
    gateway.signal(SIGTERM);
    assert!(within_patience(|| gateway.get("/health/ready", &[]).status == 503));
    gateway.signal(SIGINT);
    assert_eq!(gateway.wait_for_exit(), 0);
}

#[test]
fn sigint_ends_the_wait_for_the_last_requests_too() {
    let hung = Upstream::start(|_| Answer::Hang);
    let url = hung.url();
    let gateway = pausing(
        &format!(
            "services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\n\
             routes: [{{ id: r, match: {{ path: /r }}, service: s, auth: public }}]\n"
        ),
        "0s",
    );
    let mut client = gateway.client();
    client.send(b"GET /r HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert!(within_patience(|| hung.seen().len() == 1));
    gateway.signal(SIGTERM);
    assert!(within_patience(|| TcpStream::connect(gateway.address).is_err()));
    let since = Instant::now();
    gateway.signal(SIGINT);
    assert_eq!(gateway.wait_for_exit(), 0);
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}

#[test]
fn signals_in_quick_succession_do_no_harm() {
    let gateway = Gateway::start(PING);
    (0..50).for_each(|_| gateway.signal(SIGHUP));
    gateway.signal(SIGQUIT);
    assert!(gateway.reload());
    assert_eq!(gateway.get("/ping", &[]).status, 200);
}

#[test]
fn a_reload_keeps_verified_tokens_and_new_keys_end_them() {
    let sections = |secret: &str| {
        format!(
            "auth: {{ jwt: {{ algorithm: HS256, secret: {secret} }} }}\n\
             routes: [{{ id: r, match: {{ path: /r }}, respond: {{ body: hi }} }}]\n"
        )
    };
    let gateway = Gateway::start(&sections(super::support::SECRET));
    let token = bearer("admin");
    assert_eq!(gateway.get("/r", &[&token]).status, 200);
    assert!(gateway.reload());
    assert_eq!(gateway.get("/r", &[&token]).status, 200);
    gateway.rewrite(&sections("another-secret-0123456789-0123456"));
    assert!(gateway.reload());
    assert_eq!(gateway.get("/r", &[&token]).code(), "token_invalid");
}
