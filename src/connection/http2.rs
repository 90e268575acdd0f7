//! HTTP/2 by prior knowledge: its limits, and what it refuses before any phase of the proxy.

use pingora::{
    apps::HttpServerOptions,
    protocols::http::v2::server::{H2Options, default_h2_options},
};
use std::time::Duration;

/// What every caller begins with (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams that a connection may have open; what nearly all servers and clients have.
const STREAMS: u32 = 100;
/// Bytes of a body that a caller may send before somebody reads them, per stream and per connection: bounds what a
/// caller can make the gateway keep to 1 MiB.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of an answer that are kept for a caller who reads slowly, per stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that a caller has reset and that are still remembered (CVE-2023-44487).
const RESET_STREAMS: usize = 32;

/// How HTTP/2 is spoken: `header_list` bytes of headers in all, closed after `idle` without a stream.
pub fn http2_options(header_list: u64, idle: Duration, enabled: bool) -> (HttpServerOptions, H2Options) {
    let mut server = HttpServerOptions::default();
    server.h2c = enabled;
    // Not to proxy it: else pingora answers it by itself, without a word in any log. The proxy refuses it first of all.
    server.allow_connect_method_proxying = true;
    server.h2_idle_timeout = Some(idle);
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(STREAMS)
        // RFC 9113 section 6.5.2 counts 32 bytes more for each header.
        .max_header_list_size(u32::try_from(header_list).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS);
    (server, options)
}

/// Follows the frames that are written to a caller. h2 and pingora refuse malformed requests before any phase of the
/// proxy; all that can be seen of it is what they write.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Of the current frame: its head (RFC 9113 section 4.1), then the first bytes of its payload.
    start: [u8; HEAD + SHOWN],
    have: usize,
    /// Bytes of the payload still to come.
    left: usize,
    /// Of the last refusal: an answer and a reset of its stream are one.
    stream: u32,
}

const HEAD: usize = 9;
/// Bytes of a payload that are of interest: GOAWAY has its reason in the fifth to eighth.
const SHOWN: usize = 8;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
/// `:status: 400` in HPACK's static table (RFC 7541 appendix A), alone: no answer of ours is without other headers.
const BARE_400: u8 = 0x8c;
/// `:status: 431` as h2 writes it, behind a byte that says whether it is to be remembered.
const BARE_431: [u8; 4] = [0x83, 0x69, 0x90, 0xff];

impl Frames {
    /// How many requests were refused in `bytes`.
    pub(super) fn written(&mut self, bytes: &[u8]) -> usize {
        let mut refused = 0;
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = self.take(rest);
            rest = rest.get(used..).unwrap_or_default();
            if self.have >= HEAD && self.left == 0 {
                let stream = self.stream();
                if self.is_refusal() && (stream == 0 || stream != self.stream) {
                    (refused, self.stream) = (refused + 1, stream);
                }
                self.have = 0;
            }
        }
        refused
    }

    /// Take of `bytes` what belongs to one part of the frame; how many.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let in_head = self.have < HEAD;
        let wanted = if in_head { HEAD - self.have } else { self.left };
        let part = bytes.get(..wanted.min(bytes.len())).unwrap_or_default();
        let room = self.start.get_mut(self.have..).unwrap_or_default();
        let shown = room.len().min(part.len());
        room.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        self.have += shown;
        if !in_head {
            self.left -= part.len();
        } else if self.have == HEAD {
            let [high, middle, low, ..] = self.start;
            self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
        }
        part.len()
    }

    fn stream(&self) -> u32 {
        let [_, _, _, _, _, a, b, c, d, ..] = self.start;
        u32::from_be_bytes([a, b, c, d])
    }

    fn is_refusal(&self) -> bool {
        let [.., a, b, c, d, e, f, g, h] = self.start;
        match (self.start.get(3), self.have - HEAD) {
            (Some(&RST_STREAM), 4) => [PROTOCOL_ERROR, FLOW_CONTROL_ERROR].contains(&u32::from_be_bytes([a, b, c, d])),
            (Some(&GOAWAY), SHOWN) => u32::from_be_bytes([e, f, g, h]) != 0,
            (Some(&HEADERS), shown) => is_bare(self.start.get(HEAD..HEAD + shown).unwrap_or_default()),
            _ => false,
        }
    }
}

/// Whether a block of headers is nothing but the status of a refusal. A caller who wants no table of headers gets the size
/// of none said first (RFC 7541 section 6.3).
fn is_bare(block: &[u8]) -> bool {
    let rest = match block {
        [0x20..=0x3f, rest @ ..] => rest,
        all => all,
    };
    rest == [BARE_400] || matches!(rest, [_, status @ ..] if status == BARE_431)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame_of(stream: u8, kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, stream], payload].concat()
    }

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        frame_of(if kind == GOAWAY { 0 } else { 1 }, kind, payload)
    }

    #[test]
    fn refusals_are_seen_among_other_frames_in_any_pieces() {
        let written = [
            frame(4, &[0; 18]),
            frame(HEADERS, &[BARE_400]),
            frame_of(3, HEADERS, &[0x20, BARE_400]),
            frame_of(5, HEADERS, &[0x48, 0x83, 0x69, 0x90, 0xff]),
            // The same request once more.
            frame_of(5, RST_STREAM, &[0, 0, 0, 1]),
            frame_of(7, HEADERS, &[0x20, 0x08, 0x83, 0x69, 0x90, 0xff]),
            frame(HEADERS, &[BARE_400, 0x5f, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
            frame(0, &[0x8c; 1000]),
            frame(RST_STREAM, &[0, 0, 0, 1]),
            frame(RST_STREAM, &[0, 0, 0, 8]),
            frame(0, &[]),
            frame(GOAWAY, &[0, 0, 0, 1, 0, 0, 0, 0]),
            frame(GOAWAY, &[0, 0, 0, 1, 0, 0, 0, 9, b'w', b'h', b'y']),
        ]
        .concat();
        for size in [1, 2, 7, 9, 100, written.len()] {
            let mut frames = Frames::default();
            assert_eq!(written.chunks(size).map(|piece| frames.written(piece)).sum::<usize>(), 6, "{size}");
        }
    }
}
