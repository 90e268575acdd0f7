//! Whatever happens behind the gateway: what callers see of it, and how much of it services get.

use super::support::{Answer, Dns, Failure, Gateway, Upstream, closed_port, within_patience};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

fn sections(urls: &[String], more: &str) -> String {
    let urls: Vec<String> = urls.iter().map(|url| format!("\"{url}\"")).collect();
    format!(
        "services: {{ s: {{ endpoints: [{}], health: {{ probe: off }}, {more} }} }}\n\
         routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public }}]\n",
        urls.join(", ")
    )
}

fn nobody() -> String {
    format!("127.0.0.1:{}", closed_port())
}

fn oops() -> Upstream {
    Upstream::start(|_| Answer::Raw("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_owned()))
}

/// Attempts of the service so far, however they ended.
fn attempts(gateway: &Gateway) -> f64 {
    let text = gateway.metrics();
    let lines = text.lines().filter(|line| line.starts_with("edgeway_upstream_attempts_total{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn with_one_of_three_endpoints_dead_none_of_20000_gets_fails() {
    let (one, other) = (Upstream::echo(), Upstream::echo());
    let gateway = Gateway::start(&sections(&[one.url(), nobody(), other.url()], ""));
    let failed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = gateway.client();
                for _ in 0..5_000 {
                    let response = client.get("/x/1", &[]);
                    if response.status != 200 || !response.complete {
                        failed.fetch_add(1, SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(failed.load(SeqCst), 0, "of 20,000");
    gateway.tells(&["is ejected for"]);
}

#[test]
fn with_one_of_three_answering_500_the_share_of_errors_is_below_one_percent_within_two_seconds() {
    let (one, ill, other) = (Upstream::echo(), oops(), Upstream::echo());
    let gateway = Gateway::start(&sections(&[one.url(), ill.url(), other.url()], ""));
    let mut client = gateway.client();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        client.get("/x/1", &[]);
    }
    let errors = (0..2_000).filter(|_| client.get("/x/1", &[]).status != 200).count();
    println!("{errors} of 2,000 failed");
    assert!(errors < 20, "{errors} of 2,000");
}

#[test]
fn with_all_dead_refusals_come_at_once_and_attempts_stay_within_the_budget() {
    let gateway = Gateway::start(&sections(&[nobody(), nobody(), nobody()], ""));
    let before = attempts(&gateway);
    let mut open = Vec::new();
    let mut requests = 0;
    let begun = Instant::now();
    let mut client = gateway.client();
    while requests < 3_000 || begun.elapsed() < Duration::from_secs(3) {
        let since = Instant::now();
        let response = client.get("/x/1", &[]);
        requests += 1;
        assert_eq!(response.status, 503, "{response:?}");
        if response.code() == "circuit_open" {
            assert!(response.header("retry-after").is_some());
            open.push(since.elapsed());
        }
        if response.header("connection") == Some("close") {
            client = gateway.client();
        }
    }
    open.sort();
    let median = open[open.len() / 2];
    let made = attempts(&gateway) - before;
    println!("median of {} refusals: {median:?}; {made} attempts for {requests} requests", open.len());
    assert!(median < Duration::from_millis(50), "{median:?}");
    assert!(made < 1.2 * f64::from(requests), "{made} attempts for {requests} requests");
    assert!(open.len() * 2 > requests as usize);
}

#[test]
fn a_service_that_comes_back_is_asked_again() {
    let upstream = Upstream::echo();
    let (port, url) = (upstream.address.port(), upstream.url());
    let gateway = Gateway::start(&sections(&[url], "breaker: { consecutive: 3, open: 200ms, longest_open: 1s }"));
    assert_eq!(gateway.get("/x/1", &[]).status, 200);
    drop(upstream);
    assert!(within_patience(|| gateway.get("/x/1", &[]).code() == "circuit_open"));
    assert_ne!(gateway.metric("edgeway_breaker_state{service=\"s\"}"), Some(0.0));
    let _back = Upstream::start_on(port, |request| Answer::Text(request.line.clone()));
    assert!(within_patience(|| gateway.get("/x/1", &[]).status == 200
        && gateway.metric("edgeway_breaker_state{service=\"s\"}") == Some(0.0)));
    gateway.tells(&["circuit open", "circuit half-open", "circuit closed"]);
}

#[test]
fn what_is_only_observed_is_counted_and_told_and_passes() {
    let ill = oops();
    let observe = "ejection: { mode: observe, after: 2 }, breaker: { mode: observe, consecutive: 2, statuses: [500] }, \
                   concurrency: { mode: observe, max: 1 }";
    let gateway =
        Gateway::start(&sections(&[ill.url(), ill.url().replace("127.0.0.1", "localhost"), nobody()], observe));
    let mut last = gateway.get("/x/1", &[]);
    let seen = |decision: &str| {
        gateway.metric(&format!("edgeway_observed_total{{service=\"s\",decision=\"{decision}\"}}")).unwrap_or(0.0)
    };
    assert!(within_patience(|| {
        last = gateway.get("/x/1", &[]);
        assert!([500, 503].contains(&last.status) && last.code() != "circuit_open", "{last:?}");
        seen("circuit_open") > 0.0 && seen("ejected") > 0.0
    }));
    let ids = gateway.tells(&["(observed only)"]);
    assert!(!ids.contains("is ejected for"));
    assert!(within_patience(|| gateway.access_log().iter().any(|line| line["observed"] == "circuit_open")));
}

#[test]
fn over_the_concurrency_limit_requests_wait_or_are_refused() {
    let go = Arc::new(AtomicBool::new(false));
    let gate = go.clone();
    let slow = Upstream::start(move |request| {
        assert!(within_patience(|| gate.load(SeqCst)));
        Answer::Text(request.line.clone())
    });
    let limit = "concurrency: { max: 1, queue: { length: 1, wait: 20s } }";
    let gateway = Gateway::start(&sections(&[slow.url()], limit));
    thread::scope(|scope| {
        let first = scope.spawn(|| gateway.get("/x/1", &[]));
        assert!(within_patience(|| gateway.metric("edgeway_service_requests_in_flight{service=\"s\"}") == Some(1.0)));
        let second = scope.spawn(|| gateway.get("/x/2", &[]));
        assert!(within_patience(|| gateway.metric("edgeway_requests_waiting{service=\"s\"}") == Some(1.0)));
        // The newest goes first: the one that waited is thrown out for it.
        let third = scope.spawn(|| gateway.get("/x/3", &[]));
        let second = second.join().unwrap();
        assert_eq!((second.status, second.code().as_str()), (503, "overloaded"));
        assert_eq!(second.header("retry-after"), Some("1"));
        go.store(true, SeqCst);
        assert_eq!((first.join().unwrap().status, third.join().unwrap().status), (200, 200));
    });
    let at_once = Gateway::start(&sections(&[slow.url()], "concurrency: { max: 1 }"));
    go.store(false, SeqCst);
    thread::scope(|scope| {
        let first = scope.spawn(|| at_once.get("/x/1", &[]));
        assert!(within_patience(|| at_once.metric("edgeway_service_requests_in_flight{service=\"s\"}") == Some(1.0)));
        let refused = at_once.get("/x/2", &[]);
        assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
        go.store(true, SeqCst);
        assert_eq!(first.join().unwrap().status, 200);
    });
}

#[test]
fn another_service_or_a_fixed_answer_stands_in() {
    let other = Upstream::echo();
    let file = |fallback: &str| {
        format!(
            "services:\n  s: {{ endpoints: [\"{}\"], health: {{ probe: off }}, fallback: {fallback} }}\n  \
             t: {{ endpoints: [\"{}\"], health: {{ probe: off }} }}\n\
             routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public }}]\n",
            nobody(),
            other.url()
        )
    };
    let gateway = Gateway::start(&file("{ service: t }"));
    for turn in 0..15 {
        let response = gateway.request("POST", "/x/1", &[], "pay");
        assert_eq!(response.status, 200, "{turn}: {response:?}");
    }
    assert_eq!(other.seen().len(), 15);
    let gateway = Gateway::start(&file("{ respond: { status: 203, body: \"none today\" } }"));
    for _ in 0..15 {
        let response = gateway.get("/x/1", &[]);
        assert_eq!((response.status, response.body.as_str()), (203, "none today"));
        let code = gateway.log_line(response.header("x-request-id").unwrap())["code"].clone();
        assert!(code == "connect_failed" || code == "circuit_open", "{code}");
    }
}

#[test]
fn a_status_of_the_file_is_tried_elsewhere_unless_the_service_asks_for_time() {
    let busy = |more: &'static str| {
        Upstream::start(move |_| Answer::Raw(format!("HTTP/1.1 503 Busy\r\n{more}Content-Length: 0\r\n\r\n")))
    };
    let (ill, well) = (busy(""), Upstream::echo());
    let retry = "retry: { on: [503] }, ejection: { mode: off }, breaker: { mode: off }";
    let gateway = Gateway::start(&sections(&[ill.url(), well.url()], retry));
    (0..8).for_each(|_| assert_eq!(gateway.get("/x/1", &[]).status, 200));
    let posts = (0..8).filter(|_| gateway.request("POST", "/x/1", &[], "pay").status == 503).count();
    assert!(posts > 0, "what must not be sent twice is answered with the 503");
    let resting = busy("Retry-After: 120\r\n");
    let gateway = Gateway::start(&sections(&[resting.url(), resting.url().replace("127.0.0.1", "localhost")], retry));
    resting.forget();
    let response = gateway.get("/x/1", &[]);
    assert_eq!((response.status, response.header("retry-after")), (503, Some("120")));
    assert_eq!(resting.seen().len(), 1);
}

#[test]
fn services_are_told_how_long_they_are_waited_for() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&sections(&[upstream.url()], "timeouts: { request: 7s }"));
    assert_eq!(gateway.get("/x/1", &["X-Request-Timeout-Ms: 1"]).status, 200);
    assert_eq!(upstream.only().all("x-request-timeout-ms"), ["7000"]);
}

#[test]
fn a_name_may_vanish_fail_and_come_back() {
    let upstream = Upstream::echo();
    let dns = Dns::start();
    dns.set_a("member.test", &[[127, 0, 0, 1].into()], 1);
    let url = format!("http://member.test:{}", upstream.address.port());
    let servers = format!("dns: {{ servers: [\"{}\"] }}\n", dns.address);
    let gateway = Gateway::start(&(servers + &sections(&[url], "")));
    assert_eq!(gateway.get("/x/1", &[]).status, 200);
    let asked = dns.asked("member.test");
    dns.fail(Failure::ServFail);
    assert!(within_patience(|| dns.asked("member.test") > asked + 2));
    assert_eq!(gateway.get("/x/1", &[]).status, 200, "a failure keeps the last good answer");
    dns.fail(Failure::None);
    dns.remove("member.test");
    assert!(within_patience(|| gateway.get("/x/1", &[]).code() == "no_endpoint"));
    dns.set_a("member.test", &[[127, 0, 0, 1].into()], 1);
    dns.set_srv("_http._tcp.member.test", &[(0, 1, upstream.address.port(), "member.test")], 1);
    assert!(within_patience(|| gateway.get("/x/1", &[]).status == 200));
    let servers = format!("dns: {{ servers: [\"{}\"] }}\n", dns.address);
    let by_service = Gateway::start(&(servers + &sections(&["srv://_http._tcp.member.test".to_owned()], "")));
    assert!(within_patience(|| by_service.get("/x/1", &[]).status == 200));
}

#[test]
fn a_file_of_endpoints_is_taken_over_without_a_reload() {
    let (one, other) = (Upstream::echo(), Upstream::echo());
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("members.yaml");
    let write = |text: &str| {
        let draft = folder.path().join("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, &file).unwrap();
    };
    write(&format!("- {}\n", one.url()));
    let gateway = Gateway::start(&format!(
        "services: {{ s: {{ endpoints_file: \"{}\", health: {{ probe: off }} }} }}\n\
         routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public }}]\n",
        file.display()
    ));
    assert_eq!(gateway.get("/x/1", &[]).status, 200);
    assert_eq!(one.seen().len(), 1);
    write(&format!("[{{ address: \"{}\", weight: 2 }}]\n", other.url()));
    assert!(within_patience(|| gateway.get("/x/1", &[]).status == 200 && !other.seen().is_empty()));
    write("- not an address\n");
    gateway.tells(&["the endpoints that were known stay"]);
    one.forget();
    (0..4).for_each(|_| assert_eq!(gateway.get("/x/1", &[]).status, 200));
    assert!(one.seen().is_empty());
}

#[test]
fn a_hundred_reloads_under_load_keep_who_is_ejected_and_which_circuit_is_open() {
    let (well, ill) = (Upstream::echo(), oops());
    let file = |turn: usize| {
        format!(
            "services:\n  s: {{ endpoints: [\"{}\", \"{}\"], health: {{ probe: off }}, balancer: least_request, \
             ejection: {{ time: 1h, longest: 2h }} }}\n  \
             t: {{ endpoints: [\"{}\"], health: {{ probe: off }}, breaker: {{ consecutive: 1, open: 1h, longest_open: 1h }} }}\n\
             routes:\n  - {{ id: all, match: {{ path: /x/* }}, service: s, auth: public }}\n  \
             - {{ id: dead, match: {{ path: /dead/* }}, service: t, auth: public }}\n  \
             - {{ id: turn, match: {{ path: /turn }}, respond: {{ body: \"{turn}\" }}, auth: public }}\n",
            well.url(),
            ill.url(),
            nobody()
        )
    };
    let gateway = Gateway::start(&file(0));
    assert!(within_patience(|| {
        gateway.get("/x/1", &[]);
        gateway.stderr().contains("is ejected for")
    }));
    assert!(within_patience(|| gateway.get("/dead/1", &[]).code() == "circuit_open"));
    ill.forget();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = gateway.client();
                while !stop.load(SeqCst) {
                    assert_eq!(client.get("/x/1", &[]).status, 200);
                }
            });
        }
        for turn in 1..=100 {
            gateway.rewrite(&file(turn));
            assert!(gateway.reload());
            assert_eq!(gateway.get("/dead/1", &[]).code(), "circuit_open", "turn {turn}");
        }
        stop.store(true, SeqCst);
    });
    assert_eq!(gateway.get("/turn", &[]).body, "100");
    let state = |name: &str, labels: &str| gateway.metric(&format!("edgeway_{name}{{{labels}}}"));
    assert_eq!(state("breaker_state", r#"service="t""#), Some(2.0));
    assert_eq!(state("breaker_openings_total", r#"service="t""#), Some(1.0));
    assert_eq!(state("ejections_total", r#"service="s""#), Some(1.0));
    assert_eq!(state("endpoint_ejected", &format!(r#"service="s",endpoint="{}""#, ill.address)), Some(1.0));
    assert!(ill.seen().is_empty(), "a reload sent requests to an ejected endpoint");
    let idle = |address: &str| format!("edgeway_endpoint_requests_in_flight{{service=\"s\",endpoint=\"{address}\"}}");
    assert!(within_patience(|| gateway.metric(&idle(&well.address.to_string())) == Some(0.0)));
    assert_eq!(gateway.metric(&idle(&ill.address.to_string())), Some(0.0));
}

#[test]
fn a_hundred_reloads_forget_no_request_that_is_in_flight() {
    let go = Arc::new(AtomicBool::new(false));
    let gate = go.clone();
    let slow = Upstream::start(move |request| {
        while !gate.load(SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        Answer::Text(request.line.clone())
    });
    // Longer than a slow machine takes for a hundred reloads.
    let long = "attempt: 200s, request: 200s";
    let file = |turn: usize| {
        let more = format!("concurrency: {{ max: 1 }}, timeouts: {{ idle: {}s, {long} }}", 200 + turn);
        sections(&[slow.url()], &more)
    };
    let gateway = Gateway::start(&file(0));
    let mut first = TcpStream::connect(gateway.address).unwrap();
    first.set_read_timeout(Some(Duration::from_secs(200))).unwrap();
    first.write_all(b"GET /x/1 HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n").unwrap();
    assert!(within_patience(|| slow.seen().len() == 1));
    for turn in 1..=100 {
        gateway.rewrite(&file(turn));
        assert!(gateway.reload(), "{}", gateway.stderr());
        assert_eq!(gateway.get("/x/2", &[]).code(), "overloaded", "turn {turn}");
    }
    let in_flight = || gateway.metric("edgeway_service_requests_in_flight{service=\"s\"}");
    assert_eq!(in_flight(), Some(1.0));
    go.store(true, SeqCst);
    let mut answer = String::new();
    first.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("GET /x/1 HTTP/1.1"), "{answer}");
    assert!(within_patience(|| in_flight() == Some(0.0)));
    assert_eq!(gateway.get("/x/3", &[]).status, 200);
}

#[test]
fn probes_of_an_endpoint_that_left_stop() {
    let (stays, leaves) = (probed(), probed());
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("members.yaml");
    std::fs::write(&file, format!("[\"{}\", \"{}\"]", stays.0.url(), leaves.0.url())).unwrap();
    let _gateway = Gateway::start(&format!(
        "services: {{ s: {{ endpoints_file: \"{}\", health: {{ interval: 200ms, timeout: 5s }} }} }}\n\
         routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public }}]\n",
        file.display()
    ));
    let count = |of: &(Upstream, Arc<AtomicUsize>)| of.1.load(SeqCst);
    assert!(within_patience(|| count(&leaves) > 2 && count(&stays) > 2));
    std::fs::write(&file, format!("[\"{}\"]", stays.0.url())).unwrap();
    // It has left when a whole round of the other's probes brings it none; then none may come any more.
    let mut quiet = (count(&stays), count(&leaves));
    assert!(within_patience(|| {
        let now = (count(&stays), count(&leaves));
        if now.1 != quiet.1 {
            quiet = now;
        }
        now.0 >= quiet.0 + 3
    }));
    let at_the_end = (count(&stays), count(&leaves));
    assert!(within_patience(|| count(&stays) >= at_the_end.0 + 8));
    assert_eq!(count(&leaves), at_the_end.1);
}

/// A service that counts its probes.
fn probed() -> (Upstream, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let upstream = Upstream::start(move |request| {
        if request.line.starts_with("GET /health ") {
            counted.fetch_add(1, SeqCst);
        }
        Answer::Text(request.line.clone())
    });
    (upstream, count)
}
