//! How many connections there may be, and what becomes of those that carry no request.

use super::support::{
    Client, Gateway,
    http2::{self, Http2},
    within_patience,
};
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

const REFUSED_IN_ALL: &str = r"(\d+) connections were refused in a second: max_connections are open";
const REFUSED_PER_ADDRESS: &str = r"(\d+) connections were refused in a second: their address has";
const REFUSED_BY_PROCESS: &str = r"(\d+) connections were refused in a second: server.max_connections are open";
const MALFORMED: &str = r"(\d+) malformed requests were refused unread";
const SLOW_HEADS: &str = r"(\d+) heads took longer than head_timeout";

fn sections(keys: &str) -> String {
    format!(
        "listeners: [{{ address: \"127.0.0.1:0\", {keys} }}]\n\
         routes: [{{ id: r, match: {{ path: /r }}, respond: {{ body: hi }}, auth: public }}]\n"
    )
}

/// A connection from 127.0.0.`last`.
fn from(last: u8, gateway: &Gateway) -> Client {
    Client::connect_from(last, gateway.address)
}

/// Whether a request on this connection is answered; else it was closed without a byte.
fn serves(client: &mut Client) -> bool {
    match client.get("/r", &[]).status {
        200 => true,
        0 => false,
        status => panic!("{status}"),
    }
}

/// Connections from 127.0.0.`last` that the gateway serves, of `count`.
fn served(last: u8, count: usize, gateway: &Gateway) -> Vec<Client> {
    (0..count).map(|_| from(last, gateway)).filter_map(|mut client| serves(&mut client).then_some(client)).collect()
}

/// That all of `count` events were told, and in no more than one line a second.
#[track_caller]
fn told(gateway: &Gateway, pattern: &str, count: u64, since: Instant) {
    let all = within_patience(|| gateway.said(pattern).iter().sum::<u64>() == count);
    assert!(all, "{count} of {pattern}:\n{}", gateway.stderr());
    let lines = gateway.said(pattern).len() as u64;
    assert!(lines <= since.elapsed().as_secs() + 1, "{lines} lines:\n{}", gateway.stderr());
}

#[test]
fn what_is_over_max_connections_is_closed_at_once_and_a_closed_one_makes_room() {
    let gateway = Gateway::start(&sections("max_connections: 3"));
    let since = Instant::now();
    let mut kept = served(1, 10, &gateway);
    assert_eq!(kept.len(), 3);
    assert!(serves(&mut kept[0]), "those that are open stay");
    told(&gateway, REFUSED_IN_ALL, 7, since);
    kept.pop();
    assert!(within_patience(|| !served(1, 1, &gateway).is_empty()));
}

#[test]
fn listeners_share_the_connections_of_the_process() {
    let server = "server: { threads: 2, max_connections: 5, run_dir: \"${RUN_DIR}\", drain: { pause: 0s } }";
    let gateway = Gateway::start(&format!(
        "{server}\nlisteners: [{{ address: \"127.0.0.1:0\", max_connections: 4 }}, {{ address: \"127.0.0.1:0\" }}]\n\
         routes: [{{ id: r, match: {{ path: /r }}, respond: {{ body: hi }}, auth: public }}]\n"
    ));
    let since = Instant::now();
    let mut first = served(1, 6, &gateway);
    assert_eq!(first.len(), 4, "its own limit holds too");
    let second = gateway.other_address();
    let more = |count: usize| -> Vec<Client> {
        let clients = (0..count).map(|_| Client::connect(second));
        clients.filter_map(|mut client| serves(&mut client).then_some(client)).collect()
    };
    let others = more(9);
    assert_eq!(others.len(), 1, "five in all");
    told(&gateway, REFUSED_IN_ALL, 2, since);
    told(&gateway, REFUSED_BY_PROCESS, 8, since);
    assert_eq!(gateway.metric("edgeway_connections_refused_total{limit=\"process\"}"), Some(8.0));
    assert!(first.iter_mut().all(serves), "those that are open stay");
    first.clear();
    let mut kept = others;
    assert!(within_patience(|| {
        kept.extend(more(1));
        kept.len() == 5
    }));
}

#[test]
fn one_address_takes_no_more_than_its_share() {
    let gateway = Gateway::start(&sections("max_connections_per_address: 2"));
    let since = Instant::now();
    let (mut two, three) = (served(2, 300, &gateway), served(3, 2, &gateway));
    assert_eq!((two.len(), three.len()), (2, 2));
    told(&gateway, REFUSED_PER_ADDRESS, 298, since);
    gateway.tells(&["last from 127.0.0.2"]);
    two.pop();
    assert!(within_patience(|| !served(2, 1, &gateway).is_empty()));
}

