//! A head of HTTP/2 as one of HTTP/1.1: everything behind this reads one form only.
//!
//! h2 and pingora have refused what RFC 9113 section 8 forbids: pseudo-headers that are unknown, doubled or out of order,
//! names with capitals, headers of a connection, `:authority` beside another `Host`, a target with blanks or an address,
//! DATA that is not as long as `content-length` says.

use super::Rejection;
use crate::{
    connection::{Malformed, content_length},
    routing::TargetError,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri, header, uri::Scheme};
use pingora::{http::RequestHeader, prelude::Error, proxy::Session};
use std::time::Duration;
use tokio::time::timeout;

/// Refuse what would become something else in HTTP/1.1, and bring the rest into its form.
pub(super) fn check(head: &mut RequestHeader) -> Result<(), Rejection> {
    check_framing(head)?;
    if head.method == Method::CONNECT {
        // Its target is no path. It is refused for its method.
        return Ok(());
    }
    // h2 keeps the scheme only beside an authority.
    if head.uri.scheme().is_some_and(|scheme| ![Scheme::HTTP, Scheme::HTTPS].contains(scheme)) {
        return Err(TargetError::Form.into());
    }
    if let Some(authority) = head.uri.authority().cloned() {
        if !head.headers.contains_key(header::HOST) {
            let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Malformed::RequestLine)?;
            head.insert_header(header::HOST, host).map_err(|_| Malformed::RequestLine)?;
        }
        let path = head.uri.path_and_query().cloned().ok_or(Malformed::RequestLine)?;
        head.set_uri(Uri::from(path));
    }
    join_cookies(head)
}

/// A body that is announced as nothing must be seen to be nothing: in HTTP/1.1 the request is whole with its head, and h2
/// finds DATA to be too much only when it comes.
pub(super) async fn check_empty(session: &mut Session, patience: Duration) -> Result<(), Rejection> {
    let announced = session.req_header().headers.get(header::CONTENT_LENGTH);
    if announced.is_none_or(|length| length != "0") {
        return Ok(());
    }
    // Not `is_body_done`, which believes the announcement.
    match timeout(patience, session.as_downstream_mut().read_request_body()).await {
        Ok(Ok(body)) if body.as_ref().is_none_or(Bytes::is_empty) => Ok(()),
        Ok(Err(error)) if !is_malformed(&error) => Err(Rejection::ClientGone),
        Ok(_) => Err(Malformed::Length.into()),
        Err(_) => Err(Rejection::RequestTimeout),
    }
}

/// Whether h2 has found the caller's frames to be wrong, and reset the stream itself: DATA that is not as long as announced,
/// or trailers that are none. Else the caller has left.
pub(super) fn is_malformed(error: &Error) -> bool {
    let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(h2::Error::is_library)
}

/// Lines of HTTP/1.1 that say where a message ends, in any spelling, and what may have hidden in a value.
fn check_framing(head: &RequestHeader) -> Result<(), Malformed> {
    let lengths = head.headers.get_all(header::CONTENT_LENGTH);
    if lengths.iter().count() > 1 || lengths.iter().any(|value| content_length(value.as_bytes()).is_none()) {
        return Err(Malformed::Length);
    }
    for (name, value) in &head.headers {
        // The one character that `http` takes in names of HTTP/2 and RFC 9110 section 5.6.2 does not.
        if name.as_str().contains('"') {
            return Err(Malformed::FieldName);
        }
        if name == "content_length" || name == "transfer_encoding" {
            return Err(Malformed::Underscore);
        }
        if *name == header::EXPECT && !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
            return Err(Malformed::Expectation);
        }
        if !is_field_value(value.as_bytes()) {
            return Err(Malformed::FieldValue);
        }
    }
    Ok(())
}

/// RFC 9113 section 8.2.1: no blank at either end; RFC 9110 section 5.5: no control character.
fn is_field_value(value: &[u8]) -> bool {
    value.trim_ascii().len() == value.len() && value.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\t')
}

/// RFC 9113 section 8.2.3: HTTP/2 may split them, HTTP/1.1 may not.
fn join_cookies(head: &mut RequestHeader) -> Result<(), Rejection> {
    const COOKIE: HeaderName = header::COOKIE;
    let crumbs: Vec<&[u8]> = head.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return Ok(());
    }
    let joined = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).map_err(|_| Malformed::FieldValue)?;
    head.insert_header(COOKIE, joined).map_err(|_| Malformed::FieldValue.into())
}
