//! HTTP/2 by prior knowledge, on the port that speaks HTTP/1.1 too.

use super::support::{
    Client, Gateway, Recorder,
    http2::{self, END_STREAM, Http2},
    within_patience,
};

/// A listener's most streams at once.
const STREAMS: u32 = 100;

fn fields<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", "http"), (":path", path), (":authority", "gateway.test")]
}

#[test]
fn streams_of_one_connection_are_answered_each_for_itself() {
    let recorder = Recorder::start();
    let gateway = Gateway::start(&http2::sections(&recorder.url()));
    let mut client = Http2::connect(gateway.address);
    let stream = |number: u32| 2 * number + 1;
    for round in 0..3 {
        let numbers = round * STREAMS..(round + 1) * STREAMS;
        let mut heads = Vec::new();
        let mut bodies = Vec::new();
        for number in numbers.clone() {
            heads.extend(http2::headers(stream(number), 0, &http2::block(&fields("POST", &format!("/r/{number}")))));
            // The last comes first, so that nothing is answered in order.
            let body = http2::frame(http2::DATA, END_STREAM, stream(number), format!("body {number}").as_bytes());
            bodies.splice(0..0, body);
        }
        client.send(&heads);
        client.send(&bodies);
        for number in numbers {
            let heard = client.answer(stream(number));
            let meant = format!("POST /r/{number} HTTP/1.1 body {number}");
            assert!(heard.status == 200 && heard.ended && heard.body == meant, "{number}: {heard:?}");
        }
    }
    let seen = recorder.take();
    assert!(seen.iter().all(|seen| seen.complete && seen.faults.is_empty()), "{seen:?}");
    assert_eq!(seen.len() as u32, 3 * STREAMS);
}

#[test]
fn a_stream_too_many_is_refused_alone() {
    let recorder = Recorder::start();
    let gateway = Gateway::start(&http2::sections(&recorder.url()));
    let mut client = Http2::connect(gateway.address);
    for number in 0..STREAMS {
        client.send(&http2::headers(2 * number + 1, 0, &http2::block(&fields("POST", "/r/x"))));
    }
    client.send(&http2::get(201, "/r/y"));
    // REFUSED_STREAM: it may be sent again (RFC 9113 section 8.7).
    assert_eq!(client.answer(201).reset, Some(7));
    client.send(&http2::frame(http2::DATA, END_STREAM, 1, b""));
    assert_eq!(client.answer(1).status, 200);
    client.send(&http2::get(203, "/r/z"));
    assert_eq!(client.answer(203).body, "GET /r/z HTTP/1.1 ");
}

#[test]
fn a_caller_who_takes_back_all_it_asks_for_is_sent_away() {
    let recorder = Recorder::start();
    let gateway = Gateway::start(&http2::sections(&recorder.url()));
    let mut client = Http2::connect(gateway.address);
    let rapid = |number: u32| {
        let reset = http2::frame(http2::RST_STREAM, 0, 2 * number + 1, &[0, 0, 0, 8]);
        [http2::headers(2 * number + 1, 0, &http2::block(&fields("POST", "/r/x"))), reset].concat()
    };
    client.send(&(0..1000).flat_map(rapid).collect::<Vec<u8>>());
    assert!(client.is_closed());
    // ENHANCE_YOUR_CALM.
    assert_eq!(client.goaway, Some(11));
    assert_eq!(gateway.get("/r/x", &[]).status, 200);
    assert!(!recorder.take().iter().any(|seen| seen.complete && seen.line.starts_with("POST")));
}

#[test]
fn a_listener_without_h2c_refuses_the_preface() {
    let listener = "listeners: [{ address: \"127.0.0.1:0\", h2c: false }]\n";
    let gateway = Gateway::start(&format!("{listener}{}", http2::sections("http://127.0.0.1:1")));
    let mut client = Client::connect(gateway.address);
    client.send(&[http2::PREFACE, &http2::frame(http2::SETTINGS, 0, 0, &[]), &http2::get(1, "/r/x")].concat());
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.complete), (400, true), "{answer:?}");
    assert!(!answer.code().is_empty(), "{answer:?}");
    assert!(client.is_closed());
}

/// SETTINGS_HEADER_TABLE_SIZE of 0: each first answer begins with a new size of the table (RFC 7541 section 4.2).
const NO_TABLE: &[u8] = &[0, 1, 0, 0, 0, 0];

#[test]
fn what_no_phase_of_the_proxy_sees_is_counted() {
    let gateway = Gateway::start(&http2::sections("http://127.0.0.1:1"));
    let good = fields("GET", "/r/x");
    let with = |name, value| [&good[..], &[(name, value)]].concat();
    let large = "b".repeat(90_000);
    let rows = [
        ("a stream that is reset", with("connection", "close")),
        ("a connection that is ended", with("a", "b\r\nc: d")),
        ("another authority", with("host", "evil.test")),
        ("headers that h2 does not read", with("a", &large)),
    ];
    let counted = || gateway.metric("edgeway_requests_malformed_total").unwrap();
    let mut wrong = Vec::new();
    for (table, settings) in [("a table", &[][..]), ("no table", NO_TABLE)] {
        for (name, fields) in &rows {
            let before = counted();
            let mut client = Http2::connect_with(gateway.address, settings);
            client.send(&http2::headers(1, END_STREAM, &http2::block(fields)));
            let heard = client.answer(1);
            let more = counted() - before;
            if more != 1.0 {
                wrong.push(format!("{name}, {table}: {more}, {}, HEADERS {:02x?}", heard.status, heard.block));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_log_says_who_was_at_fault() {
    let recorder = Recorder::start();
    let gateway =
        Gateway::start(&format!("timeouts: {{ idle: 1s, request: 1s }}\n{}", http2::sections(&recorder.url())));
    let reset = http2::frame(http2::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    let too_short = http2::frame(http2::DATA, END_STREAM, 1, b"hell");
    let length = |path| [&fields("POST", path)[..], &[("content-length", "5")]].concat();
    for (path, behind, code, status) in [
        ("/r/takes-it-back", &reset, "client_gone", 499),
        ("/r/ends-too-early", &too_short, "bad_framing", 400),
        ("/r/falls-silent", &Vec::new(), "request_timeout", 408),
    ] {
        let mut client = Http2::connect(gateway.address);
        client.send(&[&http2::headers(1, 0, &http2::block(&length(path)))[..], behind].concat());
        let line = || gateway.access_log().into_iter().find(|line| line["path"] == path);
        assert!(within_patience(|| line().is_some()), "{path} is in no log");
        let line = line().unwrap();
        assert_eq!((&line["code"], &line["status_code"]), (&code.into(), &status.into()), "{line}");
        assert_eq!(line["attempts"], 1, "{line}");
    }
    assert!(!recorder.take().iter().any(|seen| seen.complete));
}
