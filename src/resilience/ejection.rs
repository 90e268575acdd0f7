//! Outlier ejection: an endpoint whose attempts fail, one after another, gets none for a while.
//!
//! Learned from traffic alone, apart from probes. Time is a [`Moment`], so a step of the wall clock changes nothing.

use super::Mode;
use crate::types::Moment;
use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Shortest ejection: that of the clock.
const SHORTEST: Duration = Duration::from_millis(1);

/// `outlier_detection:` of a service, resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EjectionSettings {
    /// Whether endpoints are ejected, or would be.
    pub mode: Mode,
    /// Failures in a row that eject an endpoint; 0: none do.
    pub after: u32,
    /// How long the first ejection lasts; the second in a row twice as long, the third three times. At least 1 ms.
    pub time: Duration,
    /// How long any of them lasts at most. At least `time`.
    pub longest: Duration,
    /// Share of a service's endpoints that may be ejected at a time, 0 to 1: see [`most_ejected`].
    pub most: f64,
}

/// What is known of one endpoint. Outlives reloads.
#[derive(Debug, Default)]
pub struct EjectionState {
    /// A [`Place`], written with `record` locked. It is all that a balancer reads.
    place: AtomicU64,
    /// In a row, while it is in.
    failures: AtomicU32,
    record: Mutex<Record>,
}

/// What only ejections touch.
#[derive(Debug, Default)]
struct Record {
    /// Ejections in a row.
    times: u32,
    /// When it came back from the last one.
    back: Moment,
}

impl EjectionState {
    /// An attempt went well. One load, and a store where there were failures.
    #[inline]
    pub fn succeeded(&self) {
        // Read first: every attempt comes here, and a store would move the line between cores.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// An attempt failed. `Some`: this failure ejects the endpoint (or would), for so long.
    ///
    /// `may` is asked at each failure from the `after`th in a row on, until it says yes; where it does, the endpoint is
    /// ejected for certain, so it may reserve a place for it. It is asked with this endpoint's record locked, so that only
    /// one thread asks: of this endpoint it may ask `is_ejected`, `would_be_ejected` and `ejected_until`, and no more.
    pub fn failed(&self, settings: &EjectionSettings, now: Moment, may: impl FnOnce() -> bool) -> Option<Duration> {
        // What comes late, or because no other endpoint is left, prolongs nothing.
        if settings.mode == Mode::Off || settings.after == 0 || self.place() != Place::In {
            return None;
        }
        // Counts no further than it must, and so never over the end.
        if self.failures.load(Relaxed) < settings.after && self.failures.fetch_add(1, Relaxed) + 1 < settings.after {
            return None;
        }
        // Held for one look at the service's other endpoints, by attempts that failed.
        let mut record = self.record.lock();
        (self.place() == Place::In && may()).then(|| self.eject(&mut record, settings, now))
    }

    /// To be called with the record locked.
    fn eject(&self, record: &mut Record, settings: &EjectionSettings, now: Moment) -> Duration {
        let span = settings.time.max(SHORTEST);
        let forgotten = now.since(record.back).as_millis() / span.as_millis().max(1);
        let remembered = u128::from(record.times).saturating_sub(forgotten) as u32;
        record.times = remembered.saturating_add(1);
        let time = span.saturating_mul(record.times).min(settings.longest.max(span));
        let until = now.after(time);
        self.enter(if settings.mode == Mode::Observe { Place::WouldBeOut(until) } else { Place::Out(until) });
        time
    }

    /// Whether the balancer should pass it over. One load, which does not look at the time: see [`EjectionState::over`].
    #[inline]
    pub fn is_ejected(&self) -> bool {
        matches!(self.place(), Place::Out(_))
    }

    /// Whether it would be ejected if it were not for [`Mode::Observe`].
    pub fn would_be_ejected(&self) -> bool {
        matches!(self.place(), Place::WouldBeOut(_))
    }

    /// Until when it is ejected, or would be.
    pub fn ejected_until(&self) -> Option<Moment> {
        self.place().until()
    }

    /// Bring it back if its time is over, and say so if this call did. To be called now and then, in the background.
    pub fn over(&self, now: Moment) -> bool {
        self.come_back(now, |until| until <= now)
    }

    /// Bring it back whether its time is over or not, and forget its failures and ejections: at an operator's word, or
    /// where ejection was switched off. Says whether it was out.
    pub fn reset(&self, now: Moment) -> bool {
        let was_out = self.come_back(now, |_| true);
        self.failures.store(0, Relaxed);
        self.record.lock().times = 0;
        was_out
    }

    fn come_back(&self, now: Moment, may: impl Fn(Moment) -> bool) -> bool {
        let may = || self.place().until().is_some_and(&may);
        // Read first: the sweep looks at every endpoint, and few are out.
        if !may() {
            return false;
        }
        // Held for a few loads and stores, by the sweep.
        let mut record = self.record.lock();
        let comes = may();
        if comes {
            record.back = now;
            self.failures.store(0, Relaxed);
            self.enter(Place::In);
        }
        comes
    }

    /// How many ejections in a row the last one made; 0: there was none. Those that have been forgotten since are still
    /// among them, until the next one.
    pub fn times(&self) -> u32 {
        // Held for a load, by whoever looks at a report.
        self.record.lock().times
    }

    #[inline]
    fn place(&self) -> Place {
        Place::unpack(self.place.load(Relaxed))
    }

    fn enter(&self, place: Place) {
        self.place.store(place.pack(), Relaxed);
    }
}

/// How many of so many endpoints may be ejected at a time: `most` of them, rounded down; never the last one.
pub fn most_ejected(endpoints: usize, most: f64) -> usize {
    // A hundred times 0.29 is a hair less than 29.
    let share = (endpoints as f64 * most + 1e-9) as usize;
    share.min(endpoints.saturating_sub(1))
}

/// Where an endpoint is, in one number: so that no reader sees one half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    In,
    /// Until then.
    Out(Moment),
    /// The same in words only.
    WouldBeOut(Moment),
}

impl Place {
    /// What a new state has. No ejection ends at 0, because none is shorter than 1 ms.
    const IN: u64 = 0;
    /// Set where it is in words only. No moment reaches it: 292 million years.
    const WOULD_BE: u64 = 1 << 63;

    fn pack(self) -> u64 {
        match self {
            Self::In => Self::IN,
            Self::Out(until) => until.0.clamp(1, Self::WOULD_BE - 1),
            Self::WouldBeOut(until) => until.0.clamp(1, Self::WOULD_BE - 1) | Self::WOULD_BE,
        }
    }

    #[inline]
    fn unpack(packed: u64) -> Self {
        match packed {
            Self::IN => Self::In,
            until if until < Self::WOULD_BE => Self::Out(Moment(until)),
            until => Self::WouldBeOut(Moment(until & !Self::WOULD_BE)),
        }
    }

    fn until(self) -> Option<Moment> {
        match self {
            Self::In => None,
            Self::Out(until) | Self::WouldBeOut(until) => Some(until),
        }
    }
}

#[cfg(test)]
#[path = "ejection_tests.rs"]
mod tests;
