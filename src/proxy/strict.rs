//! Framing, method and sizes of a head: the first questions of all, before anything of it is interpreted.

use super::{Rejection, http2};
use crate::{connection, runtime::Listener};
use http::{HeaderMap, Method, Version, header};
use pingora::{http::RequestHeader, proxy::Session};

/// For `Allow`, where no route was asked.
const USUAL: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Refuse what could be read in two ways. From here on HTTP/2 looks like HTTP/1.1.
pub(super) fn check_message(session: &mut Session) -> Result<(), Rejection> {
    connection::head_arrived(session.as_downstream())?;
    let head = session.req_header_mut();
    if head.version == Version::HTTP_2 { http2::check(head) } else { Ok(()) }
}

/// Whether the caller would like to speak WebSocket. pingora forwards no other `Upgrade`.
pub(super) fn asks_for_websocket(session: &Session) -> bool {
    let head = session.req_header();
    session.is_upgrade_req() && is_websocket(&head.headers, head.version)
}

/// The same of a head alone.
pub(super) fn is_websocket(headers: &HeaderMap, version: Version) -> bool {
    let upgrade = headers.get(header::UPGRADE).filter(|_| version == Version::HTTP_11);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Refuse what is too long or too much. pingora's own bounds are wider: 256 headers, 1 MiB in all.
///
/// `length`: bytes of the head as it came, where that is known.
pub(super) fn check_head(head: &RequestHeader, length: Option<usize>, listener: &Listener) -> Result<(), Rejection> {
    check_method(&head.method)?;
    if head.raw_path().len() as u64 > listener.max_target {
        return Err(Rejection::TargetTooLong);
    }
    if head.headers.len() > listener.max_headers {
        return Err(Rejection::TooManyHeaders);
    }
    // The raw head is at most one allocation old and knows its length; only a large one is looked at line by line.
    let largest = listener.max_header.min(listener.max_headers_total);
    if length.is_some_and(|length| length as u64 <= largest) {
        return Ok(());
    }
    check_lines(head, listener)
}

/// Methods are compared as they are written, by us and by services, so `delete` must not pass where `DELETE` would not.
fn check_method(method: &Method) -> Result<(), Rejection> {
    // TRACE would echo what the gateway adds (RFC 9110 section 9.3.8), CONNECT would make it a tunnel to anywhere.
    if [Method::TRACE, Method::CONNECT].contains(method) {
        return Err(Rejection::MethodNotAllowed(USUAL.into()));
    }
    let known = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
    if method.as_str().bytes().all(known) { Ok(()) } else { Err(Rejection::BadMethod) }
}

pub(super) fn raw_length(session: &Session) -> Option<usize> {
    match session.as_downstream() {
        pingora::protocols::http::ServerSession::H1(session) => Some(session.get_headers_raw_bytes().len()),
        _ => None,
    }
}

/// `name: value` and its line end, as RFC 9112 section 5 writes it.
fn check_lines(head: &RequestHeader, listener: &Listener) -> Result<(), Rejection> {
    let lines = head.headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64);
    let (total, largest) = lines.fold((0, 0), |(total, largest), line| (total + line, line.max(largest)));
    if largest > listener.max_header || total > listener.max_headers_total {
        return Err(Rejection::HeadersTooLarge);
    }
    Ok(())
}
