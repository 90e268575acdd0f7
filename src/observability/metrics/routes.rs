use super::{
    MetricFamily,
    family::Seen,
    names::{DURATION, RATE_LIMITED, REQUESTS},
};
use http::Method;
use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt, sync::OnceLock, time::Duration};
use thread_local::ThreadLocal;

/// Upper bounds of the duration histogram, in seconds: from half a millisecond, what a gateway in front of a cache adds,
/// to a minute, twice the longest time that a request may take by default.
const BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// RFC 9110 section 9.3, and PATCH of RFC 5789. A caller's own words must not become labels.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// What became of a route's requests.
pub struct RouteMetrics {
    route: Box<str>,
    service: Box<str>,
    /// Made by the first request: most of 10,000 routes may never see one, and a `ThreadLocal` takes 512 bytes.
    cells: OnceLock<Box<ThreadLocal<Cell>>>,
}

/// What one thread has counted. The lock is its own but for a moment of a scrape; alone in its cache line, because
/// those of other threads stand beside it.
#[derive(Default)]
#[repr(align(64))]
struct Cell(Mutex<Counts>);

/// Sparse: most routes see one or two methods and a handful of statuses, so a scan is quicker than a map.
#[derive(Clone, Default)]
struct Counts {
    methods: Vec<OfMethod>,
    limited: u64,
}

#[derive(Clone, Default)]
struct OfMethod {
    method: &'static str,
    statuses: Vec<(u16, u64)>,
    /// Not cumulative. What is above the last bound is only in the statuses.
    buckets: [u64; BUCKETS.len()],
    nanoseconds: u64,
}

impl RouteMetrics {
    pub(super) fn new(route: &str, service: &str) -> Self {
        Self { route: route.into(), service: service.into(), cells: OnceLock::new() }
    }

    /// A request was answered with `status`, `took` after its head.
    pub fn answered(&self, method: &Method, status: u16, took: Duration) {
        let bucket = BUCKETS.partition_point(|bound| *bound < took.as_secs_f64());
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.mine().0.lock().of(known(method), |of| {
            of.add(status, 1);
            of.nanoseconds = of.nanoseconds.saturating_add(nanoseconds);
            if let Some(bucket) = of.buckets.get_mut(bucket) {
                *bucket += 1;
            }
        });
    }

    /// A request was refused because of a limit.
    pub(super) fn limited(&self) {
        self.mine().0.lock().limited += 1;
    }

    pub(super) fn names(&self) -> (&str, &str) {
        (&self.route, &self.service)
    }

    /// Requests that were answered so far, and those among them with 5xx.
    pub(super) fn totals(&self) -> (u64, u64) {
        let counts = self.sum().unwrap_or_default();
        let statuses = || counts.methods.iter().flat_map(|of| &of.statuses);
        let failed = statuses().filter(|(status, _)| *status >= 500).map(|(_, count)| count).sum();
        (statuses().map(|(_, count)| count).sum(), failed)
    }

    fn mine(&self) -> &Cell {
        self.cells.get_or_init(Box::default).get_or_default()
    }

    /// Over all threads; `None`: there was no request.
    fn sum(&self) -> Option<Counts> {
        let mut total = Counts::default();
        for cell in self.cells.get()?.iter() {
            // Held for one copy of a few hundred bytes.
            let counts = cell.0.lock().clone();
            total.add(&counts);
        }
        Some(total)
    }
}

impl Counts {
    fn of(&mut self, method: &'static str, change: impl FnOnce(&mut OfMethod)) {
        let new = || OfMethod { method, ..OfMethod::default() };
        change_one(&mut self.methods, |of| of.method == method, new, change);
    }

    fn add(&mut self, other: &Self) {
        self.limited += other.limited;
        for theirs in &other.methods {
            self.of(theirs.method, |ours| {
                ours.nanoseconds = ours.nanoseconds.saturating_add(theirs.nanoseconds);
                ours.buckets.iter_mut().zip(theirs.buckets).for_each(|(sum, count)| *sum += count);
                theirs.statuses.iter().for_each(|(status, count)| ours.add(*status, *count));
            });
        }
    }
}

impl OfMethod {
    fn add(&mut self, status: u16, more: u64) {
        change_one(&mut self.statuses, |(known, _)| *known == status, || (status, 0), |(_, count)| *count += more);
    }

    fn seen(&self) -> Seen {
        let mut below = 0;
        let cumulative = |(bound, count): (f64, u64)| {
            below += count;
            (bound, below)
        };
        let buckets = BUCKETS.into_iter().zip(self.buckets).map(cumulative).collect();
        let count = self.statuses.iter().map(|(_, count)| count).sum();
        Seen { buckets, count, sum: Duration::from_nanos(self.nanoseconds).as_secs_f64() }
    }
}

/// The families of all routes that saw a request.
pub(super) fn families(routes: &[&RouteMetrics]) -> Vec<MetricFamily> {
    let (mut requests, mut durations, mut limited) = (Vec::new(), Vec::new(), BTreeMap::new());
    for route in routes {
        let (name, service) = route.names();
        let counts = route.sum();
        // A route that changed its service has two places, and one limit.
        if name.is_empty() || counts.is_some() {
            *limited.entry(name).or_insert(0) += counts.as_ref().map_or(0, |counts| counts.limited);
        }
        for of in counts.iter().flat_map(|counts| &counts.methods) {
            requests.extend(of.statuses.iter().map(|(status, count)| {
                ([of.method, name, service, &status.to_string()].map(str::to_owned), *count as f64)
            }));
            durations.push(([of.method, name, service], of.seen()));
        }
    }
    let limited = limited.into_iter().map(|(name, count)| ([name], count as f64));
    vec![REQUESTS.each(requests), DURATION.histograms(durations), RATE_LIMITED.each(limited)]
}

/// Change the entry that `is` it, a new one where there is none. Grows by one: most lists stay very short.
fn change_one<T>(all: &mut Vec<T>, is: impl Fn(&T) -> bool, new: impl FnOnce() -> T, change: impl FnOnce(&mut T)) {
    if let Some(found) = all.iter_mut().find(|one| is(one)) {
        return change(found);
    }
    let mut one = new();
    change(&mut one);
    all.reserve_exact(1);
    all.push(one);
}

/// A closed set: what a caller writes must not become a label.
fn known(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}

impl fmt::Debug for RouteMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouteMetrics({:?}, {:?})", self.route, self.service)
    }
}
