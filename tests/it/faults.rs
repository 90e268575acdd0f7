//! Single faults of endpoints: what the caller sees, within what time, and that nothing is sent twice that must not be.

use super::support::{Answer, Gateway, Response, Upstream, closed_port, within_patience};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
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
