//! What is counted about requests, and the names under which everything is scraped.
//!
//! Each thread has cells of its own; they are summed when somebody asks. A route's cells are found once, when its
//! snapshot is built, and outlive it: a reload changes no count.

mod routes;
mod services;

mod family;
pub mod names;
mod process;

pub use family::{CONTENT_TYPE, Kind, Name, Seen, exposition};
pub use process::{families as process_families, unix};
pub use prometheus::proto::MetricFamily;
pub use routes::RouteMetrics;
pub use services::{Outcome, ServiceMetrics};

use crate::types::{RouteId, ServiceId, Tally};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// Above so many routes, those that no snapshot names any more are forgotten: who renames 1,000 routes 20 times a day
/// should not fill the memory.
const REMEMBERED: usize = 20_000;

/// The code of a refusal that a limit caused.
const RATE_LIMITED: &str = "rate_limited";

/// How the codes of refusals begin that somebody's credentials caused.
const IDENTITY: [&str; 7] =
    ["token_", "credentials_", "api_key_", "password_", "certificate_unknown", "keys_unavailable", "auth_busy"];

/// What is counted about requests, as long as the process lives.
#[derive(Debug)]
pub struct Metrics {
    /// Written while a snapshot is built, read by scrapes; no request touches it.
    routes: Mutex<HashMap<Key, Arc<RouteMetrics>>>,
    services: Mutex<HashMap<ServiceId, Arc<ServiceMetrics>>>,
    /// Requests that met no route.
    none: RouteMetrics,
    rejections: Tally,
    /// What `mode: observe` let pass.
    observed: Tally,
}

/// A route, and the service that it forwards to.
type Key = (RouteId, Option<ServiceId>);

impl Metrics {
    /// Nothing counted yet. `codes`: the words that refusals have.
    pub fn new(codes: impl IntoIterator<Item = &'static str>) -> Self {
        let codes: Vec<&'static str> = codes.into_iter().collect();
        Self {
            routes: Mutex::default(),
            services: Mutex::default(),
            none: RouteMetrics::new("", ""),
            rejections: Tally::new(codes.iter().copied()),
            observed: Tally::new(codes),
        }
    }

    /// Where a route's requests are counted: the same place after a reload.
    pub fn route(&self, route: &RouteId, service: Option<&ServiceId>) -> Arc<RouteMetrics> {
        let new = || Arc::new(RouteMetrics::new(route.as_str(), service.map_or("", ServiceId::as_str)));
        self.routes.lock().entry((route.clone(), service.cloned())).or_insert_with(new).clone()
    }

    /// Where a service's attempts are counted: the same place after a reload.
    pub fn service(&self, service: &ServiceId) -> Arc<ServiceMetrics> {
        self.services.lock().entry(service.clone()).or_default().clone()
    }

    /// Where requests without a route are counted.
    pub fn no_route(&self) -> &RouteMetrics {
        &self.none
    }

    /// A request to `route` was refused, or could not be answered.
    pub fn refused(&self, route: &RouteMetrics, code: &'static str) {
        self.rejections.add(code);
        if code == RATE_LIMITED {
            route.limited();
        }
    }

    /// A request would have been refused with `code`, and only `mode: observe` let it pass.
    pub fn observed(&self, code: &'static str) {
        self.observed.add(code);
    }

    /// Forget routes and services that nobody names, where there are very many.
    pub fn forget_unused(&self) {
        self.forget_above(REMEMBERED);
    }

    fn forget_above(&self, most: usize) {
        let mut routes = self.routes.lock();
        if routes.len() > most {
            routes.retain(|_, route| Arc::strong_count(route) > 1);
        }
        let mut services = self.services.lock();
        if services.len() > most {
            services.retain(|_, service| Arc::strong_count(service) > 1);
        }
    }

    /// Requests that were answered so far, and those among them with 5xx. Adds up all routes.
    pub fn totals(&self) -> (u64, u64) {
        let routes: Vec<Arc<RouteMetrics>> = self.routes.lock().values().cloned().collect();
        let all = std::iter::once(&self.none).chain(routes.iter().map(|route| &**route));
        all.map(RouteMetrics::totals).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Requests, refusals and attempts.
    pub fn families(&self) -> Vec<MetricFamily> {
        // Cloned out, so that no lock is held while they are summed.
        let mut routes: Vec<Arc<RouteMetrics>> = self.routes.lock().values().cloned().collect();
        routes.sort_by(|a, b| a.names().cmp(&b.names()));
        let services = self.services.lock();
        let mut services: Vec<_> = services.iter().map(|(id, metrics)| (id.clone(), metrics.clone())).collect();
        services.sort_by(|(a, _), (b, _)| a.cmp(b));
        let all: Vec<&RouteMetrics> = std::iter::once(&self.none).chain(routes.iter().map(|route| &**route)).collect();
        [routes::families(&all), services::families(&services), self.refusals()].concat()
    }

    fn refusals(&self) -> Vec<MetricFamily> {
        let sums = self.rejections.sums();
        let of = |(code, count): &(&'static str, u64)| ([*code], *count as f64);
        let tokens = sums.iter().filter(|(code, _)| IDENTITY.iter().any(|word| code.starts_with(word)));
        let observed = self.observed.sums();
        vec![
            names::REJECTIONS.each(sums.iter().map(of)),
            names::OBSERVED_REJECTIONS.each(observed.iter().map(of)),
            names::AUTH_FAILURES.each(tokens.map(of)),
        ]
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
