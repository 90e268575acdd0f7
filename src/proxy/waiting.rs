//! How long an attempt may take: what pingora measures, and what the guard of the caller's connection does.

use super::{ctx::RequestCtx, downstream::Downstream};
use crate::{
    observability::{LongLived, metrics::Outcome},
    resilience::Timeouts,
    runtime::milliseconds,
    upstream::Verdict,
};
use http::{HeaderValue, StatusCode, header};
use pingora::{
    http::ResponseHeader,
    prelude::{HttpPeer, Result},
};
use std::time::Duration;
use tokio::time::Instant;

impl RequestCtx {
    /// Whether the caller has nothing more to send before the answer.
    pub(super) fn has_arrived(&self, session: &mut dyn Downstream) -> bool {
        self.attempts.tunnel || session.is_whole()
    }

    pub(super) fn set_timeouts(
        &mut self,
        peer: &mut HttpPeer,
        timeouts: Timeouts,
        left: Duration,
        session: &mut dyn Downstream,
    ) {
        let connect = timeouts.connect.min(left);
        peer.options.connection_timeout = Some(connect);
        peer.options.total_connection_timeout = Some(connect);
        // A request that is all here leaves one thing to wait for, the answer, and the guard of the caller's connection
        // waits for that: one timer for a connection, where pingora makes one for each read and write.
        self.attempts.guarded = !self.attempts.tunnel && self.has_arrived(session) && session.is_guarded();
        if !self.attempts.guarded {
            peer.options.read_timeout = Some(timeouts.idle.max(timeouts.header()));
            peer.options.write_timeout = Some(timeouts.idle);
            session.answer_until(self.total_until());
        }
    }

    /// The request has arrived whole: its time begins, once.
    pub(super) fn request_arrived(&mut self, timeouts: Timeouts, now: Instant) {
        self.attempts.until.get_or_insert_with(|| now + timeouts.request);
    }

    /// What is left for a response header, once the request has arrived, and of all its time.
    pub(super) fn time_left(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        let until = self.attempts.until.into_iter().chain(self.total_until()).min()?;
        Some(until.saturating_duration_since(now()))
    }

    /// When the last byte of the answer has to be there.
    pub(super) fn total_until(&self) -> Option<Instant> {
        let total = self.route().and_then(|route| route.timeouts.total)?;
        Some(Instant::from_std(self.started() + total))
    }

    /// What the service is told about how long it is waited for; a tunnel is no answer.
    pub(super) fn patience(&self) -> Option<HeaderValue> {
        let route = self.route().filter(|_| !self.attempts.tunnel)?;
        if !self.attempts.waited && route.timeouts.total.is_none() {
            return Some(route.patience.clone());
        }
        let left = self.time_left(Instant::now).unwrap_or(route.timeouts.request);
        Some(milliseconds(route.timeouts.attempt.map_or(left, |attempt| attempt.min(left))))
    }

    /// The head goes out; where nothing follows it, the wait for the answer begins.
    pub(super) fn request_sent(&mut self, session: &mut dyn Downstream) {
        if self.has_arrived(session) {
            self.await_answer(session);
        }
    }

    /// The endpoint has the request, or will have it when its last byte is sent: now it has its time to answer.
    pub(super) fn await_answer(&mut self, session: &dyn Downstream) {
        let Some(timeouts) = self.route().map(|route| route.timeouts) else { return };
        let now = Instant::now();
        self.request_arrived(timeouts, now);
        if self.attempts.answered {
            // It did not wait for the last byte.
            return self.await_bytes(session);
        }
        if !self.attempts.guarded {
            // An upload is the caller's time, not the endpoint's.
            self.attempts.since = Some(now);
        }
        let attempt = timeouts.attempt.map(|attempt| now + attempt);
        let until = self.attempts.until.into_iter().chain(attempt).chain(self.total_until()).min();
        session.answer_until(until);
    }

