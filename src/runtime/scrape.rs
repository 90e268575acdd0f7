//! What a scrape tells: numbers of all modules under the names of one list.

use super::{Process, Snapshot};
use crate::{
    ext_auth::Counts,
    observability::LongLived,
    observability::metrics::{
        CONTENT_TYPE, MetricFamily, Seen, exposition,
        names::{
            BAD_ADDRESS_FILES, BUILD_INFO, CERTIFICATE_EXPIRY, CERTIFICATE_FAILURES, CONNECTIONS, CONNECTIONS_OPEN,
            CONNECTIONS_REFUSED, DRAINING, DROPPED_LINES, EXT_AUTH_REQUESTS, EXT_AUTH_WAIT, FAILED_RELOADS,
            FORMER_CONNECTIONS, FORMER_IN_FLIGHT, FORMER_PID, FORMER_START, GENERATION, HANDOFFS, HANDSHAKE_FAILURES,
            IDLE_CLOSED, IN_PROGRESS, KEY_FETCHES, KEYS, KEYS_SEEN, LAST_RELOAD, LAST_RELOAD_SUCCESSFUL,
            LIMIT_COUNTERS, LIMIT_DECISIONS, LONG_LIVED, MALFORMED, REDIS_FAILURES, REDIS_UP, REDIS_WAIT, RELOADS,
            REVOCATIONS, REVOCATIONS_AGREED, REVOCATIONS_WAITING, SLOW_HEADS, TOKEN_CACHE_ENTRIES, TOKEN_CACHE_HITS,
            TOKEN_CACHE_MISSES,
        },
        process_families, unix,
    },
    store::Waits,
    types::{Pinned, Reply},
};
use http::StatusCode;
use parking_lot::Mutex;
use std::{
    fmt,
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// How long callers get the same text: whoever they are and however often they ask, it is gathered once a second.
const FRESH: Duration = Duration::from_secs(1);

/// What callers of the gateway were shown last.
pub struct Shown {
    /// Whoever gathers; others wait and get the same.
    turn: Semaphore,
    last: Mutex<Option<(Instant, Reply)>>,
}

impl Shown {
    /// The answer to a caller's scrape, gathered on a thread that serves nobody else: with 1,000 routes it would hold
    /// up all requests of a worker for some milliseconds. `None`: a fault of the gateway's own.
    pub async fn to_caller(snapshot: Pinned<Snapshot>) -> Option<Reply> {
        let process = snapshot.process.clone();
        let _turn = process.shown.turn.acquire().await.ok()?;
        if let Some(reply) = process.shown.recent(Instant::now()) {
            return Some(reply);
        }
        let reply = spawn_blocking(move || snapshot.scrape()).await.ok()?;
        *process.shown.last.lock() = Some((Instant::now(), reply.clone()));
        Some(reply)
    }

    fn recent(&self, now: Instant) -> Option<Reply> {
        let last = self.last.lock();
        last.as_ref().filter(|(at, _)| now.saturating_duration_since(*at) < FRESH).map(|(_, reply)| reply.clone())
    }
}

impl Default for Shown {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), last: Mutex::default() }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl Snapshot {
    /// The answer to a scrape. Takes a while with many routes: never on a thread that serves requests.
    pub fn scrape(&self) -> Reply {
        Reply::new(StatusCode::OK, CONTENT_TYPE, exposition(self.families()))
    }

    /// Source by source. A new one is a line here, and its names stand in `observability/metrics/names.rs`.
    fn families(&self) -> Vec<MetricFamily> {
        let process = &*self.process;
        [
            process.metrics.families(),
            super::scrape_upstream::families(self),
            tokens(self),
            keys(self),
            revocations(self),
            ext_auth(self),
            configuration(self),
            handoffs(process),
            gateway(process),
            connections(process),
            certificates(process),
            limits(self),
            process_families(process.started),
        ]
        .concat()
    }
}

fn tokens(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let remembered = snapshot.auth.remembered();
    vec![
        TOKEN_CACHE_HITS.one(remembered.hits as f64),
        TOKEN_CACHE_MISSES.one(remembered.misses as f64),
        TOKEN_CACHE_ENTRIES.one(remembered.entries as f64),
    ]
}

/// Of issuers whose keys are kept new.
fn keys(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let all: Vec<_> = snapshot.auth.sources().map(|source| (source.name(), source.report())).collect();
    let fetches = all.iter().flat_map(|(name, (_, counts))| {
        let of = |outcome, count: u64| ([*name, outcome], count as f64);
        [of("succeeded", counts.succeeded), of("failed", counts.failed)]
    });
    let seen = all.iter().filter_map(|(name, (_, counts))| Some(([*name], unix(counts.last_success?))));
    vec![
        KEYS.each(all.iter().map(|(name, (keys, _))| ([*name], *keys as f64))),
        KEY_FETCHES.each(fetches),
        KEYS_SEEN.each(seen),
    ]
}

