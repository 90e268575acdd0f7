//! A concurrency limit that follows how long a service takes, after Netflix' `Gradient2`.

use crate::types::Moment;
use std::{mem, time::Duration};

/// The first limit, where the settings allow it: Netflix' number.
const FIRST: u32 = 20;

/// Samples that one decision needs at least: Netflix' window has as many.
const SAMPLES: u32 = 10;

/// Windows that the usual latency looks back on: half a minute where the window is 100 ms. Netflix has 600.
const USUAL: f64 = 300.0;

/// The same where it is only to grow shorter: with a queue of our making a request cannot be faster than without.
const SHORTER: f64 = 10.0;

/// At so much doubt the service is tried with few requests: a window in which it is too slow adds 1, one in which it is
/// faster than it could be adds [`OUTDATED`], each other one takes 1 away.
const DOUBT: u32 = 100;
const OUTDATED: u32 = 10;

/// A window is as long as its latency or the last one, up to so many times its length: what a new limit does is not
/// seen before a request of it has come back, and of the first requests the fast ones come back first.
const LONGEST_WINDOW: u32 = 10;

/// Part of the way to the new limit that is gone per decision, as Netflix has it.
const SMOOTHING: f64 = 0.2;

/// Growth per decision until the service is seen to grow slower for the first time. By square roots alone the way from
/// 20 to 500 takes 18 s, and each start of the gateway under load would refuse requests for as long.
const START: f64 = 1.5;

/// Where more than this part of a window's requests is dropped, the service says that it is too much. Less is noise:
/// with one timeout in each window the limit would fall and fall.
const DROPPED: f64 = 0.1;

/// `adaptive:` of a concurrency limit, compiled.
///
/// While a service is too slow for long, the limit falls to a fraction for a moment now and then, about 3% of the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveSettings {
    /// The limit never falls below this. 1 or more.
    pub least: u32,
    /// The limit never rises above this.
    pub most: u32,
    /// How many times as long as usual requests may take before the limit falls. 1 or more.
    pub tolerance: f64,
    /// A decision is taken at most once in this time, and about at least ten requests.
    pub window: Duration,
}

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// It was answered in this time.
    Answered(Duration),
    /// It timed out, or the service said that it is overloaded.
    Dropped,
}

/// What was learned of one service.
///
/// Latency that grows with the limit would in time become the usual one, and the limit grow with it for ever:
/// `Gradient2` does so. Here a longer latency is believed only where it is not of our making: where the limit is not
/// used, or in a trial with few requests.
#[derive(Debug, Default)]
pub(super) struct Adaptive {
    /// `None`: nothing was decided yet.
    limit: Option<f64>,
    usual: Usual,
    /// Of the last window.
    latency: Duration,
    pace: Pace,
    /// That the usual latency is what it would be without a queue of our making. Up to [`DOUBT`].
    doubt: u32,
    /// The limit when there was no doubt.
    sound: f64,
    trial: Option<Trial>,
    window: Window,
}

/// The usual latency: the average of all windows at first, then one in which old windows weigh less and less.
#[derive(Debug, Default)]
struct Usual {
    seconds: f64,
    /// Windows that were seen.
    windows: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pace {
    /// The service was not seen to grow slower yet.
    #[default]
    Start,
    Settled,
}

/// The limit is so low for a moment that no queue can be of our making.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// The limit before and after.
    limit: f64,
    /// Then the requests from before are through.
    begins: Moment,
}

#[derive(Debug, Default)]
struct Window {
    began: Option<Moment>,
    answered: u32,
    dropped: u32,
    /// Sum of the natural logarithms of latencies in seconds.
    logarithms: f64,
    /// Most that were in flight at a time.
    in_flight: u32,
}

impl AdaptiveSettings {
    /// `limit` as far as these settings allow it; 0: the first limit.
    pub(super) fn within(&self, limit: u32) -> u32 {
        let limit = if limit == 0 { FIRST } else { limit };
        // Not `clamp`, which panics where the bounds are the wrong way round.
        limit.min(self.most).max(self.least).max(1)
    }
}

