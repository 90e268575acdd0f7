//! Services that come, go and misbehave.

use super::support::{Answer, Client, Gateway, Upstream, closed_port, within_patience};
use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

fn sections(urls: &[String], more: &str) -> String {
    let urls: Vec<String> = urls.iter().map(|url| format!("\"{url}\"")).collect();
    format!(
        "services: {{ s: {{ endpoints: [{}], {more} }} }}\n\
         routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public }}]\n",
        urls.join(", ")
    )
}

fn health(gateway: &Gateway) -> serde_json::Value {
    gateway.get("/health", &[]).json()["services"]["s"].clone()
}

#[test]
fn none_of_10000_gets_fails_while_an_endpoint_is_killed_and_restarted() {
    let steady = Upstream::echo();
    let victim = Upstream::echo();
    let port = victim.address.port();
    let gateway = Gateway::start(&sections(&[steady.url(), victim.url()], "health: { interval: 200ms, timeout: 1s }"));
    let done = AtomicUsize::new(0);
    let (failed, cut) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = gateway.client();
                for _ in 0..2500 {
                    let response = client.get("/x/1", &[]);
                    if response.status != 200 {
                        failed.fetch_add(1, SeqCst);
                    } else if !response.complete {
                        cut.fetch_add(1, SeqCst);
                    }
                    done.fetch_add(1, SeqCst);
                }
            });
        }
        // Killed and restarted over and over, for as long as the requests last.
        let mut victim = Some(victim);
        while done.load(SeqCst) < 9_500 {
            let (before, since) = (done.load(SeqCst), Instant::now());
            while done.load(SeqCst) < before + 400 && since.elapsed() < Duration::from_secs(20) {
                thread::yield_now();
            }
            victim = match victim.take() {
                Some(_killed) => None,
                None => Some(Upstream::start_on(port, |request| Answer::Text(request.line.clone()))),
            };
        }
    });
    println!("10,000 GETs: {} failed, {} cut in mid-body", failed.load(SeqCst), cut.load(SeqCst));
    assert_eq!((done.load(SeqCst), failed.load(SeqCst)), (10_000, 0));
}

#[test]
fn weights_share_the_requests() {
    let (heavy, light) = (Upstream::echo(), Upstream::echo());
    let gateway = Gateway::start(&format!(
        "server: {{ threads: 1, run_dir: \"${{RUN_DIR}}\", drain: {{ pause: 0s }} }}\n\
         services:\n  s:\n    health: {{ probe: off }}\n    endpoints:\n      - {{ address: \"{}\", weight: 3 }}\n      - \"{}\"\n\
         routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public }}]\n",
        heavy.url(),
        light.url()
    ));
    let mut client = gateway.client();
    (0..40).for_each(|_| assert_eq!(client.get("/x/1", &[]).status, 200));
    let (heavy, light) = (heavy.seen().len(), light.seen().len());
    assert!((29..=31).contains(&heavy) && heavy + light == 40, "{heavy} and {light}");
}

#[test]
fn upstream_connections_are_kept() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&sections(&[upstream.url()], "health: { probe: off }"));
    let mut client = gateway.client();
    (0..5).for_each(|_| assert_eq!(client.get("/x/1", &[]).status, 200));
    assert!(upstream.seen().iter().any(|request| request.nth >= 3), "{:?}", upstream.seen());
}

/// Or it would meet the service's own keep-alive time.
#[test]
fn a_connection_that_was_idle_for_idle_timeout_is_not_used_again() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&format!(
        "server: {{ threads: 1, run_dir: \"${{RUN_DIR}}\" }}\n{}",
        sections(&[upstream.url()], "health: { probe: off }, idle_timeout: 1s")
    ));
    let mut client = gateway.client();
    for pause in [0, 100, 1_500, 100, 1_500] {
        thread::sleep(Duration::from_millis(pause));
        assert_eq!(client.get("/x/1", &[]).status, 200);
    }
    let nth: Vec<usize> = upstream.seen().iter().map(|request| request.nth).collect();
    assert_eq!(nth, [0, 1, 0, 1, 0]);
}

#[test]
fn a_refused_connection_is_503_and_a_cut_answer_502() {
    let gateway = Gateway::start(&sections(&[format!("127.0.0.1:{}", closed_port())], "health: { probe: off }"));
    let response = gateway.get("/x/1", &[]);
    assert_eq!((response.status, response.code().as_str()), (503, "connect_failed"));
    let broken = Upstream::start(|_| Answer::RawThenClose("HTTP/1.1 garbage\r\n\r\n".to_owned()));
    let gateway = Gateway::start(&sections(&[broken.url()], "health: { probe: off }"));
    let response = gateway.get("/x/1", &[]);
    assert_eq!((response.status, response.code().as_str()), (502, "bad_gateway"));
}

