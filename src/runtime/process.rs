use super::{Handoffs, Reloads, Shown};
use crate::{
    addresses::AddressFiles,
    auth::Revocations,
    config::{ConfigErrors, Loaded},
    limits::Counters,
    observability::{AccessLog, ConnectionCounters, InFlight, metrics::Metrics},
    store::Store,
    tls::Certificates,
    types::{Count, Departure},
    upstream::States,
};
use std::{fmt, sync::Arc, time::SystemTime};

/// What lives as long as the process: learned, counted, written.
pub struct Process {
    /// What is known about endpoints.
    pub upstream: States,
    /// Requests being served.
    pub in_flight: InFlight,
    /// Connections of callers, and what became of them.
    pub connections: Arc<ConnectionCounters>,
    /// What listeners show.
    pub certificates: Certificates,
    /// One line per request.
    pub access_log: AccessLog,
    /// Lists of addresses in files.
    pub address_files: AddressFiles,
    /// What limits have counted.
    pub limits: Counters,
    /// What instances share.
    pub store: Store,
    /// Tokens that ended before their time.
    pub revocations: Arc<Revocations>,
    /// What is counted about requests.
    pub metrics: Metrics,
    /// What became of reloads.
    pub reloads: Reloads,
    /// What became of handoffs, and the process before this one.
    pub handoffs: Handoffs,
    /// Faults of our own that were met.
    pub panics: Count,
    /// The metrics as callers saw them last.
    pub shown: Shown,
    /// When the process began.
    pub started: SystemTime,
    /// How far it is in leaving.
    pub departure: Arc<Departure>,
}

impl Process {
    /// Nothing learned yet. `codes`: the words that refusals have.
    ///
    /// # Errors
    /// What is shared cannot be where the file says.
    pub fn new(
        access_log: AccessLog,
        loaded: &Loaded,
        codes: impl IntoIterator<Item = &'static str>,
    ) -> Result<Arc<Self>, ConfigErrors> {
        let started = SystemTime::now();
        let store = Store::build(&loaded.config.redis);
        Ok(Arc::new(Self {
            upstream: States::default(),
            in_flight: InFlight::default(),
            connections: Arc::default(),
            certificates: Certificates::default(),
            access_log,
            address_files: AddressFiles::default(),
            limits: Counters::new(loaded.config.limits.expected_keys.get()),
            store: store.map_err(|reason| loaded.sources.error("/redis/host", reason))?,
            revocations: Arc::default(),
            metrics: Metrics::new(codes),
            reloads: Reloads::new(started),
            handoffs: Handoffs::default(),
            panics: Count::default(),
            shown: Shown::default(),
            started,
            departure: Arc::default(),
        }))
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({} requests in flight)", self.in_flight.count())
    }
}
