//! How long things may take.

use super::support::{Answer, Gateway, Upstream, within_patience};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Mutex, mpsc},
    time::{Duration, Instant},
};

fn gateway(endpoints: &[&Upstream], timeouts: &str) -> Gateway {
    let urls: Vec<String> = endpoints.iter().map(|upstream| format!("\"{}\"", upstream.url())).collect();
    Gateway::start(&format!(
        "server: {{ threads: 1, run_dir: \"${{RUN_DIR}}\", drain: {{ pause: 0s }} }}\n\
         timeouts: {{ {timeouts} }}\n\
         services: {{ s: {{ endpoints: [{}], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public }}]\n",
        urls.join(", ")
    ))
}

#[test]
fn a_hung_endpoint_costs_the_attempt_timeout_and_no_more() {
    let (hung, well) = (Upstream::start(|_| Answer::Hang), Upstream::echo());
    let gateway = gateway(&[&hung, &well], "attempt: 500ms, request: 20s");
    // Round robin: one of two requests meets the hung one first.
    for _ in 0..4 {
        let since = Instant::now();
        let response = gateway.get("/x/1", &[]);
        assert_eq!(response.status, 200);
        assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
    }
    let attempts: Vec<_> = hung.seen();
    assert_eq!((attempts.len(), well.seen().len()), (2, 4));
}

#[test]
fn what_nobody_answers_in_time_is_504_and_the_log_says_which_timeout_struck() {
    let hung = Upstream::start(|_| Answer::Hang);
    for (timeouts, reason) in
        [("request: 600ms", "timeouts.request struck"), ("attempt: 600ms, request: 20s", "timeouts.attempt struck")]
    {
        let gateway = gateway(&[&hung], timeouts);
        let since = Instant::now();
        let response = gateway.get("/x/1", &[]);
        assert_eq!((response.status, response.code().as_str()), (504, "upstream_timeout"), "{timeouts}");
        assert!(since.elapsed() >= Duration::from_millis(550) && since.elapsed() < Duration::from_secs(10));
        let line = gateway.log_line(response.header("x-request-id").unwrap());
        assert_eq!((&line["reason"], &line["level"]), (&reason.into(), &"ERROR".into()));
    }
}

#[test]
fn a_post_that_may_have_been_seen_is_not_sent_twice() {
    let hung = Upstream::start(|_| Answer::Hang);
    let well = Upstream::start(|_| Answer::Hang);
    let gateway = gateway(&[&hung, &well], "attempt: 300ms, request: 20s");
    let response = gateway.request("POST", "/x/1", &[], "pay");
    assert_eq!((response.status, response.code().as_str()), (504, "upstream_timeout"));
    assert_eq!(hung.seen().len() + well.seen().len(), 1);
}

#[test]
fn the_time_of_a_request_begins_when_it_has_arrived() {
    let upstream = Upstream::start(|request| Answer::Text(request.body.clone()));
    let gateway = gateway(&[&upstream], "request: 1s, idle: 20s");
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    let head = "POST /x/1 HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\nContent-Length: 6\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    // Slower than `request` in all, and never idle for long.
    for byte in b"upload" {
        std::thread::sleep(Duration::from_millis(300));
        stream.write_all(&[*byte]).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("upload"), "{answer}");
}

#[test]
fn a_deadline_of_one_request_is_none_of_the_next() {
    let upstream = Upstream::start(|request| match request.line.starts_with("GET ") {
        true => Answer::Raw("HTTP/1.1 304 Not Modified\r\n\r\n".to_owned()),
        false => Answer::Text(request.body.clone()),
    });
    let gateway = gateway(&[&upstream], "idle: 1s");
    let mut client = gateway.client();
    assert_eq!(client.get("/x/1", &[]).status, 304);
    client.send(b"POST /x/1 HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 6\r\n\r\n");
    // Never idle for a second, and longer than that in all.
    for byte in b"upload" {
        std::thread::sleep(Duration::from_millis(300));
        client.send(&[*byte]);
    }
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.body.as_str()), (200, "upload"));
}

/// Asks for the body, and then reads until the caller's side ends.
fn asks_for_more() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
            _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}

#[test]
fn a_refusal_reaches_the_caller_after_100_continue_too() {
    let gateway = Gateway::start(&format!(
        "services: {{ s: {{ endpoints: [\"{}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public, max_body: 10B }}]\n",
        asks_for_more()
    ));
    for (body, status, code) in
        [("5\nhello", 400, "bad_chunk"), ("14\r\n01234567890123456789\r\n", 413, "body_too_large")]
    {
        let mut client = gateway.client();
        let head = "POST /x/1 HTTP/1.1\r\nHost: gateway.test\r\nExpect: 100-continue\r\n";
        client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
        assert_eq!(client.interim().status, 100);
        client.send(body.as_bytes());
        let answer = client.answer(false);
        assert_eq!((answer.status, answer.code().as_str(), answer.complete), (status, code, true));
        let line = gateway.log_line(answer.header("x-request-id").unwrap());
        assert_eq!((&line["status_code"], &line["code"]), (&status.into(), &code.into()));
    }
}

#[test]
fn a_stream_may_take_longer_than_a_request() {
    let upstream = Upstream::start(|_| {
        // The head at once, the rest when the test's patience with `request` would long be over.
        Answer::Raw(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n"
                .to_owned(),
        )
    });
    let gateway = gateway(&[&upstream], "request: 500ms, attempt: 400ms, idle: 2s");
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.write_all(b"GET /x/events HTTP/1.1\r\nHost: gateway.test\r\n\r\n").unwrap();
    let (since, mut answer) = (Instant::now(), Vec::new());
    _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("200 OK") && text.contains("data:"), "{text}");
    assert!(since.elapsed() >= Duration::from_millis(1900), "cut after {:?}, before `idle`", since.elapsed());
}

