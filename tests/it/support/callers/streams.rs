//! Callers who stay: a WebSocket whose messages come back, and a stream of numbered events.

use super::{Common, account::Account, wire::Wire};
use std::{io, net::SocketAddr, time::Duration};

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
/// RFC 6455 section 7.4.1: an endpoint is going away.
const GOING_AWAY: u16 = 1001;

/// How a stay on one connection ended, where nothing was wrong.
enum Left {
    /// The test is over.
    TestOver,
    /// The gateway asked it to go elsewhere.
    SentAway,
}

/// One message after the other; each must come back before the next is sent. Comes again after a close with 1001.
pub fn websocket(
    common: &Common,
    kind: &'static str,
    number: usize,
    address: SocketAddr,
    between: Duration,
) -> Account {
    let mut account = Account::new(common.clone(), kind, number);
    let mut sent = 0;
    while common.goes_on() {
        let id = account.next_id();
        let stay = upgraded(address, &id).and_then(|wire| messages(wire, &account, &mut sent, between));
        match stay {
            Ok(Left::TestOver) => account.answered(id),
            Ok(Left::SentAway) => {
                account.sent_away += 1;
                account.answered(id);
            }
            Err(why) => account.failed(&id, format!("after {sent} messages: {why}")),
        }
    }
    account
}

fn upgraded(address: SocketAddr, id: &str) -> Result<Wire, String> {
    let mut wire = Wire::plain(address).map_err(|error| format!("no connection: {error}"))?;
    let head = format!(
        "GET /socket HTTP/1.1\r\nHost: gateway.test\r\nX-Request-ID: {id}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    wire.send(head.as_bytes()).map_err(|error| format!("no upgrade: {error}"))?;
    let head = wire.head().map_err(|broken| format!("no upgrade: {broken}"))?;
    if head.status == 101 { Ok(wire) } else { Err(format!("no upgrade: {}", head.status)) }
}

fn messages(mut wire: Wire, account: &Account, sent: &mut usize, between: Duration) -> Result<Left, String> {
    let lost = |error: io::Error| format!("a message got lost: {error}");
    while account.common.goes_on() {
        let message = format!("message {sent}");
        // A close may have come already; reading tells.
        _ = wire.send(&frame(TEXT, message.as_bytes()));
        loop {
            match received(&mut wire).map_err(lost)? {
                (TEXT, back) if back == message.as_bytes() => break,
                (PING, payload) => wire.send(&frame(0x8a, &payload)).map_err(lost)?,
                // The message that crosses it is said again on the next connection.
                (CLOSE, why) if why.get(..2) == Some(&GOING_AWAY.to_be_bytes()) => {
                    _ = wire.send(&frame(CLOSE, &why[..2]));
                    return Ok(Left::SentAway);
                }
                (kind, payload) => return Err(format!("frame {kind:x} in place of {message:?}: {payload:?}")),
            }
        }
        *sent += 1;
        account.common.hears();
        account.common.pause(between);
    }
    _ = wire.send(&frame(CLOSE, &1000u16.to_be_bytes()));
    // Its answer, or the end.
    _ = received(&mut wire);
    Ok(Left::TestOver)
}

/// A frame of a caller's: masked (RFC 6455 section 5.3), here by zeros.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).unwrap();
    [&[kind, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

fn received(wire: &mut Wire) -> io::Result<(u8, Vec<u8>)> {
    let (mut head, mut payload) = (Vec::new(), Vec::new());
    wire.exactly(2, &mut head)?;
    if head[1] >= 126 {
        return Err(io::Error::other(format!("a frame that the service does not send: {head:02x?}")));
    }
    wire.exactly(usize::from(head[1]), &mut payload)?;
    Ok((head[0], payload))
}

/// Events with numbers that rise by one. Comes again where the stream ended between two of them, and says what it has.
pub fn events(common: &Common, kind: &'static str, number: usize, address: SocketAddr) -> Account {
    let mut account = Account::new(common.clone(), kind, number);
    let mut last = 0;
    while common.goes_on() {
        let id = account.next_id();
        match stream(address, &id, &account, &mut last) {
            Ok(Left::TestOver) => account.answered(id),
            Ok(Left::SentAway) => {
                account.sent_away += 1;
                account.answered(id);
            }
            Err(why) => account.failed(&id, format!("after event {last}: {why}")),
        }
    }
    account
}

fn stream(address: SocketAddr, id: &str, account: &Account, last: &mut u64) -> Result<Left, String> {
    let mut wire = Wire::plain(address).map_err(|error| format!("no connection: {error}"))?;
    let head = format!(
        "GET /events HTTP/1.1\r\nHost: gateway.test\r\nX-Request-ID: {id}\r\nAccept: text/event-stream\r\n\
         Last-Event-ID: {last}\r\n\r\n"
    );
    wire.send(head.as_bytes()).map_err(|error| format!("no stream: {error}"))?;
    let head = wire.head().map_err(|broken| format!("no stream: {broken}"))?;
    if head.status != 200 {
        return Err(format!("no stream: {}", head.status));
    }
    let mut text = Vec::new();
    while account.common.goes_on() {
        if wire.is_at_end().map_err(|error| error.to_string())? {
            return Err("the stream ended without an end".to_owned());
        }
        if !wire.chunk(&mut text).map_err(|error| format!("the stream broke: {error}"))? {
            return if text.is_empty() { Ok(Left::SentAway) } else { Err("half an event at its end".to_owned()) };
        }
        while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = text.drain(..end + 2).collect();
            if event != format!("id: {}\ndata: x\n\n", *last + 1).as_bytes() {
                return Err(format!("a gap: {:?}", String::from_utf8_lossy(&event)));
            }
            *last += 1;
            account.common.hears();
        }
    }
    Ok(Left::TestOver)
}
