//! Headers in and out: what nobody may say for the gateway, and what everybody is told.

use super::support::{Answer, Gateway, Upstream, bearer};
use edgeway::auth::{MintClaims, Minter};
use std::time::Duration;

const PROTECTED: [&str; 4] = ["x-user-id", "x-username", "x-user-role", "x-user-permissions"];

fn gateway_with(upstream: &Upstream, more: &str) -> Gateway {
    let url = upstream.url();
    Gateway::start(&format!(
        r#"
services: {{ s: {{ endpoints: ["{url}"], health: {{ probe: off }} }} }}
routes:
  - {{ id: open, match: {{ path: /open/* }}, service: s, auth: public }}
  - {{ id: api, match: {{ path: /api/* }}, service: s }}
  - id: edits
    match: {{ path: /edits/* }}
    service: s
    auth: public
    request_headers: {{ remove: [X-Out], set: {{ X-In: "1" }} }}
    response_headers: {{ remove: [X-Secret], set: {{ X-Shown: "2" }} }}
{more}
"#
    ))
}

#[test]
fn whatever_callers_say_in_protected_names_never_passes() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, "");
    let lies = [
        vec!["X-User-ID: evil".to_owned()],
        vec!["x-user-id: evil".to_owned(), "X-User-Id: evil".to_owned()],
        vec!["X_User_ID: evil".to_owned()],
        vec!["X-User_ID: evil".to_owned()],
        vec!["x_user_role: evil".to_owned(), "X-USER-ROLE: evil".to_owned(), "X-User-Role: evil".to_owned()],
        vec!["X-User-Permissions: evil".to_owned(), "x-username: evil".to_owned()],
        vec!["X-User-ID:".to_owned(), "X-Username:".to_owned()],
        vec!["X-User-ID: evil".to_owned(), "Connection: x-user-id".to_owned()],
        PROTECTED.iter().map(|name| format!("{name}: evil")).collect(),
    ];
    for lie in &lies {
        for (path, allowed) in [("/open/x", false), ("/api/x", true)] {
            upstream.forget();
            let token = bearer("admin");
            let mut lines: Vec<&str> = lie.iter().map(String::as_str).collect();
            if allowed {
                lines.push(&token);
            }
            let response = gateway.client().get(path, &lines);
            assert_eq!(response.status, 200, "{lie:?}");
            let seen = upstream.only();
            let normal = |name: &str| name.to_lowercase().replace('_', "-");
            let sent: Vec<_> =
                seen.headers.iter().filter(|(name, _)| PROTECTED.contains(&normal(name).as_str())).collect();
            assert!(
                sent.iter().all(|(name, value)| !value.contains("evil") && !name.contains('_')),
                "{lie:?}: {sent:?}"
            );
            assert_eq!(sent.len(), if allowed { 4 } else { 0 }, "{lie:?}: {sent:?}");
        }
    }
}

#[test]
fn naming_our_headers_as_hop_by_hop_takes_none_of_them_away() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, "");
    let token = bearer("admin");
    for connection in ["x-user-id", "X-User-Role, x-username", "close, X-User-ID", "x-request-id"] {
        upstream.forget();
        let response = gateway.client().get("/api/x", &[&token, &format!("Connection: {connection}")]);
        assert_eq!(response.status, 200, "{connection}");
        let seen = upstream.only();
        assert_eq!(seen.all("x-user-id"), ["7"], "{connection}");
        assert_eq!(seen.all("x-username"), ["kim"]);
        assert_eq!(seen.all("x-user-role"), ["admin"]);
        assert_eq!(seen.all("x-user-permissions"), ["read,write"]);
        assert_eq!(seen.all("x-request-id").len(), 1);
    }
}

#[test]
fn naming_host_as_hop_by_hop_is_refused_with_an_answer() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, "");
    for connection in ["host", "Host, close", "x-forwarded-for"] {
        let response = gateway.client().get("/open/x", &[&format!("Connection: {connection}")]);
        assert_eq!((response.status, response.code().as_str()), (400, "bad_request"), "{connection}");
        assert!(response.header("x-request-id").is_some());
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn korean_names_arrive_percent_encoded() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, "");
    let config = format!("{{ algorithm: HS256, secret: {} }}", super::support::SECRET);
    let claims = MintClaims {
        sub: "1004".to_owned(),
        username: Some("홍길동 100%".to_owned()),
        role: Some("관리자".to_owned()),
        permissions: Vec::new(),
        ttl: Duration::from_secs(60),
    };
    let token = Minter::build(&serde_yaml::from_str(&config).unwrap(), None).unwrap().mint(&claims).unwrap();
    let response = gateway.get("/api/x", &[&format!("Authorization: Bearer {token}")]);
    assert_eq!(response.status, 200);
    let seen = upstream.only();
    assert_eq!(seen.header("x-username"), Some("%ED%99%8D%EA%B8%B8%EB%8F%99%20100%25"));
    assert_eq!(seen.header("x-user-role"), Some("%EA%B4%80%EB%A6%AC%EC%9E%90"));
    assert_eq!(seen.header("x-user-permissions"), None, "a missing claim sends no header");
    let line = gateway.log_line(response.header("x-request-id").unwrap());
    assert_eq!((&line["username"], &line["user_id"]), (&"홍길동 100%".into(), &"1004".into()));
}

#[test]
fn the_service_learns_who_asked_through_whom() {
    let upstream = Upstream::echo();
    let gateway = gateway_with(&upstream, "");
    let token = bearer("admin");
    let lies = [
        "X-Forwarded-For: 6.6.6.6",
        "x_forwarded_for: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil",
        "Forwarded: for=6.6.6.6",
        "X-Real-IP: 6.6.6.6",
        "X-Request-ID: mine",
    ];
    let response = gateway.get("/api/x", &[&lies[..], &[&token]].concat());
    let seen = upstream.only();
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.all("x-forwarded-host"), ["gateway.test"]);
    assert_eq!(seen.all("host"), [upstream.address.to_string()], "the service's own");
    assert_eq!(seen.all("x-request-id"), [response.header("x-request-id").unwrap()]);
    assert!(seen.headers.iter().all(|(_, value)| !value.contains("6.6.6.6") && value != "evil" && value != "mine"));
    assert_eq!(seen.all("authorization"), [format!("Bearer {}", token_of(&token))]);
}

fn token_of(header: &str) -> &str {
    header.strip_prefix("Authorization: Bearer ").unwrap()
}

#[test]
fn a_trusted_proxy_is_believed() {
    let upstream = Upstream::echo();
    let trusting = "listeners: [{ address: \"127.0.0.1:0\", trusted_proxies: 127.0.0.0/8 }]";
    let gateway = gateway_with(&upstream, trusting);
    let said = [
        "X_Forwarded_For: 7.7.7.7",
        "X_Real_IP: 7.7.7.7",
        "X-Forwarded-For: 6.6.6.6, 192.0.2.7:5678",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: portal.example",
        "X-Request-ID: from-the-edge.1",
    ];
    let response = gateway.get("/open/x", &said);
    assert_eq!(response.header("x-request-id"), Some("from-the-edge.1"));
    let seen = upstream.only();
    assert_eq!(seen.all("x-forwarded-for"), ["6.6.6.6, 192.0.2.7:5678, 127.0.0.1"]);
    assert_eq!(
        (seen.header("x-forwarded-proto"), seen.header("x-forwarded-host")),
        (Some("https"), Some("portal.example"))
    );
    assert!(seen.headers.iter().all(|(_, value)| !value.contains("7.7.7.7")), "{:?}", seen.headers);
    assert_eq!(gateway.log_line("from-the-edge.1")["client"], "192.0.2.7");
    let odd = gateway.get("/open/x", &["X-Request-ID: a b"]);
    assert!(odd.header("x-request-id").unwrap().starts_with("req-"));
}

#[test]
fn answers_are_cleaned_and_edited() {
    let upstream = Upstream::start(|_| {
        Answer::Raw(
            "HTTP/1.1 200 OK\r\nServer: uvicorn\r\nX-Powered-By: php\r\nKeep-Alive: timeout=5\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
             X-Secret: 1\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok"
                .to_owned(),
        )
    });
    let gateway = gateway_with(&upstream, "");
    let response = gateway.client().get("/edits/x", &["X-Out: 1"]);
    for name in ["server", "x-powered-by", "keep-alive", "x-hop", "x-secret"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    assert_eq!((response.header("x-kept"), response.header("x-shown")), (Some("1"), Some("2")));
    let seen = upstream.only();
    assert_eq!((seen.header("x-out"), seen.header("x-in")), (None, Some("1")));
}

#[test]
fn answers_of_our_own_are_edited_too() {
    let gateway = Gateway::start(
        "routes:\n  - id: r\n    match: { path: /r, methods: [GET] }\n    respond: { body: hi }\n    auth: public\n    \
         response_headers: { set: { Strict-Transport-Security: max-age=9 } }\n  \
         - { id: in, match: { path: /in }, respond: { body: hi }, response_headers: { set: { X-Shown: \"1\" } } }\n",
    );
    assert_eq!(gateway.get("/r", &[]).header("strict-transport-security"), Some("max-age=9"));
    let refused = gateway.get("/in", &[]);
    assert_eq!((refused.status, refused.header("x-shown")), (401, Some("1")));
}

#[test]
fn locations_of_the_services_own_are_made_the_callers() {
    let upstream = Upstream::start(|request| {
        let host = request.header("host").unwrap();
        let to = match request.line.split(' ').nth(1).unwrap() {
            "/open/own" => format!("http://{host}/open/own/"),
            "/open/relative" => "/open/x".to_owned(),
            _ => "https://elsewhere.example/x".to_owned(),
        };
        Answer::Raw(format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"))
    });
    let gateway = gateway_with(&upstream, "");
    let location = |path: &str| gateway.get(path, &[]).header("location").unwrap().to_owned();
    assert_eq!(location("/open/own"), "http://gateway.test/open/own/");
    assert_eq!(location("/open/relative"), "/open/x");
    assert_eq!(location("/open/foreign"), "https://elsewhere.example/x");
}

#[test]
fn a_service_may_get_the_callers_host() {
    let upstream = Upstream::echo();
    let url = upstream.url();
    let gateway = Gateway::start(&format!(
        "services: {{ s: {{ endpoints: [\"{url}\"], host: preserve, health: {{ probe: off }} }} }}\n\
         routes: [{{ id: all, match: {{ path: /* }}, service: s, auth: public }}]\n"
    ));
    gateway.get("/x", &[]);
    assert_eq!(upstream.only().all("host"), ["gateway.test"]);
}
