//! The bytes of a head, looked at before pingora takes them apart.
//!
//! pingora's parser puts right what RFC 9112 calls an error: it takes lines that end without CR, escapes blanks in the
//! target, drops a `Content-Length` beside a `Transfer-Encoding`. Whoever stands in front of the gateway may have read
//! the same bytes in another way, and that is how requests are smuggled. Here nothing is put right: a head has one
//! meaning or is refused.

use super::Malformed;
use bytes::BytesMut;
use memchr::{memchr, memchr_iter, memrchr};

/// What pingora reads (`MAX_HEADERS`).
const MOST_FIELDS: usize = 256;

/// The one form of a `Content-Length`: a decimal number without sign and leading zeros, as large as pingora counts.
pub fn content_length(value: &[u8]) -> Option<u64> {
    let decimal = value.iter().all(u8::is_ascii_digit) && (value.len() == 1 || value.first() != Some(&b'0'));
    let length = std::str::from_utf8(value).ok().filter(|_| decimal)?.parse::<u64>().ok()?;
    // pingora's numbers are signed.
    i64::try_from(length).is_ok().then_some(length)
}

/// What a head says about the bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    None,
    /// So many bytes.
    Length(u64),
    Chunked,
}

/// A head that ends where it was found to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the last piece that belong to it.
    pub(super) used: usize,
    pub(super) body: Result<Body, Malformed>,
}

/// Reads one head after the other.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    /// What came so far of a head in several pieces.
    pieces: BytesMut,
}

impl HeadReader {
    /// Look at the next piece. `None`: the end is still to come.
    pub(super) fn read(&mut self, piece: &[u8]) -> Option<Head> {
        if self.pieces.is_empty() {
            // Nearly every head comes in one piece, and is not copied.
            let head = scan(piece);
            if head.is_none() {
                self.pieces.extend_from_slice(piece);
            }
            return head;
        }
        let before = self.pieces.len();
        self.pieces.extend_from_slice(piece);
        if !may_end(&self.pieces, before) {
            return None;
        }
        let head = scan(&self.pieces)?;
        self.pieces = BytesMut::new();
        Some(Head { used: head.used.saturating_sub(before), ..head })
    }

    /// Bytes of a head whose end is still to come.
    pub(super) fn pending(&self) -> usize {
        self.pieces.len()
    }

    /// What is wrong with a head that pingora has given up before its end.
    pub(super) fn fault(&self) -> Option<Malformed> {
        let lines = memchr_iter(b'\n', &self.pieces).count();
        (lines > MOST_FIELDS).then_some(Malformed::TooManyHeaders)
    }

    /// One empty line, or a part of it, and nothing else.
    pub(super) fn is_empty_line(&self) -> bool {
        matches!(&self.pieces[..], b"\r" | b"\r\n" | b"\n")
    }

    /// Two empty lines and no request: whoever sends that may go on with it for ever.
    pub(super) fn is_blank(&self) -> bool {
        self.pieces.first().is_some_and(u8::is_ascii_whitespace)
            && memchr_iter(b'\n', &self.pieces).nth(1).is_some()
            && self.pieces.trim_ascii().is_empty()
    }
}

/// Whether an empty line ends at or behind `from`: a head that drips in is not read anew with each byte.
fn may_end(bytes: &[u8], from: usize) -> bool {
    let ends = |at: usize| {
        let before = bytes.get(..at).unwrap_or_default();
        before.ends_with(b"\n") || before.ends_with(b"\n\r")
    };
    memchr_iter(b'\n', bytes.get(from..).unwrap_or_default()).any(|at| ends(from + at))
}

/// The head at the beginning of `bytes`, if it is there as a whole. It ends where pingora's parser (httparse) ends it:
/// at the first empty line behind a line that is none, with or without CR.
fn scan(bytes: &[u8]) -> Option<Head> {
    let mut lines = Lines::default();
    let mut begin = 0;
    for end in memchr_iter(b'\n', bytes) {
        let line = bytes.get(begin..end).unwrap_or_default();
        begin = end + 1;
        if lines.take(line) == Some(End) {
            return Some(Head { used: begin, body: lines.verdict() });
        }
    }
    None
}

#[derive(Debug, PartialEq, Eq)]
struct End;

/// What the lines of a head have said so far.
#[derive(Debug, Default)]
struct Lines {
    begun: bool,
    empty_before: bool,
    is_1_0: bool,
    fields: usize,
    length: Option<u64>,
    chunked: bool,
    /// The first of them is what the caller hears.
    fault: Option<Malformed>,
}

