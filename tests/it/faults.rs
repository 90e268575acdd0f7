//! Single faults of endpoints: what the caller sees, within what time, and that nothing is sent twice that must not be.

use super::support::{Answer, Dns, Failure, Gateway, Response, Upstream, closed_port, within_patience};
use nix::{
    libc::linger,
    sys::socket::{setsockopt, sockopt::Linger},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// Far above what a fault should cost, far below what a hang would.
const SOON: Duration = Duration::from_secs(8);

fn gateway(urls: &[String], more: &str) -> Gateway {
    let urls: Vec<String> = urls.iter().map(|url| format!("\"{url}\"")).collect();
    Gateway::start(&format!(
        "server: {{ threads: 1, run_dir: \"${{RUN_DIR}}\", drain: {{ pause: 0s }} }}\n\
         services: {{ s: {{ endpoints: [{}], health: {{ probe: off }}, {more} }} }}\n\
         routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public }}]\n",
        urls.join(", ")
    ))
}

#[track_caller]
fn soon(act: impl FnOnce() -> Response) -> Response {
    let since = Instant::now();
    let response = act();
    assert!(since.elapsed() < SOON, "{:?}: {response:?}", since.elapsed());
    response
}

/// Beside a well endpoint GETs are answered whatever the fault; alone, or for what must not be sent twice, the fault is
/// answered, and the request was sent once.
#[track_caller]
fn check(fault: fn() -> Answer, more: &str, status: u16, code: &str) {
    let well = Upstream::echo();
    let ill = Upstream::start(move |_| fault());
    let both = gateway(&[ill.url(), well.url()], more);
    for _ in 0..6 {
        assert_eq!(soon(|| both.get("/x/1", &[])).status, 200);
    }
    assert!(!ill.seen().is_empty(), "it was asked");
    let alone = gateway(&[ill.url()], more);
    ill.forget();
    let response = soon(|| alone.request("POST", "/x/1", &[], "pay"));
    assert_eq!((response.status, response.code().as_str()), (status, code));
    assert_eq!(ill.seen().len(), 1, "sent once");
    let line = alone.log_line(response.header("x-request-id").unwrap());
    assert_eq!((&line["code"], &line["attempts"]), (&code.into(), &1.into()));
}

#[test]
fn a_reset_before_the_header() {
    check(|| Answer::Close, "", 502, "bad_gateway");
}

#[test]
fn a_reset_within_the_header() {
    check(|| Answer::RawThenClose("HTTP/1.1 200 OK\r\nContent-Le".to_owned()), "", 502, "bad_gateway");
}

#[test]
fn a_hang_before_the_header() {
    check(|| Answer::Hang, "timeouts: { attempt: 300ms, request: 6s }", 504, "upstream_timeout");
}

#[test]
fn a_refused_connection_is_no_reason_to_hold_back_a_post() {
    let well = Upstream::start(|request| Answer::Text(request.body.clone()));
    let both = gateway(&[format!("127.0.0.1:{}", closed_port()), well.url()], "");
    for turn in 0..8 {
        let response = soon(|| both.request("POST", "/x/1", &[], &turn.to_string()));
        assert_eq!((response.status, response.body), (200, turn.to_string()));
    }
    assert_eq!(well.seen().len(), 8, "each once");
}

#[test]
fn answers_that_cannot_be_read_are_502_and_eject_their_endpoint() {
    let large = format!("HTTP/1.1 200 OK\r\nX-Large: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(2 << 20));
    for bad in ["HTTP/1.1 banana\r\n\r\n".to_owned(), "\u{0}\u{1}\r\n\r\n".to_owned(), large] {
        let well = Upstream::echo();
        let ill = Upstream::start(move |_| Answer::RawThenClose(bad.clone()));
        let both = gateway(&[ill.url(), well.url()], "ejection: { after: 2 }");
        let answers: Vec<u16> = (0..12).map(|_| soon(|| both.get("/x/1", &[])).status).collect();
        assert!(answers.iter().all(|status| [200, 502].contains(status)), "{answers:?}");
        assert!(answers.iter().filter(|status| **status == 502).count() <= 2, "{answers:?}");
        both.tells(&["is ejected for"]);
        assert_eq!(ill.seen().len(), 2);
    }
}

#[test]
fn a_body_that_breaks_off_is_cut_once_and_ejects_its_endpoint() {
    let cut = || Answer::RawThenClose("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_owned());
    let well = Upstream::echo();
    let ill = Upstream::start(move |_| cut());
    let both = gateway(&[ill.url(), well.url()], "ejection: { after: 3 }");
    let answers: Vec<Response> = (0..20).map(|_| soon(|| both.get("/x/1", &[]))).collect();
    assert!(answers.iter().all(|answer| answer.status == 200));
    let broken: Vec<&Response> = answers.iter().filter(|answer| !answer.complete).collect();
    assert_eq!(broken.len(), 3, "then it is ejected");
    assert!(broken.iter().all(|answer| answer.body == "half"), "{broken:?}");
    assert_eq!(ill.seen().len(), 3, "none was asked for twice");
}

/// One byte each tenth of a second.
fn drips(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                _ = stream.read(&mut [0; 4096]);
                for byte in text.as_bytes() {
                    if stream.write_all(&[*byte]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(100));
                }
            });
        }
    });
    address
}