#[test]
fn trusted_proxies_speak_for_many_and_count_only_in_all() {
    let keys = "trusted_proxies: 127.0.0.2, max_connections_per_address: 1, max_connections: 20";
    let gateway = Gateway::start(&sections(keys));
    let others = served(3, 5, &gateway);
    let proxies = served(2, 30, &gateway);
    assert_eq!((others.len(), proxies.len()), (1, 19));
}

#[test]
fn a_reload_changes_the_limits_and_closes_nothing() {
    let gateway = Gateway::start(&sections("max_connections: 2"));
    let mut kept = served(1, 4, &gateway);
    assert_eq!(kept.len(), 2);
    for (keys, open) in [
        ("max_connections: 5", 5),
        ("max_connections: 1", 5),
        ("max_connections: 9, max_connections_per_address: 1", 5),
        ("max_connections: 9, max_connections_per_address: 1, trusted_proxies: 127.0.0.1", 9),
    ] {
        gateway.rewrite(&sections(keys));
        assert!(gateway.reload());
        let new = served(1, 9, &gateway);
        kept.extend(new);
        assert!(kept.iter_mut().all(serves), "{keys}");
        assert_eq!(kept.len(), open, "{keys}");
    }
}

#[test]
fn what_is_no_http_request_is_a_line_a_second_and_pingora_says_nothing() {
    let gateway = Gateway::start(&sections("head_timeout: 5s"));
    let since = Instant::now();
    for _ in 0..100 {
        assert_eq!(gateway.send(b"\x16\x03\x01 no HTTP\r\n\r\n").status, 400);
    }
    told(&gateway, MALFORMED, 100, since);
    // Beside what its start has said: ours.
    let said = gateway.stderr();
    let (_, since) = said.split_once("serves on").unwrap();
    assert!(since.lines().skip(1).all(|line| line.contains("refused unread")), "{said}");
}

/// Drips a byte a second on each connection until all are answered.
fn drip(mut slow: Vec<TcpStream>) -> Vec<String> {
    slow.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    let (mut answers, since) = (Vec::new(), Instant::now());
    let mut sent = 0;
    while !slow.is_empty() && since.elapsed() < super::support::PATIENCE {
        let due = since.elapsed().as_secs() >= sent;
        sent += u64::from(due);
        slow.retain_mut(|stream| {
            let mut answer = [0; 1024];
            match stream.read(&mut answer) {
                Ok(length) => answers.push(String::from_utf8_lossy(&answer[..length]).into_owned()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if due {
                        _ = stream.write(b"X");
                    }
                    return true;
                }
                Err(error) => answers.push(error.to_string()),
            }
            false
        });
        thread::sleep(Duration::from_millis(20));
    }
    answers
}

#[test]
fn slow_heads_end_at_their_deadline_and_others_notice_nothing() {
    const SLOW: usize = 500;
    let gateway = Gateway::start(&sections("head_timeout: 3s"));
    let before = gateway.resident();
    let (over, since) = (AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let (mut client, mut worst, mut served) = (gateway.client(), Duration::ZERO, 0);
            while !over.load(Relaxed) {
                let asked = Instant::now();
                assert!(serves(&mut client));
                worst = worst.max(asked.elapsed());
                served += 1;
            }
            (worst, served)
        });
        let slow = (0..SLOW).map(|_| TcpStream::connect(gateway.address).unwrap()).collect();
        let answers = drip(slow);
        let grown = gateway.resident().saturating_sub(before);
        over.store(true, Relaxed);
        let (worst, served) = other.join().unwrap();
        let refused = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 408 ")).count();
        assert_eq!((answers.len(), refused), (SLOW, SLOW), "{:?}", answers.iter().find(|text| !text.contains("408")));
        assert!(since.elapsed() >= Duration::from_millis(2900) && since.elapsed() < Duration::from_secs(12));
        assert!(grown < 64 << 20, "grown by {grown} bytes");
        assert!(served > 100 && worst < Duration::from_secs(2), "{served} requests, the slowest took {worst:?}");
    });
    told(&gateway, SLOW_HEADS, SLOW as u64, since);
}

