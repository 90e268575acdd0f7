//! Circuit breaker of a service: stops asking what does not answer, and finds out when it does again.
//!
//! Closed, all requests pass. Open, none does until its time is over. Then half-open: a few pass as trials, and their
//! results close it or open it again for longer. Time is a [`Moment`], so a step of the wall clock changes nothing.

use super::{Mode, traffic::Traffic};
use crate::types::Moment;
use parking_lot::Mutex;
use std::{
    fmt,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// When a refused caller may ask again while trials are under way: their results are not far.
const TRIALS_UNDER_WAY: Duration = Duration::from_secs(1);

/// How long trials may be under way, at least, before they are taken to be lost. Twice the default of
/// `timeouts.request`, so that one which only takes its time keeps its place.
const LOST: Duration = Duration::from_secs(60);

/// `circuit_breaker:` of a service, resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerSettings {
    /// Whether the caller acts on what it says. It decides the same with [`Mode::Observe`].
    pub mode: Mode,
    /// Failures in a row that open it; 0: it does not open by these.
    pub consecutive: u32,
    /// Share of failed attempts in the window that opens it, 0 to 1; 0: it does not open by this.
    pub share: f64,
    /// Attempts that must have ended in the window before their share counts.
    pub least: u32,
    /// Over what the share is taken. 1 s to 60 s, in whole seconds, as in [`Traffic::sums`].
    pub window: Duration,
    /// How long it is open the first time. At least 1 ms.
    pub open: Duration,
    /// How long it is open at most, after trials have failed again and again. At least `open`.
    pub longest_open: Duration,
    /// Trials at a time, and successes of trials that close it. At least 1.
    pub trials: u32,
}

/// The state of one breaker. Outlives reloads.
#[derive(Debug, Default)]
pub struct BreakerState {
    /// A [`Phase`], written with `record` locked. Closed, it is all that a request reads.
    phase: AtomicU64,
    /// In a row, while closed.
    failures: AtomicU32,
    /// A [`Moment`]: the seconds before it do not count for the share.
    counts_from: AtomicU64,
    record: Mutex<Record>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// It passes.
    Pass,
    /// It passes, and its result decides: the caller must tell it, or give the place back.
    Trial {
        /// To be handed in with the result.
        round: Round,
        /// Set with the first trial after an open time.
        change: Option<Change>,
    },
    /// It does not pass.
    Refused {
        /// When to ask again. At least 1 ms.
        retry_after: Duration,
    },
}

/// As what a request passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// As any other; also where it was refused and passed all the same, because the breaker only observes.
    Ordinary,
    /// As a trial of this round.
    Trial(Round),
}

/// Tells trials of one half-open time from those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round(u64);

/// What a result, or a trial, has changed. Shown as words for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// From now on nothing passes.
    Opened {
        /// Why.
        because: Because,
        /// For how long.
        time: Duration,
    },
    /// From now on trials pass.
    HalfOpened,
    /// From now on everything passes.
    Closed,
}

/// Why a breaker opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// Too many failures in a row.
    Consecutive,
    /// Too large a share of failures.
    Share,
    /// A trial failed.
    Trial,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Everything passes.
    Closed,
    /// Nothing passes.
    Open {
        /// What is left of it; zero: the next request is a trial.
        for_another: Duration,
    },
    /// Trials pass.
    HalfOpen,
}

impl BreakerState {
    /// Whether a request may pass at `now`. Closed, this is one load.
    pub fn admit(&self, settings: &BreakerSettings, now: Moment) -> Admit {
        if settings.mode == Mode::Off {
            return Admit::Pass;
        }
        match self.phase() {
            Phase::Closed => Admit::Pass,
            Phase::Open(until) if now < until => Admit::Refused { retry_after: until.since(now) },
            Phase::Open(_) | Phase::HalfOpen => self.admit_trial(settings, now),
        }
    }

