//! Which heads are of the plain kind, and what they say.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header, request::Parts, uri::PathAndQuery};
use pingora::http::RequestHeader;
use std::mem::MaybeUninit;

/// Headers of one head; what has more is read by pingora.
const MOST: usize = 64;

/// Headers that the gateway adds for the service: room for them from the start.
const ADDED: usize = 10;

/// What is for one hop alone, or changes how a message is read, beside `Connection`.
const SPECIAL: [HeaderName; 10] = [
    header::UPGRADE,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// A head of the plain kind.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) request: RequestHeader,
    /// Whether the caller would like to keep the connection.
    pub(super) keeps: bool,
    /// Bytes of it.
    pub(super) length: usize,
}

/// Read a head that the guard has found to have a body of nothing. `None`: it is of another kind, or wrong; pingora says which.
///
/// Plain is HTTP/1.1, a path as target, one `Host`, and of what is for one hop alone nothing but `Connection: keep-alive` or
/// `close`.
pub(super) fn read(raw: &Bytes) -> Option<Head> {
    let mut room = [const { MaybeUninit::uninit() }; MOST];
    let mut parsed = httparse::Request::new(&mut []);
    let status =
        httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, raw, &mut room).ok()?;
    if status != httparse::Status::Complete(raw.len()) || parsed.version != Some(1) {
        return None;
    }
    let method = method(parsed.method?)?;
    let target = parsed.path.filter(|target| target.starts_with('/'))?;
    let mut headers = HeaderMap::with_capacity(parsed.headers.len() + ADDED);
    let mut keeps = true;
    for line in parsed.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        if SPECIAL.contains(&name) {
            return None;
        }
        if name == header::CONNECTION {
            keeps &= keeps_connection(line.value)?;
        }
        headers.append(name, value(raw, line.value)?);
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let one_host = hosts.next().is_some_and(|host| !host.as_bytes().contains(&b'@')) && hosts.next().is_none();
    if !one_host {
        return None;
    }
    let path = PathAndQuery::from_maybe_shared(raw.slice_ref(target.as_bytes())).ok()?;
    // What is matched and forwarded is what the caller wrote.
    (path.as_str() == target).then(|| Head { request: request(method, path.into(), headers), keeps, length: raw.len() })
}

/// CONNECT is none of ours, and what is no method is for pingora to refuse.
fn method(text: &str) -> Option<Method> {
    Method::from_bytes(text.as_bytes()).ok().filter(|method| *method != Method::CONNECT)
}

/// What `Connection` asks for. `None`: something else.
fn keeps_connection(value: &[u8]) -> Option<bool> {
    match value {
        _ if value.eq_ignore_ascii_case(b"keep-alive") => Some(true),
        _ if value.eq_ignore_ascii_case(b"close") => Some(false),
        _ => None,
    }
}

/// Without a copy: the value is a part of the head's own bytes.
fn value(raw: &Bytes, bytes: &[u8]) -> Option<HeaderValue> {
    let shared = if bytes.is_empty() { Bytes::new() } else { raw.slice_ref(bytes) };
    HeaderValue::from_maybe_shared(shared).ok()
}

fn request(method: Method, uri: Uri, headers: HeaderMap) -> RequestHeader {
    let mut parts: Parts = http::Request::new(()).into_parts().0;
    (parts.method, parts.uri, parts.version, parts.headers) = (method, uri, Version::HTTP_11, headers);
    parts.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Option<Head> {
        read(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_plain_head_says_what_it_says() {
        let head =
            plain("DELETE /a%20b?c=d HTTP/1.1\r\nHOST: x\r\nX-A: 1\r\nx-a:\r\nConnection: Close\r\n\r\n").unwrap();
        assert_eq!((head.request.method.as_str(), head.request.raw_path()), ("DELETE", &b"/a%20b?c=d"[..]));
        assert_eq!(head.request.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", ""]);
        assert!(!head.keeps);
        assert_eq!(head.request.headers["host"], "x");
        assert!(plain("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap().keeps);
    }

    #[test]
    fn whatever_is_not_plain_is_for_pingora() {
        for text in [
            "GET / HTTP/1.0\r\nHost: x\r\n\r\n",
            "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
            "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a@x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: x-a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close, x-a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nKeep-Alive: timeout=5\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            "G@T / HTTP/1.1\r\nHost: x\r\nbad header: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX: a\x01b\r\n\r\n",
        ] {
            assert!(plain(text).is_none(), "{text:?}");
        }
        let many = (0..=MOST).map(|number| format!("x-{number}: 1\r\n")).collect::<String>();
        assert!(plain(&format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")).is_none());
    }
}
