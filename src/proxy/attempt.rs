//! One try against one endpoint after the other: leave, a place, an endpoint.
//!
//! How long each may take is in `waiting.rs`, what becomes of it in `outcome.rs`.

use super::{Rejection, TimeoutKind, ctx::RequestCtx, downstream::Downstream};
use crate::{
    resilience::Permit,
    runtime::Fallback,
    types::{Moment, Reply},
    upstream::{Attempt, Caller, Leave, NoEndpoint, Observed, Service, Tried, Verdict},
};
use http::StatusCode;
use pingora::{
    http::RequestHeader,
    prelude::{HttpPeer, Result},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The attempts of one request.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) tried: Tried,
    /// How many were begun.
    pub(super) made: u8,
    /// The service knows that there is this request.
    begun: bool,
    /// The one under way, or the last.
    pub(super) current: Option<Attempt>,
    /// The breaker's leave for the current one, until it is told how that ended.
    pub(super) leave: Option<Leave>,
    /// The place among the requests in flight, where their number is limited.
    permit: Option<Permit>,
    /// A reused connection died: the next attempt opens its own.
    pub(super) fresh: bool,
    /// How long to wait before the next one.
    pub(super) pause: Option<Duration>,
    /// Something was waited for: a turn, or a retry.
    pub(super) waited: bool,
    /// The service cannot, and another one is asked.
    in_fallback: bool,
    /// The request asks for another protocol.
    pub(super) tunnel: bool,
    /// The final header came.
    pub(super) answered: bool,
    /// Its status.
    pub(super) status: Option<StatusCode>,
    /// Its status asks for another attempt.
    pub(super) unwanted: bool,
    /// All waiting is measured by the guard of the caller's connection.
    pub(super) guarded: bool,
    /// How the current one ended is counted already.
    pub(super) counted: bool,
    /// Interim answers to all of them.
    interim: u8,
    /// What `mode: observe` let pass.
    pub(super) observed: Option<Observed>,
    /// When the current one had all it needs.
    pub(super) since: Option<Instant>,
    /// When the request's time for a response header ends. Set when the request has arrived whole.
    pub(super) until: Option<Instant>,
    /// Its answer has no end of its own.
    pub(super) streaming: bool,
    /// When its stream ends all the same.
    pub(super) stream_until: Option<Instant>,
}

impl Attempts {
    /// One more interim answer; how many there were.
    pub(super) fn count_interim(&mut self) -> u8 {
        self.interim = self.interim.saturating_add(1);
        self.interim
    }
}

impl RequestCtx {
    /// Choose an endpoint and its timeouts.
    pub(super) async fn begin_attempt(&mut self, session: &mut dyn Downstream) -> Result<HttpPeer, Rejection> {
        let timeouts = self.route().map(|route| route.timeouts).ok_or(Rejection::Internal)?;
        let mut now = Instant::now();
        self.attempts.tunnel = session.asks_for_websocket();
        if self.has_arrived(session) {
            self.request_arrived(timeouts, now);
        }
        if let Some(pause) = self.attempts.pause.take() {
            self.attempts.waited = true;
            sleep(pause).await;
            now = Instant::now();
        }
        let mut chosen = self.choose(session, now).await;
        if chosen.as_ref().is_err_and(Rejection::is_unavailable) && self.fall_back() {
            chosen = self.choose(session, now).await;
        }
        let attempt = chosen?;
        // What was waited for may have taken all of it; then the endpoint is not asked, and not to blame.
        let later = if self.attempts.waited { Instant::now() } else { now };
        let left = self.time_left(|| later).unwrap_or(timeouts.connect);
        if left.is_zero() {
            return Err(Rejection::UpstreamTimeout(self.which_deadline()));
        }
        // A tunnel takes its connection away for good. And pingora cuts it (`proxy_handle_upstream`) where the answer is
        // there before the end of the request's empty body was looked at: possible on a kept connection only, which may
        // belong to the poller of another thread.
        let own = self.attempts.fresh || self.attempts.tunnel;
        let peer = if own { attempt.fresh_peer() } else { attempt.peer() };
        let mut peer = peer.ok_or(NoEndpoint::Left)?;
        self.attempt_begins(attempt, later);
        self.set_timeouts(&mut peer, timeouts, left, session);
        Ok(peer)
    }

