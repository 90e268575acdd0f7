//! Method and sizes of a head: the first questions of all, before anything of it is interpreted.

use super::Rejection;
use crate::runtime::Listener;
use http::Method;
use pingora::{http::RequestHeader, proxy::Session};

/// For `Allow`, where no route was asked.
const USUAL: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Refuse what is too long or too much. pingora's own bounds are wider: 256 headers (a bare 400), 1 MiB in all.
pub(super) fn check_head(session: &Session, listener: &Listener) -> Result<(), Rejection> {
    let head = session.req_header();
    check_method(&head.method)?;
    if head.raw_path().len() as u64 > listener.max_target {
        return Err(Rejection::TargetTooLong);
    }
    if head.headers.len() > listener.max_headers {
        return Err(Rejection::TooManyHeaders);
    }
    // The raw head is at most one allocation old and knows its length; only a large one is looked at line by line.
    let largest = listener.max_header.min(listener.max_headers_total);
    if raw_length(session).is_some_and(|length| length as u64 <= largest) {
        return Ok(());
    }
    check_lines(head, listener)
}

/// Methods are compared as they are written, by us and by services, so `delete` must not pass where `DELETE` would not.
fn check_method(method: &Method) -> Result<(), Rejection> {
    if *method == Method::TRACE {
        // It would echo what the gateway adds (RFC 9110 section 9.3.8).
        return Err(Rejection::MethodNotAllowed(USUAL.into()));
    }
    let known = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
    if method.as_str().bytes().all(known) { Ok(()) } else { Err(Rejection::BadMethod) }
}

fn raw_length(session: &Session) -> Option<usize> {
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
