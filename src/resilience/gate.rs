//! How many requests of a service are in flight, and who waits until fewer are.

use super::{
    Mode,
    adaptive::{Adaptive, AdaptiveSettings, Sample},
    places::{Places, Rule},
    queue::{Pushed, Queue, QueueSettings, Ticket},
};
use crate::types::Moment;
use parking_lot::Mutex;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

/// `concurrency:` of a service, compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateSettings {
    /// Whether a limit holds, or is only observed. Off: nobody is counted.
    pub mode: Mode,
    /// Most requests in flight. `None`: any number; 0 counts as 1.
    pub max: Option<u32>,
    /// Where requests over the limit wait. `None`: they are refused.
    pub queue: Option<QueueSettings>,
    /// A limit that follows how long the service takes, below `max`.
    pub adaptive: Option<AdaptiveSettings>,
}

/// The places of one service: state, as long as the process lives. Settings come with each call, and may be others each
/// time: a lowered limit cuts nobody, and who waits goes on waiting where the queue is taken away.
///
/// Whoever waits is let in when a request ends; when the limit rises, at the next call of any kind. As somebody waits
/// only while somebody is in flight, there is such a call.
pub struct Gate {
    /// [`Places`]. Every change of who waits is made under the lock of `line`, so that there both numbers agree.
    places: AtomicU64,
    /// [`Rule`] of the last request: what a request that ends goes by, which has no settings.
    rule: AtomicU64,
    /// The limit that follows latency; 0: nothing was decided yet.
    adaptive: AtomicU32,
    /// Locked by those only who wait, or end while somebody waits.
    line: Mutex<Line>,
    /// Locked by whoever gets the lock at once; the samples of others are not needed.
    learned: Mutex<Adaptive>,
}

/// Whether there was a place.
#[derive(Debug)]
pub enum Enter {
    /// There was, or nobody is kept out.
    In(Permit),
    /// There was none.
    Full,
}

/// A place. Dropping it hands it over to whoever waits.
#[must_use = "the place is free again when this is dropped"]
pub struct Permit {
    /// `None`: it was never counted.
    gate: Option<Arc<Gate>>,
    is_over: bool,
}

/// Too many requests are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.reason())]
pub enum Overloaded {
    /// There is no queue.
    Full,
    /// There is one, where nobody may wait.
    QueueFull,
    /// No place was free in time.
    Waited,
    /// So many came later that the queue was too short.
    ThrownOut,
}

impl Overloaded {
    /// For the log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Full => "as many requests in flight as there may be",
            Self::QueueFull => "as many requests in flight and waiting as there may be",
            Self::Waited => "no request ended while this one could wait",
            Self::ThrownOut => "the queue was full, and this request the oldest in it",
        }
    }
}

/// A gate at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateReport {
    /// Requests in flight that are counted.
    pub in_flight: u32,
    /// As the last request knew it; `None`: any number.
    pub limit: Option<u32>,
    /// Requests that wait.
    pub waiting: u32,
    /// How long the oldest of them has been waiting.
    pub oldest_wait: Option<Duration>,
}

impl Gate {
    /// Take a place if there is one. `also`: one more upper bound, 0 counts as 1.
    pub fn try_enter(self: &Arc<Self>, settings: &GateSettings, also: Option<u32>, now: Moment) -> Enter {
        if settings.mode == Mode::Off {
            return self.uncounted(now);
        }
        let limit = self.limit_of(settings, also);
        match self.take(limit) {
            Some(permit) => Enter::In(permit),
            None => self.crowded(settings, limit, now),
        }
    }

    /// Take a place, or wait for one as long as the queue allows, at most `until`. Dropping the future at any time
    /// loses no place. Must be called in a tokio runtime with time.
    ///
    /// # Errors
    /// There is no place, or none became free in time.
    pub async fn enter(
        self: &Arc<Self>,
        settings: &GateSettings,
        also: Option<u32>,
        until: Option<Instant>,
        now: Moment,
    ) -> Result<Permit, Overloaded> {
        if let Enter::In(permit) = self.try_enter(settings, also, now) {
            return Ok(permit);
        }
        let queue = settings.queue.ok_or(Overloaded::Full)?;
        let began = Instant::now();
        let longest = began.checked_add(queue.wait);
        let Some(deadline) = longest.into_iter().chain(until).min().filter(|deadline| *deadline > began) else {
            return Err(Overloaded::Waited);
        };
        match self.line_up(queue, self.limit_of(settings, also), now)? {
            Turn::Now(permit) => Ok(permit),
            // A timer is large, and nearly no request needs one.
            Turn::Later(waiting) => Box::pin(waiting.until(deadline)).await,
        }
    }

