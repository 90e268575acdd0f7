use super::*;
use crate::connection::http2::PREFACE;
use crate::{
    connection::{ConnectionLimits, Door, ProcessPlaces},
    observability::ConnectionCounters,
    types::Departure,
};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::timeout,
};

fn guard() -> (Guard, DuplexStream, Arc<ConnectionCounters>) {
    leaving(Arc::default())
}

/// The same in a process that leaves as the test likes.
fn leaving(departure: Arc<Departure>) -> (Guard, DuplexStream, Arc<ConnectionCounters>) {
    let counters = Arc::new(ConnectionCounters::default());
    let limits =
        |_| ConnectionLimits { in_all: 1, per_address: None, largest_head: 1000, idle: Duration::from_secs(75) };
    let door = Door::new(counters.clone(), ProcessPlaces::new(1), limits);
    let (ours, theirs) = duplex(100);
    let life = Life::new(door.enter(None).unwrap(), departure);
    (Guard::new(Box::new(ours), Duration::from_secs(10), life), theirs, counters)
}

/// Reads until nothing comes any more.
async fn read(guard: &mut Guard) {
    let mut bytes = [0; 10];
    while timeout(Duration::from_secs(1), guard.read(&mut bytes))
        .await
        .is_ok_and(|read| read.is_ok_and(|read| read > 0))
    {}
}

