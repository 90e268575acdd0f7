//! May they: expressions, and whoever is asked besides, over real sockets.

use super::support::{Answer, Gateway, PATIENCE, Request, Upstream, bearer, closed_port, edgeway, within_patience};
use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

fn raw(status: &str, headers: &str, body: &str) -> Answer {
    Answer::Raw(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
}

/// Says yes to everything.
fn agreeable() -> Upstream {
    Upstream::start(|_| raw("200 OK", "X-Tenant: north\r\nX-Other: no\r\n", ""))
}

/// One route `/x/*` that needs a token and asks `policy`, and one that is public and does so too.
fn guarded(policy: &str, settings: &str, upstream: &Upstream) -> String {
    // Wide, because the machines of tests are slow and shared.
    let timeout = if settings.contains("timeout") { "" } else { "timeout: 20s, " };
    format!(
        "ext_auth: {{ policy: {{ url: \"{policy}/check\", {timeout}{settings} }} }}\n\
         services: {{ s: {{ endpoints: [\"{}\"], health: {{ probe: off }} }} }}\n\
         routes:\n\
         - {{ id: x, match: {{ path: /x/* }}, service: s, ext_auth: policy }}\n\
         - {{ id: open, match: {{ path: /open/* }}, service: s, auth: public, ext_auth: policy }}\n\
         - {{ id: fixed, match: {{ path: /fixed }}, respond: {{ body: hi }}, auth: public, ext_auth: policy }}\n",
        upstream.url()
    )
}

fn outcome(gateway: &Gateway, word: &str) -> f64 {
    let sample = format!("edgeway_ext_auth_requests_total{{ext_auth=\"policy\",outcome=\"{word}\"}}");
    gateway.metric(&sample).unwrap_or_default()
}

#[test]
fn expressions_decide_about_requests() {
    let upstream = Upstream::echo();
    let rules = r#"
  - id: x
    match: { path: /x/* }
    service: s
    access:
      - { methods: [GET], allow_if: 'request.headers["x-tenant"] == "north" && !has(request.query.all)' }
      - { methods: [DELETE], allow_if: '"admin" in consumer.roles && route.service == "s"' }
      - { methods: [PUT], allow_if: 'claims.level > 2' }
      - { methods: [PATCH], allow_if: '"x-user-role" in request.headers || "x-forwarded-user" in request.headers' }
      - { methods: [POST], mode: observe, allow_if: 'request.path == "/x/only"' }
"#;
    let gateway = Gateway::start(&format!(
        "services: {{ s: {{ endpoints: [{:?}], health: {{ probe: off }} }} }}\nroutes:{rules}",
        upstream.url()
    ));
    let (user, admin) = (bearer("user"), bearer("admin"));
    for (method, path, headers, expected, reason) in [
        ("GET", "/x/1", [user.as_str(), "X-Tenant: north"], 200, None),
        ("HEAD", "/x/1", [&user, "X-Tenant: south"], 403, Some("access[0].allow_if is false")),
        ("GET", "/x/1?all=1", [&user, "X-Tenant: north"], 403, Some("access[0].allow_if is false")),
        ("GET", "/x/1", [&user, "X: y"], 403, Some("access[0].allow_if asks for something that is not there")),
        ("DELETE", "/x/1", [&user, "X: y"], 403, Some("access[1].allow_if is false")),
        ("DELETE", "/x/1", [&admin, "X: y"], 200, None),
        ("PUT", "/x/1", [&admin, "X: y"], 403, Some("access[2].allow_if asks for something that is not there")),
        // What only the gateway, or only a proxy, may say is not there for a rule either.
        ("PATCH", "/x/1", [&user, "X-User-Role: admin"], 403, Some("access[3].allow_if is false")),
        ("PATCH", "/x/1", [&user, "X-Forwarded-User: admin"], 403, Some("access[3].allow_if is false")),
    ] {
        let response = gateway.request(method, path, &headers, "");
        assert_eq!(response.status, expected, "{method} {path} {headers:?} {response:?}");
        if let Some(reason) = reason {
            let line = gateway.log_line(response.header("x-request-id").unwrap());
            assert_eq!((&line["code"], &line["reason"]), (&"expression_denied".into(), &reason.into()), "{line}");
            assert!(!response.body.contains("allow_if"), "{}", response.body);
        }
    }
    let response = gateway.request("POST", "/x/other", &[&user], "");
    let line = gateway.log_line(response.header("x-request-id").unwrap());
    assert_eq!(
        (response.status, &line["observed"], &line["code"]),
        (200, &"expression_denied".into(), &serde_json::Value::Null)
    );
    let observed = "edgeway_observed_rejections_total{code=\"expression_denied\"}";
    assert!(within_patience(|| gateway.metric(observed) == Some(1.0)), "{:?}", gateway.metric(observed));
}

#[test]
fn mistakes_are_told_with_their_places_in_one_run() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("f.yaml");
    let text = r#"auth: { jwt: { algorithm: HS256, secret: integration-tests-0123456789abcd } }
ext_auth:
  policy: { url: "policy:9000", timeout: 0s, cache: 5m, headers: [Host], set_headers: [X-Ok, X-Forwarded-For] }
  third: { ca_file: nowhere.pem, url: "http://third/" }
  other: { url: "http://other/", nonsense: 1 }
services: { s: { endpoints: ["http://127.0.0.1:1"] } }
routes:
  - id: x
    match: { path: /x }
    service: s
    ext_auth: polici
    access:
      - allow_if: request.metod == "GET"
      - allow_if: request.method == 5
      - allow_if: 'claims.a.all(x, claims.b.all(y, claims.c.all(z, x == y && y == z)))'
      - allow_if: "true"
        mode: sometimes
"#;
    fs::write(&file, text).unwrap();
    let output = edgeway(folder.path()).arg("check").arg("--config").arg(&file).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    for expected in [
        ":3:13: ext_auth.policy.url: not an address; write https://host/path",
        "ext_auth.policy.timeout: out of range; write 1ms to 30s",
        "ext_auth.policy.cache: out of range; write at most 60s",
        "ext_auth.policy.headers[0]: host belongs to each connection; leave it out",
        "ext_auth.policy.set_headers[1]: x-forwarded-for is the gateway's; choose another name",
        "ext_auth.other.nonsense: unknown key",
        ":11:5: routes[0].ext_auth: ext_auth has nobody named \"polici\"; did you mean \"policy\"?",
        ":17:9: routes[0].access[3].mode: no such value",
        ":13:9: routes[0].access[0].allow_if: at column 9: request has no field \"metod\"; did you mean \"method\"?",
        ":14:9: routes[0].access[1].allow_if: at column 16: a text is never equal to a whole number",
        ":15:9: routes[0].access[2].allow_if: at column 29: all, exists, map and filter inside each other",
        ":4:12: ext_auth.third.ca_file: cannot be read",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}

#[test]
fn an_authoriser_hears_what_it_needs_and_says_what_the_service_hears() {
    let (policy, upstream) = (agreeable(), Upstream::echo());
    let settings = "headers: [authorization, X-Kind, X-User-ID], set_headers: [X-Tenant]";
    let gateway = Gateway::start(&guarded(&policy.url(), settings, &upstream));
    let token = bearer("admin");
    let headers =
        [token.as_str(), "X-Kind: a", "X-Kind: b", "Cookie: c=d", "X-User-ID: 1", "X-Tenant: mine", "X_Tenant: mine"];
    let response = gateway.request("POST", "/x/%41?q=1", &headers, "all of the body");
    assert_eq!(response.status, 200);

    let asked = policy.only();
    assert_eq!((asked.line.as_str(), asked.body.as_str()), ("GET /check HTTP/1.1", ""));
    for (name, expected) in [
        ("x-forwarded-method", vec!["POST"]),
        ("x-forwarded-uri", vec!["/x/A?q=1"]),
        ("x-forwarded-host", vec!["gateway.test"]),
        ("x-forwarded-proto", vec!["http"]),
        ("x-forwarded-for", vec!["127.0.0.1"]),
        ("x-kind", vec!["a", "b"]),
        ("cookie", vec![]),
        ("content-length", vec![]),
        // What the gateway knows, not what the caller says.
        ("x-user-id", vec!["7"]),
    ] {
        assert_eq!(asked.all(name), expected, "{name}");
    }
    assert!(asked.header("authorization").is_some_and(|value| token.ends_with(value)));

    let got = upstream.only();
    assert_eq!(got.body, "all of the body");
    assert_eq!((got.all("x-tenant"), got.all("x_tenant"), got.all("x-other")), (vec!["north"], vec![], vec![]));
    assert_eq!(got.all("x-user-id"), ["7"]);
}

#[test]
fn who_is_refused_before_is_asked_about_nowhere() {
    let (policy, upstream) = (agreeable(), Upstream::echo());
    let gateway = Gateway::start(&guarded(&policy.url(), "", &upstream));
    assert_eq!(gateway.get("/x/1", &[]).status, 401);
    assert_eq!(gateway.get("/none", &[]).status, 404);
    assert!(policy.seen().is_empty());
    assert_eq!(gateway.get("/fixed", &[]).body, "hi");
    assert_eq!(policy.seen().len(), 1);
}

#[test]
fn every_other_answer_is_the_callers() {
    let answer = |request: &Request| match request.header("x-forwarded-uri").unwrap() {
        "/open/401" => {
            raw("401 Unauthorized", "WWW-Authenticate: Basic realm=x\r\nX-Secret: 1\r\nServer: s\r\n", "who?")
        }
        "/open/302" => raw("302 Found", "Location: /login?back=1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n", ""),
        "/open/404" => raw("404 Not Found", "Content-Type: text/html\r\nConnection: x-a\r\nX-A: 1\r\n", "<p>"),
        other => panic!("{other}"),
    };
    let (policy, upstream) = (Upstream::start(answer), Upstream::echo());
    let gateway = Gateway::start(&guarded(&policy.url(), "set_headers: [X-Secret]", &upstream));

    let response = gateway.request("POST", "/open/401", &[], "a body that nobody reads");
    assert_eq!((response.status, response.body.as_str()), (401, "who?"));
    assert_eq!(response.header("www-authenticate"), Some("Basic realm=x"));
    assert_eq!((response.header("x-secret"), response.header("server")), (None, None));
    let line = gateway.log_line(response.header("x-request-id").unwrap());
    assert_eq!((&line["code"], &line["status_code"]), (&"ext_auth_denied".into(), &401.into()));

    let response = gateway.get("/open/302", &[]);
    assert_eq!((response.status, response.header("location")), (302, Some("/login?back=1")));
    assert_eq!(response.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(policy.seen().len(), 2, "the redirect is for the caller, not for the gateway");

    let response = gateway.get("/open/404", &[]);
    assert_eq!((response.status, response.header("content-type")), (404, Some("text/html")));
    assert_eq!((response.body.as_str(), response.header("x-a")), ("<p>", None));
    let response = gateway.request("HEAD", "/open/404", &[], "");
    assert_eq!((response.status, response.body.as_str()), (404, ""));
    assert!(upstream.seen().is_empty());
    assert_eq!(outcome(&gateway, "denied"), 4.0);
}

#[test]
fn without_an_answer_nobody_passes() {
    let huge = "x".repeat(100_000);
    let answer = move |request: &Request| match request.header("x-forwarded-uri").unwrap() {
        "/open/hang" => Answer::Hang,
        "/open/close" => Answer::Close,
        "/open/cut" => Answer::RawThenClose("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_owned()),
        "/open/nonsense" => Answer::RawThenClose("nonsense\r\n\r\n".to_owned()),
        "/open/500" => raw("500 Internal Server Error", "", "secret trace"),
        "/open/huge" => raw("200 OK", "", &huge),
        _ => raw("200 OK", "", ""),
    };
    let (policy, upstream) = (Upstream::start(answer), Upstream::echo());
    let settings = "timeout: 2s, breaker: { failures: 100 }";
    let gateway = Gateway::start(&guarded(&policy.url(), settings, &upstream));
    for (path, reason) in [
        ("/open/hang", "ext_auth: no answer in time"),
        ("/open/close", "ext_auth: the answer broke off or is no HTTP"),
        ("/open/cut", "ext_auth: the answer broke off or is no HTTP"),
        ("/open/nonsense", "ext_auth: the answer broke off or is no HTTP"),
        ("/open/500", "ext_auth: it failed itself, with a status of 500 and above"),
        ("/open/huge", "ext_auth: the answer is too large"),
    ] {
        let since = Instant::now();
        let response = gateway.get(path, &[]);
        assert_eq!((response.status, response.code().as_str()), (503, "ext_auth_unavailable"), "{path}");
        assert!(since.elapsed() < Duration::from_secs(10) && !response.body.contains("secret"), "{path}");
        let line = gateway.log_line(response.header("x-request-id").unwrap());
        assert_eq!(line["reason"], reason, "{path}");
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(gateway.get("/open/fine", &[]).status, 200);
    assert_eq!((outcome(&gateway, "failed"), outcome(&gateway, "allowed")), (6.0, 1.0));
    assert!(gateway.metric("edgeway_ext_auth_wait_seconds_total{ext_auth=\"policy\"}").unwrap() >= 2.0);
}

#[test]
fn who_may_pass_on_failure_passes_without_what_only_the_authoriser_says() {
    let upstream = Upstream::echo();
    let settings = "on_failure: allow, set_headers: [X-Tenant]";
    let nobody = format!("http://127.0.0.1:{}", closed_port());
    let gateway = Gateway::start(&guarded(&nobody, settings, &upstream));
    let response = gateway.get("/open/1", &["X-Tenant: mine"]);
    assert_eq!(response.status, 200);
    assert_eq!(upstream.only().all("x-tenant"), Vec::<&str>::new());
    let line = gateway.log_line(response.header("x-request-id").unwrap());
    assert_eq!(line["observed"], "ext_auth_unavailable");
}

#[test]
fn what_is_only_observed_refuses_nobody() {
    let (policy, upstream) = (Upstream::start(|_| raw("403 Forbidden", "", "no")), Upstream::echo());
    let gateway = Gateway::start(&guarded(&policy.url(), "mode: observe", &upstream));
    let response = gateway.get("/open/1", &[]);
    assert_eq!((response.status, policy.seen().len()), (200, 1));
    assert_eq!(gateway.log_line(response.header("x-request-id").unwrap())["observed"], "ext_auth_denied");

    gateway.rewrite(&guarded(&policy.url(), "mode: \"off\", set_headers: [X-Tenant]", &upstream));
    assert!(gateway.reload());
    assert_eq!(gateway.get("/open/2", &["X-Tenant: mine"]).status, 200);
    assert_eq!(policy.seen().len(), 1);
    assert_eq!(upstream.seen().last().unwrap().all("x-tenant"), Vec::<&str>::new());
}

#[test]
fn a_dead_authoriser_costs_nothing_and_comes_back() {
    let upstream = Upstream::echo();
    let policy = agreeable();
    let (port, url) = (policy.address.port(), policy.url());
    let settings = "timeout: 20s, breaker: { failures: 3, rest: 1s }";
    let gateway = Gateway::start(&guarded(&url, settings, &upstream));
    assert_eq!(gateway.get("/open/1", &[]).status, 200);
    drop(policy);
    let mut reasons = Vec::new();
    for _ in 0..6 {
        let response = gateway.get("/open/1", &[]);
        assert_eq!((response.status, response.code().as_str()), (503, "ext_auth_unavailable"));
        reasons.push(gateway.log_line(response.header("x-request-id").unwrap())["reason"].as_str().unwrap().to_owned());
    }
    let resting = "ext_auth: it failed a moment ago and is not asked";
    assert!(reasons[..3].iter().all(|reason| reason != resting), "{reasons:?}");
    assert_eq!(reasons[3], resting, "{reasons:?}");
    assert!(outcome(&gateway, "resting") >= 1.0);
    // A reload that changes nothing about it does not make it ask again.
    gateway.tells(&["it is left alone"]);
    let _back = Upstream::start_on(port, |_| raw("204 No Content", "", ""));
    assert!(within_patience(|| gateway.get("/open/1", &[]).status == 200), "{}", gateway.stderr());
    gateway.tells(&["ext_auth answers again"]);
}

#[test]
fn an_open_breaker_and_what_is_remembered_outlive_reloads() {
    let upstream = Upstream::echo();
    let nobody = format!("http://127.0.0.1:{}", closed_port());
    let text = guarded(&nobody, "breaker: { failures: 1, rest: 60s }", &upstream);
    let gateway = Gateway::start(&text);
    assert_eq!(gateway.get("/open/1", &[]).status, 503);
    gateway.rewrite(&format!("{text}- {{ id: more, match: {{ path: /more }}, respond: {{}}, auth: public }}\n"));
    assert!(gateway.reload());
    assert_eq!(gateway.get("/more", &[]).status, 200);
    assert_eq!(gateway.get("/open/1", &[]).status, 503);
    assert_eq!((outcome(&gateway, "failed"), outcome(&gateway, "resting")), (1.0, 1.0));
    // New settings begin anew, and the count goes on.
    gateway.rewrite(&guarded(&nobody, "breaker: { failures: 2, rest: 60s }", &upstream));
    assert!(gateway.reload());
    assert_eq!(gateway.get("/open/1", &[]).status, 503);
    assert_eq!((outcome(&gateway, "failed"), outcome(&gateway, "resting")), (2.0, 1.0));
}

#[test]
fn the_same_question_is_asked_once() {
    let answer = |request: &Request| match request.header("x-forwarded-uri").unwrap() {
        "/open/no" => raw("403 Forbidden", "", "no"),
        "/open/teapot" => raw("418 Teapot", "", ""),
        "/open/cookie" => raw("401 Unauthorized", "Set-Cookie: a=1\r\n", ""),
        "/open/private" => raw("200 OK", "Cache-Control: private, No-Store\r\n", ""),
        _ => raw("200 OK", "X-Tenant: north\r\n", ""),
    };
    let (policy, upstream) = (Upstream::start(answer), Upstream::echo());
    let settings = "cache: 60s, headers: [X-Kind], set_headers: [X-Tenant]";
    let gateway = Gateway::start(&guarded(&policy.url(), settings, &upstream));
    let mut asked = 0;
    for (method, path, headers, status, questions) in [
        ("GET", "/open/1", ["X-Kind: a"], 200, 1),
        ("GET", "/open/1", ["X-Kind: a"], 200, 0),
        ("GET", "/open/1", ["X-Not-Told: b"], 200, 1),
        ("GET", "/open/1", ["X-Kind: b"], 200, 1),
        ("GET", "/open/1?q", ["X-Kind: a"], 200, 1),
        ("POST", "/open/1", ["X-Kind: a"], 200, 1),
        ("GET", "/open/no", ["X-Kind: a"], 403, 1),
        ("GET", "/open/no", ["X-Kind: a"], 403, 0),
        ("GET", "/open/teapot", ["X-Kind: a"], 418, 1),
        ("GET", "/open/teapot", ["X-Kind: a"], 418, 1),
        ("GET", "/open/cookie", ["X-Kind: a"], 401, 1),
        ("GET", "/open/cookie", ["X-Kind: a"], 401, 1),
        ("GET", "/open/private", ["X-Kind: a"], 200, 1),
        ("GET", "/open/private", ["X-Kind: a"], 200, 1),
    ] {
        assert_eq!(gateway.request(method, path, &headers, "").status, status, "{method} {path}");
        asked += questions;
        assert_eq!(policy.seen().len(), asked, "{method} {path} {headers:?}");
    }
    assert!(upstream.seen().iter().take(2).all(|request| request.all("x-tenant") == ["north"]));
    assert_eq!(outcome(&gateway, "remembered"), 2.0);
}

#[test]
fn what_is_remembered_ends() {
    let (policy, upstream) = (agreeable(), Upstream::echo());
    let gateway = Gateway::start(&guarded(&policy.url(), "cache: 100ms", &upstream));
    assert!(within_patience(|| {
        assert_eq!(gateway.get("/open/1", &[]).status, 200);
        policy.seen().len() == 3
    }));
}

#[test]
fn a_websocket_is_asked_about_too() {
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            _ = stream.write_all(upgrade.as_bytes());
            let mut bytes = [0; 5];
            _ = lines.read_exact(&mut bytes);
            _ = stream.write_all(&bytes);
        }
    });
    let answers = AtomicUsize::new(0);
    let policy = Upstream::start(move |_| match answers.fetch_add(1, SeqCst) {
        0 => raw("200 OK", "", ""),
        _ => raw("403 Forbidden", "", ""),
    });
    let gateway = Gateway::start(&format!(
        "ext_auth: {{ policy: {{ url: \"{}\" }} }}\n\
         services: {{ s: {{ endpoints: [\"{service}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: ws, match: {{ path: /ws }}, service: s, auth: public, ext_auth: policy }}]\n",
        policy.url()
    ));
    let asks = b"GET /ws HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(asks).unwrap();
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while stream.read_line(&mut head).unwrap() > 2 {}
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream.get_mut().write_all(b"hello").unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
    assert_eq!(policy.only().header("upgrade"), None);
    assert_eq!(gateway.send(asks).status, 403);
}

#[test]
fn many_at_once_are_told_apart() {
    let answer = |request: &Request| match request.header("x-kind") {
        Some("good") => raw("200 OK", "X-Tenant: good\r\n", ""),
        _ => raw("403 Forbidden", "", ""),
    };
    let (policy, upstream) = (Upstream::start(answer), Upstream::echo());
    let settings = "headers: [X-Kind], set_headers: [X-Tenant], cache: 1s, timeout: 20s";
    let gateway = Gateway::start(&guarded(&policy.url(), settings, &upstream));
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for worker in 0..8 {
            let (gateway, wrong) = (&gateway, &wrong);
            scope.spawn(move || {
                let mut client = gateway.client();
                for round in 0..40 {
                    let (kind, status) = if (worker + round) % 2 == 0 { ("good", 200) } else { ("bad", 403) };
                    let got = client.get(&format!("/open/{}", round / 4), &[&format!("X-Kind: {kind}")]).status;
                    if got != status {
                        wrong.lock().unwrap().push((kind, got));
                    }
                }
            });
        }
    });
    assert_eq!(*wrong.lock().unwrap(), []);
    assert!(upstream.seen().iter().all(|request| request.all("x-tenant") == ["good"]));
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.wait_for_exit(), 0);
}

/// Says yes over TLS, with a certificate of an authority that nobody else knows.
fn secret_policy() -> (String, u16) {
    let (key, mut authority) = (KeyPair::generate().unwrap(), CertificateParams::default());
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&key).unwrap().pem();
    let (issuer, key) = (Issuer::new(authority, key), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain = vec![certificate.der().clone()];
    let config = Arc::new(versions.with_no_client_auth().with_single_cert(chain, private).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = config.clone();
            thread::spawn(move || {
                let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream));
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                    line.clear();
                }
                _ = stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            });
        }
    });
    (ca, port)
}

#[test]
fn an_authoriser_behind_tls_is_trusted_by_its_authority_alone() {
    let upstream = Upstream::echo();
    let (ca, port) = secret_policy();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, ca).unwrap();
    let url = format!("https://localhost:{port}");
    let gateway = Gateway::start(&guarded(&url, &format!("timeout: 20s, ca_file: {file:?}"), &upstream));
    assert_eq!(gateway.get("/open/1", &[]).status, 200, "{}", gateway.stderr());
    // Without it, as the system trusts: nobody it knows.
    gateway.rewrite(&guarded(&url, "timeout: 20s", &upstream));
    assert!(gateway.reload());
    let response = gateway.get("/open/1", &[]);
    assert_eq!((response.status, response.code().as_str()), (503, "ext_auth_unavailable"));
    // What the file holds is read at each reload, also where the section stays the same.
    gateway.rewrite(&guarded(&url, &format!("timeout: 20s, ca_file: {file:?}"), &upstream));
    assert!(gateway.reload());
    assert_eq!(gateway.get("/open/1", &[]).status, 200);
    fs::write(&file, secret_policy().0).unwrap();
    assert!(gateway.reload());
    assert_eq!(gateway.get("/open/1", &[]).status, 503);
}

#[test]
fn a_denial_stays_one_however_long_it_is() {
    let upstream = Upstream::echo();
    let policy = Upstream::start(|_| raw("403 Forbidden", "", &"x".repeat(100_000)));
    let gateway = Gateway::start(&guarded(&policy.url(), "on_failure: allow", &upstream));
    let refused = gateway.get("/x/1", &[&bearer("user")]);
    assert_eq!((refused.status, refused.body.as_str()), (403, ""), "the status says it, the body is too long");
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_header_that_the_service_may_read_differently_decides_nothing() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&format!(
        "services: {{ s: {{ endpoints: [{:?}], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: x, match: {{ path: /x/* }}, service: s, access: [{{ allow_if: 'request.headers[\"x-mode\"] == \"readonly\"' }}] }}]\n",
        upstream.url()
    ));
    let user = bearer("user");
    assert_eq!(gateway.get("/x/1", &[&user, "X-Mode: readonly"]).status, 200);
    for more in ["Connection: x-mode", "Connection: keep-alive, X-Mode", "X_Mode: write"] {
        let refused = gateway.get("/x/1", &[&user, "X-Mode: readonly", more]);
        assert_eq!((refused.status, refused.code().as_str()), (403, "expression_denied"), "{more}");
    }
}
