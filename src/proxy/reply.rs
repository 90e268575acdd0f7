//! How an answer of ours becomes bytes, and what every answer goes through.

use super::{Rejection, ctx::RequestCtx, headers};
use crate::{connection, runtime::Shown, types::Reply};
use http::{Method, StatusCode, header};
use pingora::{http::ResponseHeader, prelude::Result, proxy::Session};
use std::time::Duration;

/// Refuse, and say that the request is answered.
pub(super) async fn refuse(session: &mut Session, ctx: &mut RequestCtx, rejection: Rejection) -> Result<bool> {
    let answer = rejection.reply(&ctx.id);
    // Kept for the log; the error is for phases that cannot answer.
    drop(ctx.refuse(rejection));
    send(session, ctx, answer).await
}

/// Send the metrics, once they are gathered.
pub(super) async fn metrics(session: &mut Session, ctx: &mut RequestCtx) -> Result<bool> {
    match Shown::to_caller(ctx.snapshot.clone()).await {
        Some(text) => send(session, ctx, text).await,
        None => refuse(session, ctx, Rejection::Internal).await,
    }
}

/// Answer, and say that the request is answered.
pub(super) async fn send(session: &mut Session, ctx: &mut RequestCtx, answer: Reply) -> Result<bool> {
    let mut response = ResponseHeader::build(answer.status, Some(answer.headers.len() + 8))?;
    for (name, value) in answer.headers {
        response.append_header(name, value)?;
    }
    // RFC 9110 section 8.6: none with 204; with 304 it would speak of another body.
    let empty = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&answer.status);
    if !empty {
        response.insert_header(header::CONTENT_LENGTH, answer.body.len())?;
    }
    prepare(session, &mut response, ctx)?;
    let bodiless = empty || answer.body.is_empty() || session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(response), bodiless).await?;
    if !bodiless {
        session.write_response_body(Some(answer.body), true).await?;
    }
    Ok(true)
}

/// The status that the caller has got; an interim one is none.
pub(super) fn answered(session: &Session) -> Option<StatusCode> {
    let written = session.response_written().map(|response| response.status);
    written.filter(|status| !status.is_informational() || *status == StatusCode::SWITCHING_PROTOCOLS)
}

/// Bytes of a request's body that are read for nothing but the next request on the same connection.
const DRAINED: u64 = 64 * 1024;

/// How long they may take.
const DRAINING: Duration = Duration::from_secs(5);

/// Whether so much of the request is still to come that the connection is worth less than reading it. The end of it, too,
/// is waited for by the connection: the answer reaches a caller who is still sending.
fn leaves_much(session: &mut Session) -> bool {
    let left = connection::body_left(session.as_downstream());
    if left == 0 {
        return false;
    }
    session.set_total_drain_timeout(Some(DRAINING));
    // Whoever waits for a word before sending it gets another one, and never sends it.
    left > DRAINED || session.req_header().headers.contains_key(header::EXPECT)
}

/// What every answer goes through, ours and the service's.
pub(super) fn prepare(session: &mut Session, response: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    let interim = response.status.is_informational();
    if ctx.snapshot.process.departure.is_polite() || (!interim && leaves_much(session)) {
        session.set_keepalive(None);
    }
    headers::to_downstream(response, session.req_header(), ctx)
}
