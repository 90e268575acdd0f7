//! The documents of `/api/v1/state` and `/api/v1/endpoints`.

use crate::{
    observability::LogLevel,
    resilience::{BreakerStatus, GateReport},
    runtime::{Former, History, Snapshot},
    tls::CertificateReport,
    upstream::{EndpointReport, Health, Service},
};
use serde::Serialize;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What runs, and how it is.
#[derive(Serialize)]
pub(super) struct State {
    name: String,
    version: String,
    build: Build,
    started: String,
    leaving: bool,
    generation: u64,
    /// When that generation was loaded.
    since: String,
    log_level: LogLevel,
    in_flight: i64,
    routes: usize,
    services: Vec<ServiceState>,
    reloads: Reloads,
    /// Those that listeners show.
    certificates: Vec<Certificate>,
    /// The process before this one, while it finishes what it has.
    former_process: Option<FormerState>,
}

#[derive(Serialize)]
struct Certificate {
    names: Box<[Box<str>]>,
    expires: String,
}

/// A process that has handed over.
#[derive(Serialize)]
pub(super) struct FormerState {
    pid: u32,
    started: String,
    age_seconds: u64,
    connections: u64,
    in_flight: u64,
}

impl FormerState {
    pub(super) fn of(former: Former, now: SystemTime) -> Self {
        Self {
            pid: former.pid,
            started: date(former.started),
            age_seconds: now.duration_since(former.started).unwrap_or_default().as_secs(),
            connections: former.connections,
            in_flight: former.in_flight,
        }
    }
}

#[derive(Serialize)]
struct Build {
    version: &'static str,
    commit: &'static str,
}

/// One service with its endpoints.
#[derive(Serialize)]
pub(super) struct ServiceState {
    service: String,
    log_name: String,
    health: &'static str,
    error: Option<&'static str>,
    /// closed, open or half_open.
    breaker: &'static str,
    /// How much longer it is open.
    open_for_ms: Option<u64>,
    /// `null`: not limited.
    concurrency: Option<Concurrency>,
    ejections: u64,
    breaker_openings: u64,
    denied_retries: u64,
    endpoints: Vec<Endpoint>,
}

/// Requests of a service whose number is limited.
#[derive(Serialize)]
struct Concurrency {
    in_flight: u32,
    limit: Option<u32>,
    waiting: u32,
}

#[derive(Serialize)]
struct Endpoint {
    address: String,
    weight: u32,
    priority: u32,
    zone: Option<String>,
    health: &'static str,
    /// Why the last probe failed.
    error: Option<&'static str>,
    last_probe_ms_ago: Option<u64>,
    response_time_ms: Option<f64>,
    /// How much longer it is ejected; `null`: it is not.
    ejected_for_ms: Option<u64>,
    /// `null`: neither balancer nor limit asks for it.
    in_flight: Option<u32>,
    latency_ms: Option<f64>,
}

#[derive(Serialize)]
struct Reloads {
    succeeded: u64,
    failed: u64,
    last_success: String,
    last_failure: Option<Failure>,
}

#[derive(Serialize)]
struct Failure {
    at: String,
    errors: Vec<String>,
}

pub(super) fn state(snapshot: &Snapshot, log_level: LogLevel) -> State {
    let process = &snapshot.process;
    let history = process.reloads.history();
    State {
        name: snapshot.config.server.name.clone(),
        version: snapshot.config.server.version.clone(),
        build: Build { version: env!("CARGO_PKG_VERSION"), commit: env!("EDGEWAY_COMMIT") },
        started: date(process.started),
        leaving: process.departure.is_leaving(),
        generation: snapshot.generation,
        since: date(history.last_success),
        log_level,
        // Threads are asked one after the other: a request that moves between them may be seen on neither.
        in_flight: process.in_flight.count().max(0),
        routes: snapshot.routes(),
        services: services(snapshot, Instant::now()),
        reloads: reloads(history),
        certificates: process.certificates.report().into_iter().map(certificate).collect(),
        former_process: process.handoffs.former().map(|former| FormerState::of(former, SystemTime::now())),
    }
}

fn certificate(report: CertificateReport) -> Certificate {
    let expires = UNIX_EPOCH + Duration::from_secs(report.described.expires);
    Certificate { names: report.described.names, expires: date(expires) }
}

/// All services, by name.
pub(super) fn services(snapshot: &Snapshot, now: Instant) -> Vec<ServiceState> {
    let state = |service: &Service| {
        let (health, summary) = (service.health(), service.summary());
        let open_for = match summary.breaker {
            BreakerStatus::Open { for_another } => Some(for_another),
            BreakerStatus::Closed | BreakerStatus::HalfOpen => None,
        };
        let concurrency =
            |gate: GateReport| Concurrency { in_flight: gate.in_flight, limit: gate.limit, waiting: gate.waiting };
        ServiceState {
            service: service.id.to_string(),
            log_name: service.log_name().to_owned(),
            health: word(health.status),
            error: health.error,
            breaker: summary.breaker.word(),
            open_for_ms: open_for.map(millis),
            concurrency: summary.concurrency.map(concurrency),
            ejections: summary.ejections,
            breaker_openings: summary.openings,
            denied_retries: summary.denied_retries,
            endpoints: service.report().iter().map(|report| endpoint(report, now)).collect(),
        }
    };
    snapshot.services().iter().map(|service| state(service)).collect()
}

fn endpoint(report: &EndpointReport, now: Instant) -> Endpoint {
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    Endpoint {
        address: report.address.to_string(),
        weight: report.weight,
        priority: report.priority,
        zone: report.zone.clone(),
        health: word(report.health),
        error: report.error,
        last_probe_ms_ago: report.probed.map(|probed| millis(now.saturating_duration_since(probed))),
        response_time_ms: report.response_time.map(milliseconds),
        ejected_for_ms: report.ejected_for.map(millis),
        in_flight: report.in_flight,
        latency_ms: report.latency.map(milliseconds),
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

fn reloads(history: History) -> Reloads {
    Reloads {
        succeeded: history.succeeded,
        failed: history.failed,
        last_success: date(history.last_success),
        last_failure: history.last_failure.map(|(at, errors)| Failure { at: date(at), errors }),
    }
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Unknown => "unknown",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

fn date(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