    /// What a request of the service was like, for the limit that follows. To be told while its permit is held.
    pub fn sampled(self: &Arc<Self>, settings: &GateSettings, sample: Sample, now: Moment) {
        let Some(adaptive) = settings.adaptive.as_ref().filter(|_| settings.mode != Mode::Off) else { return };
        let Some(mut learned) = self.learned.try_lock() else { return };
        let Some(limit) = learned.sample(adaptive, sample, self.places().in_flight(), now) else { return };
        self.adaptive.store(limit, Relaxed);
        drop(learned);
        self.hand_over(now);
    }

    /// The gate now.
    pub fn report(&self, now: Moment) -> GateReport {
        let line = self.line.lock();
        // Under the lock, or one could wait and nobody be the oldest.
        let (places, limit) = (self.places(), self.rule().limit(&self.adaptive));
        GateReport {
            in_flight: places.in_flight(),
            limit: (limit < u32::MAX).then_some(limit),
            waiting: places.waiting(),
            oldest_wait: line.queue.oldest(now),
        }
    }

    fn places(&self) -> Places {
        Places(self.places.load(Relaxed))
    }

    fn rule(&self) -> Rule {
        Rule(self.rule.load(Relaxed))
    }

    /// The limit of one request, kept for those that have no settings.
    fn limit_of(&self, settings: &GateSettings, also: Option<u32>) -> u32 {
        let mut limit = settings.max.unwrap_or(u32::MAX).min(also.unwrap_or(u32::MAX)).max(1);
        let rule = Rule::new(limit, settings);
        if let Some(adaptive) = &settings.adaptive {
            let decided = self.adaptive.load(Relaxed);
            let allowed = adaptive.within(decided);
            if allowed != decided {
                self.adaptive.store(allowed, Relaxed);
            }
            limit = limit.min(allowed);
        }
        // Read first: every request comes here, and nearly none brings another rule.
        if self.rule() != rule {
            self.rule.store(rule.0, Relaxed);
        }
        limit
    }

    /// A place, where one is free and nobody waits for it.
    fn take(self: &Arc<Self>, limit: u32) -> Option<Permit> {
        let taken = self
            .places
            .fetch_update(Relaxed, Relaxed, |places| Places(places).is_open(limit).then(|| places + Places::PLACE));
        taken.is_ok().then(|| self.permit())
    }

    fn permit(self: &Arc<Self>) -> Permit {
        Permit { gate: Some(self.clone()), is_over: false }
    }

    /// The limit is reached, or somebody waits.
    #[cold]
    fn crowded(self: &Arc<Self>, settings: &GateSettings, limit: u32, now: Moment) -> Enter {
        // Who waits came before: places that a higher limit brought are theirs.
        self.hand_over(now);
        if settings.mode == Mode::Observe {
            let before = Places(self.places.fetch_add(Places::PLACE, Relaxed));
            return Enter::In(Permit { gate: Some(self.clone()), is_over: before.in_flight() >= limit });
        }
        self.take(limit).map_or(Enter::Full, Enter::In)
    }

    #[cold]
    fn uncounted(self: &Arc<Self>, now: Moment) -> Enter {
        if self.rule() != Rule::NONE {
            self.rule.store(Rule::NONE.0, Relaxed);
        }
        self.hand_over(now);
        Enter::In(Permit { gate: None, is_over: false })
    }

