use crate::{
    config::{ConfigErrors, Loaded},
    limits::Counters,
    observability::{AccessLog, ConnectionCounters, InFlight},
    store::Store,
    upstream::States,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// What lives as long as the process: learned, counted, written.
pub struct Process {
    /// What is known about endpoints.
    pub upstream: States,
    /// Requests being served.
    pub in_flight: InFlight,
    /// Connections of callers, and what became of them.
    pub connections: Arc<ConnectionCounters>,
    /// One line per request.
    pub access_log: AccessLog,
    /// What limits have counted.
    pub limits: Counters,
    /// What instances share.
    pub store: Store,
    leaving: AtomicBool,
}

impl Process {
    /// Nothing learned yet.
    ///
    /// # Errors
    /// What is shared cannot be where the file says.
    pub fn new(access_log: AccessLog, loaded: &Loaded) -> Result<Arc<Self>, ConfigErrors> {
        let store = Store::build(&loaded.config.redis);
        Ok(Arc::new(Self {
            upstream: States::default(),
            in_flight: InFlight::default(),
            connections: Arc::default(),
            access_log,
            limits: Counters::new(loaded.config.limits.expected_keys.get()),
            store: store.map_err(|reason| loaded.sources.error("/redis/host", reason))?,
            leaving: AtomicBool::new(false),
        }))
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
