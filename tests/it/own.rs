//! The gateway's own pages: as documents, and as a browser shows them.

use super::support::{Gateway, PATIENCE, Response, Upstream, chromium, in_turn};
use std::{
    io::{Read, Write},
    net::TcpStream,
};
use tempfile::TempDir;

/// Two services, one of them public in part, and a route that would take everything.
fn sections(upstream: &Upstream, own: &str) -> String {
    let url = upstream.url();
    format!(
        r#"
{own}
services: {{ member: {{ endpoints: ["{url}"], health: {{ probe: off }} }} }}
routes:
  - {{ id: members, match: {{ path: /api/members/* }}, service: member }}
  - {{ id: member, match: {{ path: "/api/members/{{id}}", methods: [GET] }}, service: member }}
  - {{ id: login, match: {{ path: /api/auth/login, methods: [POST] }}, service: member, auth: public }}
  - {{ id: rest, match: {{ path: /* }}, service: member, auth: public }}
"#
    )
}

fn gateway(upstream: &Upstream) -> Gateway {
    Gateway::start(&sections(upstream, ""))
}

/// The bytes of an answer's body: [`Response`] keeps text alone.
fn body(gateway: &Gateway, path: &str, headers: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or_else(|| panic!("no head: {path}"));
    answer.split_off(end + 4)
}

#[track_caller]
fn same_but_the_body(get: &Response, head: &Response) {
    let lasting = |response: &Response| {
        let mut headers = response.headers.clone();
        headers.retain(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()));
        headers
    };
    assert_eq!((get.status, lasting(get)), (head.status, lasting(head)));
    assert_eq!(head.body, "");
}

#[test]
fn the_root_tells_what_runs_here() {
    let gateway = gateway(&Upstream::echo());
    let answer = gateway.get("/", &[]);
    let root = answer.json();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(root["status"], "running");
    assert!(root["name"].is_string() && root["version"].is_string(), "{root}");
    for (name, path) in root["links"].as_object().unwrap() {
        assert_eq!(gateway.get(path.as_str().unwrap(), &[]).status, 200, "{name}: {path}");
    }
    for name in ["health", "docs", "redoc", "openapi"] {
        assert!(root["links"][name].is_string(), "{root}");
    }
}

#[test]
fn health_is_answered_without_a_token_and_without_a_service() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let health = gateway.get("/health", &[]);
    assert_eq!((health.status, health.header("cache-control")), (200, Some("no-store")));
    let health = health.json();
    assert_eq!(health["status"], "healthy");
    assert!(health["gateway"].is_string() && health["services"]["member"].is_object(), "{health}");
    let timestamp = health["timestamp"].as_str().unwrap();
    assert!(timestamp.ends_with('Z') && timestamp.len() == 20, "{timestamp}");
    for (path, status) in [("/health/live", "live"), ("/health/ready", "ready"), ("/health/ready/", "ready")] {
        let answer = gateway.get(path, &[]);
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some(status)), "{path}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[test]
fn a_bad_token_does_not_close_the_pages() {
    let gateway = gateway(&Upstream::echo());
    for path in ["/", "/health", "/docs", "/redoc", "/openapi.json"] {
        assert_eq!(gateway.get(path, &["Authorization: Bearer nonsense"]).status, 200, "{path}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let gateway = gateway(&Upstream::echo());
    for path in ["/", "/health/live", "/docs", "/redoc", "/openapi.json", "/docs/swagger-ui.css"] {
        same_but_the_body(&gateway.get(path, &[]), &gateway.request("HEAD", path, &[], ""));
    }
}

#[test]
fn other_methods_are_refused_and_never_forwarded() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    for path in ["/", "/health", "/health/live", "/docs", "/docs/init.js", "/redoc", "/openapi.json"] {
        for method in ["POST", "PUT", "DELETE"] {
            let answer = gateway.request(method, path, &[], "");
            assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"), "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method} {path}");
        }
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[test]
fn what_lies_below_the_pages_falls_to_no_route() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    for path in ["/docs/x", "/redoc/x", "/health/x", "/docs/../docs/x", "/%64ocs/x"] {
        let answer = gateway.get(path, &[]);
        assert_eq!((answer.status, answer.code().as_str()), (404, "no_route"), "{path}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    assert_eq!(
        gateway.get("/docsy", &[]).status,
        200,
        "a path that only begins like a page is nobody's but the route's"
    );
}

#[test]
fn the_document_shows_the_routes() {
    let gateway = gateway(&Upstream::echo());
    let answer = gateway.get("/openapi.json", &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    let methods = |path: &str| {
        let item = document["paths"][path].as_object().unwrap_or_else(|| panic!("no {path}"));
        item.keys().filter(|key| *key != "parameters").cloned().collect::<Vec<_>>()
    };
    assert_eq!(methods("/api/members"), ["get", "post", "put", "patch", "delete"]);
    assert_eq!(methods("/api/members/{id}"), ["get", "post", "put", "patch", "delete"]);
    assert_eq!(methods("/api/auth/login"), ["post"]);
    assert_eq!(methods("/health"), ["get"]);
    let of = |path: &str, method: &str| &document["paths"][path][method];
    assert_eq!(of("/api/members/{id}", "get")["operationId"], "get_member");
    assert_eq!(of("/api/members", "get")["security"][0]["bearerAuth"], serde_json::json!([]));
    assert_eq!(of("/api/auth/login", "post")["security"], serde_json::json!([]));
    assert_eq!(of("/api/members", "get")["tags"][0], "member");
}

#[test]
fn a_reload_changes_the_document() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let before = gateway.get("/openapi.json", &[]);
    let known = format!("If-None-Match: {}", before.header("etag").unwrap());
    assert_eq!(gateway.get("/openapi.json", &[&known]).status, 304);
    gateway.rewrite(&sections(&upstream, "").replace("/api/auth/login", "/api/auth/enter"));
    assert!(gateway.reload(), "{}", gateway.stderr());
    let after = gateway.get("/openapi.json", &[&known]);
    assert_eq!(after.status, 200);
    assert!(after.json()["paths"]["/api/auth/enter"].is_object() && before.body != after.body);
}

#[test]
fn assets_come_compressed_to_those_who_take_it() {
    let gateway = gateway(&Upstream::echo());
    for path in ["/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/redoc/redoc.standalone.js"] {
        let plain = gateway.get(path, &[]);
        let packed = gateway.get(path, &["Accept-Encoding: br, gzip;q=0.8"]);
        assert_eq!((plain.status, packed.status), (200, 200), "{path}");
        assert_eq!(
            (plain.header("content-encoding"), packed.header("content-encoding")),
            (None, Some("gzip")),
            "{path}"
        );
        for answer in [&plain, &packed] {
            assert!(answer.complete, "{path}");
            assert!(answer.all("vary").join(",").contains("Accept-Encoding"), "{path}");
            assert_eq!(answer.header("cache-control"), Some("public, max-age=86400"), "{path}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        }
        let mut unpacked = String::new();
        let packed = body(&gateway, path, "Accept-Encoding: gzip\r\n");
        flate2::read::GzDecoder::new(&*packed).read_to_string(&mut unpacked).unwrap();
        assert!(unpacked == plain.body && packed.len() * 2 < unpacked.len(), "{path}");
        assert_eq!(gateway.get(path, &["Accept-Encoding: gzip;q=0"]).header("content-encoding"), None, "{path}");
    }
}

#[test]
fn what_a_browser_has_is_not_sent_again() {
    let gateway = gateway(&Upstream::echo());
    for path in ["/docs", "/redoc", "/openapi.json", "/docs/swagger-ui.css", "/redoc/init.js"] {
        for coding in ["Accept-Encoding: gzip", "Accept-Encoding: identity"] {
            let tag = gateway.get(path, &[coding]).header("etag").unwrap().to_owned();
            let again = gateway.get(path, &[coding, &format!("If-None-Match: \"x\", W/{tag}")]);
            assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}, {coding}");
            assert_eq!(again.header("etag"), Some(tag.as_str()), "{path}, {coding}");
            assert_eq!(again.header("content-length"), None, "{path}, {coding}");
            let changed = gateway.get(path, &[coding, "If-None-Match: \"other\""]);
            assert_eq!(changed.status, 200, "{path}, {coding}");
        }
    }
}

#[test]
fn documentation_can_be_switched_off() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&sections(&upstream, "own: { docs: false }"));
    for path in ["/docs", "/docs/", "/docs/init.js", "/redoc", "/redoc/", "/openapi.json"] {
        let answer = gateway.get(path, &[]);
        assert_eq!((answer.status, answer.code().as_str()), (404, "no_route"), "{path}");
    }
    assert!(upstream.seen().is_empty(), "no route takes them: {:?}", upstream.seen());
    assert_eq!(gateway.get("/", &[]).json()["links"], serde_json::json!({ "health": "/health" }));
    assert_eq!(gateway.get("/health", &[]).status, 200);
}

/// The page after its scripts ran, and what the browser said about it.
fn rendered(gateway: &Gateway, path: &str) -> (String, String) {
    let _turn = in_turn();
    let profile = TempDir::new().unwrap();
    // Another host is no host: what a page asks of one fails, and is in the log.
    let output = chromium(profile.path(), "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        .args(["--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("http://{}{path}", gateway.address))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr))
}

/// `path` shows the routes, with the policy in force, and asks nobody but the gateway.
#[track_caller]
fn shows(gateway: &Gateway, path: &str, expected: &[&str]) {
    let policy = gateway.get(path, &[]).header("content-security-policy").unwrap_or_default().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
    let (page, said) = rendered(gateway, path);
    let complaints: Vec<_> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{path}: {complaints:#?}");
    for part in expected {
        assert!(page.contains(part), "{path} does not show {part}; the browser says:\n{said}\n{page}");
    }
    for foreign in ["src=\"http", "src=\"//", "rel=\"stylesheet\" href=\"http"] {
        assert!(!page.contains(foreign), "{path} loads from elsewhere: {foreign}");
    }
    let asked = gateway.access_log();
    let refused: Vec<_> =
        asked.iter().filter(|line| line["status_code"].as_u64().is_none_or(|code| code >= 400)).collect();
    assert!(refused.is_empty(), "{path} asks for what is not there: {refused:#?}");
}

#[test]
fn a_browser_shows_swagger_ui() {
    let gateway = gateway(&Upstream::echo());
    let operation = "class=\"opblock opblock-get\" id=\"operations-member-get_member\"";
    shows(&gateway, "/docs", &["class=\"swagger-ui\"", operation, "data-path=\"/api/members/{id}\""]);
}

#[test]
fn a_browser_shows_redoc() {
    let gateway = gateway(&Upstream::echo());
    shows(&gateway, "/redoc", &["redoc-wrap", "id=\"tag/member/operation/get_member\"", "/api/members/{id}"]);
}

#[test]
fn pages_about_the_inside_may_ask_who_comes() {
    let gateway = Gateway::start(
        "own: { metrics: true, auth: [api_key] }\n\
         auth: { api_keys: { keys: [{ id: operator, sha256: 2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683 }] } }\n\
         routes: [{ id: a, match: { path: /a }, respond: { body: a }, auth: public }]\n",
    );
    for page in ["/docs", "/redoc", "/openapi.json", "/metrics", "/docs/init.js"] {
        assert_eq!(gateway.get(page, &[]).code(), "credentials_missing", "{page}");
        assert_eq!(gateway.get(page, &["X-API-Key: wrong"]).code(), "api_key_invalid", "{page}");
        assert_eq!(gateway.get(page, &["X-API-Key: key"]).status, 200, "{page}");
    }
    for page in ["/", "/health", "/health/ready", "/a"] {
        assert_eq!(gateway.get(page, &[]).status, 200, "{page}");
    }
}
