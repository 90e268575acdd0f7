//! HTTP/2 written by hand: nothing stands between a test and the bytes of a frame.

use super::PATIENCE;
use std::{
    collections::BTreeMap,
    io::{BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

/// What every caller begins with (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

/// Also ACK.
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Largest payload that needs no leave (RFC 9113 section 4.2).
const LARGEST: usize = 16_384;

/// A frame as it goes over the wire.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block of literals that are never indexed nor compressed (RFC 7541 section 6.2.2): any byte may stand in it.
pub fn block<T: AsRef<[u8]>>(fields: &[(T, T)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        string(&mut bytes, name.as_ref());
        string(&mut bytes, value.as_ref());
    }
    bytes
}

/// RFC 7541 sections 5.1 and 5.2.
fn string(bytes: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len();
    if length < 127 {
        bytes.push(length as u8);
    } else {
        bytes.push(127);
        length -= 127;
        while length >= 128 {
            bytes.push((length % 128 + 128) as u8);
            length /= 128;
        }
        bytes.push(length as u8);
    }
    bytes.extend(text);
}

/// HEADERS, and CONTINUATION for what one frame does not hold.
pub fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = block.chunks(LARGEST).collect();
    let end = |at: usize| if at + 1 == parts.len() { END_HEADERS } else { 0 };
    let Some((first, rest)) = parts.split_first() else { return frame(HEADERS, flags | END_HEADERS, stream, &[]) };
    let mut bytes = frame(HEADERS, flags | end(0), stream, first);
    for (at, part) in rest.iter().enumerate() {
        bytes.extend(frame(CONTINUATION, end(at + 1), stream, part));
    }
    bytes
}

/// A GET that nobody could object to.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "gateway.test")];
    headers(stream, END_STREAM, &block(&fields))
}

/// A configuration with routes to one service, for the cases of a test and for requests that must get through.
pub fn sections(url: &str) -> String {
    format!(
        "services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\nroutes:\n\
         - {{ id: r, match: {{ path: /r/* }}, service: s, auth: public }}\n\
         - {{ id: clean, match: {{ path: /clean/* }}, service: s, auth: public }}\n"
    )
}

/// What came on a stream.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// 0: no answer.
    pub status: u16,
    /// The payload of its HEADERS.
    pub block: Vec<u8>,
    pub body: String,
    /// Whether the answer came to its end.
    pub ended: bool,
    /// The code of RST_STREAM.
    pub reset: Option<u32>,
}

impl Heard {
    /// `code` of a refusal of the gateway's own, which has a number; else empty.
    pub fn code(&self) -> String {
        let value: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        let numbered = value["request_id"].as_str().is_some_and(|id| !id.is_empty());
        value["code"].as_str().filter(|_| numbered).unwrap_or_default().to_owned()
    }
}

/// A connection that speaks HTTP/2 from its first byte.
pub struct Http2 {
    stream: BufReader<TcpStream>,
    streams: BTreeMap<u32, Heard>,
    /// The code of the last GOAWAY that has one.
    pub goaway: Option<u32>,
    /// Whether one without a fault came.
    pub goodbye: bool,
    /// How reading ended.
    ended: Option<ErrorKind>,
}

