//! The operator's listener: who may ask it, and what it changes.

use super::support::{Client, Gateway, Outcome, Upstream, edgeway, within_patience};
use nix::sys::signal::Signal::{SIGINT, SIGTERM};
use serde_json::json;
use std::{fs, net::TcpListener, thread};
use tempfile::TempDir;

const PING: &str = "routes: [{ id: ping, match: { path: /ping }, respond: { body: one }, auth: public }]\n";

/// Others can reach it, so it has a token.
const GUARDED: &str = "admin: { address: \"0.0.0.0:0\", token: operators-0123456789-0123456789 }\n";
const TOKEN: &str = "Authorization: Bearer operators-0123456789-0123456789";

fn run(command: &str, text: &str, variables: &[(&str, &str)]) -> Outcome {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("f.yaml");
    fs::write(&file, text).unwrap();
    edgeway(folder.path())
        .arg(command)
        .arg("--config")
        .arg(file)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
        .into()
}

#[test]
fn a_reload_waits_for_what_comes_of_it() {
    let gateway = Gateway::start(PING);
    gateway.rewrite(&PING.replace("one", "two"));
    let response = gateway.operate("POST", "/api/v1/reload", &[], "");
    assert_eq!((response.status, response.json()), (200, json!({ "generation": 2 })));
    assert_eq!(gateway.get("/ping", &[]).body, "two");

    gateway.rewrite(&format!("listners: []\n{}", PING.replace("respond", "respnod")));
    let response = gateway.operate("POST", "/api/v1/reload", &[], "");
    assert_eq!((response.status, response.header("content-type")), (422, Some("application/problem+json")));
    let problem = response.json();
    assert_eq!((&problem["status"], &problem["code"]), (&json!(422), &json!("config_invalid")));
    let errors = problem["errors"].as_array().unwrap();
    let lines: Vec<&str> = problem["detail"].as_str().unwrap().lines().collect();
    assert!(errors.len() == 2 && lines.len() == 2, "{problem:#}");
    assert!(errors.iter().any(|error| error["path"] == "listners"), "{problem:#}");
    assert!(lines[0].contains("did you mean \"listeners\"?") && lines[1].contains("\"respond\"?"), "{problem:#}");
    assert_eq!(gateway.get("/ping", &[]).body, "two");

    let state = gateway.operate("GET", "/api/v1/state", &[], "").json();
    assert_eq!((&state["generation"], &state["routes"]), (&json!(2), &json!(1)));
    let reloads = &state["reloads"];
    assert_eq!((&reloads["succeeded"], &reloads["failed"]), (&json!(1), &json!(1)));
    assert_eq!(reloads["last_failure"]["errors"], json!(lines));
    gateway.tells(&[
        "reload by 127.0.0.1:",
        "(none): generation 1 before, 2 after",
        "(none): refused, generation 2 serves on",
    ]);
}

