//! How often a caller may call, counted by one instance.

use super::support::{Gateway, Response, SECRET, Upstream, bearer, within_patience};
use edgeway::auth::{MintClaims, Minter};
use std::{thread, time::Duration};

/// Routes that answer at once; `limits` is the top level's section.
fn gateway(limits: &str, routes: &str) -> Gateway {
    Gateway::start(&format!(
        "limits: {{ {limits} }}\nroutes:\n  - {{ id: open, match: {{ path: /open/* }}, respond: {{ body: hi }}, auth: public }}\n  \
         - {{ id: api, match: {{ path: /api/* }}, respond: {{ body: hi }} }}\n{routes}"
    ))
}

fn of(consumer: &str) -> String {
    let config = serde_yaml::from_str(&format!("{{ algorithm: HS256, secret: {SECRET} }}")).unwrap();
    let claims = MintClaims {
        sub: consumer.to_owned(),
        username: None,
        role: None,
        permissions: Vec::new(),
        ttl: Duration::from_secs(600),
    };
    format!("Authorization: Bearer {}", Minter::build(&config, None).unwrap().mint(&claims).unwrap())
}

fn passed(tries: usize, ask: impl Fn() -> Response) -> usize {
    (0..tries).filter(|_| ask().status == 200).count()
}

#[test]
fn who_is_over_the_limit_is_told_when_to_come_back() {
    let gateway = gateway("requests: 5, window: 600s", "");
    let first = gateway.get("/open/x", &["Origin: https://a.example"]);
    assert_eq!(first.header("ratelimit-policy"), Some("\"default\";q=5;w=600"));
    assert!(first.header("ratelimit").unwrap().starts_with("\"default\";r=4;t="), "{first:?}");
    assert_eq!((first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")), (Some("5"), Some("4")));
    assert_eq!(first.header("retry-after"), None);
    assert_eq!(passed(20, || gateway.get("/open/x", &[])), 4);
    let over = gateway.get("/open/x", &[]);
    assert_eq!((over.status, over.code().as_str()), (429, "rate_limited"));
    let wait: u64 = over.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1200).contains(&wait), "{wait}");
    assert_eq!(over.header("x-ratelimit-reset"), over.header("retry-after"));
    assert_eq!(over.header("x-ratelimit-remaining"), Some("0"));
    let line = gateway.log_line(over.header("x-request-id").unwrap());
    assert_eq!((&line["level"], &line["code"]), (&"WARN".into(), &"rate_limited".into()));
}

#[test]
fn each_consumer_has_a_limit_of_their_own_and_strangers_one_by_address() {
    let gateway = gateway("requests: 10, window: 600s", "");
    for consumer in ["a", "b"] {
        let token = of(consumer);
        assert_eq!(passed(30, || gateway.get("/api/x", &[&token])), 10, "{consumer}");
    }
    // Wrong tokens count for the address: who guesses them is soon refused before being told more.
    let guesses: Vec<u16> = (0..15).map(|_| gateway.get("/api/x", &["Authorization: Bearer x.y.z"]).status).collect();
    assert_eq!(guesses, [vec![401; 10], vec![429; 5]].concat());
    assert_eq!(gateway.get("/api/x", &[&of("c")]).status, 200, "and nobody else at that address suffers");
}

#[test]
fn who_guesses_tokens_takes_nothing_from_others_behind_the_same_address() {
    let gateway = gateway("requests: 3, window: 600s", "");
    let guess = || gateway.get("/api/x", &["Authorization: Bearer guessed"]);
    let statuses: Vec<u16> = (0..5).map(|_| guess().status).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    assert_eq!(gateway.get("/open/x", &[]).status, 200);
    assert_eq!(gateway.get("/api/x", &[&of("7")]).status, 200);
}

#[test]
fn of_two_limits_the_shorter_window_is_asked_first_and_spares_the_other() {
    let route = "  - { id: two, match: { path: /two }, respond: { body: hi }, auth: public, limits: [\
                 { name: long, requests: 5, window: 600s, key: address }, { requests: 1, window: 2s, key: address }] }\n";
    let gateway = gateway("requests: 100, window: 600s", route);
    let asked: Vec<u16> = (0..4).map(|_| gateway.get("/two", &[]).status).collect();
    assert_eq!(asked, [200, 429, 429, 429]);
    // What the short one refused has not used up the long one.
    assert!(within_patience(|| gateway.get("/two", &[]).status == 200));
    assert_eq!(gateway.metric("edgeway_limit_decisions_total{by=\"local\",decision=\"allowed\"}"), Some(4.0));
}

