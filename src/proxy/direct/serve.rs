//! The life of one plain request: the phases of [`super::super::gateway`], one after the other.

use super::{Caller, DirectProxy, answer, exchange::Exchange, head::Head};
use crate::{
    proxy::{
        Rejection, admission,
        admission::{Peer, Verdict},
        answer as service_answer,
        ctx::RequestCtx,
        headers, reply, strict,
    },
    routing::Target,
    runtime::Shown,
    types::Reply,
};
use http::{StatusCode, Version, header};
use pingora::{
    connectors::http::v1::Connector,
    http::ResponseHeader,
    prelude::{Error, HttpPeer, Result},
    protocols::http::{HttpTask, v1::client},
    upstreams::peer::Peer as _,
};
use std::time::Duration;

/// Attempts at most, whatever routes say: their `retry.attempts` goes up to 8.
const MOST_ATTEMPTS: usize = 16;

/// What comes after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next one may come.
    Next,
    /// It was the last of its connection.
    Over,
    /// Nobody knows where the caller stands.
    BrokenOff,
}

impl DirectProxy {
    /// Serve a request.
    pub(super) async fn serve(&self, caller: &mut Caller, head: Head) -> After {
        let mut ctx = Box::new(RequestCtx::new(self.live.pin(), self.listener));
        let Some(listener) = ctx.snapshot.listener(self.listener) else { return After::BrokenOff };
        caller.idle = Duration::from_secs(listener.keepalive_seconds);
        let last = caller.direct.is_last(ctx.started(), ctx.lifetime(listener));
        let checked = strict::check_head(&head.request, Some(head.length), listener);
        ctx.begin(&caller.connection, &head.request.headers);
        let checked = checked.and_then(|()| ctx.check_address());
        let mut exchange = Exchange::new(caller, head.request, head.keeps && !last, ctx.snapshot.idle);
        let outcome = match checked {
            Err(rejection) => Err(ctx.refuse(rejection)),
            Ok(()) => self.decide(&mut exchange, &mut ctx).await,
        };
        let outcome = match outcome {
            Ok(()) => exchange.flush().await,
            failed => failed,
        };
        let (status, after) = match outcome.err() {
            Some(error) => (Box::pin(fail(&mut exchange, &mut ctx, &error)).await, After::BrokenOff),
            None => {
                let after = if exchange.keep { After::Next } else { After::Over };
                (exchange.status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), after)
            }
        };
        ctx.ended(&exchange.request, status.as_u16());
        caller.direct.await_head();
        after
    }

    /// Whether it may, and what comes of it.
    async fn decide(&self, exchange: &mut Exchange<'_>, ctx: &mut RequestCtx) -> Result<()> {
        let answer = match self.judge(exchange, ctx).await {
            Ok(None) => return self.forward(exchange, ctx).await,
            Ok(Some(answer)) => answer,
            Err(rejection) => {
                let answer = rejection.reply(&ctx.id);
                // Kept for the log; the error is for phases that cannot answer.
                drop(ctx.refuse(rejection));
                answer
            }
        };
        send(exchange, ctx, answer).await
    }

    /// What is answered here, or else that the request may go to the service that `ctx` knows now.
    async fn judge(&self, exchange: &mut Exchange<'_>, ctx: &mut RequestCtx) -> Result<Option<Reply>, Rejection> {
        let mut target = Target::normalise(&exchange.request)?;
        let certificate = exchange.caller.certificate.as_deref();
        let peer = Peer { client: &ctx.client, certificate };
        let verdict = admission::admit(&ctx.snapshot, &exchange.request, &mut target, peer, &mut ctx.found).await;
        // What is matched is what is forwarded and logged.
        target.write_back(&mut exchange.request);
        match verdict? {
            Verdict::Forward(service) => ctx.forward_to(service, &target).map(|()| None),
            Verdict::Answer(answer) => Ok(Some(answer)),
            Verdict::Metrics => {
                let text = Box::pin(Shown::to_caller(ctx.snapshot.clone())).await;
                text.map(Some).ok_or(Rejection::Internal)
            }
        }
    }

    /// One attempt after the other.
    async fn forward(&self, exchange: &mut Exchange<'_>, ctx: &mut RequestCtx) -> Result<()> {
        exchange.patience = ctx.route().map_or(ctx.snapshot.idle, |route| route.timeouts.idle);
        let mut left = MOST_ATTEMPTS;
        loop {
            left -= 1;
            match self.attempt(exchange, ctx).await {
                Err(error) if error.retry() && left > 0 => (),
                outcome => return outcome,
            }
        }
    }

    async fn attempt(&self, exchange: &mut Exchange<'_>, ctx: &mut RequestCtx) -> Result<()> {
        let peer = ctx.begin_attempt(exchange).await.map_err(|rejection| ctx.refuse(rejection))?;
        let (mut service, reused) = match self.connector.reused_http_session(&peer).await {
            Some(kept) => (kept, true),
            // Boxed: most requests find a kept connection, and should not carry the state of a TLS handshake along.
            None => match Box::pin(self.connector.get_http_session(&peer)).await {
                Ok(found) => found,
                Err(error) => return Err(ctx.connect_failed(exchange, error.into_up()).into_up()),
            },
        };
        match converse(exchange, ctx, &mut service, &peer).await {
            Ok(()) => {
                release(&self.connector, service, &peer).await;
                Ok(())
            }
            Err(error) => Err(ctx.broke_off(exchange, error, reused)),
        }
    }
}

