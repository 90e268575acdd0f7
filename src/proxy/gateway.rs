//! The life of one request, in the order pingora calls us.
//!
//! ```text
//! early_request_filter ─► request_filter ─► upstream_peer ─► upstream_request_filter ─► (service)
//!   sizes, client           admission         attempt             headers                  │
//!      │ refused              │ answered        ▲ retry                                    ▼
//!      │                      │                 └── fail_to_connect,          upstream_response_filter
//!      │                      │                     error_while_proxy                headers │
//!      ▼                      ▼                            │ no retry                       ▼
//!      └───────► logging ◄────┴───────── fail_to_proxy ◄───┘                        response_filter
//!                   ▲                                                                      │
//!                   └──────────────────────────────────────────────────────────────────────┘
//! ```

use super::{
    Rejection, admission,
    admission::{Peer, Verdict},
    answer,
    client::Connection,
    ctx::RequestCtx,
    headers, http2, reply, strict,
};
use crate::{connection, routing::Target, runtime::Live, types::ClientCertificate};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode, request::Parts};
use pingora::{
    http::{RequestHeader, ResponseHeader},
    modules::http::HttpModules,
    prelude::{Error, HttpPeer, Result},
    proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session},
};
use std::{sync::Arc, time::Duration};

/// Wires the modules into pingora's phases. Decides nothing itself.
#[derive(Debug)]
pub struct Gateway {
    live: Live,
    listener: usize,
}

impl Gateway {
    /// The gateway of one listener (its place in the file), over the current and all later snapshots.
    pub fn new(live: Live, listener: usize) -> Self {
        Self { live, listener }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    /// Boxed: pingora moves it from future to future.
    type CTX = Box<RequestCtx>;

    fn new_ctx(&self) -> Box<RequestCtx> {
        Box::new(RequestCtx::new(self.live.pin(), self.listener))
    }

    /// None: the default would add a compressor to every request, to be switched off.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    /// The head is here: times, caller, sizes.
    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Box<RequestCtx>) -> Result<()> {
        let mut head = strict::check_message(session);
        if session.is_http2() && head.is_ok() {
            // Boxed: requests of HTTP/1 should not carry its state along.
            head = Box::pin(http2::check_empty(session, ctx.snapshot.idle)).await;
        }
        let Some(listener) = ctx.snapshot.listener(self.listener) else { return Err(ctx.refuse(Rejection::Internal)) };
        let last = connection::is_last(session.as_downstream(), ctx.started(), ctx.lifetime(listener));
        // Without a value, pingora waits for the next request for ever; where it has said no already, that stands.
        if session.get_keepalive().is_some() {
            session.set_keepalive((!last).then_some(listener.keepalive_seconds));
        }
        session.set_read_timeout(Some(ctx.snapshot.idle));
        session.set_write_timeout(Some(ctx.snapshot.idle));
        let length = strict::raw_length(session);
        let checked = head.and_then(|()| strict::check_head(session.req_header(), length, listener));
        ctx.begin(&Connection::of(session), &session.req_header().headers);
        checked.and_then(|()| ctx.check_address()).map_err(|rejection| {
            if matches!(rejection, Rejection::Malformed(_)) {
                // Nobody knows where the next request begins.
                session.set_keepalive(None);
            }
            ctx.refuse(rejection)
        })
    }

    /// Decide whether the request may go upstream.
    async fn request_filter(&self, session: &mut Session, ctx: &mut Box<RequestCtx>) -> Result<bool> {
        let mut target = match Target::normalise(session.req_header()) {
            Ok(target) => target,
            Err(error) => return reply::refuse(session, ctx, error.into()).await,
        };
        let ctx: &mut RequestCtx = ctx;
        let certificate = client_certificate(session).map(|certificate| &**certificate);
        let (head, peer) = (session.req_header(), Peer { client: &ctx.client, certificate });
        let verdict = admission::admit(&ctx.snapshot, head, &mut target, peer, &mut ctx.found).await;
        // What is matched is what is forwarded and logged.
        target.write_back(session.req_header_mut());
        match verdict {
            Ok(Verdict::Forward(service)) => match ctx.forward_to(service, &target) {
                Ok(()) => {
                    let idle = ctx.route().map_or(ctx.snapshot.idle, |route| route.timeouts.idle);
                    session.set_read_timeout(Some(idle));
                    session.set_write_timeout(Some(idle));
                    Ok(false)
                }
                Err(rejection) => reply::refuse(session, ctx, rejection).await,
            },
            Ok(Verdict::Answer(answer)) => reply::send(session, ctx, answer).await,
            Ok(Verdict::Metrics) => reply::metrics(session, ctx).await,
            Err(rejection) => reply::refuse(session, ctx, rejection).await,
        }
    }