#[test]
fn a_dripping_header_is_late_and_a_dripping_body_ends_at_total() {
    let slow = drips("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    let well = Upstream::echo();
    let both = gateway(&[slow.to_string(), well.url()], "timeouts: { attempt: 500ms, request: 6s }");
    (0..4).for_each(|_| assert_eq!(soon(|| both.get("/x/1", &[])).status, 200));
    let endless = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = endless.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in endless.incoming().flatten() {
            _ = stream.read(&mut [0; 4096]);
            _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        }
    });
    let alone = gateway(&[address.to_string()], "timeouts: { total: 600ms }");
    let response = soon(|| alone.get("/x/1", &[]));
    assert_eq!((response.status, response.complete), (200, false));
    let line = alone.log_line(response.header("x-request-id").unwrap());
    assert_eq!(line["reason"], "timeouts.total struck", "{line}");
}

#[test]
fn a_caller_who_is_slow_ejects_nobody_and_opens_no_circuit() {
    let upstream = Upstream::start(|request| Answer::Text(request.body.clone()));
    let strict = "timeouts: { total: 300ms }, ejection: { after: 1 }, breaker: { consecutive: 1 }";
    let gateway = gateway(&[upstream.url(), upstream.url().replace("127.0.0.1", "localhost")], strict);
    for _ in 0..4 {
        let mut caller = gateway.client();
        caller.send(b"POST /x/1 HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 10\r\n\r\nhalf");
        let answer = soon(|| caller.answer(false));
        assert_eq!((answer.status, answer.code().as_str()), (504, "upstream_timeout"));
        let line = gateway.log_line(answer.header("x-request-id").unwrap());
        assert_eq!(line["reason"], "timeouts.total struck", "{line}");
    }
    assert_eq!(gateway.metric("edgeway_ejections_total{service=\"s\"}"), Some(0.0));
    assert_eq!(gateway.metric("edgeway_breaker_openings_total{service=\"s\"}"), Some(0.0));
    assert_eq!(gateway.get("/x/1", &[]).status, 200);
}

#[test]
fn idle_connections_that_close_as_they_are_reused_cost_no_get_and_double_no_post() {
    let upstream = Upstream::start(|request| match request.nth {
        0 => Answer::Text(request.body.clone()),
        _ => Answer::Close,
    });
    let gateway = gateway(&[upstream.url()], "");
    let mut client = gateway.client();
    for _ in 0..200 {
        assert_eq!(soon(|| client.get("/x/1", &[])).status, 200);
    }
    upstream.forget();
    for turn in 0..50 {
        let response = soon(|| gateway.request("POST", "/x/1", &[], &turn.to_string()));
        assert!([200, 502].contains(&response.status), "{response:?}");
    }
    let mut seen: Vec<String> = upstream.seen().into_iter().map(|request| request.body).collect();
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all, "a POST was sent twice");
}

#[test]
fn an_endpoint_that_flaps_costs_no_get() {
    let steady = Upstream::echo();
    let flapping = Upstream::echo();
    let port = flapping.address.port();
    let gateway = gateway(&[steady.url(), flapping.url()], "ejection: { time: 100ms, longest: 200ms }");
    let mut client = gateway.client();
    let mut flapping = Some(flapping);
    for turn in 0..3_000 {
        let response = client.get("/x/1", &[]);
        assert_eq!((response.status, response.complete), (200, true), "{turn}");
        if turn % 150 == 149 {
            flapping = match flapping.take() {
                Some(_ended) => None,
                None => Some(Upstream::start_on(port, |request| Answer::Text(request.line.clone()))),
            };
        }
    }
}

#[test]
fn a_caller_who_leaves_takes_the_request_along() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let closed = Arc::new(AtomicUsize::new(0));
    let count = closed.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
            count.fetch_add(1, SeqCst);
        }
    });
    let gateway = gateway(&[address.to_string()], "");
    let mut caller = TcpStream::connect(gateway.address).unwrap();
    caller.write_all(b"GET /x/1 HTTP/1.1\r\nHost: gateway.test\r\n\r\n").unwrap();
    assert!(within_patience(|| gateway.metric("http_requests_in_progress").is_some_and(|count| count > 0.0)));
    drop(caller);
    assert!(within_patience(|| closed.load(SeqCst) == 1), "the endpoint works for nobody");
    assert!(within_patience(|| gateway.access_log().iter().any(|line| line["status_code"] == 499)));
}

