//! What keeps a service, and the callers of a failing one, from harm: breaker, ejection, concurrency limit, retry budget.

use super::{
    Service, ServiceConfig,
    endpoint::{Attempt, Endpoint},
};
use crate::{
    resilience::{
        Admit, Asked, BreakerSettings, BreakerState, BudgetSettings, Change, ConcurrencyConfig, EjectionSettings,
        Enter, Event, Gate, GateSettings, Mode, Overloaded, Permit, Sample, Traffic, most_ejected,
    },
    types::{Count, Moment, StatusSet, Tally},
};
use parking_lot::Mutex;
use std::{
    fmt,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};
use tokio::time::Instant;

/// What a failure counts for who goes by latency: a quick refusal must not make an endpoint the quickest of all.
const FAILURE_COSTS: Duration = Duration::from_secs(1);

/// What is known about a service. Outlives every snapshot that names it.
#[derive(Debug, Default)]
pub(super) struct Protection {
    pub(super) breaker: BreakerState,
    pub(super) traffic: Traffic,
    pub(super) gate: Arc<Gate>,
    /// Requests in flight to all endpoints, where the balancer asks for it.
    pub(super) in_flight: Arc<AtomicU32>,
    /// One ejection at a time, or two could take the last two endpoints. Only failures come here.
    ejecting: Mutex<()>,
    pub(super) counts: Counts,
}

/// What became of it, for metrics.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) ejections: Count,
    pub(super) openings: Count,
    pub(super) denied_retries: Count,
    /// What would have been refused, by the code it would have had.
    pub(super) observed: Tally,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            ejections: Count::default(),
            openings: Count::default(),
            denied_retries: Count::default(),
            observed: Tally::new(Observed::ALL.map(Observed::word)),
        }
    }
}

/// What `mode: observe` let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The breaker would have refused.
    CircuitOpen,
    /// The concurrency limit would have made it wait, or refused.
    Overloaded,
    /// An endpoint would have been ejected.
    Ejected,
}

impl Observed {
    const ALL: [Self; 3] = [Self::CircuitOpen, Self::Overloaded, Self::Ejected];

    /// As it stands in log and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit_open",
            Self::Overloaded => "overloaded",
            Self::Ejected => "ejected",
        }
    }
}

/// `breaker:`, `ejection:`, `concurrency:` and `retry_budget:` of a service, compiled.
pub(super) struct Rules {
    pub(super) breaker: BreakerSettings,
    breaker_failures: StatusSet,
    pub(super) ejection: EjectionSettings,
    ejection_failures: StatusSet,
    pub(super) gate: Option<GateSettings>,
    /// Most requests in flight to one endpoint, where that is enforced.
    pub(super) per_endpoint: Option<u32>,
    /// The same, also where it is only observed.
    each: Option<u32>,
    budget: BudgetSettings,
}

impl Rules {
    pub(super) fn build(config: &ServiceConfig) -> Self {
        let concurrency = &config.concurrency;
        let each = concurrency.per_endpoint.map(u32::from).filter(|_| concurrency.mode != Mode::Off);
        Self {
            breaker: config.breaker.settings(),
            breaker_failures: StatusSet::new(config.breaker.statuses.iter()),
            ejection: config.ejection.settings(),
            ejection_failures: StatusSet::new(config.ejection.statuses.iter()),
            gate: is_limited(concurrency).then(|| concurrency.settings()),
            per_endpoint: each.filter(|_| concurrency.mode == Mode::Enforce),
            each,
            budget: config.retry_budget.settings(),
        }
    }
}

fn is_limited(config: &ConcurrencyConfig) -> bool {
    let asked = config.max.is_some() || config.per_endpoint.is_some() || config.adaptive.is_some();
    asked && config.mode != Mode::Off
}

/// The breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the service is failing and left alone for a moment")]
pub struct CircuitOpen {
    /// When it is tried again.
    pub retry_after: Duration,
}

/// The breaker's leave for one attempt. A trial that ends without a verdict gives its place back.
pub struct Leave {
    asked: Asked,
    /// Of a trial.
    protection: Option<Arc<Protection>>,
}

impl Leave {
    /// Whether much depends on how this attempt ends: it should be known soon.
    pub fn is_trial(&self) -> bool {
        self.protection.is_some()
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        if let Some(protection) = self.protection.take() {
            protection.breaker.gave_back(self.asked);
        }
    }
}

impl fmt::Debug for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leave({:?})", self.asked)
    }
}

/// How an attempt ended, as far as its service is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// With this status.
    Answered(u16),
    /// Without a usable answer: no connection, cut, too late, malformed.
    Failed,
}

impl Service {
    /// Ask the breaker for leave. What it lets pass only because it observes is told too.
    ///
    /// # Errors
    /// It is open.
    pub fn leave(&self, now: Moment) -> Result<(Leave, Option<Observed>), CircuitOpen> {
        let ordinary = Leave { asked: Asked::Ordinary, protection: None };
        match self.protection.breaker.admit(&self.rules.breaker, now) {
            Admit::Pass => Ok((ordinary, None)),
            Admit::Trial { round, change } => {
                self.tell(change);
                Ok((Leave { asked: Asked::Trial(round), protection: Some(self.protection.clone()) }, None))
            }
            Admit::Refused { .. } if self.rules.breaker.mode == Mode::Observe => {
                Ok((ordinary, Some(self.observed(Observed::CircuitOpen))))
            }
            Admit::Refused { retry_after } => Err(CircuitOpen { retry_after }),
        }
    }

    /// Whether the number of its requests in flight is limited.
    pub fn is_limited(&self) -> bool {
        self.rules.gate.is_some()
    }