    #[cold]
    fn admit_trial(&self, settings: &BreakerSettings, now: Moment) -> Admit {
        // Held for a few loads and stores, by those who meet the service half-open.
        let mut record = self.record.lock();
        let phase = self.phase();
        match phase {
            Phase::Closed => return Admit::Pass,
            Phase::Open(until) if now < until => return Admit::Refused { retry_after: until.since(now) },
            Phase::Open(_) | Phase::HalfOpen => (),
        }
        if !record.take_place(settings, now) {
            return Admit::Refused { retry_after: TRIALS_UNDER_WAY };
        }
        let first = phase != Phase::HalfOpen;
        if first {
            record.round += 1;
            record.successes = 0;
            self.enter(Phase::HalfOpen);
        }
        Admit::Trial { round: Round(record.round), change: first.then_some(Change::HalfOpened) }
    }

    /// An attempt went well. An ordinary one is one load, and a store where there were failures.
    ///
    /// Counts only in the state that let it pass: an ordinary one while closed, a trial in its own half-open time.
    #[inline]
    pub fn succeeded(&self, settings: &BreakerSettings, asked: Asked, now: Moment) -> Option<Change> {
        match asked {
            Asked::Ordinary => {
                // Read first: every request comes here, and a store would move the line between cores.
                if self.failures.load(Relaxed) != 0 && settings.mode != Mode::Off {
                    self.failures.store(0, Relaxed);
                }
                None
            }
            Asked::Trial(round) => self.trial_ended(settings, round, |record| {
                record.successes += 1;
                (record.successes >= settings.trials.max(1)).then(|| self.close(now))
            }),
        }
    }

    /// An attempt failed, which the caller has counted in `traffic` already. Counts where a success would.
    pub fn failed(&self, settings: &BreakerSettings, traffic: &Traffic, asked: Asked, now: Moment) -> Option<Change> {
        match asked {
            Asked::Ordinary => self.ordinary_failed(settings, traffic, now),
            Asked::Trial(round) => {
                self.trial_ended(settings, round, |record| Some(self.open(record, settings, Because::Trial, now)))
            }
        }
    }

    fn ordinary_failed(&self, settings: &BreakerSettings, traffic: &Traffic, now: Moment) -> Option<Change> {
        if settings.mode == Mode::Off || self.phase() != Phase::Closed {
            return None;
        }
        let because = if settings.consecutive > 0 && self.failures.fetch_add(1, Relaxed) + 1 >= settings.consecutive {
            Because::Consecutive
        } else if settings.share > 0.0 && self.share_is_reached(settings, traffic, now) {
            Because::Share
        } else {
            return None;
        };
        // Held for a few loads and stores, by whoever finds a reason.
        let mut record = self.record.lock();
        // Another thread may have found one before.
        (self.phase() == Phase::Closed).then(|| self.open(&mut record, settings, because, now))
    }

    fn share_is_reached(&self, settings: &BreakerSettings, traffic: &Traffic, now: Moment) -> bool {
        let sums = traffic.sums_since(Moment(self.counts_from.load(Relaxed)), settings.window, now);
        let ended = sums.successes + sums.failures;
        // By division, which meets the nearest number to what was written: 0.07 × 100 would be more than 7.
        ended > 0 && ended >= settings.least.into() && sums.failures as f64 / ended as f64 >= settings.share
    }

    /// Free the trial's place, and let it decide if this is still its half-open time.
    #[cold]
    fn trial_ended(
        &self,
        settings: &BreakerSettings,
        round: Round,
        decide: impl FnOnce(&mut Record) -> Option<Change>,
    ) -> Option<Change> {
        // Held for a few loads and stores, by trials only.
        let mut record = self.record.lock();
        record.free_place(round);
        let counts = settings.mode != Mode::Off && self.phase() == Phase::HalfOpen && round.0 == record.round;
        if counts { decide(&mut record) } else { None }
    }

    /// An attempt ended without a result, because the caller left or nothing was sent: the place of a trial is free again.
    pub fn gave_back(&self, asked: Asked) {
        if let Asked::Trial(round) = asked {
            // Held for a few loads and stores, by trials only.
            self.record.lock().free_place(round);
        }
    }

    /// How it stands at `now`.
    pub fn status(&self, now: Moment) -> Status {
        match self.phase() {
            Phase::Closed => Status::Closed,
            Phase::Open(until) => Status::Open { for_another: until.since(now) },
            Phase::HalfOpen => Status::HalfOpen,
        }
    }

