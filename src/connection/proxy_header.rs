//! The PROXY protocol, versions 1 and 2: what a balancer of TCP says about a connection before its first byte.
//!
//! By the letter of <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>: whoever believes more than that is told
//! wrong addresses. Own, because the libraries that there are take a header for wrong whose last port is still on its
//! way (ppp 2.3), and ports with signs and leading zeros for right (proxy-header 0.1).

use bytes::{Buf, BytesMut};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest header of version 1, its line end included (section 2.1).
const LONGEST_V1: usize = 107;

/// Longest header of version 2. Addresses take 52 bytes; the rest is for what is told of TLS and by clouds (section 2.2),
/// which is skipped.
const LONGEST_V2: usize = 2048;

/// Section 2.2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED: usize = 16;
const PROXY: &[u8] = b"PROXY ";

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The balancer speaks for itself, as its health checks do, or for somebody it does not know.
    Itself,
    /// Somebody is connected to it.
    Caller {
        /// Their address.
        from: SocketAddr,
        /// Where they connected to.
        to: SocketAddr,
    },
}

/// The bytes are no header, whatever comes behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no PROXY protocol header")]
pub(super) struct NoHeader;

/// Read one header; and what came behind it, which belongs to the conversation.
///
/// # Errors
/// There is none. Of the kind `UnexpectedEof`: the connection ended before a byte of it.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Origin, BytesMut)> {
    let mut bytes = BytesMut::with_capacity(512);
    loop {
        let began = !bytes.is_empty();
        if stream.read_buf(&mut bytes).await.map_err(|_| ended(began))? == 0 {
            return Err(ended(began));
        }
        if let Some((origin, length)) =
            parse(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
        {
            bytes.advance(length);
            return Ok((origin, bytes));
        }
    }
}

fn ended(began: bool) -> io::Error {
    if began { io::Error::new(io::ErrorKind::InvalidData, NoHeader) } else { io::ErrorKind::UnexpectedEof.into() }
}

/// What the header at the beginning of `bytes` says, and its length. `None`: it goes on.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Origin, usize)>, NoHeader> {
    if begins(bytes, SIGNATURE) {
        return version_2(bytes);
    }
    if begins(bytes, PROXY) { version_1(bytes) } else { Err(NoHeader) }
}

/// As far as there are bytes.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    let known = bytes.len().min(with.len());
    bytes.get(..known) == with.get(..known)
}

fn version_1(bytes: &[u8]) -> Result<Option<(Origin, usize)>, NoHeader> {
    let head = bytes.get(..bytes.len().min(LONGEST_V1)).unwrap_or_default();
    let Some(end) = memchr::memchr(b'\n', head) else {
        return if bytes.len() < LONGEST_V1 { Ok(None) } else { Err(NoHeader) };
    };
    let line = head.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(NoHeader)?;
    let line = std::str::from_utf8(line).map_err(|_| NoHeader)?;
    let words: Vec<&str> = line.split(' ').collect();
    let origin = match words[..] {
        // What follows is not to be looked at.
        ["PROXY", "UNKNOWN", ..] => Origin::Itself,
        ["PROXY", "TCP4", from, to, from_port, to_port] => {
            caller::<Ipv4Addr>((from, from_port), (to, to_port)).ok_or(NoHeader)?
        }
        ["PROXY", "TCP6", from, to, from_port, to_port] => {
            caller::<Ipv6Addr>((from, from_port), (to, to_port)).ok_or(NoHeader)?
        }
        _ => return Err(NoHeader),
    };
    Ok(Some((origin, end + 1)))
}

fn caller<A: std::str::FromStr + Into<IpAddr>>(from: (&str, &str), to: (&str, &str)) -> Option<Origin> {
    let socket =
        |(address, port): (&str, &str)| Some(SocketAddr::new(address.parse::<A>().ok()?.into(), decimal(port)?));
    Some(Origin::Caller { from: socket(from)?, to: socket(to)? })
}

