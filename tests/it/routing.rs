//! Which route a request belongs to, and what routes do beside forwarding.

use super::support::{Gateway, Upstream};

fn gateway(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    Gateway::start(&format!(
        r#"
services: {{ s: {{ endpoints: ["{url}"], health: {{ probe: off }} }} }}
routes:
  - {{ id: any, match: {{ path: /m/* }}, respond: {{ body: any }}, auth: public }}
  - {{ id: one, match: {{ path: "/m/{{id}}" }}, respond: {{ body: one }}, auth: public }}
  - {{ id: me, match: {{ path: /m/me }}, respond: {{ body: me }}, auth: public }}
  - {{ id: me-host, match: {{ path: /m/me, host: api.example }}, respond: {{ body: host }}, auth: public }}
  - {{ id: me-sub, match: {{ path: /m/me, host: "*.example" }}, respond: {{ body: suffix }}, auth: public }}
  - {{ id: me-beta, match: {{ path: /m/me, headers: {{ X-Beta: "1" }} }}, respond: {{ body: beta }}, auth: public }}
  - {{ id: me-v2, match: {{ path: /m/me, query: {{ v: "2" }} }}, respond: {{ body: v2 }}, auth: public }}
  - {{ id: posted, match: {{ path: /p, methods: [POST, PUT] }}, respond: {{ status: 201, body: made }}, auth: public }}
  - {{ id: got, match: {{ path: /g, methods: [GET] }}, respond: {{ body: got }}, auth: public }}
  - {{ id: old, match: {{ path: "/old/{{id}}" }}, redirect: {{ to: "https://new.example/x/{{id}}{{query}}", status: 301 }}, auth: public }}
  - {{ id: moved, match: {{ path: /moved/* }}, redirect: {{ to: "https://new.example{{path}}{{query}}" }}, auth: public }}
  - {{ id: strip, match: {{ path: /v1/* }}, service: s, rewrite: {{ strip_prefix: /v1 }}, auth: public }}
  - {{ id: swap, match: {{ path: /a/* }}, service: s, rewrite: {{ replace_prefix: /b/c }}, auth: public }}
  - {{ id: template, match: {{ path: "/t/{{id}}/x/{{n}}" }}, service: s, rewrite: {{ path: "/n/{{n}}/{{id}}" }}, auth: public }}
"#
    ))
}

#[test]
fn the_most_specific_route_answers() {
    let gateway = gateway(&Upstream::echo());
    for (path, host, header, body) in [
        ("/m", "h", "", "any"),
        ("/m/", "h", "", "any"),
        ("/m/1/2", "h", "", "any"),
        ("/m/1", "h", "", "one"),
        ("/m/me", "h", "", "me"),
        ("/m/me", "api.example:8080", "", "host"),
        ("/m/me", "API.EXAMPLE", "", "host"),
        ("/m/me", "api.example.", "", "host"),
        ("/m/me", "b.example", "", "suffix"),
        ("/m/me", "xexample", "", "me"),
        ("/m/me", "h", "X-Beta: 1\r\n", "beta"),
        ("/m/me", "h", "X-Beta: 2\r\n", "me"),
        ("/m/me?v=2", "h", "", "v2"),
        ("/m/me?x=1&v=%32", "h", "", "v2"),
        ("/m/me?v=3", "h", "", "me"),
    ] {
        let response = gateway
            .send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{header}Connection: close\r\n\r\n").as_bytes());
        assert_eq!((response.status, response.body.as_str()), (200, body), "{path} {host} {header}");
    }
}

#[test]
fn a_wrong_method_is_405_and_names_the_right_ones() {
    let gateway = gateway(&Upstream::echo());
    let response = gateway.get("/p", &[]);
    assert_eq!((response.status, response.code().as_str()), (405, "method_not_allowed"));
    let allow = response.header("allow").unwrap();
    assert!(allow.contains("POST") && allow.contains("PUT") && !allow.contains("GET"), "{allow}");
    assert_eq!(gateway.request("POST", "/p", &[], "x").status, 201);
    let head = gateway.request("HEAD", "/g", &[], "");
    assert_eq!((head.status, head.header("content-length")), (200, Some("3")), "who answers GET answers HEAD");
}

#[test]
fn a_404_tells_the_log_and_not_the_caller_what_was_near() {
    let gateway = gateway(&Upstream::echo());
    let response = gateway.get("/v2/members", &[]);
    assert_eq!((response.status, response.code().as_str()), (404, "no_route"));
    assert!(!response.body.contains("v1") && !response.body.contains("strip"), "{}", response.body);
    let line = gateway.log_line(response.header("x-request-id").unwrap());
    let near = gateway.get("/t/1/y/2", &[]);
    let near = gateway.log_line(near.header("x-request-id").unwrap());
    assert!(near["reason"].as_str().unwrap().contains("template"), "{near}");
    assert_eq!((&line["route"], &line["target_service"]), (&serde_json::Value::Null, &serde_json::Value::Null));
}

#[test]
fn redirects_carry_path_and_query() {
    let gateway = gateway(&Upstream::echo());
    let response = gateway.get("/old/7?x=1", &[]);
    assert_eq!((response.status, response.header("location")), (301, Some("https://new.example/x/7?x=1")));
    let response = gateway.get("/moved//a/../b?y=%0d", &[]);
    assert_eq!((response.status, response.header("location")), (308, Some("https://new.example/moved/b?y=%0d")));
    assert_eq!(
        gateway.get("/moved//evil.example", &[]).header("location"),
        Some("https://new.example/moved/evil.example")
    );
}

#[test]
fn rewrites_change_the_path_and_keep_the_query() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    for (path, seen) in [
        ("/v1/members/7?x=1", "/members/7?x=1"),
        ("/v1", "/"),
        ("/v1/", "/"),
        ("/a/x?q", "/b/c/x?q"),
        ("/a", "/b/c"),
        ("/t/1/x/2?z", "/n/2/1?z"),
    ] {
        upstream.forget();
        let response = gateway.get(path, &[]);
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(upstream.only().line, format!("GET {seen} HTTP/1.1"), "{path}");
        let line = gateway.log_line(response.header("x-request-id").unwrap());
        assert_eq!(line["path"], path.split('?').next().unwrap(), "the log has the caller's path");
    }
}