async fn release(connector: &Connector, service: client::HttpSession, peer: &HttpPeer) {
    connector.release_http_session(service, peer, peer.idle_timeout()).await;
}

/// Ask the service, and pass its answer on.
async fn converse(
    exchange: &mut Exchange<'_>,
    ctx: &mut RequestCtx,
    service: &mut client::HttpSession,
    peer: &HttpPeer,
) -> Result<()> {
    (service.read_timeout, service.write_timeout) = (peer.options.read_timeout, peer.options.write_timeout);
    let mut request = exchange.request.as_owned_parts();
    // All of what is for one hop alone that a plain head has.
    request.headers.remove(&header::CONNECTION);
    ctx.request_sent(exchange);
    headers::to_upstream(&mut request, ctx);
    exchange.beside(service.write_request_header(Box::new(request.into()))).await?;
    loop {
        let is_end = match exchange.beside(service.read_response_task()).await? {
            HttpTask::Header(mut response, is_end) => {
                answered(exchange, ctx, &mut response)?;
                is_end && !response.status.is_informational()
            }
            HttpTask::Body(piece, is_end) => {
                ctx.bytes_came(exchange, is_end)?;
                exchange.body(piece, is_end).await?;
                is_end
            }
            HttpTask::Failed(error) => return Err(error.into_up()),
            // There is no upgrade, and trailers are not read.
            _ => {
                ctx.bytes_came(exchange, true)?;
                exchange.body(None, true).await?;
                true
            }
        };
        if is_end {
            return Ok(());
        }
    }
}

/// A head came, an interim one or the one.
fn answered(exchange: &mut Exchange<'_>, ctx: &mut RequestCtx, response: &mut ResponseHeader) -> Result<()> {
    service_answer::check(response, &exchange.request, ctx).map_err(|rejection| ctx.refuse(rejection))?;
    // An interim answer says nothing about when the final one comes.
    if !response.status.is_informational() {
        if ctx.is_unwanted(exchange, response) {
            return Err(ctx.ask_again());
        }
        ctx.answered(exchange, response);
    }
    headers::from_upstream(response, &exchange.request, ctx)?;
    let framing = answer::frame(response, &exchange.request.method)?;
    prepare(exchange, response, ctx)?;
    response.set_version(Version::HTTP_11);
    exchange.head(response, framing);
    Ok(())
}

fn prepare(exchange: &mut Exchange<'_>, response: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    exchange.keep &= !ctx.snapshot.process.departure.is_polite();
    headers::to_downstream(response, &exchange.request, ctx)
}

/// An answer of ours. Boxed within: requests that are forwarded should not carry its state along.
async fn send(exchange: &mut Exchange<'_>, ctx: &RequestCtx, answer: Reply) -> Result<()> {
    exchange.keep &= !ctx.snapshot.process.departure.is_polite();
    let reply::Composed { mut response, body } = reply::compose(&exchange.request, ctx, answer)?;
    exchange.head(&mut response, answer::Framing::Length);
    match body {
        Some(body) => Box::pin(exchange.body(Some(body), true)).await,
        None => Ok(()),
    }
}

/// The one place where a failure becomes an answer. The status of what the caller got, or would have got.
async fn fail(exchange: &mut Exchange<'_>, ctx: &mut RequestCtx, error: &Error) -> StatusCode {
    // Nobody knows where in the conversation the caller stands.
    exchange.keep = false;
    let id = ctx.id.clone();
    let rejection = ctx.rejection(error);
    let status = rejection.status();
    if exchange.status.is_none() && !matches!(rejection, Rejection::ClientGone) {
        let answer = rejection.reply(&id);
        let answer = ctx.fallback_reply().unwrap_or(answer);
        _ = send(exchange, ctx, answer).await;
    }
    // Also the head of an answer that broke off behind it.
    _ = exchange.flush().await;
    exchange.status.unwrap_or(status)
}
