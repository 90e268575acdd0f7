//! Who calls from where, what services are told about it, and from where nobody may call.

use super::support::{
    Client, Gateway, Response, Upstream, bearer,
    http2::{PREFACE, SETTINGS, frame, get},
    within_patience,
};
use std::fs;

/// One listener with these keys, and routes of which one forwards.
fn sections(upstream: &Upstream, listener: &str, route: &str) -> String {
    let url = upstream.url();
    format!(
        "listeners: [{{ address: \"127.0.0.1:0\", {listener} }}]\n\
         services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\n\
         routes:\n  - {{ id: r, match: {{ path: /r }}, service: s, auth: public }}\n  \
         - {{ id: guarded, match: {{ path: /guarded }}, service: s, {route} }}\n"
    )
}

fn outcome(response: &Response) -> (u16, String) {
    (response.status, response.code())
}

fn denied() -> (u16, String) {
    (403, "address_denied".to_owned())
}

fn passed() -> (u16, String) {
    (200, String::new())
}

#[test]
fn no_chain_makes_a_caller_somebody_else() {
    let upstream = Upstream::echo();
    let trusted = "trusted_proxies: [127.0.0.1, 10.0.0.0/8, \"fd00::/8\"]";
    let gateway = Gateway::start(&sections(&upstream, trusted, "auth: public"));
    let from = |last: u8, lines: &[&str]| {
        let response = Client::connect_from(last, gateway.address).get("/r", lines);
        assert_eq!(response.status, 200, "{lines:?}");
        gateway.log_line(response.header("x-request-id").unwrap())["client"].as_str().unwrap().to_owned()
    };
    // Ten bytes each, below the 16 KiB of a header line.
    let many = |hop: &str| format!("X-Forwarded-For: 6.6.6.6{}", format!(", {hop}").repeat(1_000));
    let rows: [(u8, &[&str], &str); 14] = [
        // Nobody trusted: whatever the chain says.
        (2, &["X-Forwarded-For: 192.0.2.1"], "127.0.0.2"),
        (2, &["X-Forwarded-For: 192.0.2.1, 10.0.0.1"], "127.0.0.2"),
        (2, &["Forwarded: for=192.0.2.1"], "127.0.0.2"),
        (2, &[&many("10.0.0.1")], "127.0.0.2"),
        // The proxy says it.
        (1, &["X-Forwarded-For: 192.0.2.1"], "192.0.2.1"),
        (1, &["X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.1"], "192.0.2.1"),
        (1, &["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 10.0.0.1"], "192.0.2.1"),
        (1, &["X-Forwarded-For: 6.6.6.6, [2001:db8::1]:5678, fd00::1"], "2001:db8::1"),
        (1, &["X-Forwarded-For: 6.6.6.6, ::ffff:192.0.2.1"], "192.0.2.1"),
        // One source of truth.
        (1, &["Forwarded: for=6.6.6.6"], "127.0.0.1"),
        // What is no address is nobody's word, and neither is what stands left of it.
        (1, &["X-Forwarded-For: 6.6.6.6, nonsense, 10.0.0.9"], "10.0.0.9"),
        (1, &["X-Forwarded-For: 6.6.6.6, 192.0.2.1,"], "127.0.0.1"),
        // A thousand: of strangers, of proxies.
        (1, &[&format!("{}, 192.0.2.1", many("7.7.7.7"))], "192.0.2.1"),
        (1, &[&many("10.0.0.1")], "10.0.0.1"),
    ];
    for (last, lines, expected) in rows {
        let short: Vec<_> = lines.iter().map(|line| &line[..line.len().min(80)]).collect();
        assert_eq!(from(last, lines), expected, "127.0.0.{last} {short:?}");
    }
}

