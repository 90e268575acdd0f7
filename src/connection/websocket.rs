//! The frames of a WebSocket on their way to the caller (RFC 6455 section 5.2), followed by their heads alone: to know where
//! one ends, which is where the gateway may put a frame of its own.

/// Close with 1001, *going away* (RFC 6455 sections 5.5.1 and 7.4.1): the server ends, the caller may come back.
pub(super) const GOING_AWAY: &[u8; 4] = &[0x88, 2, 0x03, 0xe9];

/// How the only answer begins behind which there are frames.
const SWITCHING: &[u8; 12] = b"HTTP/1.1 101";

/// What an answer's head ends with.
const HEAD_END: &[u8; 4] = b"\r\n\r\n";

/// Longest head of a frame: two bytes, a length of eight, a mask of four.
const LONGEST: usize = 14;

/// Where one stands in what was written to the caller, from the head of the 101 on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Frames {
    /// In the answer's head: how many bytes of it there were, up to where they tell what it is, and of its end.
    Answer { begun: usize, ending: usize },
    /// In a frame: its head so far, then bytes of its payload to come.
    Frame { head: [u8; LONGEST], have: usize, left: u64 },
    /// No frames.
    Unknown,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self::Answer { begun: 0, ending: 0 }
    }

    /// Follow what was written.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = self.take(rest);
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// Whether a frame could begin here.
    pub(super) fn at_boundary(&self) -> bool {
        matches!(self, Self::Frame { have: 0, .. })
    }

    /// How many of `bytes` there are to the next boundary; all where it does not come.
    pub(super) fn to_boundary(mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while !self.at_boundary() {
            match bytes.get(used..) {
                Some(rest @ [_, ..]) => used += self.take(rest),
                _ => return bytes.len(),
            }
        }
        used
    }

    /// Take of `bytes`, which are some, what belongs to one part; how many.
    fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Unknown => bytes.len(),
            Self::Answer { begun, ending } => {
                let Some(byte) = bytes.first() else { return 0 };
                let expected = SWITCHING.get(*begun);
                *begun += usize::from(expected.is_some());
                *ending = if HEAD_END.get(*ending) == Some(byte) { *ending + 1 } else { usize::from(*byte == b'\r') };
                if expected.is_some_and(|expected| expected != byte) {
                    *self = Self::Unknown;
                } else if *ending == HEAD_END.len() {
                    *self = Self::between();
                }
                1
            }
            Self::Frame { head, have, left } => {
                let length = head_length(head, *have);
                if *have < length {
                    let part = bytes.get(..bytes.len().min(length - *have)).unwrap_or_default();
                    let room = head.get_mut(*have..).unwrap_or_default();
                    room.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
                    *have += part.len();
                    *left = if *have == head_length(head, *have) { payload(head) } else { 0 };
                    let whole = *have == head_length(head, *have) && *left == 0;
                    let used = part.len();
                    if whole {
                        *self = Self::between();
                    }
                    return used;
                }
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= used as u64;
                if *left == 0 {
                    *self = Self::between();
                }
                used
            }
        }
    }

    fn between() -> Self {
        Self::Frame { head: [0; LONGEST], have: 0, left: 0 }
    }
}

/// How long a head is, as far as its first `have` bytes tell.
fn head_length(head: &[u8; LONGEST], have: usize) -> usize {
    if have < 2 {
        return 2;
    }
    let mask = if head[1] & 0x80 == 0 { 0 } else { 4 };
    let more = match head[1] & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + more + mask
}

/// The length of the payload, in one of three forms.
fn payload(head: &[u8; LONGEST]) -> u64 {
    let [_, short, a, b, c, d, e, f, g, h, ..] = *head;
    match short & 0x7f {
        126 => u64::from(u16::from_be_bytes([a, b])),
        127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        short => u64::from(short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    fn frame(length: usize, mask: bool) -> Vec<u8> {
        let masked = if mask { 0x80 } else { 0 };
        let mut bytes = vec![0x82];
        match length {
            0..126 => bytes.push(masked | length as u8),
            126..65_536 => bytes.extend([&[masked | 126][..], &(length as u16).to_be_bytes()].concat()),
            _ => bytes.extend([&[masked | 127][..], &(length as u64).to_be_bytes()].concat()),
        }
        bytes.extend(vec![0x88; if mask { 4 } else { 0 } + length]);
        bytes
    }

    #[test]
    fn boundaries_are_behind_the_answer_and_behind_each_frame_in_any_pieces() {
        let mut written = ANSWER.to_vec();
        let mut boundaries = vec![written.len()];
        for length in [0, 1, 125, 126, 127, 4_000, 65_535, 65_536, 70_000] {
            for mask in [false, true] {
                written.extend(frame(length, mask));
                boundaries.push(written.len());
            }
        }
        for size in [1, 2, 3, 7, 100, 10_000] {
            let (mut frames, mut at) = (Frames::new(), 0);
            for piece in written.chunks(size) {
                let next = boundaries.iter().find(|boundary| **boundary >= at).unwrap();
                assert_eq!(frames.to_boundary(piece), (next - at).min(piece.len()), "by {size} at {at}");
                frames.follow(piece);
                at += piece.len();
                assert_eq!(frames.at_boundary(), boundaries.contains(&at), "by {size} at {at}");
            }
        }
    }

    #[test]
    fn behind_another_answer_there_is_no_boundary() {
        let mut frames = Frames::new();
        frames.follow(b"HTTP/1.1 502 Bad Gateway\r\n\r\n\x82\x00");
        assert!(!frames.at_boundary());
        assert_eq!(frames.to_boundary(b"\x82\x00"), 2);
    }
}
