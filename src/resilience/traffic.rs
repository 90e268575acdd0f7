//! What happened at one service in the last minute, by whole seconds.

use crate::types::Moment;
use std::{
    array, fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use thread_local::ThreadLocal;

/// Seconds that are remembered. A power of two, so that a place is found by a mask; 61 for the longest window, and 3 for
/// threads whose clocks were read earlier than those of others.
const SLOTS: usize = 64;

/// The longest window.
const LONGEST: Duration = Duration::from_secs(60);

/// Where a cell's second begins; below it is the count, which no thread can fill in a second.
const SECOND: u32 = 32;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first attempt of a request.
    Request = 0,
    /// Each further attempt.
    Retry = 1,
    /// An attempt that went well.
    Success = 2,
    /// An attempt that did not.
    Failure = 3,
}

/// How often each event happened in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// First attempts.
    pub requests: u64,
    /// Further attempts.
    pub retries: u64,
    /// Attempts that went well.
    pub successes: u64,
    /// Attempts that did not.
    pub failures: u64,
}

/// Events of one service. Each thread counts for itself; they are added up when somebody asks.
#[derive(Default)]
pub struct Traffic(ThreadLocal<Box<Ring>>);

impl Traffic {
    /// It happened once more, at `now`.
    #[inline]
    pub fn count(&self, event: Event, now: Moment) {
        let ring = match self.0.get() {
            Some(ring) => ring,
            None => self.first(),
        };
        ring.count(event, second(now));
    }

    /// The ring of a thread that had none. Apart, so that counting does not prepare for it each time.
    #[cold]
    fn first(&self) -> &Ring {
        self.0.get_or_default()
    }

    /// What all threads counted in `window`, which is rounded up to whole seconds, from 1 s to 60 s.
    ///
    /// Covers the second of `now`, as far as it has gone, and the whole seconds of the window before it. So nothing that is
    /// younger than the window is missing, and nothing that is a second older is there.
    pub fn sums(&self, window: Duration, now: Moment) -> Sums {
        self.sums_since(Moment::default(), window, now)
    }

    /// The same without the seconds before that of `from`; what happened in that second before `from` is there.
    pub fn sums_since(&self, from: Moment, window: Duration, now: Moment) -> Sums {
        let last = second(now);
        let seconds = window.clamp(Duration::from_secs(1), LONGEST).as_millis().div_ceil(1_000) as u32;
        let first = last.saturating_sub(seconds).max(second(from));
        let mut sums = Sums::default();
        for ring in self.0.iter() {
            for second in first..=last {
                sums.requests += ring.counted(Event::Request, second);
                sums.retries += ring.counted(Event::Retry, second);
                sums.successes += ring.counted(Event::Success, second);
                sums.failures += ring.counted(Event::Failure, second);
            }
        }
        sums
    }
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Traffic(of {} threads)", self.0.iter().count())
    }
}

/// What one thread counted; nobody else writes it. Begins with a cache line of its own.
#[repr(align(64))]
struct Ring([Slot; SLOTS]);

/// One second: a cell for each event, which says what second it means. So a reader meets no count of another second, in
/// whatever order it sees the writes.
type Slot = [AtomicU64; 4];

impl Default for Ring {
    fn default() -> Self {
        Self(array::from_fn(|_| Slot::default()))
    }
}

impl Ring {
    fn cell(&self, event: Event, second: u32) -> Option<&AtomicU64> {
        self.0.get(second as usize % SLOTS)?.get(event as usize)
    }

    fn count(&self, event: Event, second: u32) {
        let Some(cell) = self.cell(event, second) else { return };
        let (known, second) = (cell.load(Relaxed), u64::from(second));
        // A load and a store, because only this thread writes. Of a second that is long over nobody asks any more.
        match known >> SECOND {
            same if same == second => cell.store(known + 1, Relaxed),
            older if older < second => cell.store((second << SECOND) + 1, Relaxed),
            _ => (),
        }
    }

    fn counted(&self, event: Event, second: u32) -> u64 {
        let known = self.cell(event, second).map_or(0, |cell| cell.load(Relaxed));
        if known >> SECOND == u64::from(second) { known & u64::from(u32::MAX) } else { 0 }
    }
}

/// The second of a moment. 32 bits of them are 136 years.
fn second(moment: Moment) -> u32 {
    (moment.0 / 1_000) as u32
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
