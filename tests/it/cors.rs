//! What pages of other origins may do, on every kind of answer.

use super::support::{Answer, Gateway, Response, Upstream, bearer};

const HOME: &str = "Origin: https://portal.example";
const EVIL: &str = "Origin: https://evil.example";

fn gateway(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    Gateway::start(&format!(
        r#"
cors: {{ allow_origins: ["https://portal.example"], allow_credentials: true }}
services: {{ s: {{ endpoints: ["{url}"], health: {{ probe: off }} }} }}
routes:
  - {{ id: api, match: {{ path: /api/* }}, service: s, access: [{{ methods: [DELETE], any_role: [admin] }}] }}
  - {{ id: open, match: {{ path: /open/*, methods: [GET] }}, service: s, auth: public, cors: {{ allow_origins: ["*"] }} }}
  - {{ id: none, match: {{ path: /none/* }}, service: s, auth: public, cors: {{}} }}
"#
    ))
}

fn allowed(response: &Response) -> Option<&str> {
    response.header("access-control-allow-origin")
}

#[test]
fn a_page_can_read_every_answer_and_every_refusal() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let admin = bearer("admin");
    let member = bearer("member");
    let rows: [(&str, &str, &[&str], u16); 9] = [
        ("GET", "/api/x", &[&admin], 200),
        ("GET", "/api/x", &[], 401),
        ("GET", "/api/x", &["Authorization: Bearer x.y.z"], 401),
        ("DELETE", "/api/x", &[&member], 403),
        ("GET", "/nowhere", &[], 404),
        ("GET", "/api/%00", &[], 400),
        ("GET", "/health", &[], 200),
        ("POST", "/health", &[], 405),
        ("GET", "/", &[], 200),
    ];
    for (method, path, headers, status) in rows {
        let ask = |origin: &str| gateway.request(method, path, &[headers, &[origin]].concat(), "");
        let home = ask(HOME);
        assert_eq!((home.status, allowed(&home)), (status, Some("https://portal.example")), "{method} {path}");
        assert_eq!(home.header("access-control-allow-credentials"), Some("true"));
        assert!(home.header("access-control-expose-headers").unwrap().contains("X-Request-ID"));
        assert!(home.header("x-request-id").is_some());
        let evil = ask(EVIL);
        assert_eq!((evil.status, allowed(&evil)), (status, None), "{method} {path}");
        for response in [home, evil] {
            assert!(response.all("vary").iter().any(|vary| vary.contains("Origin")), "{method} {path}: {response:?}");
        }
    }
}

#[test]
fn a_preflight_is_answered_without_credentials_and_reaches_no_service() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let preflight = |path: &str, origin: &str, method: &str| {
        let asked = [
            origin,
            &format!("Access-Control-Request-Method: {method}"),
            "Access-Control-Request-Headers: authorization",
        ];
        gateway.request("OPTIONS", path, &asked, "")
    };
    for path in ["/api/x", "/nowhere", "/health"] {
        let home = preflight(path, HOME, "DELETE");
        assert_eq!(
            (home.status, allowed(&home), home.body.as_str()),
            (204, Some("https://portal.example"), ""),
            "{path}"
        );
        assert!(home.header("access-control-allow-methods").unwrap().contains("DELETE"));
        assert!(home.header("access-control-allow-headers").unwrap().contains("Authorization"));
        assert_eq!(home.header("access-control-max-age"), Some("600"));
        let evil = preflight(path, EVIL, "DELETE");
        assert_eq!(
            (evil.status, allowed(&evil), evil.header("access-control-allow-methods")),
            (204, None, None),
            "{path}"
        );
    }
    assert!(upstream.seen().is_empty());
    // An OPTIONS request that is no preflight is a request like any other.
    assert_eq!(gateway.request("OPTIONS", "/api/x", &[HOME], "").status, 401);
    assert_eq!(gateway.request("OPTIONS", "/open/x", &[HOME], "").status, 405);
}

#[test]
fn a_route_may_have_its_own_policy_or_none() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let open = gateway.get("/open/x", &[EVIL]);
    assert_eq!((open.status, allowed(&open)), (200, Some("*")));
    assert_eq!(open.header("access-control-allow-credentials"), None);
    let none = gateway.get("/none/x", &[HOME]);
    assert_eq!((none.status, allowed(&none), none.all("vary").len()), (200, None, 0));
}

#[test]
fn what_a_service_says_about_cors_is_replaced() {
    let upstream = Upstream::start(|_| {
        Answer::Raw(
            "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
             Access-Control-Expose-Headers: X-Secret\r\nVary: Accept\r\nContent-Length: 2\r\n\r\nok"
                .to_owned(),
        )
    });
    let gateway = gateway(&upstream);
    let token = bearer("admin");
    let home = gateway.get("/api/x", &[&token, HOME]);
    assert_eq!(home.all("access-control-allow-origin"), ["https://portal.example"]);
    assert!(!home.header("access-control-expose-headers").unwrap().contains("X-Secret"));
    assert_eq!(home.all("vary"), ["Accept", "Origin"]);
    let evil = gateway.get("/api/x", &[&token, EVIL]);
    assert_eq!((allowed(&evil), evil.header("access-control-allow-credentials")), (None, None));
}