/// How many answers a kept connection gives, of `most`, and how the last one says what comes then.
fn answers(client: &mut Client, most: usize) -> (usize, String) {
    for nth in 1..=most {
        let answer = client.get("/r", &[]);
        assert_eq!((answer.status, answer.complete), (200, true), "the {nth}th");
        let word = answer.header("connection").unwrap().to_owned();
        if word == "close" {
            assert!(client.is_closed());
            return (nth, word);
        }
    }
    (most, "keep-alive".to_owned())
}

#[test]
fn a_connection_ends_with_its_last_request_and_says_so() {
    let gateway = Gateway::start(&sections("max_requests_per_connection: 3"));
    let mut early = gateway.client();
    assert_eq!(early.get("/r", &[]).status, 200);
    assert_eq!(answers(&mut gateway.client(), 9), (3, "close".to_owned()));
    gateway.rewrite(&sections("max_requests_per_connection: 5"));
    assert!(gateway.reload());
    assert_eq!(answers(&mut gateway.client(), 9), (5, "close".to_owned()));
    assert_eq!(answers(&mut early, 9), (4, "close".to_owned()), "the new limit, and what was before counts");
    gateway.rewrite(&sections(""));
    assert!(gateway.reload());
    assert_eq!(answers(&mut gateway.client(), 20), (20, "keep-alive".to_owned()));
}

#[test]
fn an_old_connection_ends_with_its_next_answer_and_not_before() {
    let gateway = Gateway::start(&sections("max_connection_age: 2s"));
    let since = Instant::now();
    let (mut busy, mut idle) = (gateway.client(), gateway.client());
    assert!(serves(&mut idle));
    while busy.get("/r", &[]).header("connection") == Some("keep-alive") {
        assert!(since.elapsed() < Duration::from_secs(15));
        thread::sleep(Duration::from_millis(20));
    }
    assert!(busy.is_closed() && since.elapsed() >= Duration::from_millis(1_900), "{:?}", since.elapsed());
    let answer = idle.get("/r", &[]);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "an idle one is not cut");
}

#[test]
fn an_http2_connection_ends_with_goaway_and_answers_what_it_has() {
    let gateway = Gateway::start(&sections("max_requests_per_connection: 3"));
    let mut client = Http2::connect(gateway.address);
    for stream in [1, 3] {
        client.send(&http2::get(stream, "/r"));
        assert_eq!(client.answer(stream).status, 200);
    }
    assert!(!client.goodbye);
    client.send(&http2::get(5, "/r"));
    let last = client.answer(5);
    assert_eq!((last.body.as_str(), last.ended), ("hi", true));
    assert!(client.said_goodbye());
    assert!(client.is_closed());

    let gateway = Gateway::start(&sections("max_connection_age: 1s"));
    let (mut client, since) = (Http2::connect(gateway.address), Instant::now());
    let mut stream = 1;
    while !client.goodbye {
        client.send(&http2::get(stream, "/r"));
        assert_eq!(client.answer(stream).body, "hi", "{stream}");
        stream += 2;
        assert!(since.elapsed() < Duration::from_secs(15));
    }
    assert!(since.elapsed() >= Duration::from_millis(900), "{:?}", since.elapsed());
    assert!(client.is_closed());
}

#[test]
fn silence_ends_a_connection_at_one_time_whatever_it_speaks_and_whether_it_has_spoken() {
    let gateway = Gateway::start(&sections("keepalive_timeout: 2s"));
    let (new, mut used) = (TcpStream::connect(gateway.address).unwrap(), gateway.client());
    let since = Instant::now();
    let mut http2 = Http2::connect(gateway.address);
    http2.send(&http2::get(1, "/r"));
    assert_eq!(http2.answer(1).status, 200);
    assert!(serves(&mut used));
    let closings: [(&str, &mut dyn FnMut() -> bool); 3] = [
        ("new", &mut || Client::over(new.try_clone().unwrap()).is_closed()),
        ("used", &mut || used.is_closed()),
        ("http2", &mut || http2.is_closed()),
    ];
    for (name, is_closed) in closings {
        assert!(is_closed(), "{name}");
        assert!(since.elapsed() >= Duration::from_millis(1_900), "{name} after {:?}", since.elapsed());
    }
    assert!(since.elapsed() < Duration::from_secs(12), "{:?}", since.elapsed());
    assert!(within_patience(|| gateway.metric("edgeway_connections_idle_closed_total") == Some(2.0)));
}