impl Lines {
    fn take(&mut self, line: &[u8]) -> Option<End> {
        let line = line.strip_suffix(b"\r").unwrap_or_else(|| {
            self.blame(Malformed::BareLineFeed);
            line
        });
        match (line.is_empty(), self.begun) {
            (true, true) => return Some(End),
            // RFC 9112 section 2.2: one is to be ignored.
            (true, false) if !std::mem::replace(&mut self.empty_before, true) => {}
            (true, false) => self.blame(Malformed::EmptyLines),
            (false, false) => {
                self.begun = true;
                self.request_line(line);
            }
            (false, true) => {
                self.fields += 1;
                self.field(line);
            }
        }
        None
    }

    fn blame(&mut self, fault: Malformed) {
        self.fault.get_or_insert(fault);
    }

    /// `method SP target SP version` (RFC 9112 section 3), one blank each. pingora escapes what does not belong into a
    /// target (`escape_illegal_request_line`) and cuts a fragment off.
    fn request_line(&mut self, line: &[u8]) {
        let parts = memchr(b' ', line).zip(memrchr(b' ', line)).filter(|(first, last)| first < last);
        let Some((first, last)) = parts else { return self.blame(Malformed::RequestLine) };
        let target = line.get(first + 1..last).unwrap_or_default();
        match line.get(last + 1..) {
            Some(b"HTTP/1.1") => {}
            Some(b"HTTP/1.0") => self.is_1_0 = true,
            _ => self.blame(Malformed::Version),
        }
        if target.is_empty() || !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
            self.blame(Malformed::RequestLine);
        }
    }

    /// A header line. Most begin with a letter that says that they are of no interest here; that the others are lines
    /// of a header at all is for pingora's parser to say, which knows no leniency there.
    fn field(&mut self, line: &[u8]) {
        match line.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => {
                if let Some(value) = self.value(line, b"content-length") {
                    self.content_length(value);
                } else if let Some(value) = self.value(line, b"connection") {
                    self.connection(value);
                }
            }
            Some(b't') => {
                if let Some(value) = self.value(line, b"transfer-encoding") {
                    self.transfer_encoding(value);
                }
            }
            Some(b'e') => match self.value(line, b"expect") {
                Some(value) if !value.eq_ignore_ascii_case(b"100-continue") => self.blame(Malformed::Expectation),
                _ => {}
            },
            Some(b' ' | b'\t') => self.blame(Malformed::FoldedLine),
            _ => {}
        }
    }

    /// The value of the header `name`, which is also meant where dashes are written as underscores: some servers take
    /// one for the other.
    fn value<'l>(&mut self, line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
        let (sent, rest) = line.split_at_checked(name.len())?;
        let rest = rest.trim_ascii_start().strip_prefix(b":")?;
        let same = |(sent, known): (&u8, &u8)| sent.to_ascii_lowercase() == *known || (*sent, *known) == (b'_', b'-');
        if !sent.iter().zip(name).all(same) {
            return None;
        }
        if sent.contains(&b'_') {
            self.blame(Malformed::Underscore);
        }
        Some(rest.trim_ascii())
    }

    fn content_length(&mut self, value: &[u8]) {
        match content_length(value).filter(|_| self.length.is_none()) {
            Some(length) => self.length = Some(length),
            None => self.blame(Malformed::Length),
        }
    }

    fn transfer_encoding(&mut self, value: &[u8]) {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            self.blame(Malformed::Coding);
        }
        self.chunked = true;
    }

    /// What `Connection` names is taken away (RFC 9110 section 7.6.1), and that must not be what says where the message
    /// ends or whom it is for.
    fn connection(&mut self, value: &[u8]) {
        const NEEDED: [&[u8]; 4] = [b"content-length", b"transfer-encoding", b"host", b"content-type"];
        let needed = |token: &[u8]| NEEDED.iter().any(|name| token.trim_ascii().eq_ignore_ascii_case(name));
        if value.split(|byte| *byte == b',').any(needed) {
            self.blame(Malformed::Nominated);
        }
    }

    fn verdict(&self) -> Result<Body, Malformed> {
        match (self.fault, self.length, self.chunked) {
            (Some(fault), ..) => Err(fault),
            _ if self.fields > MOST_FIELDS => Err(Malformed::TooManyHeaders),
            (None, Some(_), true) => Err(Malformed::LengthAndCoding),
            // RFC 9112 section 6.1: its framing is faulty.
            (None, None, true) if self.is_1_0 => Err(Malformed::Coding),
            (None, None, true) => Ok(Body::Chunked),
            (None, None | Some(0), false) => Ok(Body::None),
            (None, Some(length), false) => Ok(Body::Length(length)),
        }
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
