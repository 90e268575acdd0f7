//! One try against one endpoint after the other: choosing, its deadlines, and whether there is another.

use super::{Rejection, TimeoutKind, ctx::RequestCtx, strict::asks_for_websocket};
use crate::{
    connection,
    observability::metrics::Outcome,
    resilience::{Failure, Retry, Timeouts},
    upstream::{Attempt, NoEndpoint, Service, Tried},
};
use http::{Method, StatusCode};
use pingora::{
    ErrorSource, ErrorType as Type,
    prelude::{Error, HttpPeer},
    proxy::Session,
};
use std::time::Duration;
use tokio::time::Instant;

/// The attempts of one request.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    tried: Tried,
    made: u8,
    current: Option<Attempt>,
    /// A reused connection died: the next attempt opens its own.
    fresh: bool,
    /// The final header came.
    answered: bool,
    /// All waiting is measured by the guard of the caller's connection.
    guarded: bool,
    /// How the current one ended is counted already.
    counted: bool,
    /// Interim answers to all of them.
    interim: u8,
    /// When the request's time for a response header ends. Set when the request has arrived whole.
    until: Option<Instant>,
}

impl Attempts {
    /// How many were begun.
    pub(super) fn made(&self) -> u8 {
        self.made
    }

    /// One more interim answer; how many there were.
    pub(super) fn count_interim(&mut self) -> u8 {
        self.interim = self.interim.saturating_add(1);
        self.interim
    }

    /// The one under way, or the last.
    pub(super) fn current(&self) -> Option<&Attempt> {
        self.current.as_ref()
    }
}

impl RequestCtx {
    /// Choose an endpoint and its timeouts.
    pub(super) fn begin_attempt(&mut self, session: &mut Session) -> Result<HttpPeer, Rejection> {
        let service = self.service().ok_or(Rejection::Internal)?;
        let timeouts = self.route().map(|route| route.timeouts).ok_or(Rejection::Internal)?;
        let attempt = match service.pick(&self.attempts.tried) {
            Ok(attempt) => attempt,
            // All were asked. One of them may be asked again where only its connection was at fault.
            Err(_) if self.attempts.fresh => service.pick(&Tried::default())?,
            Err(none) => return Err(none.into()),
        };
        // A tunnel takes its connection away for good. And pingora cuts it (`proxy_handle_upstream`) where the answer is
        // there before the end of the request's empty body was looked at: possible on a kept connection only, which may
        // belong to the poller of another thread.
        let own = self.attempts.fresh || asks_for_websocket(session);
        let peer = if own { attempt.fresh_peer() } else { attempt.peer() };
        let mut peer = peer.ok_or(NoEndpoint)?;
        self.attempts.tried.add(&attempt);
        if self.attempts.made > 0
            && let Some(metrics) = self.attempt_metrics()
        {
            metrics.retried();
        }
        self.attempts.counted = false;
        self.attempts.made = self.attempts.made.saturating_add(1);
        self.attempts.current = Some(attempt);
        self.body_bytes = 0;
        if has_arrived(session) {
            self.request_arrived(timeouts);
        }
        let left = self.time_left().unwrap_or(timeouts.connect);
        if left.is_zero() {
            self.attempt_ended(Outcome::Timeout);
            return Err(Rejection::UpstreamTimeout(TimeoutKind::Request));
        }
        self.set_timeouts(&mut peer, timeouts, left, session);
        Ok(peer)
    }

    fn set_timeouts(&mut self, peer: &mut HttpPeer, timeouts: Timeouts, left: Duration, session: &mut Session) {
        let connect = timeouts.connect.min(left);
        peer.options.connection_timeout = Some(connect);
        peer.options.total_connection_timeout = Some(connect);
        // A request that is all here leaves one thing to wait for, the answer, and the guard of the caller's connection
        // waits for that: one timer for a connection, where pingora makes one for each read and write.
        self.attempts.guarded =
            has_arrived(session) && !asks_for_websocket(session) && connection::is_guarded(session.as_downstream());
        if !self.attempts.guarded {
            peer.options.read_timeout = Some(timeouts.idle.max(timeouts.header()));
            peer.options.write_timeout = Some(timeouts.idle);
        }
    }

    /// The request has arrived whole: its time begins, once.
    fn request_arrived(&mut self, timeouts: Timeouts) {
        self.attempts.until.get_or_insert_with(|| Instant::now() + timeouts.request);
    }

    fn time_left(&self) -> Option<Duration> {
        self.attempts.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// The head goes out; where nothing follows it, the wait for the answer begins.
    pub(super) fn request_sent(&mut self, session: &mut Session) {
        if has_arrived(session) {
            self.await_answer(session);
        }
    }

    /// The endpoint has the request, or will have it when its last byte is sent: now it has its time to answer.
    pub(super) fn await_answer(&mut self, session: &Session) {
        let Some(timeouts) = self.route().map(|route| route.timeouts) else { return };
        self.request_arrived(timeouts);
        if self.attempts.answered {
            // It did not wait for the last byte.
            return self.await_bytes(session);
        }
        let attempt = timeouts.attempt.map(|attempt| Instant::now() + attempt);
        let until = self.attempts.until.into_iter().chain(attempt).min();
        connection::answer_until(session.as_downstream(), until);
    }

    /// The final header is here: from now on only silence counts.
    pub(super) fn answered(&mut self, session: &Session, status: StatusCode) {
        self.attempts.answered = true;
        self.attempt_ended(Outcome::Answered);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            // Silence is no fault of a tunnel.
            connection::answer_until(session.as_downstream(), None);
            connection::become_tunnel(session.as_downstream());
        } else {
            self.await_bytes(session);
        }
    }

