//! Whatever is wrong is said clearly, with the right exit code or status, and nothing is lost.

use super::support::{Answer, Gateway, Outcome, SECRET, Upstream, bearer, edgeway};
use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const GOOD: &str = "\
listeners: [{ address: \"127.0.0.1:0\" }]
auth: { jwt: { algorithm: HS256, secret: integration-tests-0123456789abcd } }
services:
  member: { endpoints: [\"127.0.0.1:1\"] }
routes:
  - { id: members, match: { path: /api/members/* }, service: member }
";

fn run(command: &str, text: &str, variables: &[(&str, &str)]) -> Outcome {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("f.yaml");
    fs::write(&file, text).unwrap();
    on(command, folder.path(), &file, variables)
}

fn on(command: &str, folder: &Path, file: &Path, variables: &[(&str, &str)]) -> Outcome {
    let mut process = edgeway(folder);
    process.arg(command).arg("--config").arg(file).envs(variables.iter().copied());
    process.output().unwrap().into()
}

/// `check` and `run` both refuse it, with exit 78 and these words; and say nothing of panics.
#[track_caller]
fn refused(changes: &[(&str, &str)], words: &[&str]) {
    let text = changes.iter().fold(GOOD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    for command in ["check", "run"] {
        let outcome = run(command, &text, &[]);
        assert_eq!(outcome.code, Some(78), "{command}: {}", outcome.stderr);
        for word in words {
            assert!(outcome.stderr.contains(word), "{command}: no {word:?} in\n{}", outcome.stderr);
        }
        assert!(
            !outcome.stderr.contains("panicked") && !outcome.stderr.contains("RUST_BACKTRACE"),
            "{}",
            outcome.stderr
        );
        assert!(!outcome.stderr.contains(SECRET), "a secret in\n{}", outcome.stderr);
    }
}

#[test]
fn a_good_file_is_fine() {
    let outcome = run("check", GOOD, &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("fine: 1 route, 1 service"), "{}", outcome.stdout);
}

#[test]
fn broken_yaml_names_its_place() {
    refused(&[("services:\n  member", "services:\n\tmember")], &["f.yaml:4:"]);
    refused(&[("[\"127.0.0.1:1\"]", "[\"127.0.0.1:1\"")], &["f.yaml:"]);
}

#[test]
fn several_unknown_keys_are_named_at_once_with_suggestions() {
    refused(
        &[("listeners:", "listners:"), ("secret:", "secrt:"), ("service: member", "servce: member")],
        &[
            "f.yaml:1:1: listners: unknown key; did you mean \"listeners\"?",
            "did you mean \"secret\"?",
            "did you mean \"service\"?",
        ],
    );
}

/// Shape, references, keys, origins, addresses and rules: nobody should have to mend a file five times.
#[test]
fn mistakes_of_every_kind_are_found_in_one_run() {
    refused(
        &[
            ("listeners:", "cors: { allow_origins: [\"https://a.example/\"] }\nlisteners:"),
            ("algorithm: HS256, secret: integration-tests-0123456789abcd", "algorithm: ES256, public_key: nonsense"),
            ("127.0.0.1:1", "ftp://a"),
            ("service: member }", "service: member, access: [{}], rewrite: { strip_prefix: /x }, colour: red }"),
            ("routes:\n", "routes:\n  - { id: other, match: { path: /a//b }, service: memebr }\n"),
        ],
        &[
            "cors.allow_origins[0]: ",
            "auth.jwt.public_key: ",
            "services.member.endpoints[0]: ",
            "routes[0].match.path: ",
            "routes[0].service: no service named \"memebr\"; did you mean \"member\"?",
            "routes[1].access[0]: ",
            "routes[1].rewrite: ",
            "routes[1].colour: unknown key",
            "8 errors in the configuration",
        ],
    );
}

#[test]
fn a_missing_variable_is_named_with_its_place() {
    refused(
        &[("secret: integration-tests-0123456789abcd", "secret: \"${JWT_SECRET_KEY}\"")],
        &["f.yaml:2:", "JWT_SECRET_KEY", "not set"],
    );
}

#[test]
fn a_secret_may_hold_any_character() {
    let text = GOOD.replace("integration-tests-0123456789abcd", "\"${S}\"").replace("check", "");
    for secret in ["a: b # c", "- x\n- y", "{\"a\": [1]}", "${HOME}", "*&!|>%@`", "'\"'\"", "true", "12345", "\u{d55c}"]
    {
        let secret = format!("{secret}{}", "x".repeat(32));
        let outcome = run("check", &text, &[("S", &secret)]);
        assert_eq!(outcome.code, Some(0), "{secret}: {}", outcome.stderr);
        let again = edgeway_token(&text, &secret);
        assert_eq!(again.code, Some(0), "{}", again.stderr);
        assert_eq!(again.stdout.trim().split('.').count(), 3);
    }
}

fn edgeway_token(text: &str, secret: &str) -> Outcome {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("f.yaml");
    fs::write(&file, text).unwrap();
    edgeway(folder.path())
        .args(["token", "--sub", "7", "--config"])
        .arg(&file)
        .env("S", secret)
        .output()
        .unwrap()
        .into()
}

#[test]
fn routes_that_cannot_be_told_apart_or_reached_are_errors() {
    let twice = "routes:\n  - { id: again, match: { path: /api/members/* }, service: member }\n";
    refused(&[("routes:\n", twice)], &["f.yaml:7:", "again"]);
    let same_id = "routes:\n  - { id: members, match: { path: /x }, service: member }\n";
    refused(&[("routes:\n", same_id)], &["f.yaml:7:", "members"]);
    refused(&[("path: /api/members/*", "path: /health")], &["f.yaml:6:", "/health", "gateway's own"]);
}

#[test]
fn an_unknown_service_is_named_with_the_nearest() {
    refused(&[("service: member", "service: members")], &["routes[0].service", "did you mean \"member\"?"]);
}

#[test]
fn a_bad_pem_is_named_and_its_content_is_not() {
    let folder = TempDir::new().unwrap();
    let pem = folder.path().join("key.pem");
    fs::write(&pem, "-----BEGIN PUBLIC KEY-----\nnot-a-key-but-perhaps-a-secret\n-----END PUBLIC KEY-----\n").unwrap();
    let jwt = format!("algorithm: RS256, public_key_file: {}", pem.display());
    let text = GOOD.replace("algorithm: HS256, secret: integration-tests-0123456789abcd", &jwt);
    for (content, words) in [
        (None, vec!["public_key_file"]),
        (Some(""), vec!["public_key_file"]),
        (Some("gone"), vec!["public_key_file", "No such file"]),
    ] {
        match content {
            Some("gone") => fs::remove_file(&pem).unwrap(),
            Some(content) => fs::write(&pem, content).unwrap(),
            None => (),
        }
        let outcome = run("check", &text, &[]);
        assert_eq!(outcome.code, Some(78), "{}", outcome.stderr);
        words.iter().for_each(|word| assert!(outcome.stderr.contains(word), "no {word} in {}", outcome.stderr));
        assert!(!outcome.stderr.contains("perhaps-a-secret"), "{}", outcome.stderr);
    }
}

#[test]
fn a_port_in_use_is_one_line_within_two_seconds() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let since = Instant::now();
    let outcome = run("run", &GOOD.replace("127.0.0.1:0", &address), &[]);
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    assert_eq!(outcome.code, Some(1));
    let errors: Vec<&str> =
        outcome.stderr.lines().filter(|line| !line.contains(" WARN ") && !line.contains(" INFO ")).collect();
    assert_eq!(errors.len(), 1, "{}", outcome.stderr);
    assert!(errors[0].contains(&address) && errors[0].contains("in use"), "{}", errors[0]);
}

#[test]
fn an_unreadable_file_is_named_with_the_cause() {
    let folder = TempDir::new().unwrap();
    let missing = on("check", folder.path(), &folder.path().join("none.yaml"), &[]);
    assert_eq!(missing.code, Some(78), "{}", missing.stderr);
    assert!(missing.stderr.contains("none.yaml") && missing.stderr.contains("No such file"), "{}", missing.stderr);
    let binary = folder.path().join("binary.yaml");
    fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    let outcome = on("check", folder.path(), &binary, &[]);
    assert!(outcome.code == Some(78) && outcome.stderr.contains("UTF-8"), "{}", outcome.stderr);
    let empty = folder.path().join("empty.yaml");
    fs::write(&empty, "").unwrap();
    assert_eq!(on("check", folder.path(), &empty, &[]).code, Some(78));
    let closed = folder.path().join("closed.yaml");
    fs::write(&closed, GOOD).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything; only others can be refused.
    if !nix::unistd::getuid().is_root() {
        let outcome = on("check", folder.path(), &closed, &[]);
        assert!(outcome.code == Some(78) && outcome.stderr.contains("ermission"), "{}", outcome.stderr);
    }
}

#[test]
fn wrong_arguments_exit_with_64() {
    let folder = TempDir::new().unwrap();
    for arguments in [&["rnu"][..], &["run", "--confg", "x"], &[], &["token"], &["check", "extra"]] {
        let outcome: Outcome = edgeway(folder.path()).args(arguments).output().unwrap().into();
        assert_eq!(outcome.code, Some(64), "{arguments:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("Usage"), "{}", outcome.stderr);
    }
    for arguments in [&["--help"][..], &["run", "--help"], &["token", "--help"], &["--version"], &["schema"]] {
        let outcome: Outcome = edgeway(folder.path()).args(arguments).output().unwrap().into();
        assert_eq!(outcome.code, Some(0), "{arguments:?}");
        assert!(!outcome.stdout.is_empty());
    }
}

fn serving(upstream: &Upstream, more: &str) -> Gateway {
    let url = upstream.url();
    Gateway::start(&format!(
        "services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: all, match: {{ path: /x }}, service: s, auth: public }}, {{ id: in, match: {{ path: /in }}, service: s }}]\n{more}"
    ))
}

#[test]
fn too_many_and_too_large_headers_are_431() {
    let upstream = Upstream::echo();
    let gateway = serving(&upstream, "");
    let with = |headers: Vec<String>| {
        let lines: Vec<&str> = headers.iter().map(String::as_str).collect();
        gateway.get("/x", &lines)
    };
    let many = |count: usize| (0..count).map(|index| format!("X-{index}: 1")).collect();
    // Host and Connection are two of the 100.
    assert_eq!(with(many(98)).status, 200);
    let response = with(many(99));
    assert_eq!((response.status, response.code().as_str()), (431, "too_many_headers"));
    let id = response.header("x-request-id").unwrap();
    assert_eq!(gateway.log_line(id)["code"], "too_many_headers");
    assert_eq!(with(many(250)).code(), "too_many_headers");
    let more = with(many(300));
    assert_eq!((more.status, more.code().as_str()), (431, "too_many_headers"), "more than pingora would read");
    assert_eq!(with(vec![format!("X-Long: {}", "x".repeat(16_000))]).status, 200);
    assert_eq!(with(vec![format!("X-Long: {}", "x".repeat(16_400))]).code(), "headers_too_large");
    let wide = (0..5).map(|index| format!("X-{index}: {}", "x".repeat(15_000))).collect();
    assert_eq!(with(wide).code(), "headers_too_large");
    let target = gateway.get(&format!("/x?{}", "q".repeat(16_384)), &[]);
    assert_eq!((target.status, target.code().as_str()), (414, "target_too_long"));
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn a_body_over_the_limit_is_413_with_and_without_a_length() {
    let upstream = Upstream::start(|request| Answer::Text(request.body.len().to_string()));
    let gateway = serving(&upstream, "max_body: 1KiB\n");
    let fits = gateway.request("POST", "/x", &[], &"b".repeat(1024));
    assert_eq!((fits.status, fits.body.as_str()), (200, "1024"));
    upstream.forget();
    let over = gateway.request("POST", "/x", &[], &"b".repeat(1025));
    assert_eq!((over.status, over.code().as_str()), (413, "body_too_large"));
    assert!(upstream.seen().is_empty(), "said before a byte of it was read");
    let chunked = |size: usize| {
        let head = "POST /x HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        gateway.send(format!("{head}{size:x}\r\n{}\r\n0\r\n\r\n", "b".repeat(size)).as_bytes())
    };
    assert_eq!(chunked(1024).body, "1024");
    assert_eq!(chunked(1025).code(), "body_too_large");
    let unknown = gateway.request("POST", "/in", &[], &"b".repeat(1025));
    assert_eq!(unknown.status, 401, "who calls is asked first");
    assert_eq!(gateway.request("POST", "/in", &[&bearer("admin")], &"b".repeat(1025)).status, 413);
}

#[test]
fn odd_requests_leave_the_gateway_well() {
    let upstream = Upstream::echo();
    let gateway = serving(&upstream, "");
    for bytes in [
        &b"\r\n\r\n"[..],
        b"\0\0\0\0",
        b"GET",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /x HTTP/1.1\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a b\r\n\r\n",
    ] {
        let mut client = gateway.client();
        client.send(bytes);
        drop(client);
    }
    for host in ["", "a b", "a/b", "a, b", "a@b"] {
        let response = gateway.send(format!("GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes());
        assert_eq!(response.status, 400, "{host:?}");
    }
    assert_eq!(gateway.get("/x", &[]).status, 200);
    assert_eq!(upstream.seen().len(), 1);
}

/// A rule for DELETE must not be passed by whoever writes `delete`, and TRACE echoes what the gateway adds.
#[test]
fn methods_are_taken_in_capitals_only_and_trace_never() {
    let upstream = Upstream::echo();
    let gateway = serving(&upstream, "");
    for (method, status, code) in [
        ("get", 400, "bad_method"),
        ("Delete", 400, "bad_method"),
        ("G%T", 400, "bad_method"),
        ("GET1", 400, "bad_method"),
        ("TRACE", 405, "method_not_allowed"),
    ] {
        let response = gateway.request(method, "/x", &[], "");
        assert_eq!((response.status, response.code().as_str()), (status, code), "{method}");
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(gateway.request("M-SEARCH", "/x", &[], "").status, 200);
}
