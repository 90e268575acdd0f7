//! What a route, a token, a caller near a limit and an idle connection cost in memory: the table of docs/sizing.md.

use super::support::{Client, Gateway, SECRET, binary, now, within_patience};
use jsonwebtoken::{EncodingKey, Header, encode};
use regex::Regex;
use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const TOKENS: usize = 5_000;
const ROUTES: usize = 4_000;
const COUNTERS: usize = 25_000;
const CONNECTIONS: usize = 500;

const ONE: &str = "routes: [{ id: r, match: { path: /r }, respond: { body: hi } }]\n";

/// The figure that docs/sizing.md has for this, in bytes.
fn written(what: &str) -> f64 {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sizing.md")).unwrap();
    let row = Regex::new(&format!(r"(?m)^\| {what} \| ([0-9.]+) (bytes|KiB|MiB) \|")).unwrap();
    let row = row.captures(&page).unwrap_or_else(|| panic!("docs/sizing.md has no row for {what}"));
    let unit = match &row[2] {
        "bytes" => 1.0,
        "KiB" => 1024.0,
        _ => 1024.0 * 1024.0,
    };
    row[1].parse::<f64>().unwrap() * unit
}

/// What is data, and the same in every build. Allocators round: within a third.
#[track_caller]
fn holds(what: &str, measured: f64) {
    compare(what, measured, 1.34);
}

/// What is code or futures, which are about twice as large where nothing is optimised. The page has a release.
#[track_caller]
fn holds_when_optimised(what: &str, measured: f64) {
    let version = Command::new(binary()).arg("--version").output().unwrap().stdout;
    let debug = String::from_utf8(version).unwrap().contains("debug build");
    compare(what, measured, if debug { 2.5 } else { 1.34 });
}

#[track_caller]
fn compare(what: &str, measured: f64, most: f64) {
    let written = written(what);
    println!("{what}: {measured:.0} bytes, written {written:.0}");
    assert!(measured <= written * most, "{what}: {measured:.0} bytes, docs/sizing.md says {written:.0}");
    assert!(measured >= written / 4.0, "{what}: {measured:.0} bytes, docs/sizing.md says {written:.0}: far too much");
}

/// What it holds more after `work`, of which there are `count`.
fn each(gateway: &Gateway, count: usize, work: impl FnOnce()) -> f64 {
    let before = settled(gateway);
    work();
    settled(gateway).saturating_sub(before) as f64 / count as f64
}

/// What it holds when it has given back what it will: for a second it was not less.
fn settled(gateway: &Gateway) -> usize {
    let (mut least, mut since) = (usize::MAX, Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        // Its allocator gives back while it serves.
        assert_eq!(gateway.get("/nothing", &[]).status, 404);
        let now = gateway.anonymous();
        if now < least {
            (least, since) = (now, Instant::now());
        }
    }
    least
}

fn token(user: usize) -> String {
    let claims = serde_json::json!({ "sub": format!("user-{user}"), "username": format!("name-{user}"), "role": "member",
        "permissions": ["members:read", "notices:read"], "exp": now() + 3_600 });
    let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
    format!("Authorization: Bearer {token}")
}

#[test]
fn the_process_itself() {
    let gateway = Gateway::start(ONE);
    assert_eq!(gateway.get("/r", &[&token(0)]).status, 200);
    holds_when_optimised("the process", gateway.resident() as f64);
}

#[test]
fn a_route() {
    let mut text = "services: { s: { endpoints: [\"127.0.0.1:1\"], health: { probe: off } } }\nroutes:\n".to_owned();
    let few = text.clone() + "  - { id: r, match: { path: /r }, service: s }\n";
    for number in 0..ROUTES {
        writeln!(text, "  - {{ id: route-{number}, match: {{ path: /api/{number}/* }}, service: s }}").unwrap();
    }
    let (one, many) = (settled(&Gateway::start(&few)), settled(&Gateway::start(&text)));
    // Less the allocator gives back than a release does; the page has a release.
    holds_when_optimised("a route", many.saturating_sub(one) as f64 / ROUTES as f64);
}

#[test]
fn a_remembered_token() {
    let gateway = Gateway::start(ONE);
    let mut client = gateway.client();
    (0..100).for_each(|user| assert_eq!(client.get("/r", &[&token(user)]).status, 200));
    let cost = each(&gateway, TOKENS, || {
        (100..100 + TOKENS).for_each(|user| assert_eq!(client.get("/r", &[&token(user)]).status, 200));
    });
    assert_eq!(gateway.metric("edgeway_token_cache_entries"), Some((100 + TOKENS) as f64));
    holds("a remembered token", cost);
}

#[test]
fn a_caller_near_a_limit() {
    let route = "routes: [{ id: r, match: { path: /r }, respond: { body: hi }, auth: public, ";
    let gateway = Gateway::start(&format!(
        "limits: {{ expected_keys: 65536 }}\n\
         {route} limits: [{{ key: \"header:x-caller\", requests: 2, window: 1h }}] }}]\n"
    ));
    let mut client = gateway.client();
    // A sketch may count too much, so a few are refused.
    let mut call = |caller: usize| {
        let status = client.get("/r", &[&format!("X-Caller: caller-{caller}")]).status;
        assert!([200, 429].contains(&status), "{status}");
    };
    // As many before: what the start has left is given back meanwhile, and would hide the cost of the first ones.
    (0..COUNTERS).for_each(|caller| (0..2).for_each(|_| call(caller)));
    let cost = each(&gateway, COUNTERS, || {
        (COUNTERS..2 * COUNTERS).for_each(|caller| (0..2).for_each(|_| call(caller)));
    });
    let counters = gateway.metric("edgeway_limit_exact_counters").unwrap();
    assert!(counters > 2.0 * COUNTERS as f64 * 0.9, "{counters}");
    holds("a caller near a limit", cost);
}

#[test]
fn an_idle_connection() {
    let gateway = Gateway::start(ONE);
    let token = token(0);
    let open = |count: usize| -> Vec<Client> {
        (0..count)
            .map(|_| {
                let mut client = gateway.client();
                assert_eq!(client.get("/r", &[&token]).status, 200);
                client
            })
            .collect()
    };
    let first = open(50);
    let mut kept = Vec::new();
    let cost = each(&gateway, CONNECTIONS, || kept = open(CONNECTIONS));
    let there = (first.len() + kept.len()) as f64;
    assert!(within_patience(|| gateway.metric("edgeway_connections_open") == Some(there)));
    holds_when_optimised("an idle connection", cost);
}