    /// Whether anybody wants to know how long it takes.
    pub fn learns(&self) -> bool {
        self.learns_latency || self.is_limited()
    }

    /// Take a place among the requests in flight, where their number is limited; waits for one until `until` at most.
    ///
    /// # Errors
    /// There is none, and no queue, or none in time.
    pub async fn enter(
        &self,
        until: Option<Instant>,
        now: Moment,
    ) -> Result<(Option<Permit>, Option<Observed>), Overloaded> {
        let Some(settings) = &self.rules.gate else { return Ok((None, None)) };
        let also = self.rules.each.map(|each| each.saturating_mul(self.members().plan.in_use.max(1)));
        let gate = &self.protection.gate;
        let permit = match gate.try_enter(settings, also, now) {
            Enter::In(permit) => permit,
            Enter::Full => gate.enter(settings, also, until, now).await?,
        };
        let observed = permit.would_be_refused().then(|| self.observed(Observed::Overloaded));
        Ok((Some(permit), observed))
    }

    /// A request comes for the first time.
    pub fn request_begins(&self, now: Moment) {
        self.protection.traffic.count(Event::Request, now);
    }

    /// Whether there may be another attempt; it is counted then. Retries must not make an outage worse.
    pub fn may_retry(&self, now: Moment) -> bool {
        let may = !self.is_open() && self.rules.budget.allows(&self.protection.traffic, now);
        if may {
            self.protection.traffic.count(Event::Retry, now);
        } else {
            self.protection.counts.denied_retries.add();
        }
        may
    }

    /// The header of the answer came, `latency` after the request was there whole.
    pub fn header_came(&self, attempt: &Attempt, latency: Duration, now: Moment) {
        if self.learns_latency
            && let Some(endpoint) = attempt.endpoint()
        {
            endpoint.state.load.answered(latency, now);
        }
        self.sampled(Sample::Answered(latency), now);
    }

    fn sampled(&self, sample: Sample, now: Moment) {
        if let Some(settings) = self.rules.gate.as_ref().filter(|settings| settings.adaptive.is_some()) {
            self.protection.gate.sampled(settings, sample, now);
        }
    }

    /// An attempt ended. Tells what `mode: observe` would have done.
    pub fn ended(&self, attempt: &Attempt, mut leave: Leave, verdict: Verdict, now: Moment) -> Option<Observed> {
        // A trial's place is given back by its verdict, and not twice.
        leave.protection = None;
        let (of_service, of_endpoint) = match verdict {
            Verdict::Answered(status) => {
                (self.rules.breaker_failures.contains(status), self.rules.ejection_failures.contains(status))
            }
            Verdict::Failed => {
                self.sampled(Sample::Dropped, now);
                (true, true)
            }
        };
        self.told_breaker(of_service, leave.asked, now);
        if of_endpoint { self.endpoint_failed(attempt, now) } else { endpoint_succeeded(attempt) }
    }

    fn told_breaker(&self, failed: bool, asked: Asked, now: Moment) {
        let Protection { breaker, traffic, .. } = &*self.protection;
        let settings = &self.rules.breaker;
        if settings.mode == Mode::Off && asked == Asked::Ordinary {
            return;
        }
        traffic.count(if failed { Event::Failure } else { Event::Success }, now);
        let change = match failed {
            true => breaker.failed(settings, traffic, asked, now),
            false => breaker.succeeded(settings, asked, now),
        };
        self.tell(change);
    }

    /// One line per change, none per request.
    fn tell(&self, change: Option<Change>) {
        let Some(change) = change else { return };
        let level = match change {
            Change::Opened { .. } => {
                self.protection.counts.openings.add();
                log::Level::Warn
            }
            Change::HalfOpened | Change::Closed => log::Level::Info,
        };
        let observing = if self.rules.breaker.mode == Mode::Observe { " (observed only)" } else { "" };
        log::log!(level, "{}: circuit {change}{observing}", self.id);
    }

    fn endpoint_failed(&self, attempt: &Attempt, now: Moment) -> Option<Observed> {
        let endpoint = attempt.endpoint()?;
        if self.learns_latency {
            endpoint.state.load.answered(FAILURE_COSTS, now);
        }
        let settings = &self.rules.ejection;
        let mut one_at_a_time = None;
        let may = || {
            one_at_a_time = Some(self.protection.ejecting.lock());
            self.may_eject()
        };
        let time = endpoint.state.ejection.failed(settings, now, may)?;
        drop(one_at_a_time);
        let failures = settings.after;
        if settings.mode == Mode::Observe {
            log::warn!("{} {} would be ejected: {failures} failures in a row (observed only)", self.id, endpoint.text);
            return Some(self.observed(Observed::Ejected));
        }
        self.protection.counts.ejections.add();
        log::warn!("{} {} is ejected for {time:?}: {failures} failures in a row", self.id, endpoint.text);
        self.learned.notify_one();
        None
    }

    fn may_eject(&self) -> bool {
        let members = self.members();
        let is_out =
            |endpoint: &&Endpoint| endpoint.state.ejection.is_ejected() || endpoint.state.ejection.would_be_ejected();
        let ejected = members.endpoints.iter().filter(is_out).count();
        ejected < most_ejected(members.endpoints.len(), self.rules.ejection.most)
    }

    fn observed(&self, what: Observed) -> Observed {
        self.protection.counts.observed.add(what.word());
        what
    }
}

fn endpoint_succeeded(attempt: &Attempt) -> Option<Observed> {
    if let Some(endpoint) = attempt.endpoint() {
        endpoint.state.ejection.succeeded();
    }
    None
}
