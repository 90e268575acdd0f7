//! What probes have found out.

use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicU8, Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// What is known about an endpoint or a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// No probe has come back yet. Requests are sent: most services are well.
    Unknown = 0,
    /// Probes are answered, or there are none.
    Healthy = 1,
    /// Probes fail.
    Unhealthy = 2,
}

/// What is known about a service as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceHealth {
    /// Healthy when at least one endpoint is.
    pub status: Health,
    /// Of the last good probe.
    pub response_time: Option<Duration>,
    /// Why it is unhealthy: `connect`, `timeout`, `status`, `resolve`, `closed`, `answer`.
    pub error: Option<&'static str>,
}

/// The health of one endpoint. Requests read one byte of it; only its probes write.
#[derive(Debug, Default)]
pub(super) struct EndpointHealth {
    status: AtomicU8,
    record: Mutex<Record>,
    /// A request met it dead.
    suspected: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    /// Results in a row that speak against the status.
    against: u32,
    pub(super) response_time: Option<Duration>,
    pub(super) error: Option<&'static str>,
    pub(super) probed: Option<Instant>,
}

/// Results in a row that change an endpoint's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thresholds {
    pub(super) healthy: u32,
    pub(super) unhealthy: u32,
}

impl EndpointHealth {
    #[inline]
    pub(super) fn status(&self) -> Health {
        match self.status.load(Relaxed) {
            1 => Health::Healthy,
            2 => Health::Unhealthy,
            _ => Health::Unknown,
        }
    }

    pub(super) fn record(&self) -> Record {
        *self.record.lock()
    }

    /// A probe ended, at `now`. Returns the new status where it changed; the first result decides at once.
    pub(super) fn probed(
        &self,
        outcome: Result<Duration, &'static str>,
        thresholds: Thresholds,
        now: Instant,
    ) -> Option<Health> {
        // Held for a few stores, by this endpoint's only probe and by whoever looks at a health page.
        let mut record = self.record.lock();
        record.probed = Some(now);
        let (result, needed) = match outcome {
            Ok(time) => {
                (record.response_time, record.error) = (Some(time), None);
                (Health::Healthy, thresholds.healthy)
            }
            Err(error) => {
                record.error = Some(error);
                (Health::Unhealthy, thresholds.unhealthy)
            }
        };
        let known = self.status();
        if known == result {
            record.against = 0;
            return None;
        }
        record.against += 1;
        if known != Health::Unknown && record.against < needed {
            return None;
        }
        record.against = 0;
        self.status.store(result as u8, Relaxed);
        Some(result)
    }

    /// A request was not answered.
    pub(super) fn suspect(&self) {
        self.suspected.notify_one();
    }

    /// Until a request is not answered.
    pub(super) async fn suspected(&self) {
        self.suspected.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_probe_decides_and_later_ones_need_company() {
        let health = EndpointHealth::default();
        let thresholds = Thresholds { healthy: 2, unhealthy: 3 };
        let probe = |well: bool| {
            let outcome = if well { Ok(Duration::from_millis(5)) } else { Err("connect") };
            health.probed(outcome, thresholds, Instant::now())
        };
        assert_eq!(health.status(), Health::Unknown);
        assert_eq!(probe(false), Some(Health::Unhealthy));
        assert_eq!(probe(true), None);
        assert_eq!(probe(false), None);
        assert_eq!([probe(true), probe(true)], [None, Some(Health::Healthy)]);
        assert_eq!([probe(false), probe(false), probe(true), probe(false)], [None; 4]);
        assert_eq!([probe(false), probe(false)], [None, Some(Health::Unhealthy)]);
        assert_eq!((health.record().error, health.status()), (Some("connect"), Health::Unhealthy));
    }
}
