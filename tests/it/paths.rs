//! No spelling of a path reaches a protected service through a public route.

use super::support::{Gateway, Response, Upstream, bearer};

/// `open` is public, everything else under `/api` is not.
fn gateway(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    Gateway::start(&format!(
        r#"
services: {{ s: {{ endpoints: ["{url}"], health: {{ probe: off }} }} }}
routes:
  - {{ id: open, match: {{ path: /open/* }}, service: s, auth: public }}
  - {{ id: login, match: {{ path: /api/auth/login }}, service: s, auth: public }}
  - {{ id: api, match: {{ path: /api/* }}, service: s }}
  - {{ id: keep, match: {{ path: /keep/* }}, service: s, auth: public, encoded_slash: keep }}
  - {{ id: decode, match: {{ path: /decode/* }}, service: s, auth: public, encoded_slash: decode }}
"#
    ))
}

/// What the service saw; the front half of a row names the spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saw {
    /// Nothing: refused with this status and code.
    Nothing(u16, &'static str),
    /// This target, on a public route.
    Path(&'static str),
}
use Saw::{Nothing, Path};

const REFUSED: Saw = Nothing(401, "token_missing");

/// Every spelling, sent as it stands, without a token.
const TABLE: &[(&str, Saw)] = &[
    // As they should be.
    ("/open/x", Path("/open/x")),
    ("/open", Path("/open")),
    ("/open/", Path("/open/")),
    ("/api/auth/login", Path("/api/auth/login")),
    ("/api/members", REFUSED),
    ("/api", REFUSED),
    // Double slashes.
    ("//open/x", Path("/open/x")),
    ("/open//x", Path("/open/x")),
    ("//api/members", REFUSED),
    ("///api//members", REFUSED),
    ("/open/..//api/members", REFUSED),
    ("/api/auth/login/", REFUSED),
    ("/api/auth//login", Path("/api/auth/login")),
    ("/api/auth/login//", REFUSED),
    // Dot segments.
    ("/open/../api/members", REFUSED),
    ("/open/./../api/members", REFUSED),
    ("/open/x/../../api/members", REFUSED),
    ("/api/auth/login/../../members", REFUSED),
    ("/api/auth/login/..", REFUSED),
    ("/api/auth/login/.", REFUSED),
    ("/open/.", Path("/open/")),
    ("/open/../../../api", REFUSED),
    ("/../api/members", REFUSED),
    ("/./api/members", REFUSED),
    ("/api/../open/x", Path("/open/x")),
    // The same in disguise.
    ("/open/%2e%2e/api/members", REFUSED),
    ("/open/%2E%2E/api/members", REFUSED),
    ("/open/.%2e/api/members", REFUSED),
    ("/open/%2e./api/members", REFUSED),
    ("/open/%2e/x", Path("/open/x")),
    ("/%61pi/members", REFUSED),
    ("/%6fpen/%78", Path("/open/x")),
    ("/api/auth/%6Cogin", Path("/api/auth/login")),
    // Encoded slashes and backslashes.
    ("/open/..%2fapi/members", Nothing(400, "encoded_slash")),
    ("/open%2f..%2fapi", Nothing(400, "encoded_slash")),
    ("/open/%2F", Nothing(400, "encoded_slash")),
    ("/nowhere%2fx", Nothing(400, "encoded_slash")),
    ("/open/..%5capi", Nothing(400, "bad_character")),
    ("/open/%5C", Nothing(400, "bad_character")),
    ("/open\\..\\api", Nothing(400, "bad_character")),
    ("/keep/a%2fb", Path("/keep/a%2Fb")),
    ("/keep/..%2f..%2fapi", Nothing(400, "ambiguous_path")),
    ("/decode/a%2fb", Path("/decode/a/b")),
    ("/decode/..%2fapi/members", Nothing(400, "encoded_slash")),
    ("/decode/x%2f..%2f..%2fapi/members", Nothing(400, "encoded_slash")),
    // NUL and control characters.
    ("/open/%00", Nothing(400, "bad_character")),
    ("/open/x%00.png", Nothing(400, "bad_character")),
    ("/open/%0a", Nothing(400, "bad_character")),
    ("/open/%0d%0aX-Evil:%201", Nothing(400, "bad_character")),
    ("/open/%1f", Nothing(400, "bad_character")),
    ("/open/%7f", Nothing(400, "bad_character")),
    // Path parameters.
    ("/api;x/members", Nothing(404, "no_route")),
    ("/open;x", Nothing(404, "no_route")),
    ("/open/x;y=1", Path("/open/x;y=1")),
    ("/open/..;/api/members", Nothing(400, "ambiguous_path")),
    ("/open/.;/x", Nothing(400, "ambiguous_path")),
    ("/open/..;x=1/api", Nothing(400, "ambiguous_path")),
    ("/open/%2e%2e;/api/members", Nothing(400, "ambiguous_path")),
    // Case and trailing dots are other paths.
    ("/API/members", Nothing(404, "no_route")),
    ("/Open/x", Nothing(404, "no_route")),
    ("/api./members", Nothing(404, "no_route")),
    ("/open./x", Nothing(404, "no_route")),
    ("/open/x.", Path("/open/x.")),
    ("/open/...", Path("/open/...")),
    ("/openx", Nothing(404, "no_route")),
    // Anything but a path.
    ("http://gateway.test/open/x", Nothing(400, "bad_target")),
    // pingora's parser: a host that is not that of `Host`, and below a character that no URL has.
    ("http://evil.test/api/members", Nothing(400, "bad_request")),
    ("https://gateway.test/open/x", Nothing(400, "bad_target")),
    ("open/x", Nothing(400, "bad_target")),
    ("api/members", Nothing(400, "bad_target")),
    ("*", Nothing(400, "bad_target")),
    ("gateway.test:80", Nothing(400, "bad_target")),
    // Broken and over-long encodings.
    ("/open/%", Nothing(400, "bad_encoding")),
    ("/open/%2", Nothing(400, "bad_encoding")),
    ("/open/%zz", Nothing(400, "bad_encoding")),
    ("/open/%u002e%u002e/api", Nothing(400, "bad_encoding")),
    ("/open/%c0%ae%c0%ae/api", Nothing(400, "bad_encoding")),
    ("/open/%c0%af", Nothing(400, "bad_encoding")),
    ("/open/%e0%80%af", Nothing(400, "bad_encoding")),
    ("/open/%f0%80%80%af", Nothing(400, "bad_encoding")),
    ("/open/%ff", Nothing(400, "bad_encoding")),
    ("/open/%ed%95%9c", Path("/open/%ED%95%9C")),
    // Encoded twice: decoded once, and harmless.
    ("/open/%252e%252e/api", Path("/open/%252e%252e/api")),
    ("/open/%252f", Path("/open/%252f")),
    // Characters that are no part of a path.
    ("/open/|x", Nothing(400, "bad_character")),
    ("/open/{x}", Nothing(400, "bad_character")),
    ("/open/^", Nothing(400, "bad_character")),
    ("/open/`", Nothing(400, "bad_request")),
    // Queries are kept as they are.
    ("/open/x?a=%2F..%2Fapi&b=//", Path("/open/x?a=%2F..%2Fapi&b=//")),
    ("/open/x?/../../api/members", Path("/open/x?/../../api/members")),
    ("/open/x?", Path("/open/x?")),
];

fn ask(gateway: &Gateway, spelling: &str, header: &str) -> Response {
    gateway
        .send(format!("GET {spelling} HTTP/1.1\r\nHost: gateway.test\r\n{header}Connection: close\r\n\r\n").as_bytes())
}

#[test]
fn every_spelling_meets_the_route_that_it_means() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    assert!(TABLE.len() >= 60);
    let mut wrong = Vec::new();
    for (spelling, expected) in TABLE {
        upstream.forget();
        let response = ask(&gateway, spelling, "");
        let seen = upstream.seen();
        let right = match expected {
            Nothing(status, code) => response.status == *status && response.code() == *code && seen.is_empty(),
            Path(path) => response.status == 200 && seen.len() == 1 && seen[0].line == format!("GET {path} HTTP/1.1"),
        };
        if !right {
            let saw: Vec<_> = seen.iter().map(|request| request.line.clone()).collect();
            wrong.push(format!("{spelling}: {expected:?}, but {} {} and {saw:?}", response.status, response.code()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn with_a_token_the_service_sees_the_one_normal_form() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let header = format!("{}\r\n", bearer("admin"));
    for (spelling, seen) in [
        ("/open/..//api/members", "/api/members"),
        ("/%61pi/./members?x=1", "/api/members?x=1"),
        ("//api//members/%7e7", "/api/members/~7"),
        ("/open/%2e%2e/api/%EA%B9%80", "/api/%EA%B9%80"),
    ] {
        upstream.forget();
        assert_eq!(ask(&gateway, spelling, &header).status, 200, "{spelling}");
        assert_eq!(upstream.only().line, format!("GET {seen} HTTP/1.1"), "{spelling}");
    }
}

#[test]
fn a_refused_path_is_in_the_access_log_with_its_code() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let response = ask(&gateway, "/open/%00?secret=1", "");
    let line = gateway.log_line(response.header("x-request-id").unwrap());
    assert_eq!(line["code"], "bad_character");
    assert_eq!(line["path"], "/open/%00");
    assert_eq!(line["status_code"], 400);
}