impl Http2 {
    pub fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[])
    }

    /// With these settings, six bytes each (RFC 9113 section 6.5.1).
    pub fn connect_with(address: SocketAddr, settings: &[u8]) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self {
            stream: BufReader::new(stream),
            streams: BTreeMap::new(),
            goaway: None,
            goodbye: false,
            ended: None,
        };
        client.send(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat());
        client
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // A refusal may come before all is sent.
        _ = self.stream.get_mut().write_all(bytes);
    }

    /// What comes on `stream`, to its end or that of the connection.
    pub fn answer(&mut self, stream: u32) -> Heard {
        loop {
            let heard = self.heard(stream);
            if heard.ended || heard.reset.is_some() || !self.read() {
                return self.heard(stream);
            }
        }
    }

    /// What has come on `stream` so far.
    pub fn heard(&self, stream: u32) -> Heard {
        self.streams.get(&stream).cloned().unwrap_or_default()
    }

    /// The code of RST_STREAM on `stream`, once it comes.
    pub fn heard_reset(&mut self, stream: u32) -> Option<u32> {
        while self.heard(stream).reset.is_none() && self.read() {}
        self.heard(stream).reset
    }

    /// Whether the gateway has said that it takes no stream more, without a fault.
    pub fn said_goodbye(&mut self) -> bool {
        while !self.goodbye && self.read() {}
        self.goodbye
    }

    /// Whether the gateway closes the connection.
    pub fn is_closed(&mut self) -> bool {
        while self.read() {}
        matches!(self.ended, Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset))
    }

    /// Take one frame in; `false`: there is none any more.
    fn read(&mut self) -> bool {
        let mut head = [0; 9];
        let mut payload = Vec::new();
        let mut whole = || {
            self.stream.read_exact(&mut head)?;
            payload.resize(u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize, 0);
            self.stream.read_exact(&mut payload)
        };
        if let Err(error) = whole() {
            self.ended = Some(error.kind());
            return false;
        }
        let [_, _, _, kind, flags, stream @ ..] = head;
        self.take(kind, flags, u32::from_be_bytes(stream), payload);
        true
    }

    fn take(&mut self, kind: u8, flags: u8, stream: u32, payload: Vec<u8>) {
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        let heard = if stream > 0 { self.streams.entry(stream).or_default() } else { &mut Heard::default() };
        let ends = flags & END_STREAM != 0;
        match kind {
            DATA => {
                heard.body.push_str(&String::from_utf8_lossy(&payload));
                heard.ended |= ends;
            }
            HEADERS => {
                assert!(flags & END_HEADERS != 0 && heard.status == 0, "a head in parts, or two");
                heard.status = status(&payload);
                heard.block = payload;
                heard.ended |= ends;
            }
            RST_STREAM => heard.reset = Some(code(0)),
            GOAWAY => {
                self.goaway = Some(code(4)).filter(|code| *code > 0).or(self.goaway);
                self.goodbye |= code(4) == 0;
            }
            SETTINGS | PING if !ends => {
                let answer: &[u8] = if kind == PING { &payload } else { &[] };
                self.send(&frame(kind, END_STREAM, 0, answer));
            }
            _ => {}
        }
    }
}

/// The first field of an answer, which must be `:status` (RFC 9113 section 8.3.2). Most are in HPACK's static table; the
/// others are three digits, by Huffman's code or not. One that an earlier answer of the same connection has put into the
/// dynamic table is not understood: ask for those on connections of their own.
fn status(block: &[u8]) -> u16 {
    let first = block.iter().position(|byte| byte & 0xe0 != 0x20).expect("only sizes of the table");
    match block[first..] {
        [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        [0x48 | 0x08 | 0x18, length, ref rest @ ..] if length & 0x80 != 0 => {
            digits(&rest[..usize::from(length & 0x7f)]).parse().unwrap()
        }
        [0x48 | 0x08 | 0x18, 3, a, b, c, ..] => String::from_utf8(vec![a, b, c]).unwrap().parse().unwrap(),
        _ => panic!("the answer does not begin with :status: {block:02x?}"),
    }
}

/// RFC 7541 appendix B, as far as digits go: 0 to 2 in five bits, 3 to 9 in six; ones fill the last byte.
fn digits(bytes: &[u8]) -> String {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let number = |text: &str| u32::from_str_radix(text, 2).unwrap();
    let mut rest = &*bits;
    let mut found = String::new();
    while rest.len() >= 5 && rest.contains('0') {
        let (length, digit) = match number(&rest[..5]) {
            digit @ 0..=2 => (5, digit),
            _ => (6, number(&rest[..6]) - 0b01_0110),
        };
        found.push(char::from_digit(digit, 10).unwrap());
        rest = &rest[length..];
    }
    found
}