#[test]
fn a_service_is_told_the_port_and_where_it_is_wanted_forwarded() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&sections(&upstream, "trusted_proxies: 127.0.0.1, forwarded: true", "auth: public"));
    let port = gateway.address.port().to_string();
    let seen = |last: u8, lines: &[&str]| {
        assert_eq!(Client::connect_from(last, gateway.address).get("/r", lines).status, 200);
        upstream.seen().last().unwrap().clone()
    };
    let lies = ["X-Forwarded-Port: 1", "Forwarded: for=6.6.6.6", "X-Forwarded-Proto: https", "X_Forwarded_Port: 2"];
    let stranger = seen(2, &lies);
    assert_eq!(stranger.all("x-forwarded-port"), [&*port]);
    assert_eq!(stranger.all("x-forwarded-proto"), ["http"]);
    assert_eq!(stranger.all("forwarded"), ["for=127.0.0.2;host=gateway.test;proto=http"]);
    assert!(stranger.all("x_forwarded_port").is_empty());
    let said = ["X-Forwarded-Port: 443", "X-Forwarded-Proto: https", "Forwarded: for=\"[2001:db8::1]\";proto=https"];
    let proxied = seen(1, &said);
    assert_eq!((proxied.all("x-forwarded-port"), proxied.all("x-forwarded-proto")), (vec!["443"], vec!["https"]));
    let both = "for=\"[2001:db8::1]\";proto=https, for=127.0.0.1;host=gateway.test;proto=http";
    assert_eq!(proxied.all("forwarded"), [both]);
    assert_eq!(seen(1, &[]).all("x-forwarded-port"), [&*port]);
    // Its https is not on our port.
    assert!(seen(1, &["X-Forwarded-Proto: https"]).all("x-forwarded-port").is_empty());

    let silent = Gateway::start(&sections(&upstream, "trusted_proxies: 127.0.0.1", "auth: public"));
    for last in [1, 2] {
        assert_eq!(Client::connect_from(last, silent.address).get("/r", &["Forwarded: for=6.6.6.6"]).status, 200);
        assert!(upstream.seen().last().unwrap().all("forwarded").is_empty(), "127.0.0.{last}");
    }
}

#[test]
fn a_route_is_closed_to_addresses_before_anybody_is_asked_who_they_are() {
    let upstream = Upstream::echo();
    let lists = "addresses: { allow: [127.0.0.0/24, \"2001:db8::/32\"], deny: [127.0.0.3, \"2001:db8:bad::/48\"] }, \
                 limits: [{ requests: 1, window: 600s, key: address }]";
    let gateway = Gateway::start(&sections(&upstream, "trusted_proxies: 127.0.0.9", lists));
    let token = bearer("admin");
    let ask = |last: u8, lines: &[&str]| outcome(&Client::connect_from(last, gateway.address).get("/guarded", lines));
    // Again and again: a refusal costs no part of a limit.
    for _ in 0..3 {
        assert_eq!(ask(3, &[&token]), denied());
        assert_eq!(ask(3, &[]), denied(), "the address comes before the token");
    }
    assert_eq!(ask(2, &[&token]), passed());
    assert_eq!(ask(2, &[&token]).0, 429);
    for (caller, expected) in [
        ("2001:db8::1", passed()),
        ("2001:db8:bad::1", denied()),
        ("2001:db9::1", denied()),
        ("192.0.2.1", denied()),
        ("::ffff:127.0.0.4", passed()),
        // The caller's address, not the proxy's, which is allowed.
        ("6.6.6.6, 127.0.0.3", denied()),
    ] {
        let line = format!("X-Forwarded-For: {caller}");
        assert_eq!(ask(9, &[&token, &line]), expected, "{caller}");
    }
    assert_eq!(outcome(&Client::connect_from(3, gateway.address).get("/r", &[])), passed(), "only this route");
    let last = Client::connect_from(3, gateway.address).get("/guarded", &[]);
    let line = gateway.log_line(last.header("x-request-id").unwrap());
    assert_eq!((&line["code"], &line["client"]), (&"address_denied".into(), &"127.0.0.3".into()));
    assert_eq!(line["route"], "guarded");
    let sample = r#"edgeway_rejections_total{code="address_denied"}"#;
    assert!(within_patience(|| gateway.metric(sample) == Some(11.0)), "{:?}", gateway.metric(sample));
}

