//! How an answer becomes bytes of HTTP/1.1.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, header};
use pingora::{http::ResponseHeader, prelude::Result, protocols::http::date::get_cached_date};

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Empty,
    /// By its length.
    Length,
    Chunked,
}

/// The framing of a service's answer. One that ends with its connection is sent in chunks, so that the caller's goes on.
///
/// # Errors
/// None that ready-made names and values could cause; pingora's signature has one.
pub(super) fn frame(response: &mut ResponseHeader, method: &Method) -> Result<Framing> {
    let status = response.status;
    let empty = *method == Method::HEAD || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    if empty || status.is_informational() {
        return Ok(Framing::Empty);
    }
    if response.headers.contains_key(header::TRANSFER_ENCODING) {
        return Ok(Framing::Chunked);
    }
    if response.headers.contains_key(header::CONTENT_LENGTH) {
        return Ok(Framing::Length);
    }
    response.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
    Ok(Framing::Chunked)
}

/// Write a head. A final one says when it was written, and whether the connection goes on.
pub(super) fn write_head(response: &mut ResponseHeader, keep: bool, out: &mut BytesMut) {
    let interim = response.status.is_informational();
    if !interim {
        response.remove_header(&header::DATE);
        response.remove_header(&header::CONNECTION);
    }
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(response.status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(response.get_reason_phrase().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
    response.header_to_h1_wire(out);
    if !interim {
        out.put_slice(b"Date: ");
        out.put_slice(get_cached_date().as_bytes());
        out.put_slice(if keep { b"\r\nConnection: keep-alive\r\n" } else { b"\r\nConnection: close\r\n" });
    }
    out.put_slice(b"\r\n");
}

/// Write a piece of a body, and its end where it is the last.
pub(super) fn write_body(framing: Framing, piece: Option<&Bytes>, is_end: bool, out: &mut BytesMut) {
    let piece = piece.map(|piece| &piece[..]).unwrap_or_default();
    match framing {
        Framing::Empty => (),
        Framing::Length => out.put_slice(piece),
        Framing::Chunked => {
            if !piece.is_empty() {
                write_size(piece.len(), out);
                out.put_slice(piece);
                out.put_slice(b"\r\n");
            }
            if is_end {
                out.put_slice(b"0\r\n\r\n");
            }
        }
    }
}

/// RFC 9112 section 7.1: in hexadecimal, and a line of its own.
fn write_size(size: usize, out: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.put_u8(DIGITS.get(size >> (4 * digit) & 15).copied().unwrap_or(b'0'));
    }
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_head_says_when_and_whether_the_connection_goes_on() {
        let mut response = ResponseHeader::build(404, None).unwrap();
        response.insert_header("X-One", "1").unwrap();
        response.insert_header("Date", "never").unwrap();
        response.insert_header("connection", "upgrade").unwrap();
        let date = get_cached_date();
        for (keep, word) in [(true, "keep-alive"), (false, "close")] {
            let expected = format!(
                "HTTP/1.1 404 Not Found\r\nX-One: 1\r\nDate: {}\r\nConnection: {word}\r\n\r\n",
                date.to_str().unwrap()
            );
            assert_eq!(written(|out| write_head(&mut response.clone(), keep, out)), expected);
        }
        let mut hints = ResponseHeader::build(103, None).unwrap();
        hints.insert_header("Link", "</a>").unwrap();
        assert_eq!(written(|out| write_head(&mut hints, true, out)), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    }

    #[test]
    fn bodies_have_one_end() {
        let piece = Bytes::from_static(b"0123456789abcdef!");
        for (framing, expected) in [
            (Framing::Empty, ""),
            (Framing::Length, "0123456789abcdef!"),
            (Framing::Chunked, "11\r\n0123456789abcdef!\r\n0\r\n\r\n"),
        ] {
            assert_eq!(written(|out| write_body(framing, Some(&piece), true, out)), expected, "{framing:?}");
        }
        assert_eq!(written(|out| write_body(Framing::Chunked, Some(&Bytes::new()), false, out)), "");
        assert_eq!(written(|out| write_body(Framing::Chunked, None, true, out)), "0\r\n\r\n");
        for size in [1, 15, 16, 255, 256, 65_535, 65_536] {
            assert_eq!(written(|out| write_size(size, out)), format!("{size:x}\r\n"));
        }
    }

    #[test]
    fn what_would_end_with_its_connection_is_sent_in_chunks() {
        let framing = |status: u16, method: Method, headers: &[(&'static str, &str)]| {
            let mut response = ResponseHeader::build(status, None).unwrap();
            headers.iter().for_each(|(name, value)| response.insert_header(*name, *value).unwrap());
            let framing = frame(&mut response, &method).unwrap();
            (framing, response.headers.contains_key("transfer-encoding"))
        };
        assert_eq!(framing(200, Method::GET, &[("Content-Length", "1")]), (Framing::Length, false));
        assert_eq!(framing(200, Method::GET, &[("Transfer-Encoding", "chunked")]), (Framing::Chunked, true));
        assert_eq!(framing(200, Method::GET, &[]), (Framing::Chunked, true));
        assert_eq!(framing(200, Method::HEAD, &[]), (Framing::Empty, false));
        assert_eq!(framing(204, Method::GET, &[]), (Framing::Empty, false));
        assert_eq!(framing(304, Method::GET, &[("Content-Length", "9")]), (Framing::Empty, false));
        assert_eq!(framing(103, Method::GET, &[]), (Framing::Empty, false));
    }
}
