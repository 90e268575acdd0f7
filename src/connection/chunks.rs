//! The bytes of a chunked body, followed to its end (RFC 9112 section 7.1) and held to the letter: what is behind the
//! last of them belongs to the next request.

use super::Malformed;

/// Most bytes of extensions behind one size: nobody uses them but to hide something.
const MOST_EXTENSION: u16 = 256;
/// Most bytes of trailers, which nobody gets to see: pingora drops them.
const MOST_TRAILERS: u16 = 8 * 1024;
/// Hexadecimal digits of a size. One more than pingora's numbers hold would be too many.
const MOST_DIGITS: u8 = 15;

/// Where in a chunked body one stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    at: At,
    /// Of the size being read, later of the chunk's data still to come.
    left: u64,
    digits: u8,
    /// Bytes of the extension or of all trailers so far.
    more: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size,
    Extension,
    SizeEnd,
    Data,
    DataEnd,
    DataLineFeed,
    /// At the beginning of a trailer or of the last line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    End,
    Over,
}

impl Chunks {
    /// At the beginning.
    pub(super) fn new() -> Self {
        Self { at: At::Size, left: 0, digits: 0, more: 0 }
    }

    /// Whether the last byte has come.
    pub(super) fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// Follow `bytes`; how many belong to the body.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut used = 0;
        while used < bytes.len() && !self.is_over() {
            if self.at == At::Data {
                used += self.skip(bytes.len() - used);
            } else if let Some(byte) = bytes.get(used) {
                self.step(*byte)?;
                used += 1;
            }
        }
        Ok(used)
    }

    fn skip(&mut self, there: usize) -> usize {
        let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(there);
        self.left -= skipped as u64;
        if self.left == 0 {
            self.at = At::DataEnd;
        }
        skipped
    }

    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        self.at = match (self.at, byte) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte)?,
            (At::Size, b';') if self.digits > 0 => At::Extension,
            (At::Size, b'\r') if self.digits > 0 => At::SizeEnd,
            (At::Extension, b'\r') => At::SizeEnd,
            (At::Extension, _) => self.counted(byte, MOST_EXTENSION, At::Extension)?,
            (At::SizeEnd, b'\n') => self.sized(),
            (At::DataEnd, b'\r') => At::DataLineFeed,
            (At::DataLineFeed, b'\n') => self.next(),
            (At::Trailer, b'\r') => At::End,
            (At::Trailer | At::TrailerName, _) if is_token(byte) => {
                self.counted(byte, MOST_TRAILERS, At::TrailerName)?
            }
            (At::TrailerName, b':') => At::TrailerValue,
            (At::TrailerValue, b'\r') => At::TrailerEnd,
            (At::TrailerValue, _) => self.counted(byte, MOST_TRAILERS, At::TrailerValue)?,
            (At::TrailerEnd, b'\n') => At::Trailer,
            (At::End, b'\n') => At::Over,
            _ => return Err(Malformed::Chunk),
        };
        Ok(())
    }

    fn digit(&mut self, byte: u8) -> Result<At, Malformed> {
        let value = char::from(byte).to_digit(16).unwrap_or_default();
        self.digits += 1;
        self.left = self.left << 4 | u64::from(value);
        if self.digits > MOST_DIGITS { Err(Malformed::Chunk) } else { Ok(At::Size) }
    }

    /// One more byte of what is bounded and must be text (RFC 9110 section 5.5).
    fn counted(&mut self, byte: u8, most: u16, then: At) -> Result<At, Malformed> {
        self.more += 1;
        let text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        if text && self.more <= most { Ok(then) } else { Err(Malformed::Chunk) }
    }

    fn sized(&mut self) -> At {
        self.more = 0;
        if self.left == 0 { At::Trailer } else { At::Data }
    }

    fn next(&mut self) -> At {
        self.digits = 0;
        At::Size
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes used, and whether the body is over then.
    fn read(bytes: &str) -> Result<(usize, bool), Malformed> {
        let mut chunks = Chunks::new();
        chunks.read(bytes.as_bytes()).map(|used| (used, chunks.is_over()))
    }

    #[test]
    fn a_body_ends_behind_its_last_line() {
        for body in [
            "0\r\n\r\n",
            "00\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5;a=b;c=\"d e\"\r\nhello\r\nA\r\n0123456789\r\n0;x\r\nDigest: x\r\nX-More:\r\n\r\n",
            "2\r\n\r\n\r\n0\r\n\r\n",
        ] {
            assert_eq!(read(body), Ok((body.len(), true)), "{body:?}");
            assert_eq!(read(&format!("{body}GET / HTTP/1.1\r\n")), Ok((body.len(), true)), "{body:?}");
            // Whatever pieces it comes in.
            let mut chunks = Chunks::new();
            body.bytes().for_each(|byte| assert_eq!(chunks.read(&[byte]), Ok(1), "{body:?}"));
            assert!(chunks.is_over());
        }
    }

    #[test]
    fn what_could_end_elsewhere_is_refused() {
        for body in [
            "\r\n",
            ";a\r\n",
            "0x2\r\nhi",
            "+2\r\nhi",
            "-2\r\nhi",
            " 2\r\nhi",
            "2 \r\nhi",
            "2\t;a\r\nhi",
            "2\nhi",
            "2\rhi",
            "2;a\nhi",
            "2;a\rb\r\nhi",
            "2;\0\r\nhi",
            "2_0\r\n",
            "g\r\n",
            "0000000000000002\r\nhi",
            "ffffffffffffffff\r\nhi",
            "2\r\nhi!\r\n",
            "2\r\nhi\n",
            "2\r\nhi\r0",
            "0\r\n\n",
            "0\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\n: value\r\n\r\n",
            "0\r\nname : value\r\n\r\n",
            "0\r\n folded: value\r\n\r\n",
            "0\r\nname: a\nb: c\r\n\r\n",
            "0\r\nname: a\r\r\n",
        ] {
            assert_eq!(read(body), Err(Malformed::Chunk), "{body:?}");
        }
        assert_eq!(read(&format!("2;{}\r\nhi", "x".repeat(257))), Err(Malformed::Chunk));
        assert_eq!(read(&format!("0\r\nname: {}\r\n\r\n", "x".repeat(8192))), Err(Malformed::Chunk));
    }
}
