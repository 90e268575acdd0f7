//! Callers of HTTP/1.1 who ask one thing after the other.

use super::{
    Common,
    account::Account,
    wire::{Answer, Broken, Wire},
};
use std::{fmt::Write, io, time::Duration};
use xxhash_rust::xxh3::xxh3_64;

/// Pieces of an upload: it is under way for long enough to meet a change.
const PIECES: usize = 16;
const BETWEEN_PIECES: Duration = Duration::from_millis(4);

/// One caller. Whatever it sends it sends once, but for what RFC 9112 section 9.3.1 allows.
pub struct Caller<F> {
    pub account: Account,
    connect: F,
    kept: Option<Wire>,
}

impl<F: Fn() -> io::Result<Wire>> Caller<F> {
    pub fn new(common: &Common, kind: &'static str, number: usize, connect: F) -> Self {
        Self { account: Account::new(common.clone(), kind, number), connect, kept: None }
    }

    /// GETs on a kept connection, with pauses of this length.
    pub fn gets(mut self, mut pause: impl FnMut() -> Duration) -> Account {
        while self.account.common.goes_on() {
            self.get();
            self.account.common.pause(pause());
        }
        self.account
    }

    /// `each` GETs on a connection, then a new one.
    pub fn gets_anew(mut self, each: usize, mut pause: impl FnMut() -> Duration) -> Account {
        while self.account.common.goes_on() {
            (0..each).for_each(|_| self.get());
            self.kept = None;
            self.account.common.pause(pause());
        }
        self.account
    }

    /// Uploads on a kept connection, with a length and in chunks by turns.
    pub fn uploads(mut self, mut random: fastrand::Rng) -> Account {
        let mut body = vec![0; 300_000];
        while self.account.common.goes_on() {
            let length = random.usize(200_000..body.len());
            random.fill(&mut body[..length]);
            let chunked = random.bool();
            self.upload(&body[..length], chunked);
            self.account.common.pause(Duration::from_millis(random.u64(0..50)));
        }
        self.account
    }

    fn get(&mut self) {
        let id = self.account.next_id();
        let Some((mut wire, reused)) = self.wire(&id) else { return };
        match get(&mut wire, &id) {
            Err(broken) if reused && broken.is_unanswered_close() => self.get_again(),
            outcome => self.ended(id, &ok, outcome, wire),
        }
    }

    /// Once more, on a connection that has not served before.
    fn get_again(&mut self) {
        self.account.sends_again();
        let id = self.account.next_id();
        let Some((mut wire, _)) = self.wire(&id) else { return };
        let outcome = get(&mut wire, &id);
        self.ended(id, &ok, outcome, wire);
    }

    /// Never sent again: a POST may have been acted on.
    fn upload(&mut self, body: &[u8], chunked: bool) {
        let id = self.account.next_id();
        let Some((mut wire, _)) = self.wire(&id) else { return };
        let framing =
            if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {}", body.len()) };
        let head = format!("POST /upload HTTP/1.1\r\nHost: gateway.test\r\nX-Request-ID: {id}\r\n{framing}\r\n\r\n");
        let sent = wire.send(head.as_bytes()).and_then(|()| pieces(&mut wire, body, chunked));
        // An answer may come before all is sent: then it says more than the error of sending.
        let outcome = wire.answer();
        if let (Err(error), Err(_)) = (&sent, &outcome) {
            return self.account.failed(&id, format!("the upload broke off: {error}"));
        }
        let wanted = |id: &str| uploaded(id, body);
        self.ended(id, &wanted, outcome, wire);
    }

    /// The kept connection, or a new one; and whether it has served before.
    fn wire(&mut self, id: &str) -> Option<(Wire, bool)> {
        match self.kept.take() {
            Some(wire) if !wire.is_closed() => {
                self.account.reused += 1;
                return Some((wire, true));
            }
            Some(_) => self.account.closed_idle += 1,
            None => (),
        }
        let wire = (self.connect)();
        wire.map_err(|error| self.account.failed(id, format!("no connection: {error}"))).ok().map(|wire| (wire, false))
    }

    fn ended(&mut self, id: String, wanted: &dyn Fn(&str) -> String, outcome: Result<Answer, Broken>, wire: Wire) {
        match outcome {
            Ok(answer) if answer.status == 200 && answer.body == wanted(&id).as_bytes() => {
                self.account.answered(id);
                match answer.keeps {
                    true => self.kept = Some(wire),
                    false => self.account.sent_away += 1,
                }
            }
            Ok(answer) => {
                let body = String::from_utf8_lossy(&answer.body);
                let start: String = body.chars().take(300).collect();
                self.account.failed(&id, format!("{} {start}", answer.status));
            }
            Err(broken) => self.account.failed(&id, broken),
        }
    }
}

/// What the service answers to a GET.
pub fn ok(id: &str) -> String {
    format!("ok {id}")
}

/// What it answers to a body.
pub fn uploaded(id: &str, body: &[u8]) -> String {
    format!("{id} {} {:016x}", body.len(), xxh3_64(body))
}

fn get(wire: &mut Wire, id: &str) -> Result<Answer, Broken> {
    let head = format!("GET /get HTTP/1.1\r\nHost: gateway.test\r\nX-Request-ID: {id}\r\n\r\n");
    // Reading says what became of it.
    _ = wire.send(head.as_bytes());
    wire.answer()
}

fn pieces(wire: &mut Wire, body: &[u8], chunked: bool) -> io::Result<()> {
    for piece in body.chunks(body.len().div_ceil(PIECES)) {
        let mut framed = Vec::new();
        if chunked {
            let mut size = String::new();
            _ = write!(size, "{:x}\r\n", piece.len());
            framed.extend_from_slice(size.as_bytes());
        }
        framed.extend_from_slice(piece);
        if chunked {
            framed.extend_from_slice(b"\r\n");
        }
        wire.send(&framed)?;
        std::thread::sleep(BETWEEN_PIECES);
    }
    if chunked { wire.send(b"0\r\n\r\n") } else { Ok(()) }
}