    /// The final header is here: from now on only silence counts.
    pub(super) fn answered(&mut self, session: &dyn Downstream, response: &ResponseHeader) {
        self.attempts.answered = true;
        self.attempts.status = Some(response.status);
        self.attempts.streaming = is_stream(response);
        if self.attempts.streaming {
            let age = self.route().and_then(|route| route.timeouts.max_stream_age);
            self.attempts.stream_until = age.map(|age| Instant::now() + age);
            let tunnel = response.status == StatusCode::SWITCHING_PROTOCOLS;
            self.becomes(if tunnel { LongLived::Tunnel } else { LongLived::Stream });
        }
        self.attempt_ended(Outcome::Answered, Some(response.status));
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            // Silence is no fault of a tunnel.
            session.answer_until(self.attempts.stream_until);
            session.become_tunnel();
        } else {
            self.await_bytes(session);
        }
    }

    /// Bytes of the answer's body came, or its end.
    pub(super) fn bytes_came(&mut self, session: &dyn Downstream, is_end: bool) -> Result<()> {
        if is_end {
            session.answer_until(None);
            return Ok(());
        }
        if self.is_overdue() {
            // Streams of HTTP/2 have no guard, and where the service is faster than the caller nobody looks at it: what is
            // over is noticed with the next bytes. Whoever is slow, it is not this attempt that failed.
            self.attempts.leave = None;
            return Err(self.refuse(super::Rejection::UpstreamTimeout(self.which_deadline())));
        }
        self.await_bytes(session);
        Ok(())
    }

    fn is_overdue(&self) -> bool {
        let until = if self.attempts.streaming { self.attempts.stream_until } else { self.total_until() };
        until.is_some_and(|until| until <= Instant::now())
    }

    /// pingora's own read timeout is set before the header comes and must be long enough for that; where there is none,
    /// and where silence may last shorter, the guard of the caller's connection measures it.
    fn await_bytes(&mut self, session: &dyn Downstream) {
        let Some(timeouts) = self.route().map(|route| route.timeouts) else { return };
        let measured = !session.was_upgraded() && (self.attempts.guarded || timeouts.idle < timeouts.header());
        let silence = measured.then(|| Instant::now() + timeouts.idle);
        let end = if self.attempts.streaming { self.attempts.stream_until } else { self.total_until() };
        session.answer_until(silence.into_iter().chain(end).min());
    }

    /// Count how the current attempt ended; what happens after its header changes nothing. What the service did is told
    /// to its breaker at once where much depends on it, or where it is a failure; an answer that goes well is one when
    /// its last byte is there.
    pub(super) fn attempt_ended(&mut self, outcome: Outcome, status: Option<StatusCode>) {
        if std::mem::replace(&mut self.attempts.counted, true) {
            return;
        }
        if let Some(metrics) = self.attempt_metrics() {
            metrics.ended(outcome);
        }
        match (outcome, status) {
            (Outcome::Answered, Some(status)) => {
                self.learn_latency();
                let is_trial = self.attempts.leave.as_ref().is_some_and(|leave| leave.is_trial());
                if is_trial || status.is_server_error() || self.attempts.streaming {
                    self.tell(Verdict::Answered(status.as_u16()));
                }
            }
            (Outcome::ConnectFailed | Outcome::Timeout | Outcome::Died | Outcome::Unusable, _) => {
                self.tell(Verdict::Failed);
            }
            _ => self.attempts.leave = None,
        }
    }

    fn learn_latency(&self) {
        let parts = self.service().zip(self.attempts.current.as_ref()).zip(self.attempts.since);
        let Some(((service, attempt), since)) = parts.filter(|((service, _), _)| service.learns()) else { return };
        let now = Instant::now();
        service.header_came(attempt, now.duration_since(since), service.moment(now.into_std()));
    }
}

/// An answer that has no end of its own.
fn is_stream(response: &ResponseHeader) -> bool {
    let kind = || response.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let begins = |kind: &[u8], with: &str| {
        kind.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
    };
    response.status == StatusCode::SWITCHING_PROTOCOLS
        || begins(kind(), "text/event-stream")
        || begins(kind(), "application/grpc")
}
