//! How an answer of ours becomes bytes, and what every answer goes through.

use super::{Rejection, ctx::RequestCtx, headers};
use crate::{runtime::Shown, types::Reply};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora::{
    http::{RequestHeader, ResponseHeader},
    prelude::Result,
    proxy::Session,
};
use std::time::Duration;
use tokio::time::timeout;

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
    if ctx.snapshot.process.departure.is_polite() {
        session.set_keepalive(None);
    }
    let Composed { response, body } = compose(session.req_header(), ctx, answer)?;
    let bodiless = body.is_none();
    session.write_response_header(Box::new(response), bodiless).await?;
    if !bodiless {
        session.write_response_body(body, true).await?;
    }
    if session.is_http2() && !session.is_body_done() {
        // Boxed: few requests need it.
        Box::pin(be_noticed(session)).await;
    }
    Ok(true)
}

/// An answer of ours, as it goes out.
pub(super) struct Composed {
    pub(super) response: ResponseHeader,
    /// `None`: the head says it all.
    pub(super) body: Option<Bytes>,
}

/// Give an answer the form that every answer has.
pub(super) fn compose(request: &RequestHeader, ctx: &RequestCtx, answer: Reply) -> Result<Composed> {
    let mut response = ResponseHeader::build(answer.status, Some(answer.headers.len() + 8))?;
    for (name, value) in answer.headers {
        response.append_header(name, value)?;
    }
    // RFC 9110 section 8.6: none with 204; with 304 it would speak of another body.
    let empty = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&answer.status);
    if !empty {
        response.insert_header(header::CONTENT_LENGTH, answer.body.len())?;
    }
    headers::to_downstream(&mut response, request, ctx)?;
    let bodiless = empty || answer.body.is_empty() || request.method == Method::HEAD;
    Ok(Composed { response, body: (!bodiless).then_some(answer.body) })
}

/// The status that the caller has got; an interim one is none.
pub(super) fn answered(session: &Session) -> Option<StatusCode> {
    let written = session.response_written().map(|response| response.status);
    written.filter(|status| !status.is_informational() || *status == StatusCode::SWITCHING_PROTOCOLS)
}

/// How long a caller of HTTP/2 has to take an answer in before it is told that the rest of its request is not wanted.
const NOTICED: Duration = Duration::from_secs(1);

/// h2 resets the stream (NO_ERROR, RFC 9113 section 8.1) as soon as the request is over. Clients in the middle of sending
/// take that for a failure (curl 7.88) and never look at the answer; so it comes a little later, to those who did not stop by
/// themselves.
async fn be_noticed(session: &mut Session) {
    let rest = async { while let Ok(Some(_)) = session.as_downstream_mut().read_request_body().await {} };
    _ = timeout(NOTICED, rest).await;
}

/// What the answer of a service goes through, as ours do.
pub(super) fn prepare(session: &mut Session, response: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    if ctx.snapshot.process.departure.is_polite() {
        session.set_keepalive(None);
    }
    headers::to_downstream(response, session.req_header(), ctx)
}