#[test]
fn a_post_goes_to_another_endpoint_only_when_it_was_never_sent() {
    let well = Upstream::start(|request| Answer::Text(request.body.clone()));
    let gateway =
        Gateway::start(&sections(&[format!("127.0.0.1:{}", closed_port()), well.url()], "health: { probe: off }"));
    for _ in 0..4 {
        let response = gateway.request("POST", "/x/1", &[], "pay");
        assert_eq!((response.status, response.body.as_str()), (200, "pay"));
    }
    let dying = Upstream::start(|_| Answer::Close);
    let other = Upstream::start(|_| Answer::Close);
    let gateway = Gateway::start(&sections(&[dying.url(), other.url()], "health: { probe: off }"));
    let response = gateway.request("POST", "/x/1", &[], "pay");
    assert_eq!((response.status, response.code().as_str()), (502, "bad_gateway"));
    assert_eq!(dying.seen().len() + other.seen().len(), 1);
}

#[test]
fn a_reused_connection_that_died_is_replaced_for_what_may_be_sent_again() {
    // Each connection serves one request and is then closed without a word.
    let upstream = Upstream::start(|request| match request.nth {
        0 => Answer::Text("first".to_owned()),
        _ => Answer::Close,
    });
    let gateway = Gateway::start(&sections(&[upstream.url()], "health: { probe: off }"));
    let mut client = gateway.client();
    for _ in 0..20 {
        let response = client.get("/x/1", &[]);
        assert_eq!((response.status, response.body.as_str()), (200, "first"));
    }
}

#[test]
fn probes_decide_who_is_asked_and_the_health_page_tells() {
    let (well, ill) = (
        Upstream::echo(),
        Upstream::start(|request| match request.line.contains("/health") {
            true => Answer::Raw("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_owned()),
            false => Answer::Text("ill".to_owned()),
        }),
    );
    let probes = "health: { interval: 100ms, timeout: 5s, unhealthy_after: 2 }";
    let gateway = Gateway::start(&sections(&[well.url(), ill.url()], probes));
    // Unhealthy: nobody is sent there any more.
    assert!(within_patience(|| {
        ill.forget();
        (0..6).for_each(|_| assert_eq!(gateway.get("/x/1", &[]).status, 200));
        ill.seen().is_empty()
    }));
    let page = gateway.get("/health", &[]).json();
    assert_eq!(page["status"], "healthy", "one endpoint is enough");
    assert!(page["services"]["s"]["response_time"].as_str().unwrap().ends_with("ms"));
    drop((well, ill));
    assert!(within_patience(|| health(&gateway)["status"] == "unhealthy"), "{}", health(&gateway));
    assert_eq!(health(&gateway)["error"], "connect");
    assert_eq!(health(&gateway)["response_time"], serde_json::Value::Null);
    assert_eq!(gateway.get("/health", &[]).json()["status"], "unhealthy");
    let changes = gateway.stderr();
    assert!(changes.lines().filter(|line| line.contains("WARN")).count() <= 6, "one line a change:\n{changes}");
}

#[test]
fn a_hundred_reloads_under_load_change_no_health_and_fail_no_request() {
    let (well, ill) = (Upstream::echo(), Upstream::start(|_| Answer::Close));
    let of = |interval: &str| {
        sections(&[well.url(), ill.url()], &format!("health: {{ interval: {interval}, unhealthy_after: 1 }}"))
    };
    let gateway = Gateway::start(&of("100ms"));
    let quiet = || {
        ill.forget();
        (0..6).for_each(|_| assert_eq!(gateway.get("/x/1", &[]).status, 200));
        ill.seen().is_empty()
    };
    assert!(within_patience(quiet), "the ill one is known to be ill");
    // From here on no probe comes back in time to tell it anew: what is known must survive.
    gateway.rewrite(&of("1h"));
    assert!(gateway.reload());
    let (stop, asked) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = Client::connect(gateway.address);
                while stop.load(SeqCst) == 0 {
                    let response = client.get("/x/1", &[]);
                    assert_eq!(response.status, 200, "{}", response.body);
                    asked.fetch_add(1, SeqCst);
                }
            });
        }
        (0..100).for_each(|_| assert!(gateway.reload()));
        stop.store(1, SeqCst);
    });
    gateway.tells(&["generation 102 serves"]);
    assert!(ill.seen().is_empty(), "a reload sent requests to an endpoint known to be ill");
    println!("{} requests during 100 reloads, none failed", asked.load(SeqCst));
}

#[test]
fn a_name_is_resolved_while_the_gateway_serves() {
    let upstream = Upstream::echo();
    let gateway =
        Gateway::start(&sections(&[format!("http://localhost:{}", upstream.address.port())], "health: { probe: off }"));
    assert!(within_patience(|| gateway.get("/x/1", &[]).status == 200));
    assert_eq!(
        upstream.seen().last().unwrap().header("host"),
        Some(format!("localhost:{}", upstream.address.port()).as_str())
    );
    let nowhere =
        Gateway::start(&sections(&["http://no-such-host.invalid:1".to_owned()], "health: { interval: 100ms }"));
    let response = nowhere.get("/x/1", &[]);
    assert_eq!((response.status, response.code().as_str()), (503, "no_endpoint"));
    assert!(within_patience(|| health(&nowhere)["error"] == "resolve"), "{}", health(&nowhere));
}
