//! The commands of the documents, against gateways that have what the documents speak of.

use super::{
    demo_stack::{DEMO_SECRET, addresses},
    support::{Answer, Authority, Gateway, Redis, Upstream, Wanted, bearer, closed_port, pages, within_patience},
};
use std::{fs, os::unix::fs::symlink, path::Path};
use tempfile::TempDir;

/// Those whose commands are run, beside the README.
const RUN: &[&str] = &["docs/runbook.md", "docs/migration.md", "docs/sizing.md", "docs/ko/README.md"];

#[test]
fn every_command_is_run_or_marked() {
    for page in RUN {
        let blocks = pages::blocks(page);
        for block in &blocks {
            let known = ["console", "console needs-cluster", "text", "yaml", "json", "sh"].contains(&&*block.kind);
            assert!(known, "{page}: a block is marked {:?}", block.kind);
            let commands = block.lines.iter().filter(|line| line.starts_with("$ ")).count();
            assert_eq!(commands > 0, block.kind.starts_with("console"), "{page}: {:?}", block.lines);
        }
    }
}

/// A service of each kind of trouble, and one that is well.
fn troubles(redis: &Redis, services: [&Upstream; 3], certificate: &str) -> String {
    let [member, slow, cut] = services.map(Upstream::url);
    format!(
        r#"
listeners:
  - {{ address: "127.0.0.1:0" }}
  - {{ address: "127.0.0.1:0", tls: {{ certificates: [{certificate}] }} }}
{redis}
health: {{ interval: 100ms, timeout: 1s }}
services:
  member: {{ endpoints: ["{member}"] }}
  gone: {{ endpoints: ["127.0.0.1:{nobody}"] }}
  slow: {{ endpoints: ["{slow}"], timeouts: {{ request: 300ms }} }}
  cut: {{ endpoints: ["{cut}"] }}
routes:
  - {{ id: members, match: {{ path: /members/* }}, service: member }}
  - {{ id: gone, match: {{ path: /gone/* }}, service: gone, auth: public }}
  - {{ id: slow, match: {{ path: /slow/* }}, service: slow, auth: public }}
  - {{ id: cut, match: {{ path: /cut/* }}, service: cut, auth: public }}
  - id: limited
    match: {{ path: /limited }}
    service: member
    limits: [{{ requests: 1, window: 60s, mode: exact }}]
"#,
        redis = redis.config("2s"),
        nobody = closed_port(),
    )
}

/// One of each trouble, on the wire and in the log.
fn meet(gateway: &Gateway) {
    let token = bearer("member");
    for (method, path, headers, status) in [
        ("GET", "/members", &[token.as_str()][..], 200),
        ("GET", "/members", &["Authorization: Bearer a.b.c"], 401),
        ("GET", "/gone/1", &[], 503),
        ("GET", "/slow/1", &[], 504),
        ("POST", "/cut/1", &[], 502),
        ("GET", "/limited", &[token.as_str()], 200),
        ("GET", "/limited", &[token.as_str()], 429),
    ] {
        assert_eq!(gateway.request(method, path, headers, "").status, status, "{method} {path}");
    }
    assert!(within_patience(|| gateway.access_log().len() >= 7));
    let ill = |name: &str| gateway.get("/health", &[]).json()["services"][name]["status"] == "unhealthy";
    assert!(within_patience(|| ill("gone") && !ill("member")));
}

#[test]
fn the_commands_of_runbook_and_sizing_show_what_they_say() {
    let redis = Redis::start();
    let serve = |trouble: fn() -> Answer| {
        Upstream::start(move |request| match request.line.starts_with("GET /health ") {
            true => Answer::Text(String::new()),
            false => trouble(),
        })
    };
    let (member, slow, cut) = (Upstream::echo(), serve(|| Answer::Hang), serve(|| Answer::Close));
    let authority = Authority::new();
    let files = authority.issue("portal", &Wanted::of("portal", &["portal.example"]));
    let gateway = Gateway::start(&troubles(&redis, [&member, &slow, &cut], &files.section()));
    fs::copy(&files.cert, gateway.path("portal.pem")).unwrap();
    fs::copy(&files.key, gateway.path("portal.key")).unwrap();
    meet(&gateway);
    let folder = gateway.path("");
    let variables = [
        ("GATEWAY", gateway.address.to_string()),
        ("ADMIN", gateway.admin.to_string()),
        ("LOG", "access.log".to_owned()),
        ("REDIS_HOST", "127.0.0.1".to_owned()),
        ("REDIS_PORT", redis.port.to_string()),
    ];
    for page in ["docs/runbook.md", "docs/sizing.md"] {
        pages::run(page, &folder, gateway.address, &variables);
    }
}

#[test]
fn the_commands_of_the_migration_do_what_they_should() {
    let demo = Gateway::demo();
    let folder = TempDir::new().unwrap();
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf"), folder.path().join("conf")).unwrap();
    let services = addresses(&demo);
    let mut variables: Vec<(&str, &str)> = services.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    variables.extend([
        ("HOST", "127.0.0.1"),
        ("PORT", "0"),
        ("JWT_SECRET_KEY", DEMO_SECRET),
        ("HEALTH_CHECK_INTERVAL", "1"),
    ]);
    let file = folder.path().join("conf/edgeway.yaml");
    let gateway = Gateway::start_file(folder, &file, &variables);
    let well = |body: &str| body.matches("\"healthy\"").count() == 7;
    assert!(within_patience(|| well(&gateway.get("/health", &[]).body)));
    // What step 4 counts.
    let token = bearer("member");
    gateway.get("/api/members", &[&token]);
    assert!(within_patience(|| gateway.access_log().iter().any(|line| line["path"] == "/api/members")));
    let mut all: Vec<(&str, String)> = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    all.extend([("GATEWAY", gateway.address.to_string()), ("LOG", "access.log".to_owned())]);
    pages::run("docs/migration.md", &gateway.path(""), gateway.address, &all);
}
