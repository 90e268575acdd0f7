//! Services, endpoints and attempts.

use crate::observability::metrics::{
    Kind::{Counter, Gauge},
    Name,
};

/// Attempts, by how they ended.
pub const ATTEMPTS: Name = Name {
    name: "edgeway_upstream_attempts_total",
    kind: Counter,
    labels: &["service", "outcome"],
    help: "Attempts to have a request answered by an endpoint of the service, by how they ended.",
};
/// Attempts after the first.
pub const RETRIES: Name = Name {
    name: "edgeway_retries_total",
    kind: Counter,
    labels: &["service"],
    help: "Attempts after the first one of a request.",
};
/// What probes say of each endpoint.
pub const ENDPOINT_HEALTH: Name = Name {
    name: "edgeway_endpoint_health",
    kind: Gauge,
    labels: &["service", "endpoint"],
    help: "1: the endpoint is healthy. 0: it is not. Absent: not known yet.",
};
/// What requests say of each endpoint.
pub const ENDPOINT_EJECTED: Name = Name {
    name: "edgeway_endpoint_ejected",
    kind: Gauge,
    labels: &["service", "endpoint"],
    help: "1: the endpoint is ejected because it failed requests. 0: it is not.",
};
/// Where a balancer or a limit asks for it.
pub const ENDPOINT_IN_FLIGHT: Name = Name {
    name: "edgeway_endpoint_requests_in_flight",
    kind: Gauge,
    labels: &["service", "endpoint"],
    help: "Requests that the endpoint has now. Absent: neither balancer nor limit asks for it.",
};
/// How often endpoints were ejected.
pub const EJECTIONS: Name = Name {
    name: "edgeway_ejections_total",
    kind: Counter,
    labels: &["service"],
    help: "Times that an endpoint of the service was ejected.",
};
/// How a breaker stands.
pub const BREAKER_STATE: Name = Name {
    name: "edgeway_breaker_state",
    kind: Gauge,
    labels: &["service"],
    help: "0: requests pass. 1: trials do. 2: none does.",
};
/// How often breakers opened.
pub const BREAKER_OPENINGS: Name = Name {
    name: "edgeway_breaker_openings_total",
    kind: Counter,
    labels: &["service"],
    help: "Times that the breaker of the service opened.",
};
/// What the budget, or an open breaker, kept from an ill service.
pub const DENIED_RETRIES: Name = Name {
    name: "edgeway_retries_denied_total",
    kind: Counter,
    labels: &["service"],
    help: "Retries that were not made because of the retry budget or an open breaker.",
};
/// What `mode: observe` let pass.
pub const OBSERVED: Name = Name {
    name: "edgeway_observed_total",
    kind: Counter,
    labels: &["service", "decision"],
    help: "What would have been done if it were not for mode: observe: circuit_open, overloaded or ejected.",
};
/// Where a service has a concurrency limit.
pub const SERVICE_IN_FLIGHT: Name = Name {
    name: "edgeway_service_requests_in_flight",
    kind: Gauge,
    labels: &["service"],
    help: "Requests that the service has now. Absent: they are not limited.",
};
/// As it is at this moment.
pub const CONCURRENCY_LIMIT: Name = Name {
    name: "edgeway_concurrency_limit",
    kind: Gauge,
    labels: &["service"],
    help: "Most requests that the service may have now. Absent: they are not limited.",
};
/// In the queue of a concurrency limit.
pub const WAITING: Name = Name {
    name: "edgeway_requests_waiting",
    kind: Gauge,
    labels: &["service"],
    help: "Requests that wait for their turn at the service. Absent: they are not limited.",
};
/// How old the answer for a name is.
pub const DNS_AGE: Name = Name {
    name: "edgeway_dns_seconds_since_answer",
    kind: Gauge,
    labels: &["name"],
    help: "Seconds since the name was last resolved. Absent: it never was.",
};
/// Questions for names that brought no answer.
pub const DNS_FAILURES: Name = Name {
    name: "edgeway_dns_failures_total",
    kind: Counter,
    labels: &["name"],
    help: "Questions for the name that brought no answer in time.",
};

/// All of these.
pub(super) const UPSTREAM: &[&Name] = &[
    &ATTEMPTS,
    &RETRIES,
    &ENDPOINT_HEALTH,
    &ENDPOINT_EJECTED,
    &ENDPOINT_IN_FLIGHT,
    &EJECTIONS,
    &BREAKER_STATE,
    &BREAKER_OPENINGS,
    &DENIED_RETRIES,
    &OBSERVED,
    &SERVICE_IN_FLIGHT,
    &CONCURRENCY_LIMIT,
    &WAITING,
    &DNS_AGE,
    &DNS_FAILURES,
];