#[test]
fn own_pages_and_preflights_are_never_limited() {
    let gateway = gateway("requests: 1, window: 600s", "");
    assert_eq!(passed(5, || gateway.get("/open/x", &[])), 1);
    assert_eq!(passed(20, || gateway.get("/health", &[])), 20);
    let preflight = ["Origin: https://a.example", "Access-Control-Request-Method: PUT"];
    let answered = (0..20).filter(|_| gateway.request("OPTIONS", "/open/x", &preflight, "").status == 204).count();
    assert_eq!(answered, 20);
}

#[test]
fn a_route_may_have_several_limits_or_none_and_the_strictest_is_told() {
    let routes = "  - id: two\n    match: { path: /two }\n    respond: { body: hi }\n    limits:\n      \
                  - { key: address, requests: 8, window: 600s }\n      - { name: by-user, requests: 3, window: 600s }\n  \
                  - { id: none, match: { path: /none }, respond: { body: hi }, auth: public, limits: [] }\n";
    let gateway = gateway("requests: 1, window: 600s", routes);
    let (a, b, c) = (of("a"), of("b"), of("c"));
    let first = gateway.get("/two", &[&a]);
    assert_eq!(first.header("ratelimit-policy"), Some("\"by-user\";q=3;w=600"));
    assert_eq!(passed(2, || gateway.get("/two", &[&a])), 2);
    // The refused ones count for the address, because it is asked first.
    assert_eq!(passed(2, || gateway.get("/two", &[&a])), 0);
    assert_eq!(passed(3, || gateway.get("/two", &[&b])), 3);
    let over = gateway.get("/two", &[&c]);
    assert_eq!((over.status, over.header("ratelimit-policy")), (429, Some("\"two\";q=8;w=600")));
    assert_eq!(passed(20, || gateway.get("/none", &[])), 20);
    assert_eq!(gateway.get("/none", &[]).header("ratelimit"), None);
}

#[test]
fn gcra_lets_a_burst_pass_and_then_one_after_the_other() {
    let gateway = gateway("requests: 60, window: 31d, algorithm: gcra, burst: 6", "");
    assert_eq!(passed(20, || gateway.get("/open/x", &[])), 6);
}

#[test]
fn a_hundred_reloads_under_load_change_no_counter() {
    let sections = |word: &str| {
        format!(
            "limits: {{ requests: 500, window: 31d }}\n\
             routes: [{{ id: r, match: {{ path: /r }}, respond: {{ body: {word} }}, auth: public }}]\n"
        )
    };
    let gateway = Gateway::start(&sections("one"));
    let ask = || {
        let mut client = gateway.client();
        (0..400).filter(|_| client.get("/r", &[]).status == 200).count()
    };
    let total: usize = thread::scope(|scope| {
        let asking: Vec<_> = (0..3).map(|_| scope.spawn(ask)).collect();
        for number in 0..100 {
            gateway.rewrite(&sections(if number % 2 == 0 { "two" } else { "one" }));
            assert!(gateway.reload());
        }
        asking.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, 500, "of 1,200 requests exactly the limit passes");
}

#[test]
fn limits_are_counted_behind_a_trusted_proxy_by_the_callers_address() {
    let upstream = Upstream::echo();
    let url = upstream.url();
    let gateway = Gateway::start(&format!(
        "listeners: [{{ address: \"127.0.0.1:0\", trusted_proxies: 127.0.0.1 }}]\n\
         limits: {{ requests: 2, window: 600s, key: address }}\n\
         services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: r, match: {{ path: /r }}, service: s, auth: public }}]\n"
    ));
    for caller in ["192.0.2.1", "192.0.2.2"] {
        let line = format!("X-Forwarded-For: 6.6.6.6, {caller}");
        assert_eq!(passed(5, || gateway.get("/r", &[&line])), 2, "{caller}");
    }
    assert_eq!(gateway.get("/r", &["X-Forwarded-For: 192.0.2.1, 192.0.2.3"]).status, 200, "others cannot spend it");
    assert_eq!(upstream.seen().len(), 5, "who is over reaches no service");
    assert_eq!(gateway.get("/r", &[&bearer("admin"), "X-Forwarded-For: 192.0.2.1"]).status, 429);
}