#[test]
fn reloads_come_one_after_the_other() {
    let gateway = Gateway::start(PING);
    let mut generations: Vec<u64> = thread::scope(|scope| {
        let one = || gateway.operate("POST", "/api/v1/reload", &[], "").json()["generation"].as_u64().unwrap();
        let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    generations.sort();
    assert_eq!(generations, (2..=9).collect::<Vec<_>>());
}

#[test]
fn state_and_endpoints_say_how_everything_is() {
    let upstream = Upstream::echo();
    let sections = format!(
        "services: {{ s: {{ endpoints: [{{ address: {:?}, weight: 3 }}], log_name: s-service }} }}\n{PING}",
        upstream.url()
    );
    let gateway = Gateway::start(&sections);
    let endpoints = || gateway.operate("GET", "/api/v1/endpoints", &[], "").json();
    assert!(within_patience(|| endpoints()["services"][0]["health"] == "healthy"), "{:#}", endpoints());
    let service = &gateway.operate("GET", "/api/v1/state", &[], "").json()["services"][0];
    assert_eq!((&service["service"], &service["log_name"]), (&json!("s"), &json!("s-service")));
    let endpoint = &service["endpoints"][0];
    assert_eq!((&endpoint["address"], &endpoint["weight"]), (&json!(upstream.address.to_string()), &json!(3)));
    assert_eq!((&endpoint["health"], &endpoint["error"]), (&json!("healthy"), &json!(null)));
    assert!(endpoint["response_time_ms"].as_f64().unwrap() > 0.0 && endpoint["last_probe_ms_ago"].is_u64());
}

#[test]
fn off_the_loopback_interface_it_asks_for_its_token() {
    let gateway = Gateway::start(&format!("{GUARDED}{PING}"));
    for (method, path) in [("GET", "/api/v1/state"), ("POST", "/api/v1/reload"), ("GET", "/nothing"), ("GET", "/")] {
        let refused = gateway.operate(method, path, &[], "");
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")), "{path}");
        let wrong = format!("{TOKEN}x");
        assert_eq!(gateway.operate(method, path, &[&wrong], "").status, 401, "{path}");
    }
    for path in ["/metrics", "/health", "/health/live", "/health/ready"] {
        assert_eq!(gateway.operate("GET", path, &[], "").status, 200, "{path}");
    }
    assert_eq!(gateway.operate("GET", "/api/v1/state", &[TOKEN], "").status, 200);
    assert_eq!(gateway.operate("POST", "/api/v1/reload", &[TOKEN], "").status, 200);
    let said = gateway.tells(&["(token): generation 1 before, 2 after"]);
    assert!(!said.contains("operators-0123456789"), "{said}");
    // Another token needs no restart.
    gateway.rewrite(&format!("{}{PING}", GUARDED.replace("operators", "successors")));
    assert!(gateway.reload());
    assert_eq!(gateway.operate("GET", "/api/v1/state", &[TOKEN], "").status, 401);
}

#[test]
fn an_open_address_without_a_token_is_a_mistake_of_the_file() {
    let open = format!("admin: {{ address: \"0.0.0.0:9901\" }}\n{PING}");
    for command in ["check", "run"] {
        let outcome = run(command, &open, &[]);
        assert_eq!(outcome.code, Some(78), "{}", outcome.stderr);
        let line = "f.yaml:1:10: admin.address: others can reach this address, and could change things; add a token, \
                    or listen on 127.0.0.1";
        assert!(outcome.stderr.contains(line), "{}", outcome.stderr);
    }
    let from_variable = open.replace("9901\" }", "9901\", token: \"${ADMIN_TOKEN:-}\" }");
    let outcome = run("check", &from_variable, &[]);
    assert!(outcome.stderr.contains("admin.token: variable ADMIN_TOKEN is not set; set it"), "{}", outcome.stderr);
    let strong = [("ADMIN_TOKEN", "0123456789-0123456789-0123456789")];
    assert_eq!(run("check", &from_variable, &strong).code, Some(0));
    // Warned about here, refused in production.
    let outcome = run("check", &from_variable, &[("ADMIN_TOKEN", "changeme")]);
    assert!(outcome.code == Some(0) && outcome.stderr.contains("admin.token: a sample secret"), "{}", outcome.stderr);
    let outcome = run("check", &from_variable, &[("ADMIN_TOKEN", "no header, this")]);
    assert!(outcome.code == Some(78) && outcome.stderr.contains("admin.token: cannot be sent"), "{}", outcome.stderr);
    for fine in ["[::1]:9901", "localhost:9901", "127.0.0.2:9901"] {
        assert_eq!(run("check", &open.replace("0.0.0.0:9901", fine), &[]).code, Some(0), "{fine}");
    }
    assert_eq!(run("check", &open.replace("admin: {", "admin: { enabled: false,"), &[]).code, Some(0));
}

#[test]
fn pages_of_a_browser_get_nothing_changed() {
    let gateway = Gateway::start(PING);
    let refused = gateway.operate("POST", "/api/v1/reload", &["Origin: http://evil.example"], "");
    assert_eq!((refused.status, refused.code().as_str()), (403, "bad_origin"));
    let refused = gateway.operate("PUT", "/api/v1/log-level", &["Origin: null"], r#"{"level":"debug"}"#);
    assert_eq!(refused.status, 403);
    let mut client = Client::connect(gateway.admin);
    client.send(b"GET /api/v1/state HTTP/1.1\r\nHost: rebound.evil.example:9901\r\n\r\n");
    let refused = client.answer(false);
    assert_eq!((refused.status, refused.code().as_str()), (403, "bad_host"));
    client.send(format!("GET /api/v1/state HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.admin).as_bytes());
    assert_eq!(client.answer(false).json()["generation"], 1);
}

#[test]
fn the_log_level_changes_until_the_next_reload_and_its_author_is_written_at_every_level() {
    let gateway = Gateway::start(&format!("log: {{ level: info }}\n{PING}"));
    let set = |level: &str| gateway.operate("PUT", "/api/v1/log-level", &[], &format!(r#"{{"level":"{level}"}}"#));
    assert_eq!(set("error").json(), json!({ "before": "info", "level": "error" }));
    assert_eq!(set("debug").json(), json!({ "before": "error", "level": "debug" }));
    gateway.tells(&["(none): info before, error after", "error before, debug after"]);
    assert!(gateway.reload());
    assert_eq!(gateway.operate("GET", "/api/v1/state", &[], "").json()["log_level"], "info");
}

#[test]
fn what_it_does_not_know_it_refuses_with_a_problem() {
    let gateway = Gateway::start(PING);
    let large = format!(r#"{{"level":"{}"}}"#, "x".repeat(20_000));
    for (method, path, body, status) in [
        ("GET", "/nothing", "", 404),
        ("GET", "/ping", "", 404),
        ("GET", "/api/v1/reload", "", 405),
        ("DELETE", "/api/v1/state", "", 405),
        ("PUT", "/api/v1/log-level", r#"{"level":"loud"}"#, 400),
        ("PUT", "/api/v1/log-level", r#"{"level":"info","more":1}"#, 400),
        ("PUT", "/api/v1/log-level", "", 400),
        ("PUT", "/api/v1/log-level", &large, 413),
    ] {
        let response = gateway.operate(method, path, &[], body);
        assert_eq!(response.status, status, "{method} {path} {response:?}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{method} {path}");
        assert_eq!(response.json()["status"], status);
    }
    assert_eq!(gateway.operate("GET", "/api/v1/reload", &[], "").header("allow"), Some("POST"));
}

#[test]
fn it_answers_while_the_gateway_leaves() {
    let server = "server: { threads: 1, run_dir: \"${RUN_DIR}\", drain: { pause: 60s, deadline: 35s } }\n";
    let gateway = Gateway::start(&format!("{server}{PING}"));
    assert_eq!(gateway.operate("GET", "/health/ready", &[], "").status, 200);
    gateway.signal(SIGTERM);
    assert!(within_patience(|| gateway.operate("GET", "/health/ready", &[], "").status == 503));
    assert_eq!(gateway.operate("GET", "/api/v1/state", &[], "").json()["leaving"], true);
    gateway.signal(SIGINT);
    assert_eq!(gateway.wait_for_exit(), 0);
}

#[test]
fn silent_connections_are_few() {
    let gateway = Gateway::start(PING);
    let mut silent: Vec<Client> = (0..100).map(|_| Client::connect(gateway.admin)).collect();
    // Callers of the gateway itself notice nothing.
    assert_eq!(gateway.get("/ping", &[]).status, 200);
    silent.truncate(10);
    assert_eq!(gateway.operate("GET", "/health/live", &[], "").status, 200);
}

#[test]
fn its_port_in_use_is_one_line_and_it_can_be_left_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = format!("listeners: [{{ address: \"127.0.0.1:0\" }}]\nadmin: {{ address: {address:?} }}\n{PING}");
    let outcome = run("run", &text, &[]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let errors: Vec<&str> = outcome.stderr.lines().filter(|line| !line.contains(" INFO ")).collect();
    assert_eq!(errors.len(), 1, "{}", outcome.stderr);
    assert!(errors[0].contains(&address) && errors[0].contains("in use"), "{}", errors[0]);

    let gateway = Gateway::start(&format!("admin: {{ address: {address:?}, enabled: false }}\n{PING}"));
    assert_eq!(gateway.admin.port(), 0);
    gateway.tells(&["worker threads, no admin"]);
}