    /// Leave, a place, an endpoint: in this order, so that a place is not kept by who has no leave.
    async fn choose(&mut self, session: &dyn Downstream, now: Instant) -> Result<Attempt, Rejection> {
        let snapshot = self.snapshot.clone();
        let service = self.service_index().and_then(|index| snapshot.service(index)).ok_or(Rejection::Internal)?;
        let mut moment = service.moment(now.into_std());
        if !std::mem::replace(&mut self.attempts.begun, true) {
            service.request_begins(moment);
        }
        let (leave, observed) = service.leave(moment)?;
        self.attempts.observed = self.attempts.observed.or(observed);
        if self.attempts.permit.is_none() && service.is_limited() {
            let (permit, observed) = service.enter(self.attempts.until, moment).await?;
            self.attempts.permit = permit;
            self.attempts.observed = self.attempts.observed.or(observed);
            let later = Instant::now();
            self.attempts.waited |= later.duration_since(now) >= Duration::from_millis(1);
            moment = service.moment(later.into_std());
        }
        let attempt = self.pick(service, session, moment)?;
        self.attempts.leave = Some(leave);
        Ok(attempt)
    }

    fn pick(&self, service: &Service, session: &dyn Downstream, now: Moment) -> Result<Attempt, Rejection> {
        let head = session.head();
        let caller = self.caller(head);
        match service.pick(&self.attempts.tried, &caller, now) {
            // All were asked. One of them may be asked again where only its connection was at fault.
            Err(NoEndpoint::Left) if self.attempts.fresh => Ok(service.pick(&Tried::default(), &caller, now)?),
            picked => Ok(picked?),
        }
    }

    /// What a choice between endpoints can depend on.
    pub(super) fn caller<'r>(&'r self, head: &'r RequestHeader) -> Caller<'r> {
        let consumer = self.found.identity.as_deref().and_then(|identity| identity.id());
        Caller { address: self.client.address, consumer, path: head.uri.path(), headers: &head.headers }
    }

    fn attempt_begins(&mut self, attempt: Attempt, now: Instant) {
        self.attempts.tried.add(&attempt);
        if self.attempts.made > 0
            && let Some(metrics) = self.attempt_metrics()
        {
            metrics.retried();
        }
        self.attempts.counted = false;
        self.attempts.unwanted = false;
        self.attempts.made = self.attempts.made.saturating_add(1);
        self.attempts.current = Some(attempt);
        self.attempts.since = Some(now);
        self.body_bytes = 0;
    }

    /// Ask the fallback service from now on, if there is one and it is not asked already.
    pub(super) fn fall_back(&mut self) -> bool {
        let fallback = self.service_index().and_then(|index| self.snapshot.fallback(index));
        let other = match fallback {
            Some(Fallback::Service(other)) if !self.attempts.in_fallback => *other,
            _ => return false,
        };
        self.set_service(other);
        let Attempts { made, until, observed, interim, .. } = std::mem::take(&mut self.attempts);
        self.attempts =
            Attempts { made, until, observed, interim, in_fallback: true, waited: true, ..Attempts::default() };
        true
    }

    /// The fixed answer in place of a refusal that says that the service cannot.
    pub(super) fn fallback_reply(&self) -> Option<Reply> {
        let failed = self.refused().is_some_and(Rejection::is_failure_of_service);
        match self.snapshot.fallback(self.service_index()?)? {
            Fallback::Respond(reply) if failed && !self.attempts.in_fallback => Some(reply.clone()),
            _ => None,
        }
    }

    /// Tell breaker, ejection and balancer how the current attempt ended, once.
    pub(super) fn tell(&mut self, verdict: Verdict) {
        let now = Instant::now();
        let Some(leave) = self.attempts.leave.take() else { return };
        let Some((service, attempt)) = self.service().zip(self.attempts.current.as_ref()) else { return };
        let observed = service.ended(attempt, leave, verdict, service.moment(now.into_std()));
        self.attempts.observed = self.attempts.observed.or(observed);
    }

    pub(super) fn which_deadline(&self) -> TimeoutKind {
        let is_over = |until: Option<Instant>| until.is_some_and(|until| until <= Instant::now());
        match self.attempts.answered {
            _ if is_over(self.attempts.stream_until) => TimeoutKind::Stream,
            _ if !self.attempts.streaming && is_over(self.total_until()) => TimeoutKind::Total,
            true => TimeoutKind::Idle,
            false if self.attempts.until.is_none() || is_over(self.attempts.until) => TimeoutKind::Request,
            false => TimeoutKind::Attempt,
        }
    }
}