    /// Close it at an operator's word, and forget the failures so far. `None`: it was closed.
    pub fn reset(&self, now: Moment) -> Option<Change> {
        // So that no result comes in between.
        let _record = self.record.lock();
        let was_closed = self.phase() == Phase::Closed;
        let closed = self.close(now);
        (!was_closed).then_some(closed)
    }

    /// To be called with the record locked, as the two below.
    fn open(&self, record: &mut Record, settings: &BreakerSettings, because: Because, now: Moment) -> Change {
        let longest = settings.longest_open.max(settings.open);
        let time = match because {
            Because::Trial => record.open.saturating_mul(2).clamp(settings.open, longest),
            Because::Consecutive | Because::Share => settings.open,
        };
        // The clock knows nothing shorter.
        record.open = time.max(Duration::from_millis(1));
        self.enter(Phase::Open(now.after(record.open)));
        Change::Opened { because, time: record.open }
    }

    fn close(&self, now: Moment) -> Change {
        self.failures.store(0, Relaxed);
        // Traffic knows whole seconds: from the next one on, nothing of before is among what counts.
        self.counts_from.store(now.after(Duration::from_secs(1)).0, Relaxed);
        self.enter(Phase::Closed);
        Change::Closed
    }

    fn phase(&self) -> Phase {
        Phase::unpack(self.phase.load(Relaxed))
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase.pack(), Relaxed);
    }
}

impl Admit {
    /// As what the request passes: to be handed in with its result. A refused one passes where the breaker only observes.
    pub fn asked(self) -> Asked {
        match self {
            Self::Trial { round, .. } => Asked::Trial(round),
            Self::Pass | Self::Refused { .. } => Asked::Ordinary,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { because, time } => write!(f, "open for {time:?}, {because}"),
            Self::HalfOpened => f.write_str("half-open, trying again"),
            Self::Closed => f.write_str("closed"),
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Consecutive => "too many failures in a row",
            Self::Share => "too large a share of failures",
            Self::Trial => "a trial failed",
        })
    }
}

impl Status {
    /// As one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// A status, in one number: so that no reader sees one half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    /// Until then.
    Open(Moment),
    HalfOpen,
}

impl Phase {
    /// What a new state has. No open time ends at 0, because none is shorter than 1 ms.
    const CLOSED: u64 = 0;
    const HALF_OPEN: u64 = u64::MAX;

    fn pack(self) -> u64 {
        match self {
            Self::Closed => Self::CLOSED,
            Self::Open(until) => until.0.clamp(Self::CLOSED + 1, Self::HALF_OPEN - 1),
            Self::HalfOpen => Self::HALF_OPEN,
        }
    }

    fn unpack(packed: u64) -> Self {
        match packed {
            Self::CLOSED => Self::Closed,
            Self::HALF_OPEN => Self::HalfOpen,
            until => Self::Open(Moment(until)),
        }
    }
}

/// What only trials and changes touch.
#[derive(Debug, Default)]
struct Record {
    /// How long it was open last.
    open: Duration,
    /// Trials that went well in this half-open time.
    successes: u32,
    /// The half-open time of the trials that are let through now.
    round: u64,
    /// Trials under way, also of earlier rounds: a trial that outlives its round burdens the service still.
    taken: u32,
    /// When the last of them began.
    last_taken: Moment,
    /// Trials of earlier rounds are lost and hold no place.
    first_held: u64,
}

impl Record {
    fn take_place(&mut self, settings: &BreakerSettings, now: Moment) -> bool {
        let most = settings.trials.max(1);
        if self.taken >= most && now.since(self.last_taken) >= settings.longest_open.max(LOST) {
            // Nobody should forget a trial. But one who does must not keep the service closed to all for ever.
            self.round += 1;
            self.first_held = self.round;
            self.taken = 0;
        }
        let free = self.taken < most;
        if free {
            self.taken += 1;
            self.last_taken = now;
        }
        free
    }

    fn free_place(&mut self, round: Round) {
        if round.0 >= self.first_held {
            self.taken = self.taken.saturating_sub(1);
        }
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
