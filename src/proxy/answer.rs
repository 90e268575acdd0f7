//! What a service answered, before anything of it is forwarded: framing that callers could read in two ways never
//! reaches one.
//!
//! pingora has read the head by then (`HttpSession::read_response`): two different lengths, control characters, more than
//! 256 headers or 1 MiB are a 502 already, and of a length beside chunks only the chunks are left (RFC 9112 section 6.3).
//! What it puts right without a word, and nobody can see here because the raw head is gone: lines that end without CR,
//! folded lines, blanks before a colon. The head that callers get is written anew, so it has none of them.

use super::{Rejection, ctx::RequestCtx, strict};
use http::{HeaderValue, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};

/// Interim answers (1xx) to one request; a service that sends more has lost its way.
const MOST_INTERIM: u8 = 16;

/// Refuse what has no one meaning, and bring the rest into the form that callers get.
pub(super) fn check(
    response: &mut ResponseHeader,
    request: &RequestHeader,
    ctx: &mut RequestCtx,
) -> Result<(), Rejection> {
    let status = response.status;
    let interim = status.is_informational();
    if status.as_u16() > 599
        || (status == StatusCode::SWITCHING_PROTOCOLS && !strict::is_websocket(&request.headers, request.version))
    {
        return Err(Rejection::BadGateway);
    }
    if interim && ctx.attempts.count_interim() > MOST_INTERIM {
        return Err(Rejection::BadGateway);
    }
    check_coding(response)?;
    if interim || status == StatusCode::NO_CONTENT {
        // RFC 9110 section 8.6: a caller could wait for a body that does not come.
        response.remove_header(&header::CONTENT_LENGTH);
    }
    one_length(response)
}

fn check_coding(response: &mut ResponseHeader) -> Result<(), Rejection> {
    let mut codings = response.headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    let known = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && response.version == Version::HTTP_11;
    if !known || codings.next().is_some() {
        return Err(Rejection::BadGateway);
    }
    let status = response.status;
    if status.is_informational() || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status) {
        response.remove_header(&header::TRANSFER_ENCODING);
    }
    Ok(())
}

/// `2, 2` and the same length twice mean 2 (RFC 9110 section 8.6); pingora has seen to it that they are the same.
fn one_length(response: &mut ResponseHeader) -> Result<(), Rejection> {
    let mut lengths = response.headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next().map(HeaderValue::as_bytes) else { return Ok(()) };
    if lengths.next().is_none() && first.iter().all(u8::is_ascii_digit) {
        return Ok(());
    }
    let text = first.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    let length = HeaderValue::from_bytes(text).map_err(|_| Rejection::BadGateway)?;
    response.insert_header(header::CONTENT_LENGTH, length).map_err(|_| Rejection::BadGateway)
}