impl Adaptive {
    /// A request ended while `in_flight` were, itself included. A new limit, where it is time for a decision.
    pub(super) fn sample(
        &mut self,
        settings: &AdaptiveSettings,
        sample: Sample,
        in_flight: u32,
        now: Moment,
    ) -> Option<u32> {
        if self.trial.is_some_and(|trial| now < trial.begins) {
            return None;
        }
        self.window.add(sample, in_flight, now);
        if !self.window.is_over(settings.window, self.latency, now) {
            return None;
        }
        let window = mem::take(&mut self.window);
        let [first, least, most] = [0, 1, u32::MAX].map(|limit| f64::from(settings.within(limit)));
        let limit = self.limit.unwrap_or(first).clamp(least, most);
        let tolerance = settings.tolerance.max(1.0);
        // What is not used tells nothing: a service that is fast now may be too slow for twice as many.
        let is_used = f64::from(window.in_flight) >= limit / 2.0;
        let next = match (window.latency(), self.trial.take()) {
            (None, trial) => self.dropped(trial.map_or(limit, |trial| trial.limit)),
            // Some are still there from before, or the limit is only observed: nothing can be told from this.
            (Some(_), Some(trial)) if f64::from(window.in_flight) > limit => trial.limit,
            (Some(latency), Some(trial)) => self.tried(tolerance, trial, latency),
            (Some(latency), None) => self.answered(tolerance, limit, latency, is_used),
        };
        let next = if self.doubt < DOUBT { next } else { self.try_with_few(tolerance, limit, now) };
        let next = next.clamp(least, most);
        self.limit = Some(next);
        Some(next as u32)
    }

    fn dropped(&mut self, limit: f64) -> f64 {
        self.pace = Pace::Settled;
        limit * 0.9
    }

    fn answered(&mut self, tolerance: f64, limit: f64, latency: f64, is_used: bool) -> f64 {
        self.latency = duration(latency);
        // No queue makes a service faster than usual. Half as long again is more than chance.
        let is_outdated = is_used && self.usual.seconds > 1.5 * latency;
        if !is_outdated {
            self.usual.learn(latency, is_used);
        }
        let gradient = (tolerance * self.usual.seconds / latency).clamp(0.5, 1.0);
        if gradient < 1.0 {
            self.pace = Pace::Settled;
        }
        if self.doubt == 0 {
            self.sound = limit;
        }
        self.doubt = match (is_outdated, gradient < 1.0) {
            (true, _) => self.doubt + OUTDATED,
            (false, true) => self.doubt + 1,
            (false, false) => self.doubt.saturating_sub(1),
        };
        let next = match self.pace {
            Pace::Start => limit * START,
            // The square root: room for a small queue, without which nobody could see that there is room for more.
            Pace::Settled => limit + SMOOTHING * (limit * gradient + limit.sqrt() - limit),
        };
        if is_used && !is_outdated { next } else { next.min(limit) }
    }

    fn try_with_few(&mut self, tolerance: f64, limit: f64, now: Moment) -> f64 {
        self.doubt = 0;
        // Twice: what is in flight now takes so long at most, and what replaces it may have waited behind it.
        self.trial = Some(Trial { limit, begins: now.after(self.latency.saturating_mul(2)) });
        limit / tolerance / 2.0
    }

    fn tried(&mut self, tolerance: f64, trial: Trial, latency: f64) -> f64 {
        let is_ours = latency <= tolerance * self.usual.seconds;
        self.usual.seconds = latency;
        // Where it was not us, all that the limit has fallen was in vain.
        if is_ours { trial.limit } else { trial.limit.max(self.sound) }
    }
}

impl Usual {
    fn learn(&mut self, latency: f64, is_used: bool) {
        self.windows += 1.0;
        let memory = self.windows.min(if is_used { SHORTER } else { USUAL });
        if !is_used || latency < self.seconds || self.windows == 1.0 {
            self.seconds += (latency - self.seconds) / memory;
        }
        // After a slow phase it is far too long, and must not be when the limit is used again. Netflix has 0.95.
        if self.seconds > 2.0 * latency {
            self.seconds *= 0.9;
        }
    }
}

impl Window {
    fn add(&mut self, sample: Sample, in_flight: u32, now: Moment) {
        self.began.get_or_insert(now);
        self.in_flight = self.in_flight.max(in_flight);
        match sample {
            Sample::Dropped => self.dropped += 1,
            Sample::Answered(latency) => {
                self.answered += 1;
                self.logarithms += latency.as_secs_f64().max(1e-6).ln();
            }
        }
    }

    fn is_over(&self, length: Duration, last: Duration, now: Moment) -> bool {
        let took = self.began.map_or(Duration::ZERO, |began| now.since(began));
        if self.answered + self.dropped < SAMPLES || took < length {
            return false;
        }
        let own = duration(self.latency().unwrap_or(0.0));
        took >= last.max(own).min(length.saturating_mul(LONGEST_WINDOW))
    }

    /// The geometric mean, in seconds: one request that takes a hundred times as long does not move it far. `None`: too
    /// many were dropped.
    fn latency(&self) -> Option<f64> {
        let is_refused = f64::from(self.dropped) > DROPPED * f64::from(self.answered + self.dropped);
        (!is_refused).then(|| (self.logarithms / f64::from(self.answered)).exp())
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
#[path = "adaptive_tests.rs"]
mod tests;