#[tokio::test(start_paused = true)]
async fn only_a_connection_that_waits_for_a_head_is_closed_as_idle() {
    // Sent before the gateway closes it, whether the caller closed it first, and what it counts as.
    for (sent, left, idle) in [("", false, 1), ("", true, 0), ("GET", false, 0)] {
        let (mut guard, mut caller, counters) = guard();
        caller.write_all(sent.as_bytes()).await.unwrap();
        let caller = (!left).then_some(caller);
        read(&mut guard).await;
        assert_eq!((counters.snapshot().open, counters.snapshot().idle_closed), (1, 0));
        drop((guard, caller));
        assert_eq!((counters.snapshot().open, counters.snapshot().idle_closed), (0, idle), "{sent} {left}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_between_two_heads_is_idle_and_one_with_a_request_is_not() {
    for (expected, idle) in [(false, 0), (true, 1)] {
        let (mut guard, mut caller, counters) = guard();
        caller.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        read(&mut guard).await;
        guard.expect_head(false);
        guard.expect_head(expected);
        read(&mut guard).await;
        drop(guard);
        assert_eq!(counters.snapshot().idle_closed, idle);
    }
}

/// What the proxy would read now, until nothing comes any more; `Err`: what the reader is told.
async fn text(guard: &mut Guard) -> Result<String, String> {
    let (mut text, mut bytes) = (String::new(), [0; 4096]);
    while let Ok(read) = timeout(Duration::from_secs(1), guard.read(&mut bytes)).await {
        match read {
            Ok(0) => return Ok(text + "|end"),
            Ok(read) => text.push_str(str::from_utf8(&bytes[..read]).unwrap()),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(text)
}

const GET: &str = "GET / HTTP/1.1\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn requests_are_handed_out_one_by_one_to_their_last_byte() {
    let bodies = ["", "", "hello", "5\r\nhello\r\n0\r\n\r\n"];
    let fields = ["", "Content-Length: 0\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"];
    let head = |field: &str| format!("POST / HTTP/1.1\r\n{field}\r\n");
    let all: String = fields.iter().zip(bodies).map(|(field, body)| head(field) + body).collect();
    for size in [1, 10, 99, all.len()] {
        let (mut guard, mut caller, _) = guard();
        let sent = all.clone();
        let sender = tokio::spawn(async move {
            for piece in sent.as_bytes().chunks(size) {
                caller.write_all(piece).await.unwrap();
            }
            caller
        });
        for (field, body) in fields.iter().zip(bodies) {
            let mut found = String::new();
            let mut byte = [0; 7];
            // As the proxy does: to the end of the head, and only then for the body.
            while !found.ends_with("\r\n\r\n") {
                let read = guard.read(&mut byte).await.unwrap();
                found.push_str(str::from_utf8(&byte[..read]).unwrap());
            }
            assert_eq!(found, head(field), "by {size}");
            guard.expect_head(false);
            assert_eq!(guard.fault(), None);
            assert_eq!(text(&mut guard).await.unwrap(), body, "by {size}");
            guard.expect_head(true);
        }
        drop(sender.await.unwrap());
        assert_eq!(text(&mut guard).await.unwrap(), "|end");
    }
}

#[tokio::test(start_paused = true)]
async fn behind_a_fault_nothing_is_handed_out() {
    for (sent, read, fault) in [
        ("GET / HTTP/1.1\n\r\n", "GET / HTTP/1.1\n\r\n|end", Malformed::BareLineFeed),
        ("POST / HTTP/1.1\r\nContent-Length: 05\r\n\r\n", "", Malformed::Length),
    ] {
        let (mut guard, mut caller, _) = guard();
        caller.write_all(format!("{sent}{GET}").as_bytes()).await.unwrap();
        let found = text(&mut guard).await.unwrap();
        assert_eq!(found, if read.is_empty() { format!("{sent}|end") } else { read.to_owned() });
        guard.expect_head(false);
        assert_eq!(guard.fault(), Some(fault));
        guard.expect_head(true);
        assert_eq!(text(&mut guard).await.unwrap(), "|end");
    }
    let (mut guard, mut caller, _) = guard();
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    caller.write_all(format!("{head}2\r\nhi\r\n0\n\r\n{GET}").as_bytes()).await.unwrap();
    let mut bytes = [0; 100];
    assert_eq!(guard.read(&mut bytes).await.unwrap(), head.len());
    guard.expect_head(false);
    assert!(text(&mut guard).await.unwrap_err().contains("chunks"));
    assert_eq!(guard.fault(), Some(Malformed::Chunk));
    assert_eq!(text(&mut guard).await.unwrap(), "|end");
}

#[tokio::test(start_paused = true)]
async fn what_follows_an_upgrade_waits_until_it_is_agreed_on() {
    let (mut guard, mut caller, _) = guard();
    caller.write_all(format!("{GET}frames").as_bytes()).await.unwrap();
    let mut bytes = [0; 100];
    assert_eq!(guard.read(&mut bytes).await.unwrap(), GET.len());
    guard.expect_head(false);
    assert_eq!(text(&mut guard).await.unwrap(), "");
    guard.become_tunnel();
    assert_eq!(text(&mut guard).await.unwrap(), "frames");
}

#[tokio::test(start_paused = true)]
async fn http2_is_known_by_its_first_bytes_and_http1_does_not_wait_for_more() {
    use pingora::protocols::Peek;
    let whole = str::from_utf8(PREFACE).unwrap();
    for (sent, http2) in [(whole, true), ("G", false), ("PRI * HTTP/1.1\r\n\r\n", false), ("P\r\n", false)] {
        let (mut guard, mut caller, _) = guard();
        caller.write_all(sent.as_bytes()).await.unwrap();
        let mut peeked = [0; 24];
        assert!(guard.try_peek(&mut peeked).await.unwrap());
        assert_eq!(&peeked == PREFACE, http2, "{sent:?}");
        let mut bytes = [0; 100];
        let read = guard.read(&mut bytes).await.unwrap();
        assert_eq!(str::from_utf8(&bytes[..read]).unwrap(), sent, "what was looked at is still there");
    }
}

#[tokio::test(start_paused = true)]
async fn a_preface_that_drips_is_refused_at_the_deadline_of_a_head() {
    use pingora::protocols::Peek;
    let (mut guard, mut caller, counters) = guard();
    caller.write_all(b"PRI * HT").await.unwrap();
    let since = Instant::now();
    assert!(guard.try_peek(&mut [0; 24]).await.is_err());
    assert_eq!((since.elapsed().as_secs(), counters.snapshot().slow_heads), (10, 1));
    let mut answer = [0; 12];
    caller.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test(start_paused = true)]
async fn a_head_without_end_is_refused_when_it_is_too_long() {
    for (sent, status) in [("GET / HTTP/1.1\r\nA: b\r\n".repeat(60), "431"), ("\r\n\r\n".to_owned(), "400")] {
        let (mut guard, mut caller, counters) = guard();
        let sender = tokio::spawn(async move {
            _ = caller.write_all(sent.as_bytes()).await;
            let mut answer = [0; 12];
            caller.read_exact(&mut answer).await.unwrap();
            answer
        });
        let mut bytes = [0; 100];
        while guard.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
        assert_eq!(counters.snapshot().malformed, 1);
        drop(guard);
        assert_eq!(sender.await.unwrap(), format!("HTTP/1.1 {status}").as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_behind_a_body_is_no_head_that_is_late() {
    let (mut guard, mut caller, counters) = guard();
    caller.write_all(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\r\n").await.unwrap();
    let mut bytes = [0; 100];
    while !matches!(guard.part, Part::Between) {
        assert!(guard.read(&mut bytes).await.unwrap() > 0);
        guard.expect_head(false);
    }
    guard.expect_head(true);
    // Longer than a head may take.
    assert_eq!(timeout(Duration::from_secs(1), guard.read(&mut bytes)).await.unwrap().unwrap(), 2);
    assert!(timeout(Duration::from_secs(60), guard.read(&mut bytes)).await.is_err());
    assert_eq!(counters.snapshot().slow_heads, 0);
    caller.write_all(GET.as_bytes()).await.unwrap();
    assert_eq!(guard.read(&mut bytes).await.unwrap(), GET.len());
    assert_eq!(guard.fault(), None);
}

/// A guard behind which a WebSocket was agreed on, and what its caller reads of the answer.
async fn tunnel(departure: &Arc<Departure>) -> (Guard, DuplexStream) {
    let (mut guard, mut caller, _) = leaving(departure.clone());
    caller.write_all(GET.as_bytes()).await.unwrap();
    assert_eq!(guard.read(&mut [0; 100]).await.unwrap(), GET.len());
    guard.expect_head(false);
    guard.become_tunnel();
    let answer = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    guard.write_all(answer).await.unwrap();
    caller.read_exact(&mut [0; 36]).await.unwrap();
    (guard, caller)
}

/// What the caller reads to the end of the guard's side.
async fn rest(caller: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    timeout(Duration::from_secs(1), caller.read_to_end(&mut bytes)).await.unwrap().unwrap();
    bytes
}

const GOODBYE: [u8; 4] = [0x88, 2, 3, 0xe9];

#[tokio::test(start_paused = true)]
async fn a_silent_tunnel_says_goodbye_when_the_process_ends() {
    let departure = Arc::new(Departure::default());
    let (mut guard, mut caller) = tunnel(&departure).await;
    let reader = tokio::spawn(async move {
        let mut bytes = [0; 100];
        let read = guard.read(&mut bytes).await.unwrap();
        (guard, bytes[..read].to_vec())
    });
    tokio::task::yield_now().await;
    departure.end();
    assert_eq!(rest(&mut caller).await, GOODBYE);
    // Its own Close, masked, goes to the service; and nothing comes back.
    caller.write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xe9]).await.unwrap();
    let (mut guard, heard) = reader.await.unwrap();
    assert_eq!(heard, [0x88, 0x82, 0, 0, 0, 0, 3, 0xe9]);
    assert_eq!(guard.write(b"\x88\x02\x03\xe9").await.unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_has_begun_ends_before_the_goodbye() {
    let frame = [&[0x82, 126, 0, 200][..], &[0x88; 200]].concat();
    for begun in [1, 3, 4, 100, frame.len() - 1, frame.len()] {
        let departure = Arc::new(Departure::default());
        let (mut guard, mut caller) = tunnel(&departure).await;
        let (first, second) = (frame[..begun].to_vec(), [&frame[begun..], b"\x82\x01x"].concat());
        let writer = tokio::spawn(async move {
            guard.write_all(&first).await.unwrap();
            departure.end();
            // It wakes whoever reads.
            _ = timeout(Duration::from_millis(1), guard.read(&mut [0; 10])).await;
            guard.write_all(&second).await.unwrap();
            guard
        });
        assert_eq!(rest(&mut caller).await, [&frame[..], &GOODBYE].concat(), "{begun}");
        drop(writer.await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_frames_are_never_added_to() {
    let departure = Arc::new(Departure::default());
    let (mut guard, mut caller, _) = leaving(departure.clone());
    caller.write_all(GET.as_bytes()).await.unwrap();
    assert_eq!(guard.read(&mut [0; 100]).await.unwrap(), GET.len());
    guard.expect_head(false);
    guard.become_tunnel();
    departure.end();
    guard.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await.unwrap();
    _ = timeout(Duration::from_millis(1), guard.read(&mut [0; 10])).await;
    drop(guard);
    assert_eq!(rest(&mut caller).await, b"HTTP/1.1 502 Bad Gateway\r\n\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_is_sending_still_is_heard_out_and_others_are_not() {
    let post = "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf";
    // What came, whether it was answered, whether the caller has left; and whether the connection lingers.
    for (sent, answered, left, lingers) in [
        (post, true, false, true),
        (post, false, false, false),
        (post, true, true, false),
        (GET, true, false, false),
        ("GET / HTTP/1.1\r\n\r\nGET /", true, false, true),
    ] {
        let (mut guard, mut caller, counters) = guard();
        caller.write_all(sent.as_bytes()).await.unwrap();
        let mut bytes = [0; 100];
        while timeout(Duration::from_millis(1), guard.read(&mut bytes)).await.is_ok_and(|read| read.is_ok()) {
            guard.expect_head(false);
        }
        if answered {
            guard.write_all(b"HTTP/1.1 413 \r\n\r\n").await.unwrap();
        }
        let caller = (!left).then_some(caller);
        _ = timeout(Duration::from_millis(1), guard.read(&mut bytes)).await;
        drop(guard);
        assert_eq!(counters.snapshot().open, u64::from(lingers), "{sent:?} {answered} {left}");
        drop(caller);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(counters.snapshot().open, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_may_be_silent_as_long_as_an_idle_one() {
    let (mut guard, _caller, counters) = guard();
    let since = Instant::now();
    assert_eq!(guard.begins().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(since.elapsed().as_secs(), 75);
    drop(guard);
    assert_eq!(counters.snapshot().idle_closed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_preface_behind_tls_has_the_deadline_of_a_head() {
    let (mut guard, mut caller, counters) = guard();
    guard.speak_http2();
    caller.write_all(b"PRI * HT").await.unwrap();
    let since = Instant::now();
    assert!(guard.begins().await.is_err());
    assert_eq!((since.elapsed().as_secs(), counters.snapshot().slow_heads), (10, 1));
    drop(guard);
    assert_eq!(rest(&mut caller).await, b"", "an answer of HTTP/1 would mean nothing to it");
}
