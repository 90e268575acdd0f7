//! Refusals as callers see them, and the table of codes.

use super::support::{Gateway, Upstream};
use edgeway::proxy::Rejection;
use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn every_code_is_in_the_table_and_the_table_has_no_other() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md")).unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let code = cells.next()?.trim_end_matches('`').to_owned();
        Some((code, cells.next()?.trim().parse::<u16>().ok()?))
    };
    let written: BTreeSet<_> = page.lines().filter_map(row).collect();
    let known: BTreeSet<_> = Rejection::codes().into_iter().map(|(code, status)| (code.to_owned(), status)).collect();
    assert_eq!(written, known, "docs/errors.md and proxy/rejection.rs say different things");
}

#[test]
fn a_refusal_is_problem_json_and_tells_nothing_of_the_inside() {
    let upstream = Upstream::echo();
    let url = upstream.url();
    let gateway = Gateway::start(&format!(
        "services: {{ hidden-name: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: secret-route, match: {{ path: /x, methods: [GET] }}, service: hidden-name }}]\n"
    ));
    for (method, path, status) in [("GET", "/x", 401), ("GET", "/y", 404), ("PUT", "/x", 405), ("GET", "/%00", 400)] {
        let response = gateway.request(method, path, &[], "");
        assert_eq!(response.status, status, "{method} {path}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        let body = response.json();
        let id = response.header("x-request-id").unwrap();
        assert_eq!((body["status"].as_u64(), body["request_id"].as_str()), (Some(status.into()), Some(id)));
        assert!(body["detail"].is_string() && body["code"].is_string() && body["title"].is_string(), "{body}");
        for inside in ["hidden-name", "secret-route", &upstream.address.to_string()] {
            assert!(!response.body.contains(inside), "{}", response.body);
        }
        assert_eq!(response.header("server"), None);
        let line = gateway.log_line(id);
        assert_eq!((&line["code"], &line["status_code"]), (&body["code"], &body["status"]));
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_head_request_is_refused_without_a_body() {
    let gateway = Gateway::start("routes: []\n");
    let response = gateway.request("HEAD", "/x", &[], "");
    assert_eq!((response.status, response.body.as_str()), (404, ""));
    assert!(response.header("content-length").is_some_and(|length| length != "0"));
}

#[test]
fn a_refused_connection_can_be_used_again() {
    let gateway = Gateway::start("routes: [{ id: r, match: { path: /r }, respond: { body: hi }, auth: public }]\n");
    let mut client = gateway.client();
    for (path, status) in [("/r", 200), ("/none", 404), ("/%00", 400), ("/r", 200)] {
        assert_eq!(client.get(path, &[]).status, status, "{path}");
    }
}
