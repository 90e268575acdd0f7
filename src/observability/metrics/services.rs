use super::{
    MetricFamily,
    names::{ATTEMPTS, RETRIES},
};
use crate::types::{Count, ServiceId, Tally};
use std::sync::Arc;

/// How an attempt ended, seen from the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A response header came, whatever its status.
    Answered,
    /// No connection came about.
    ConnectFailed,
    /// A timeout struck before a response header came.
    Timeout,
    /// The connection ended before a response header came.
    Died,
    /// So did one that had served before: it may have died of age.
    DiedOnReused,
    /// The answer could not be read, or had two meanings.
    Unusable,
    /// Neither: the caller left, its body was too large.
    Other,
}

/// What became of a service's attempts.
#[derive(Debug)]
pub struct ServiceMetrics {
    outcomes: Tally,
    retries: Count,
}

impl Outcome {
    const ALL: [Self; 7] = [
        Self::Answered,
        Self::ConnectFailed,
        Self::Timeout,
        Self::Died,
        Self::DiedOnReused,
        Self::Unusable,
        Self::Other,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ConnectFailed => "connect_failed",
            Self::Timeout => "timeout",
            Self::Died => "died",
            Self::DiedOnReused => "died_on_reused",
            Self::Unusable => "unusable",
            Self::Other => "other",
        }
    }
}

impl Default for ServiceMetrics {
    fn default() -> Self {
        Self { outcomes: Tally::new(Outcome::ALL.map(Outcome::word)), retries: Count::default() }
    }
}

impl ServiceMetrics {
    /// An attempt ended.
    pub fn ended(&self, outcome: Outcome) {
        self.outcomes.add(outcome.word());
    }

    /// An attempt begins that is not a request's first.
    pub fn retried(&self) {
        self.retries.add();
    }
}

pub(super) fn families(services: &[(ServiceId, Arc<ServiceMetrics>)]) -> Vec<MetricFamily> {
    let outcomes = services.iter().flat_map(|(id, metrics)| {
        metrics.outcomes.sums().into_iter().map(|(word, count)| ([id.as_str(), word], count as f64))
    });
    let retries = services.iter().map(|(id, metrics)| ([id.as_str()], metrics.retries.sum() as f64));
    vec![ATTEMPTS.each(outcomes), RETRIES.each(retries)]
}