/// A service that does this with each connection as soon as bytes of a request came; with the count of those.
fn rough(ip: &str, port: u16, act: impl Fn(TcpStream) + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((ip, port)).unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let (count, act) = (asked.clone(), Arc::new(act));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (count, act) = (count.clone(), act.clone());
            thread::spawn(move || {
                if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    count.fetch_add(1, SeqCst);
                    act(stream);
                }
            });
        }
    });
    (address, asked)
}

/// These bytes, then RST where an orderly end would be FIN.
fn resets_after(bytes: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    rough("127.0.0.1", 0, move |mut stream| {
        _ = stream.write_all(bytes.as_bytes());
        setsockopt(&stream, Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
    })
}

#[test]
fn a_hard_reset_before_or_within_the_header_is_survived_by_gets_and_doubles_no_post() {
    for bytes in ["", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let (ill, asked) = resets_after(bytes);
        let well = Upstream::echo();
        let both = gateway(&[ill.to_string(), well.url()], "");
        (0..6).for_each(|_| assert_eq!(soon(|| both.get("/x/1", &[])).status, 200, "{bytes:?}"));
        assert!(asked.load(SeqCst) > 0, "it was asked");
        let alone = gateway(&[ill.to_string()], "");
        // The second is larger than what the service reads before it resets.
        for body in ["pay".to_owned(), "pay".repeat(400_000)] {
            asked.store(0, SeqCst);
            let response = soon(|| alone.request("POST", "/x/1", &[], &body));
            assert_eq!((response.status, response.code().as_str()), (502, "bad_gateway"), "{} bytes", body.len());
            assert_eq!(asked.load(SeqCst), 1, "sent once");
        }
    }
}

#[test]
fn a_hard_reset_within_a_body_is_a_cut_answer_and_the_only_one() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let (ill, asked) = resets_after(bytes);
        let alone = gateway(&[ill.to_string()], "ejection: { mode: off }");
        for turn in 1..=3 {
            let response = soon(|| alone.get("/x/1", &[]));
            assert_eq!((response.status, response.complete), (200, false), "{response:?}");
            assert_eq!(asked.load(SeqCst), turn, "not asked again");
        }
    }
}

#[test]
fn a_dripping_header_is_504_for_a_post_that_is_sent_once() {
    let (slow, asked) = rough("127.0.0.1", 0, |mut stream| {
        for byte in "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".bytes() {
            _ = stream.write_all(&[byte]);
            thread::sleep(Duration::from_millis(100));
        }
    });
    let again = slow.to_string().replace("127.0.0.1", "localhost");
    let both = gateway(&[slow.to_string(), again], "timeouts: { attempt: 500ms }");
    let response = soon(|| both.request("POST", "/x/1", &[], "pay"));
    assert_eq!((response.status, response.code().as_str()), (504, "upstream_timeout"));
    assert_eq!(asked.load(SeqCst), 1, "sent once");
}

#[test]
fn a_malformed_answer_of_the_only_endpoint_is_502() {
    for bad in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let ill = Upstream::start(move |_| Answer::RawThenClose(bad.to_owned()));
        let alone = gateway(&[ill.url()], "");
        let response = soon(|| alone.get("/x/1", &[]));
        assert_eq!((response.status, response.code().as_str()), (502, "bad_gateway"), "{bad:?}");
    }
}