    /// Bytes of the answer's body came, or its end.
    pub(super) fn bytes_came(&mut self, session: &Session, is_end: bool) {
        if is_end {
            connection::answer_until(session.as_downstream(), None);
        } else {
            self.await_bytes(session);
        }
    }

    /// pingora's own read timeout is set before the header comes and must be long enough for that; where there is none,
    /// and where silence may last shorter, the guard of the caller's connection measures it.
    fn await_bytes(&mut self, session: &Session) {
        let timeouts = self.route().map(|route| route.timeouts).filter(|_| !session.was_upgraded());
        let silence = timeouts.filter(|timeouts| self.attempts.guarded || timeouts.idle < timeouts.header());
        let until = silence.map(|timeouts| Instant::now() + timeouts.idle);
        connection::answer_until(session.as_downstream(), until);
    }

    /// No connection came about: nothing was sent.
    pub(super) fn connect_failed(&mut self, session: &Session, mut error: Box<Error>) -> Box<Error> {
        self.attempt_ended(Outcome::ConnectFailed);
        let retry = self.decide(session, Failure::NeverSent);
        self.conclude(retry, &mut error);
        error
    }

    /// The conversation broke off after a connection existed.
    pub(super) fn broke_off(&mut self, session: &Session, mut error: Box<Error>, reused: bool) -> Box<Error> {
        connection::answer_until(session.as_downstream(), None);
        let overdue = connection::answer_overdue(session.as_downstream());
        if let Some(fault) = connection::body_fault(session.as_downstream()) {
            // To pingora it looks like a caller who left.
            drop(self.refuse(fault.into()));
        }
        // pingora reads bodies of HTTP/2 without a timeout; what strikes is the one for the service, which has not had all.
        let stalled = session.is_http2()
            && self.attempts.until.is_none()
            && (error.esource(), error.etype()) == (&ErrorSource::Upstream, &Type::ReadTimedout);
        if stalled {
            drop(self.refuse(Rejection::RequestTimeout));
        }
        let failure = match (overdue, error.esource(), error.etype()) {
            (true, ..) => Failure::AttemptTimeout,
            _ if stalled => Failure::Other,
            (_, ErrorSource::Upstream, Type::ReadTimedout) => Failure::AttemptTimeout,
            (_, ErrorSource::Upstream, Type::ConnectionClosed | Type::ReadError | Type::WriteError) if reused => {
                Failure::DiedOnReused
            }
            (_, ErrorSource::Upstream, Type::ConnectionClosed | Type::ReadError | Type::WriteError) => {
                Failure::DiedOnFresh
            }
            _ => Failure::Other,
        };
        self.attempt_ended(match failure {
            Failure::AttemptTimeout => Outcome::Timeout,
            Failure::DiedOnReused | Failure::DiedOnFresh => Outcome::Died,
            Failure::NeverSent | Failure::Other => Outcome::Other,
        });
        let retry = self.decide(session, failure);
        if overdue {
            // It looks like the caller's fault to pingora, and must not to the caller.
            drop(self.refuse(Rejection::UpstreamTimeout(self.which_deadline())));
        }
        self.conclude(retry, &mut error);
        error
    }

    /// Count how the current attempt ended; what happens after its header changes nothing.
    fn attempt_ended(&mut self, outcome: Outcome) {
        if !std::mem::replace(&mut self.attempts.counted, true)
            && let Some(metrics) = self.attempt_metrics()
        {
            metrics.ended(outcome);
        }
    }

    fn which_deadline(&self) -> TimeoutKind {
        match self.time_left() {
            _ if self.attempts.answered => TimeoutKind::Idle,
            Some(left) if !left.is_zero() => TimeoutKind::Attempt,
            _ => TimeoutKind::Request,
        }
    }

    fn decide(&self, session: &Session, failure: Failure) -> Retry {
        // An old connection may die of age; anything else is a sign of illness.
        if let Some(attempt) = self
            .attempts
            .current
            .as_ref()
            .filter(|_| matches!(failure, Failure::NeverSent | Failure::DiedOnFresh | Failure::AttemptTimeout))
        {
            attempt.failed();
        }
        let Some(route) = self.route() else { return Retry::No };
        // A refusal of ours (a body over the limit) is final.
        if self.is_refused() || session.response_written().is_some() {
            return Retry::No;
        }
        let idempotent = is_idempotent(&session.req_header().method);
        // What the caller still has to send cannot be sent again from its beginning.
        let replayable = !session.as_ref().retry_buffer_truncated();
        let left = self.time_left().is_none_or(|left| !left.is_zero());
        let retry = route.retry.decide(failure, idempotent && replayable, self.attempts.made, left);
        let another = || self.service().is_some_and(|service: &Service| service.has_other(&self.attempts.tried));
        // Where nobody is left to ask, the failure that there was says more than that nobody was left.
        if retry == Retry::Other && !another() { Retry::No } else { retry }
    }

    fn conclude(&mut self, retry: Retry, error: &mut Error) {
        error.set_retry(retry != Retry::No);
        self.attempts.fresh = retry == Retry::OtherOrFresh;
        if retry != Retry::No {
            self.forgive();
        }
    }
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE].contains(method)
}

/// Whether the caller has nothing more to send before the answer.
fn has_arrived(session: &mut Session) -> bool {
    asks_for_websocket(session) || session.as_downstream_mut().is_body_done()
}