    /// Choose an endpoint. Called again for every retry.
    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Box<RequestCtx>) -> Result<Box<HttpPeer>> {
        let peer = ctx.begin_attempt(session).await;
        peer.map(Box::new).map_err(|rejection| ctx.refuse(rejection))
    }

    /// Tell the service what the caller may not say for itself.
    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Box<RequestCtx>,
    ) -> Result<()> {
        ctx.request_sent(session);
        let mut parts = Parts::from(std::mem::replace(request, RequestHeader::build_no_case(Method::GET, b"/", None)?));
        headers::to_upstream(&mut parts, ctx);
        *request = parts.into();
        Ok(())
    }

    /// A piece of the request's body, or its end.
    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Box<RequestCtx>,
    ) -> Result<()> {
        if session.was_upgraded() {
            return Ok(());
        }
        ctx.count_body(body.as_ref().map_or(0, Bytes::len))?;
        if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            // HTTP/2 may end a body so. pingora would write the last chunk for the empty piece and once more for the end
            // (`send_body_to1`), and the service would take the second for a request.
            *body = None;
        }
        if end_of_stream {
            ctx.await_answer(session);
        }
        Ok(())
    }

    /// Look at the service's answer.
    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<RequestCtx>,
    ) -> Result<()> {
        answer::check(response, session.req_header(), ctx).map_err(|rejection| ctx.refuse(rejection))?;
        // An interim answer says nothing about when the final one comes.
        if !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS {
            if ctx.is_unwanted(session, response) {
                return Err(ctx.ask_again());
            }
            ctx.answered(session, response);
        }
        headers::from_upstream(response, session.req_header(), ctx)
    }

    /// A piece of the answer's body, or its end.
    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Box<RequestCtx>,
    ) -> Result<Option<Duration>> {
        ctx.bytes_came(session, end_of_stream).map(|()| None)
    }

    /// Shape what the caller sees.
    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<RequestCtx>,
    ) -> Result<()> {
        reply::prepare(session, response, ctx)
    }

    /// An endpoint could not be connected to: nothing was sent.
    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Box<RequestCtx>,
        error: Box<Error>,
    ) -> Box<Error> {
        ctx.connect_failed(session, error)
    }

    /// The conversation broke off, on either side.
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Box<RequestCtx>,
        client_reused: bool,
    ) -> Box<Error> {
        ctx.broke_off(session, error, client_reused)
    }

    /// The one place where a failure becomes a response.
    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Box<RequestCtx>) -> FailToProxy {
        let id = ctx.id.clone();
        let rejection = ctx.rejection(error);
        let error_code = rejection.status().as_u16();
        if reply::answered(session).is_none() && !matches!(rejection, Rejection::ClientGone) {
            let answer = rejection.reply(&id);
            let answer = ctx.fallback_reply().unwrap_or(answer);
            // Nobody knows where in the conversation the caller stands.
            session.set_keepalive(None);
            _ = reply::send(session, ctx, answer).await;
        }
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    /// Why a request failed stands in its access log line.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Box<RequestCtx>, _error: &Error) -> bool {
        true
    }

    /// A retry is no news; its number stands in the access log line.
    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Box<RequestCtx>,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    /// The request is over.
    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Box<RequestCtx>) {
        let failed = error.map(|error| ctx.rejection(error).status());
        let status = reply::answered(session).or(failed).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        ctx.ended(session.req_header(), status.as_u16());
        connection::head_awaited(session.as_downstream());
    }
}

/// The certificate that the caller has proven to hold in the handshake of its connection, if it has.
fn client_certificate(session: &Session) -> Option<&Arc<ClientCertificate>> {
    session.digest()?.ssl_digest.as_ref()?.extension.get::<Arc<ClientCertificate>>()
}