#[test]
fn of_two_addresses_the_one_that_leaves_dns_is_left_and_silence_changes_nothing() {
    let one = Upstream::echo();
    let port = one.address.port();
    let (_, other) = rough("127.0.0.2", port, |mut stream| {
        _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    });
    let dns = Dns::start();
    let both = [[127, 0, 0, 1].into(), [127, 0, 0, 2].into()];
    dns.set_a("member.test", &both, 1);
    let gateway = Gateway::start(&format!(
        "dns: {{ servers: [\"{}\"], timeout: 500ms }}\n\
         services: {{ s: {{ endpoints: [\"http://member.test:{port}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public }}]\n",
        dns.address
    ));
    let get = || soon(|| gateway.get("/x/1", &[]));
    assert!(within_patience(|| get().status == 200 && !one.seen().is_empty() && other.load(SeqCst) > 0));
    dns.set_a("member.test", &both[..1], 1);
    let left = within_patience(|| {
        let before = other.load(SeqCst);
        (0..8).for_each(|_| assert_eq!(get().status, 200));
        other.load(SeqCst) == before
    });
    assert!(left, "the address that is gone is asked for ever");
    let asked = dns.asked("member.test");
    dns.fail(Failure::Silent);
    assert!(within_patience(|| {
        assert_eq!(get().status, 200, "silence keeps the last good answer");
        dns.asked("member.test") > asked + 2
    }));
    dns.fail(Failure::None);
    dns.remove("member.test");
    let since = Instant::now();
    assert!(within_patience(|| get().code() == "no_endpoint"));
    println!("no_endpoint {:?} after the name was gone", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    dns.set_a("member.test", &both, 1);
    assert!(within_patience(|| get().status == 200));
}

#[test]
fn an_open_circuit_says_so_and_when_to_come_back() {
    let nobody = format!("127.0.0.1:{}", closed_port());
    let gateway = gateway(&[nobody], "breaker: { consecutive: 3, open: 20s }");
    assert!(within_patience(|| gateway.get("/x/1", &[]).code() == "circuit_open"));
    assert_eq!(gateway.metric("edgeway_breaker_state{service=\"s\"}"), Some(2.0));
    let response = soon(|| gateway.get("/x/1", &[]));
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{response:?}");
}

#[test]
fn whoever_waits_in_vain_or_may_not_wait_is_told_when_to_come_back() {
    for (queue, least) in [("queue: { length: 1, wait: 300ms }", 250), ("", 0)] {
        let hung = Upstream::start(|_| Answer::Hang);
        let gateway = gateway(&[hung.url()], &format!("concurrency: {{ max: 1, {queue} }}"));
        let mut first = gateway.client();
        first.send(b"GET /x/1 HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
        assert!(within_patience(|| hung.seen().len() == 1));
        let since = Instant::now();
        let second = soon(|| gateway.get("/x/2", &[]));
        assert!(since.elapsed() >= Duration::from_millis(least), "{:?}", since.elapsed());
        assert_eq!((second.status, second.code().as_str()), (503, "overloaded"));
        assert!(second.header("retry-after").is_some(), "{second:?}");
        assert_eq!(hung.seen().len(), 1);
    }
}

#[test]
fn a_concurrency_limit_that_is_only_observed_counts_and_lets_pass() {
    let go = Arc::new(AtomicBool::new(false));
    let gate = go.clone();
    let slow = Upstream::start(move |request| {
        assert!(within_patience(|| gate.load(SeqCst)));
        Answer::Text(request.line.clone())
    });
    let gateway = gateway(&[slow.url()], "concurrency: { mode: observe, max: 1 }");
    thread::scope(|scope| {
        let callers = [(); 2].map(|()| scope.spawn(|| gateway.get("/x/1", &[])));
        let both = within_patience(|| slow.seen().len() == 2);
        go.store(true, SeqCst);
        assert!(both, "the second is let pass");
        callers.into_iter().for_each(|caller| assert_eq!(caller.join().unwrap().status, 200));
    });
    assert_eq!(gateway.metric("edgeway_observed_total{service=\"s\",decision=\"overloaded\"}"), Some(1.0));
    assert!(within_patience(|| gateway.access_log().iter().any(|line| line["observed"] == "overloaded")));
}

#[test]
fn a_cookie_keeps_a_caller_at_one_endpoint_until_that_is_gone() {
    let (one, other) = (Upstream::echo(), Upstream::echo());
    let sticky = "sticky: { cookie: at, secret: \"a secret of more than thirty-two bytes\" }";
    let gateway = gateway(&[one.url(), other.url()], sticky);
    let ticket = |response: &Response| {
        let given = response.header("set-cookie").map(|cookie| cookie.split(';').next().unwrap().to_owned());
        given.map(|cookie| format!("Cookie: {cookie}"))
    };
    let cookie = ticket(&gateway.get("/x/1", &[])).unwrap();
    let (own, rest) = if one.seen().is_empty() { (other, one) } else { (one, other) };
    (0..10).for_each(|_| assert_eq!(gateway.get("/x/1", &[&cookie]).status, 200));
    assert_eq!((own.seen().len(), rest.seen().len()), (11, 0));
    drop(own);
    let response = soon(|| gateway.get("/x/1", &[&cookie]));
    assert_eq!(response.status, 200);
    assert_ne!(ticket(&response).expect("a new cookie"), cookie);
}

#[test]
fn a_service_is_told_the_time_of_the_gateway_and_not_the_callers() {
    let upstream = Upstream::echo();
    let gateway = gateway(&[upstream.url()], "");
    assert_eq!(gateway.get("/x/1", &["X-Request-Timeout-Ms: 1"]).status, 200);
    assert_eq!(upstream.only().all("x-request-timeout-ms"), ["30000"]);
}