fn revocations(snapshot: &Snapshot) -> Vec<MetricFamily> {
    if !snapshot.auth.revokes() {
        return Vec::new();
    }
    let report = snapshot.process.revocations.report();
    vec![
        REVOCATIONS.each([(["token"], report.tokens as f64), (["user"], report.users as f64)]),
        REVOCATIONS_WAITING.one(report.waiting as f64),
        REVOCATIONS_AGREED.one(report.agreed as f64 / 1_000.0),
    ]
}

fn ext_auth(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let of = |(name, counts): (&str, &Counts)| {
        let name = name.to_owned();
        counts.outcomes().into_iter().map(move |(word, count)| ([name.clone(), word.to_owned()], count as f64))
    };
    let waited = snapshot.ext_auth.counts().map(|(name, counts)| ([name.to_owned()], counts.waited().as_secs_f64()));
    vec![EXT_AUTH_REQUESTS.each(snapshot.ext_auth.counts().flat_map(of)), EXT_AUTH_WAIT.each(waited)]
}

fn configuration(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let history = snapshot.process.reloads.history();
    vec![
        GENERATION.one(snapshot.generation as f64),
        RELOADS.one(history.succeeded as f64),
        FAILED_RELOADS.one(history.failed as f64),
        LAST_RELOAD.one(unix(history.last_success)),
        LAST_RELOAD_SUCCESSFUL.one(f64::from(history.last_succeeded)),
    ]
}

fn handoffs(process: &Process) -> Vec<MetricFamily> {
    let results = process.handoffs.results().into_iter().map(|(result, count)| ([result], count as f64));
    let draining = process.departure.is_leaving();
    let mut families = vec![HANDOFFS.each(results), DRAINING.one(if draining { 1.0 } else { 0.0 })];
    if let Some(former) = process.handoffs.former() {
        families.push(FORMER_PID.one(f64::from(former.pid)));
        families.push(FORMER_START.one(unix(former.started)));
        families.push(FORMER_CONNECTIONS.one(former.connections as f64));
        families.push(FORMER_IN_FLIGHT.one(former.in_flight as f64));
    }
    families
}

fn connections(process: &Process) -> Vec<MetricFamily> {
    let counts = process.connections.snapshot();
    let refused = [
        ("in_all", counts.refused_total_limit),
        ("per_address", counts.refused_per_address),
        ("process", counts.refused_by_process),
        ("proxy_untrusted", counts.refused_proxy_untrusted),
        ("proxy_header", counts.refused_proxy_header),
    ];
    vec![
        CONNECTIONS.one(counts.accepted as f64),
        CONNECTIONS_OPEN.one(counts.open as f64),
        CONNECTIONS_REFUSED.each(refused.map(|(limit, count)| ([limit], count as f64))),
        MALFORMED.one(counts.malformed as f64),
        SLOW_HEADS.one(counts.slow_heads as f64),
        IDLE_CLOSED.one(counts.idle_closed as f64),
        BAD_ADDRESS_FILES.one(process.address_files.problems() as f64),
        HANDSHAKE_FAILURES.one(counts.handshake_failures as f64),
    ]
}

fn certificates(process: &Process) -> Vec<MetricFamily> {
    let report = process.certificates.report();
    let expiry = report.iter().map(|one| ([&*one.name], one.described.expires as f64));
    vec![CERTIFICATE_EXPIRY.each(expiry), CERTIFICATE_FAILURES.one(process.certificates.failures() as f64)]
}

fn limits(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let process = &*snapshot.process;
    let decisions = process.limits.tallies().map(|(tally, count)| ([tally.by(), tally.decision()], count as f64));
    let mut families = vec![LIMIT_DECISIONS.each(decisions), LIMIT_COUNTERS.one(process.limits.sizes().0 as f64)];
    if snapshot.counts_in_redis() {
        families.push(REDIS_WAIT.histograms([([""; 0], waits(process.store.waits()))]));
        families.push(REDIS_FAILURES.one(process.store.failures() as f64));
        families.push(REDIS_UP.one(if process.store.is_resting() { 0.0 } else { 1.0 }));
    }
    families
}

fn waits(waits: &Waits) -> Seen {
    let (counts, sum) = waits.sums();
    let mut below = 0;
    let cumulated = Waits::BOUNDS.iter().zip(counts).map(|(millis, count)| {
        below += count;
        (millis / 1_000.0, below)
    });
    Seen { buckets: cumulated.collect(), count: counts.iter().sum(), sum: sum.as_secs_f64() }
}

fn gateway(process: &Process) -> Vec<MetricFamily> {
    vec![
        BUILD_INFO.each([([env!("CARGO_PKG_VERSION"), env!("EDGEWAY_COMMIT")], 1.0)]),
        // Threads are asked one after the other: a request that moves between them may be seen on neither.
        IN_PROGRESS.one(process.in_flight.count().max(0) as f64),
        LONG_LIVED.each(LongLived::ALL.map(|kind| ([kind.word()], process.in_flight.long_lived(kind).max(0) as f64))),
        DROPPED_LINES.one(process.access_log.dropped() as f64),
    ]
}
