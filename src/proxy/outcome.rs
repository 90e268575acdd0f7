//! What becomes of an attempt that went wrong: another one, or an answer that says so.

use super::{Rejection, TimeoutKind, ctx::RequestCtx, downstream::Downstream};
use crate::{
    observability::metrics::Outcome,
    resilience::{Failure, Retry, is_safe, retry_after},
    upstream::Verdict,
};
use http::{Method, header};
use pingora::{ErrorSource, ErrorType as Type, http::ResponseHeader, prelude::Error};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

impl RequestCtx {
    /// No connection came about: nothing was sent.
    pub(super) fn connect_failed(&mut self, session: &dyn Downstream, mut error: Box<Error>) -> Box<Error> {
        self.attempt_ended(Outcome::ConnectFailed, None);
        let retry = self.decide(session, Failure::NeverSent, Duration::ZERO);
        self.conclude(retry, &mut error);
        error
    }

    /// An answer came whose status asks for another attempt: `true` if there is to be one. Where the service says when
    /// to come back, that is when, or not at all.
    pub(super) fn is_unwanted(&mut self, session: &dyn Downstream, response: &ResponseHeader) -> bool {
        if !self.route().is_some_and(|route| route.retry.is_on(response.status.as_u16())) {
            return false;
        }
        let told = response.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let told = told.and_then(|text| retry_after(text, SystemTime::now())).unwrap_or_default();
        // Before the decision, which may ask another service.
        self.attempt_ended(Outcome::Answered, Some(response.status));
        self.attempts.unwanted = self.decide(session, Failure::Status, told) != Retry::No;
        self.attempts.unwanted
    }

    /// Ends an answer that is not wanted.
    pub(super) fn ask_again(&self) -> Box<Error> {
        let mut error = Error::new_up(Type::new("unwanted"));
        error.set_retry(true);
        error
    }

    /// The conversation broke off after a connection existed.
    pub(super) fn broke_off(&mut self, session: &dyn Downstream, mut error: Box<Error>, reused: bool) -> Box<Error> {
        session.answer_until(None);
        let overdue = session.take_overdue();
        if self.attempts.unwanted {
            self.conclude(Retry::Other, &mut error);
            return error;
        }
        if let Some(fault) = session.body_fault() {
            // To pingora it looks like a caller who left.
            drop(self.refuse(fault.into()));
        }
        let stalled = self.has_stalled(session, &error);
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
        self.failed(failure, &error);
        let retry = self.decide(session, failure, Duration::ZERO);
        if overdue {
            // It looks like the caller's fault to pingora, and must not to the caller.
            drop(self.refuse(Rejection::UpstreamTimeout(self.which_deadline())));
        }
        self.conclude(retry, &mut error);
        error
    }

    /// pingora reads bodies of HTTP/2 without a timeout; what strikes is the one for the service, which has not had all.
    fn has_stalled(&self, session: &dyn Downstream, error: &Error) -> bool {
        session.is_http2()
            && self.attempts.until.is_none()
            && (error.esource(), error.etype()) == (&ErrorSource::Upstream, &Type::ReadTimedout)
    }

    /// What broke off is told as what it is. A connection that died of age is no sign of illness, and neither is a caller
    /// who left.
    fn failed(&mut self, failure: Failure, error: &Error) {
        let unusable =
            error.esource() == &ErrorSource::Upstream || matches!(self.refused(), Some(Rejection::BadGateway));
        // These run while a caller is slow too, with its request or in taking the answer.
        let nobodys = [TimeoutKind::Total, TimeoutKind::Stream];
        if failure == Failure::AttemptTimeout && nobodys.contains(&self.which_deadline()) {
            self.attempts.leave = None;
        } else if self.attempts.answered && (unusable || failure == Failure::AttemptTimeout) {
            // The header was counted as an answer; the body shows that it was none.
            self.tell(Verdict::Failed);
        }
        self.attempt_ended(
            match failure {
                Failure::AttemptTimeout => Outcome::Timeout,
                Failure::DiedOnFresh => Outcome::Died,
                Failure::DiedOnReused => Outcome::DiedOnReused,
                _ if unusable => Outcome::Unusable,
                _ => Outcome::Other,
            },
            None,
        );
    }

    /// `told`: how long the service wants to be left alone, by its own word.
    fn decide(&mut self, session: &dyn Downstream, failure: Failure, told: Duration) -> Retry {
        // An old connection may die of age; anything else is a sign of illness.
        if matches!(failure, Failure::NeverSent | Failure::DiedOnFresh | Failure::AttemptTimeout)
            && let Some(attempt) = &self.attempts.current
        {
            attempt.failed();
        }
        // A refusal of ours (a body over the limit) is final.
        if self.is_refused() || session.has_begun_to_answer() {
            return Retry::No;
        }
        // What the caller still has to send cannot be sent again from its beginning.
        let replayable = session.is_replayable();
        let repeatable = is_idempotent(&session.head().method) && replayable;
        let left = self.time_left(Instant::now);
        match self.another(failure, repeatable, told, left) {
            // Nobody of this service: perhaps another one.
            Retry::No if is_safe(failure, repeatable) && left.is_none_or(|left| !left.is_zero()) => {
                if self.fall_back() { Retry::Other } else { Retry::No }
            }
            retry => retry,
        }
    }

    /// Whether, and after which pause, this service is asked again.
    fn another(&mut self, failure: Failure, repeatable: bool, told: Duration, left: Option<Duration>) -> Retry {
        let Some((route, service)) = self.route().zip(self.service()) else { return Retry::No };
        let has_time = left.is_none_or(|left| !left.is_zero());
        let retry = route.retry.decide(failure, repeatable, self.attempts.made, has_time);
        // Where nobody is left to ask, the failure that there was says more than that nobody was left.
        if retry == Retry::No || (retry == Retry::Other && !service.has_other(&self.attempts.tried)) {
            return Retry::No;
        }
        let pause = match retry {
            // Nobody is ill, and nobody has to recover.
            Retry::OtherOrFresh => Duration::ZERO,
            _ => route.retry.backoff.wait(self.attempts.made.saturating_sub(1), fastrand::f64()).max(told),
        };
        if left.is_some_and(|left| left <= pause) || !service.may_retry(service.moment(Instant::now().into_std())) {
            return Retry::No;
        }
        self.attempts.pause = (!pause.is_zero()).then_some(pause);
        retry
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
