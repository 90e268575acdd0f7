use super::{Reloads, Shown};
use crate::{
    observability::{AccessLog, InFlight, metrics::Metrics},
    upstream::States,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::SystemTime,
};

/// What lives as long as the process: learned, counted, written.
pub struct Process {
    /// What is known about endpoints.
    pub upstream: States,
    /// Requests being served.
    pub in_flight: InFlight,
    /// One line per request.
    pub access_log: AccessLog,
    /// What is counted about requests.
    pub metrics: Metrics,
    /// What became of reloads.
    pub reloads: Reloads,
    /// The metrics as callers saw them last.
    pub shown: Shown,
    /// When the process began.
    pub started: SystemTime,
    leaving: AtomicBool,
}

impl Process {
    /// Nothing learned yet. `codes`: the words that refusals have.
    pub fn new(access_log: AccessLog, codes: impl IntoIterator<Item = &'static str>) -> Arc<Self> {
        let started = SystemTime::now();
        Arc::new(Self {
            upstream: States::default(),
            in_flight: InFlight::default(),
            access_log,
            metrics: Metrics::new(codes),
            reloads: Reloads::new(started),
            shown: Shown::default(),
            started,
            leaving: AtomicBool::new(false),
        })
    }

    /// From now on `/health/ready` says 503 and every answer asks its caller for a new connection.
    pub fn leave(&self) {
        self.leaving.store(true, Relaxed);
    }

    /// Whether the process is about to end.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed)
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({} requests in flight)", self.in_flight.count())
    }
}