/// Without sign and leading zeros.
fn decimal(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

fn version_2(bytes: &[u8]) -> Result<Option<(Origin, usize)>, NoHeader> {
    let Some([command, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else {
        // A wrong byte is wrong at once.
        let command = bytes.get(SIGNATURE.len());
        return if command.is_none_or(|byte| [0x20, 0x21].contains(byte)) { Ok(None) } else { Err(NoHeader) };
    };
    let length = FIXED + usize::from(u16::from_be_bytes([*high, *low]));
    if length > LONGEST_V2 {
        return Err(NoHeader);
    }
    let needed = match (command, family) {
        (0x20, _) => 0,
        // Nobody it knows, or somebody at a socket in a file system.
        (0x21, 0x00) => 0,
        (0x21, 0x31) => 216,
        (0x21, 0x11) => 12,
        (0x21, 0x21) => 36,
        _ => return Err(NoHeader),
    };
    if length - FIXED < needed {
        return Err(NoHeader);
    }
    let Some(addresses) = bytes.get(FIXED..length) else { return Ok(None) };
    let origin = match needed {
        12 => binary::<4>(addresses),
        36 => binary::<16>(addresses),
        _ => Some(Origin::Itself),
    };
    origin.map(|origin| Some((origin, length))).ok_or(NoHeader)
}

/// Two addresses of `N` bytes, then two ports.
fn binary<const N: usize>(bytes: &[u8]) -> Option<Origin>
where
    [u8; N]: Into<IpAddr>,
{
    let (from, rest) = bytes.split_first_chunk::<N>()?;
    let (to, rest) = rest.split_first_chunk::<N>()?;
    let (from_port, rest) = rest.split_first_chunk::<2>()?;
    let (to_port, _) = rest.split_first_chunk::<2>()?;
    let socket = |address: [u8; N], port: [u8; 2]| SocketAddr::new(address.into(), u16::from_be_bytes(port));
    Some(Origin::Caller { from: socket(*from, *from_port), to: socket(*to, *to_port) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &length, rest].concat()
    }

    fn four() -> Vec<u8> {
        vec![192, 0, 2, 7, 203, 0, 113, 1, 0x16, 0x2e, 0x01, 0xbb]
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<Option<&str>, NoHeader>) {
        let shown = |(origin, length): (Origin, usize)| match origin {
            Origin::Itself => format!("itself {length}"),
            Origin::Caller { from, to } => format!("{from} {to} {length}"),
        };
        let found = parse(bytes).map(|found| found.map(shown));
        assert_eq!(found, expected.map(|text| text.map(str::to_owned)), "{:?}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn version_1_is_read_to_the_letter() {
        check(b"PROXY TCP4 192.0.2.7 203.0.113.1 5678 443\r\nGET /", Ok(Some("192.0.2.7:5678 203.0.113.1:443 43")));
        check(b"PROXY TCP6 2001:db8::7 2001:db8::1 5678 443\r\n", Ok(Some("[2001:db8::7]:5678 [2001:db8::1]:443 45")));
        check(b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", Ok(Some("0.0.0.0:0 255.255.255.255:65535 44")));
        check(b"PROXY UNKNOWN\r\n", Ok(Some("itself 15")));
        check(b"PROXY UNKNOWN whatever it is\r\n", Ok(Some("itself 30")));
        for part in
            ["", "\r\n", "P", "PROXY", "PROXY TCP4 1", "PROXY TCP4 192.0.2.7 203.0.113.1 5678 443\r", "PROXY UNKN"]
        {
            check(part.as_bytes(), Ok(None));
        }
        for wrong in [
            "GET / HTTP/1.1\r\n",
            "proxy TCP4 192.0.2.7 203.0.113.1 5678 443\r\n",
            "PROXY TCP4 192.0.2.7 203.0.113.1 5678 443\n",
            "PROXY TCP4 192.0.2.7 203.0.113.1 5678\r\n",
            "PROXY TCP4 192.0.2.7 203.0.113.1 5678 443 \r\n",
            "PROXY  TCP4 192.0.2.7 203.0.113.1 5678 443\r\n",
            "PROXY TCP4 192.0.2.7  203.0.113.1 5678 443\r\n",
            "PROXY TCP4 192.0.2.7 203.0.113.1 05678 443\r\n",
            "PROXY TCP4 192.0.2.7 203.0.113.1 +5678 443\r\n",
            "PROXY TCP4 192.0.2.7 203.0.113.1 65536 443\r\n",
            "PROXY TCP4 192.0.2.07 203.0.113.1 5678 443\r\n",
            "PROXY TCP4 2001:db8::7 2001:db8::1 5678 443\r\n",
            "PROXY TCP6 192.0.2.7 203.0.113.1 5678 443\r\n",
            "PROXY TCP6 [2001:db8::7] 2001:db8::1 5678 443\r\n",
            "PROXY UDP4 192.0.2.7 203.0.113.1 5678 443\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY \r\n",
            "\r\n\r\nPROXY UNKNOWN\r\n",
        ] {
            check(wrong.as_bytes(), Err(NoHeader));
        }
        let long = |more: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(more));
        check(long(91).as_bytes(), Ok(Some("itself 107")));
        check(long(92).as_bytes(), Err(NoHeader));
        check(&long(200).as_bytes()[..107], Err(NoHeader));
        check(&long(200).as_bytes()[..106], Ok(None));
    }

    #[test]
    fn version_2_is_read_to_the_letter() {
        check(&v2(0x21, 0x11, &four()), Ok(Some("192.0.2.7:5678 203.0.113.1:443 28")));
        let more = [four(), b"\x04\x00\x04skip".to_vec(), vec![0; 2013]].concat();
        check(&v2(0x21, 0x11, &more), Ok(Some("192.0.2.7:5678 203.0.113.1:443 2048")));
        check(&v2(0x21, 0x11, &[more, vec![0]].concat()), Err(NoHeader));
        let mut six = [0_u8; 36];
        (six[15], six[31], six[33], six[35]) = (1, 2, 80, 81);
        check(&v2(0x21, 0x21, &six), Ok(Some("[::1]:80 [::2]:81 52")));
        check(&v2(0x20, 0x00, b""), Ok(Some("itself 16")));
        check(&v2(0x20, 0x11, &four()), Ok(Some("itself 28")));
        check(&v2(0x21, 0x00, b"what is not known"), Ok(Some("itself 33")));
        check(&v2(0x21, 0x31, &[0; 216]), Ok(Some("itself 232")));
        for (command, family, rest) in [
            (0x21, 0x11, &four()[..11]),
            (0x21, 0x21, &six[..35]),
            (0x21, 0x31, &[0; 215][..]),
            (0x21, 0x12, &four()[..]),
            (0x21, 0x41, &four()[..]),
            (0x21, 0x10, &four()[..]),
            (0x22, 0x11, &four()[..]),
            (0x11, 0x11, &four()[..]),
        ] {
            check(&v2(command, family, rest), Err(NoHeader));
        }
        check(b"\r\n\r\n\0\r\nQUIT\r", Err(NoHeader));
        check(b"\r\n\r\n\0\r\nQUIT\n\x31", Err(NoHeader));
    }

    #[test]
    fn a_header_in_pieces_goes_on_until_its_last_byte() {
        for whole in [
            b"PROXY TCP6 2001:db8::7 2001:db8::1 5678 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 203.0.113.1 5678 443\r\n".to_vec(),
            v2(0x21, 0x11, &four()),
            v2(0x20, 0x00, b""),
        ] {
            (0..whole.len()).for_each(|length| check(&whole[..length], Ok(None)));
            assert!(parse(&whole).unwrap().is_some());
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(from: SocketAddr, to: SocketAddr, behind in vec(any::<u8>(), 0..40)) {
            let same_family = from.is_ipv4() == to.is_ipv4();
            let word = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            let line = format!("PROXY {word} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port());
            let found = parse(&[line.as_bytes(), &behind].concat());
            let origin = Origin::Caller { from: SocketAddr::new(from.ip(), from.port()), to: SocketAddr::new(to.ip(), to.port()) };
            let expected = same_family.then_some(Some((origin, line.len()))).ok_or(NoHeader);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn no_bytes_end_in_a_panic_and_more_of_them_change_no_answer(
            version in 0..3,
            bytes in vec(any::<u8>(), 0..80),
            behind in vec(any::<u8>(), 0..20),
        ) {
            let start: &[u8] = match version { 0 => b"", 1 => b"PROXY TCP4 ", _ => b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0" };
            let whole = [start, &bytes].concat();
            let found = parse(&whole);
            if found != Ok(None) {
                prop_assert_eq!(parse(&[whole, behind].concat()), found);
            }
        }
    }
}