/// Each is shorter than the wait for a header may be.
#[test]
fn silence_within_an_answer_ends_it_at_idle_of_the_route() {
    let upstream = Upstream::start(|_| {
        Answer::Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_owned())
    });
    let url = upstream.url();
    let gateway = Gateway::start(&format!(
        "timeouts: {{ request: 60s, idle: 50s }}\n\
         services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public, timeouts: {{ idle: 1s }} }}]\n"
    ));
    let since = Instant::now();
    let response = gateway.get("/x/1", &[]);
    assert_eq!((response.status, response.body.as_str(), response.complete), (200, "hello", false));
    assert!(since.elapsed() >= Duration::from_millis(900) && since.elapsed() < Duration::from_secs(15));
    let line = gateway.log_line(response.header("x-request-id").unwrap());
    assert_eq!((&line["reason"], &line["code"]), (&"timeouts.idle struck".into(), &"upstream_timeout".into()));
}

#[test]
fn a_caller_who_stops_sending_is_told_so_at_idle_of_the_route() {
    let upstream = Upstream::echo();
    let url = upstream.url();
    let gateway = Gateway::start(&format!(
        "timeouts: {{ request: 60s, idle: 50s }}\n\
         services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: all, match: {{ path: /x/* }}, service: s, auth: public, timeouts: {{ idle: 1s }} }}]\n"
    ));
    let since = Instant::now();
    let response = gateway.send(b"POST /x/1 HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 9\r\n\r\nhalf");
    assert_eq!((response.status, response.code().as_str()), (408, "request_timeout"));
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
}

#[test]
fn a_caller_who_leaves_is_a_499_in_the_log_and_its_request_is_cancelled() {
    let upstream = Upstream::start(|_| Answer::Hang);
    let gateway = gateway(&[&upstream], "request: 60s");
    let mut client = gateway.client();
    client.send(b"GET /x/1 HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
    assert!(within_patience(|| upstream.seen().len() == 1));
    drop(client);
    assert!(within_patience(|| !gateway.access_log().is_empty()));
    let line = &gateway.access_log()[0];
    assert_eq!((&line["status_code"], &line["code"]), (&499.into(), &"client_gone".into()));
    assert_eq!((&line["level"], &line["target_service"]), (&"INFO".into(), &"s".into()));
}

#[test]
fn bytes_of_a_next_request_neither_stop_a_deadline_nor_hide_that_the_caller_left() {
    let hung = Upstream::start(|_| Answer::Hang);
    let gateway = gateway(&[&hung], "request: 900ms");
    let begin = |count: usize| {
        let mut client = gateway.client();
        client.send(b"GET /x/1 HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
        assert!(within_patience(|| hung.seen().len() == count));
        client.send(b"GET /x/2 HTTP/1.1\r\n");
        client
    };
    let since = Instant::now();
    let answer = begin(1).answer(false);
    assert_eq!((answer.status, answer.code().as_str()), (504, "upstream_timeout"));
    assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
    drop(begin(2));
    assert!(within_patience(|| gateway.access_log().len() == 2));
    assert_eq!(gateway.access_log()[1]["status_code"], 499);
}

#[test]
fn a_next_request_that_comes_early_is_answered_in_its_turn() {
    let (go, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let slow = Upstream::start(move |request| {
        if request.line.contains("/x/1") {
            wait.lock().unwrap().recv().unwrap();
        }
        Answer::Text(format!("{} {}", request.line, request.body))
    });
    let gateway = gateway(&[&slow], "request: 20s");
    let mut client = gateway.client();
    client.send(b"POST /x/1 HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 3\r\n\r\none");
    assert!(within_patience(|| slow.seen().len() == 1));
    // More than is held back, cut in the middle of a body.
    let long = "x".repeat(20_000);
    let next = format!("POST /x/2 HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 20003\r\n\r\n{long}");
    client.send(next.as_bytes());
    go.send(()).unwrap();
    assert_eq!(client.answer(false).body, "POST /x/1 HTTP/1.1 one");
    client.send(b"two");
    let second = client.answer(false);
    assert_eq!((second.status, second.body), (200, format!("POST /x/2 HTTP/1.1 {long}two")));
}

#[test]
fn a_head_that_drips_is_refused_at_its_deadline() {
    let gateway = Gateway::start(
        "listeners: [{ address: \"127.0.0.1:0\", head_timeout: 1s }]\n\
         routes: [{ id: r, match: { path: /r }, respond: { body: hi }, auth: public }]\n",
    );
    let mut client = gateway.client();
    // A later head on a kept connection has the same deadline.
    assert_eq!(client.get("/r", &[]).status, 200);
    let since = Instant::now();
    client.send(b"GET /r HTTP/1.1\r\n");
    while since.elapsed() < Duration::from_millis(1500) {
        client.send(b"X");
        std::thread::sleep(Duration::from_millis(100));
    }
    let response = client.answer(false);
    assert_eq!((response.status, response.code().as_str()), (408, "request_timeout"));
    assert!(response.header("x-request-id").unwrap().starts_with("req-"));
    assert!(client.is_closed());
}

#[test]
fn an_idle_connection_is_kept_for_its_time_and_not_for_ever() {
    let gateway = Gateway::start(
        "listeners: [{ address: \"127.0.0.1:0\", keepalive_timeout: 1s }]\n\
         routes: [{ id: r, match: { path: /r }, respond: { body: hi }, auth: public }]\n",
    );
    let mut client = gateway.client();
    assert_eq!(client.get("/r", &[]).status, 200);
    let since = Instant::now();
    assert!(client.is_closed());
    assert!(since.elapsed() >= Duration::from_millis(900), "closed after {:?}", since.elapsed());
}
