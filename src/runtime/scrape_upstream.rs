//! What a scrape tells of services and their endpoints.

use super::Snapshot;
use crate::{
    observability::metrics::{
        MetricFamily,
        names::{
            BREAKER_OPENINGS, BREAKER_STATE, CONCURRENCY_LIMIT, DENIED_RETRIES, DNS_AGE, DNS_FAILURES, EJECTIONS,
            ENDPOINT_EJECTED, ENDPOINT_HEALTH, ENDPOINT_IN_FLIGHT, OBSERVED, SERVICE_HEALTH, SERVICE_IN_FLIGHT,
            WAITING,
        },
    },
    resilience::BreakerStatus,
    upstream::{EndpointReport, Health, ServiceReport},
};

pub(super) fn families(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let services = snapshot.services().iter();
    let of_services = services.filter_map(|service| Some(([service.id.as_str()], value(service.health().status)?)));
    [vec![SERVICE_HEALTH.each(of_services)], endpoints(snapshot), protection(snapshot), names(snapshot)].concat()
}

fn endpoints(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let all: Vec<(String, EndpointReport)> = snapshot
        .services()
        .iter()
        .flat_map(|service| service.report().into_iter().map(|report| (service.id.to_string(), report)))
        .collect();
    let each = |of: fn(&EndpointReport) -> Option<f64>| {
        all.iter().filter_map(move |(id, one)| Some(([id.clone(), one.address.to_string()], of(one)?)))
    };
    vec![
        ENDPOINT_HEALTH.each(each(|one| value(one.health))),
        ENDPOINT_EJECTED.each(each(|one| Some(if one.ejected_for.is_some() { 1.0 } else { 0.0 }))),
        ENDPOINT_IN_FLIGHT.each(each(|one| one.in_flight.map(f64::from))),
    ]
}

/// Nobody should be alerted about a service that nobody has asked yet: absent, not zero.
fn value(health: Health) -> Option<f64> {
    match health {
        Health::Unknown => None,
        Health::Healthy => Some(1.0),
        Health::Unhealthy => Some(0.0),
    }
}

fn protection(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let all: Vec<(&str, ServiceReport)> =
        snapshot.services().iter().map(|service| (service.id.as_str(), service.summary())).collect();
    let each = |of: fn(&ServiceReport) -> Option<f64>| all.iter().filter_map(move |(id, one)| Some(([*id], of(one)?)));
    let observed =
        all.iter().flat_map(|(id, one)| one.observed.iter().map(|(word, count)| ([*id, *word], *count as f64)));
    vec![
        EJECTIONS.each(each(|one| Some(one.ejections as f64))),
        BREAKER_STATE.each(each(|one| Some(state(one.breaker)))),
        BREAKER_OPENINGS.each(each(|one| Some(one.openings as f64))),
        DENIED_RETRIES.each(each(|one| Some(one.denied_retries as f64))),
        OBSERVED.each(observed),
        SERVICE_IN_FLIGHT.each(each(|one| one.concurrency.map(|gate| gate.in_flight.into()))),
        CONCURRENCY_LIMIT.each(each(|one| one.concurrency?.limit.map(f64::from))),
        WAITING.each(each(|one| one.concurrency.map(|gate| gate.waiting.into()))),
    ]
}

fn state(breaker: BreakerStatus) -> f64 {
    match breaker {
        BreakerStatus::Closed => 0.0,
        BreakerStatus::HalfOpen => 1.0,
        BreakerStatus::Open { .. } => 2.0,
    }
}

fn names(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let names = snapshot.process.upstream.names();
    let age = |one: &crate::upstream::NameReport| Some(([one.name.clone()], one.since_answer?.as_secs_f64()));
    vec![
        DNS_AGE.each(names.iter().filter_map(age)),
        DNS_FAILURES.each(names.iter().map(|one| ([one.name.clone()], one.failures as f64))),
    ]
}