    fn line_up(self: &Arc<Self>, settings: QueueSettings, limit: u32, now: Moment) -> Result<Turn, Overloaded> {
        let (sender, receiver) = oneshot::channel();
        let mut line = self.line.lock();
        // One step decides between a place and the queue: a request that ends before it leaves its place to this one,
        // and one that ends after it sees that somebody waits, and comes for the lock.
        let step = |places| places + if Places(places).is_open(limit) { Places::PLACE } else { Places::WAITER };
        let before = self.places.fetch_update(Relaxed, Relaxed, |places| Some(step(places)));
        if before.is_ok_and(|before| Places(before).is_open(limit)) {
            drop(line);
            return Ok(Turn::Now(self.permit()));
        }
        (line.settings, line.latest) = (settings, line.latest.max(now));
        let pushed = line.queue.push(sender, settings.length, now);
        if !matches!(pushed, Ok(Pushed { thrown_out: None, .. })) {
            self.places.fetch_sub(Places::WAITER, Relaxed);
        }
        drop(line);
        // Who is thrown out learns it from the sender, which is dropped here: it wakes somebody, so not under the lock.
        let Pushed { ticket, .. } = pushed.map_err(|_| Overloaded::QueueFull)?;
        Ok(Turn::Later(Waiting { gate: self.clone(), ticket: Some(ticket), receiver }))
    }

    /// Let in whoever waits, as many as the rule allows.
    fn hand_over(self: &Arc<Self>, now: Moment) {
        while let Some(next) = self.next(now) {
            // Where the receiver is gone the place is free again, and the next one's. Dropping the permit would say the
            // same, but from inside this loop.
            if let Err(mut permit) = next.send(self.permit()) {
                permit.gate = None;
                self.places.fetch_sub(Places::PLACE, Relaxed);
            }
        }
    }

    /// Who is next, with a place taken for them.
    fn next(&self, now: Moment) -> Option<oneshot::Sender<Permit>> {
        let most = self.rule().most(&self.adaptive);
        if !self.places().is_due(most) {
            return None;
        }
        let mut line = self.line.lock();
        let step = |places| Places(places).is_due(most).then(|| places - Places::WAITER + Places::PLACE);
        self.places.fetch_update(Relaxed, Relaxed, step).ok()?;
        line.latest = line.latest.max(now);
        let (settings, latest) = (line.settings, line.latest);
        line.queue.pop(settings, latest)
    }
}

impl Permit {
    /// Whether a limit that is only observed would have made it wait, or refused it.
    pub fn would_be_refused(&self) -> bool {
        self.is_over
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(gate) = self.gate.take() else { return };
        if Places(gate.places.fetch_sub(Places::PLACE, Relaxed)).waiting() > 0 {
            // The end of a request has no time of its own. With the time of the last one that came the queue is judged
            // as it was then; where nobody comes any more, it does not matter who is first.
            gate.hand_over(Moment::default());
        }
    }
}

#[derive(Debug)]
struct Line {
    queue: Queue<oneshot::Sender<Permit>>,
    /// As the last request that had to wait knew it.
    settings: QueueSettings,
    latest: Moment,
}

enum Turn {
    Now(Permit),
    Later(Waiting),
}

/// A request in the queue. Dropping it takes it out.
struct Waiting {
    gate: Arc<Gate>,
    /// `None`: it is out already.
    ticket: Option<Ticket>,
    /// Dropped after the ticket is given back: a permit that is in it is handed on.
    receiver: oneshot::Receiver<Permit>,
}

impl Waiting {
    async fn until(mut self, deadline: Instant) -> Result<Permit, Overloaded> {
        let received = timeout_at(deadline, &mut self.receiver).await.map_err(|_| Overloaded::Waited)?;
        self.ticket = None;
        received.map_err(|_| Overloaded::ThrownOut)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut line = self.gate.line.lock();
        // `None`: its turn has come in this moment, and the place is in the receiver, or soon refused by it.
        let left = line.queue.remove(ticket);
        if left.is_some() {
            self.gate.places.fetch_sub(Places::WAITER, Relaxed);
        }
        drop(line);
    }
}

impl Default for Gate {
    fn default() -> Self {
        let settings = QueueSettings { length: 0, wait: Duration::ZERO };
        Self {
            places: AtomicU64::new(0),
            rule: AtomicU64::new(Rule::NONE.0),
            adaptive: AtomicU32::new(0),
            line: Mutex::new(Line { queue: Queue::default(), settings, latest: Moment::default() }),
            learned: Mutex::default(),
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.places();
        write!(f, "Gate({} in flight, {} waiting)", places.in_flight(), places.waiting())
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({:?})", self.gate)
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