#[test]
fn a_listener_is_closed_for_everything_on_it() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&sections(&upstream, "addresses: { deny: 127.0.0.2 }", "auth: public"));
    for path in ["/r", "/health", "/health/live", "/nowhere", "/", "/docs"] {
        let response = Client::connect_from(2, gateway.address).get(path, &[]);
        assert_eq!(outcome(&response), denied(), "{path}");
    }
    let preflight = "OPTIONS /r HTTP/1.1\r\nHost: a\r\nOrigin: https://a\r\nAccess-Control-Request-Method: PUT\r\n\r\n";
    let mut client = Client::connect_from(2, gateway.address);
    client.send(preflight.as_bytes());
    assert_eq!(outcome(&client.answer(false)), denied());
    assert!(client.is_closed());
    // The body of the answer to a stream says why.
    let mut http2 = Client::connect_from(2, gateway.address);
    http2.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &get(1, "/r")].concat());
    let mut said = Vec::new();
    let told = within_patience(|| {
        said.extend(http2.read(1));
        said.ends_with(b"\"address_denied\"")
    });
    assert!(told, "{said:?}");
    assert_eq!(gateway.get("/health/live", &[]).status, 200);
    assert!(upstream.seen().is_empty());
}

#[test]
fn an_observed_list_refuses_nobody_and_says_whom_it_would() {
    let upstream = Upstream::echo();
    let listener = "addresses: { deny: 127.0.0.2, mode: observe }";
    let gateway =
        Gateway::start(&sections(&upstream, listener, "auth: public, addresses: { allow: 127.0.0.1, mode: off }"));
    let response = Client::connect_from(2, gateway.address).get("/guarded", &[]);
    assert_eq!(response.status, 200);
    let line = gateway.log_line(response.header("x-request-id").unwrap());
    assert_eq!((&line["observed"], &line["code"]), (&"address_denied".into(), &serde_json::Value::Null));
    let other = gateway.get("/r", &[]);
    assert_eq!(gateway.log_line(other.header("x-request-id").unwrap())["observed"], serde_json::Value::Null);
    let observed = r#"edgeway_observed_rejections_total{code="address_denied"}"#;
    assert!(within_patience(|| gateway.metric(observed) == Some(1.0)), "{:?}", gateway.metric(observed));
    assert_eq!(gateway.metric(r#"edgeway_rejections_total{code="address_denied"}"#), Some(0.0));
}

#[test]
fn a_file_is_taken_over_without_a_reload_and_a_bad_one_is_not() {
    let upstream = Upstream::echo();
    let folder = tempfile::TempDir::new().unwrap();
    let (allow, deny) = (folder.path().join("allow"), folder.path().join("deny"));
    fs::write(&allow, "# the office\n127.0.0.0/24\n").unwrap();
    fs::write(&deny, "").unwrap();
    let lists = format!(
        "auth: public, addresses: {{ allow_file: {}, deny_file: {}, deny: 127.0.0.9 }}",
        allow.display(),
        deny.display()
    );
    let text = sections(&upstream, "", &lists);
    let gateway = Gateway::start(&text);
    let ask = |last: u8| Client::connect_from(last, gateway.address).get("/guarded", &[]).status;
    assert_eq!((ask(2), ask(3), ask(9)), (200, 200, 403));
    let many: String = (0..10_000).map(|at| format!("10.{}.{}.0/25\n", at / 256, at % 256)).collect();
    fs::write(&deny, many + "127.0.0.2 # banned\n").unwrap();
    assert!(within_patience(|| ask(2) == 403), "{}", gateway.stderr());
    assert_eq!((ask(3), ask(9)), (200, 403));
    gateway.tells(&["deny: 10001 ranges of addresses"]);
    let rejected = || gateway.metric("edgeway_address_files_rejected");
    assert_eq!(rejected(), Some(0.0));
    fs::write(&deny, "127.0.0.3\n127.0.0.300\n").unwrap();
    assert!(within_patience(|| rejected() == Some(1.0)), "{}", gateway.stderr());
    gateway.tells(&["deny: line 2: not an address range", "the addresses that were known stay"]);
    assert_eq!((ask(2), ask(3)), (403, 200));
    // A reload of a configuration with a bad file is refused, and changes nothing.
    assert!(!gateway.reload());
    gateway.tells(&["routes[1].addresses.deny_file: line 2: not an address range; write 10.0.0.0/8 or 192.0.2.7"]);
    assert_eq!((ask(2), ask(3)), (403, 200));
    fs::write(&allow, "").unwrap();
    fs::remove_file(&deny).unwrap();
    assert!(within_patience(|| rejected() == Some(2.0)), "{}", gateway.stderr());
    assert_eq!((ask(2), ask(3)), (403, 200), "an empty list of those who may does not close the route");
    fs::write(&allow, "127.0.0.0/24\n").unwrap();
    fs::write(&deny, "127.0.0.3\n").unwrap();
    assert!(within_patience(|| ask(3) == 403 && ask(2) == 200), "{}", gateway.stderr());
    assert!(gateway.reload());
    assert_eq!((ask(2), ask(3)), (200, 403), "a reload keeps what stands in the files");
}

#[test]
fn a_socket_of_both_families_knows_callers_by_their_own() {
    let upstream = Upstream::echo();
    let listener = |address: &str, deny: &str| {
        let text = sections(&upstream, &format!("addresses: {{ deny: {deny:?} }}"), "auth: public");
        Gateway::start(&text.replace("127.0.0.1:0", address))
    };
    // An IPv4 caller of an IPv6 socket is ::ffff:127.0.0.2 to the system.
    for (deny, status) in [("127.0.0.2", 403), ("::ffff:127.0.0.2", 403), ("::/0", 200), ("127.0.0.0/8", 403)] {
        let gateway = listener("[::]:0", deny);
        assert_eq!(Client::connect_from(2, gateway.address).get("/r", &[]).status, status, "{deny}");
    }
    for (deny, status) in [("::1", 403), ("0.0.0.0/0", 200), ("::/0", 403)] {
        assert_eq!(listener("[::1]:0", deny).get("/r", &[]).status, status, "{deny}");
    }
}

#[test]
fn a_reload_changes_lists_under_open_connections() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&sections(&upstream, "", "auth: public"));
    let mut kept = gateway.client();
    for (listener, route, open, guarded) in [
        ("", "addresses: { deny: 127.0.0.0/8 }, auth: public", 200, 403),
        ("", "addresses: { deny: 127.0.0.0/8, mode: observe }, auth: public", 200, 200),
        ("", "addresses: { allow: 10.0.0.0/8 }, auth: public", 200, 403),
        ("", "auth: public", 200, 200),
        // The refusal of a listener ends the connection.
        ("addresses: { deny: 127.0.0.1 }", "auth: public", 403, 0),
    ] {
        gateway.rewrite(&sections(&upstream, listener, route));
        assert!(gateway.reload());
        let found = (kept.get("/r", &[]).status, kept.get("/guarded", &[]).status);
        assert_eq!(found, (open, guarded), "{listener} {route}");
    }
}

#[test]
fn a_list_that_a_variable_left_empty_is_an_error_and_no_open_door() {
    use crate::support::{Outcome, edgeway};
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("edgeway.yaml");
    let route = "match: { path: /a }, respond: { body: a }, auth: public";
    for list in ["[]", "\"\"", "\",\"", "\"${NETWORKS:-}\"", "\"${ONE:-},${TWO:-}\""] {
        fs::write(&file, format!("routes: [{{ id: a, {route}, addresses: {{ allow: {list} }} }}]\n")).unwrap();
        let checked: Outcome = edgeway(folder.path()).args(["check", "--config"]).arg(&file).output().unwrap().into();
        assert_eq!(checked.code, Some(78), "{list}: {}", checked.stderr);
        assert!(checked.stderr.contains("routes[0].addresses.allow"), "{list}: {}", checked.stderr);
    }
}
