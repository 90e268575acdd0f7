//! Every metric there is: its name, what it is, its labels, its help. docs/metrics.md tells the same in more words.

use super::Kind::{Counter, Gauge, Histogram};
use super::Name;

/// The five names of the replaced gateway. They are a contract with its dashboards.
pub const REQUESTS: Name = Name {
    name: "http_requests_total",
    kind: Counter,
    labels: &["method", "route", "service", "status"],
    help: "Requests that were answered.",
};
/// From its head to the end of its answer.
pub const DURATION: Name = Name {
    name: "http_request_duration_seconds",
    kind: Histogram,
    labels: &["method", "route", "service"],
    help: "Time from the head of a request to the end of its answer.",
};
/// As many as are in flight.
pub const IN_PROGRESS: Name =
    Name { name: "http_requests_in_progress", kind: Gauge, labels: &[], help: "Requests being served now." };
/// As `/health` says it.
pub const SERVICE_HEALTH: Name = Name {
    name: "service_health_status",
    kind: Gauge,
    labels: &["service"],
    help: "1: at least one endpoint of the service is healthy. 0: none is. Absent: not known yet.",
};
/// Refusals with the code `rate_limited`.
pub const RATE_LIMITED: Name = Name {
    name: "rate_limit_exceeded_total",
    kind: Counter,
    labels: &["route"],
    help: "Requests that were refused because their caller is over a limit.",
};

/// Refusals, by their word in the body and in the log.
pub const REJECTIONS: Name = Name {
    name: "edgeway_rejections_total",
    kind: Counter,
    labels: &["code"],
    help: "Requests that the gateway refused or could not have answered, by code.",
};
/// The part of them that tokens caused.
pub const AUTH_FAILURES: Name = Name {
    name: "edgeway_auth_failures_total",
    kind: Counter,
    labels: &["code"],
    help: "Requests whose token did not let them in, by code.",
};
/// Verified tokens that were known already.
pub const TOKEN_CACHE_HITS: Name = Name {
    name: "edgeway_token_cache_hits_total",
    kind: Counter,
    labels: &[],
    help: "Tokens whose signature had been checked before.",
};
/// Tokens that had to be verified.
pub const TOKEN_CACHE_MISSES: Name = Name {
    name: "edgeway_token_cache_misses_total",
    kind: Counter,
    labels: &[],
    help: "Tokens whose signature had to be checked.",
};
/// Verified tokens that are remembered.
pub const TOKEN_CACHE_ENTRIES: Name = Name {
    name: "edgeway_token_cache_entries",
    kind: Gauge,
    labels: &[],
    help: "Verified tokens that are remembered.",
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

/// Always 1; the labels are what matters.
pub const BUILD_INFO: Name = Name {
    name: "edgeway_build_info",
    kind: Gauge,
    labels: &["version", "commit"],
    help: "Always 1. The labels say what runs.",
};
/// Counts configurations.
pub const GENERATION: Name = Name {
    name: "edgeway_config_generation",
    kind: Gauge,
    labels: &[],
    help: "Number of the configuration that serves; the start has 1.",
};
/// Reloads that changed something.
pub const RELOADS: Name = Name {
    name: "edgeway_config_reload_success_total",
    kind: Counter,
    labels: &[],
    help: "Reloads after which the new configuration served.",
};
/// Reloads that changed nothing.
pub const FAILED_RELOADS: Name = Name {
    name: "edgeway_config_reload_failure_total",
    kind: Counter,
    labels: &[],
    help: "Reloads that were refused, so that the running configuration stayed.",
};
/// When the configuration that serves began to.
pub const LAST_RELOAD: Name = Name {
    name: "edgeway_config_last_reload_success_timestamp_seconds",
    kind: Gauge,
    labels: &[],
    help: "When the configuration that serves was loaded, in seconds since 1970.",
};
/// Lines that a slow reader of stdout cost.
pub const DROPPED_LINES: Name = Name {
    name: "edgeway_access_log_dropped_lines_total",
    kind: Counter,
    labels: &[],
    help: "Lines of the access log that were dropped because stdout was read too slowly.",
};

/// Connections that were let in.
pub const CONNECTIONS: Name = Name {
    name: "edgeway_connections_accepted_total",
    kind: Counter,
    labels: &[],
    help: "Connections of callers that were let in.",
};
/// Connections that are open.
pub const CONNECTIONS_OPEN: Name =
    Name { name: "edgeway_connections_open", kind: Gauge, labels: &[], help: "Connections of callers that are open." };
/// Connections that were closed at once.
pub const CONNECTIONS_REFUSED: Name = Name {
    name: "edgeway_connections_refused_total",
    kind: Counter,
    labels: &["limit"],
    help: "Connections that were closed at once: limit is in_all or per_address.",
};
/// Requests that pingora refused before any phase of ours.
pub const MALFORMED: Name = Name {
    name: "edgeway_requests_malformed_total",
    kind: Counter,
    labels: &[],
    help: "Requests that were answered before they could be read: no HTTP, too many headers, CONNECT.",
};
/// Heads that ended with 408.
pub const SLOW_HEADS: Name = Name {
    name: "edgeway_slow_heads_total",
    kind: Counter,
    labels: &[],
    help: "Requests whose head took longer than head_timeout.",
};
/// Connections that ended at `keepalive_timeout`.
pub const IDLE_CLOSED: Name = Name {
    name: "edgeway_connections_idle_closed_total",
    kind: Counter,
    labels: &[],
    help: "Connections that the gateway closed because nothing came on them.",
};
/// What limits decided, and who.
pub const LIMIT_DECISIONS: Name = Name {
    name: "edgeway_limit_decisions_total",
    kind: Counter,
    labels: &["by", "decision"],
    help: "Questions to rate limits: by local, redis, remembered, fallback or policy; decision is allowed or refused.",
};
/// Callers with an exact counter.
pub const LIMIT_COUNTERS: Name = Name {
    name: "edgeway_limit_exact_counters",
    kind: Gauge,
    labels: &[],
    help: "Callers near a limit, who have an exact counter in this instance.",
};
/// How long requests waited for Redis.
pub const REDIS_WAIT: Name = Name {
    name: "edgeway_redis_wait_seconds",
    kind: Histogram,
    labels: &[],
    help: "Time that requests waited for Redis, in vain too.",
};
/// Calls that brought no usable answer.
pub const REDIS_FAILURES: Name = Name {
    name: "edgeway_redis_failures_total",
    kind: Counter,
    labels: &[],
    help: "Calls to Redis that brought no usable answer in time.",
};
/// Whether Redis is asked.
pub const REDIS_UP: Name =
    Name { name: "edgeway_redis_up", kind: Gauge, labels: &[], help: "1: Redis is asked. 0: it failed, and rests." };

/// Memory that is really there.
pub const RESIDENT_MEMORY: Name =
    Name { name: "process_resident_memory_bytes", kind: Gauge, labels: &[], help: "Resident memory of the process." };
/// In user space and in the kernel.
pub const CPU_SECONDS: Name = Name {
    name: "process_cpu_seconds_total",
    kind: Counter,
    labels: &[],
    help: "Time that processors spent on the process, in user space and in the kernel.",
};
/// Sockets and files.
pub const OPEN_FDS: Name =
    Name { name: "process_open_fds", kind: Gauge, labels: &[], help: "File descriptors that are open." };
/// What `ulimit -n` says.
pub const MAX_FDS: Name =
    Name { name: "process_max_fds", kind: Gauge, labels: &[], help: "File descriptors that may be open." };
/// When it began.
pub const START_TIME: Name = Name {
    name: "process_start_time_seconds",
    kind: Gauge,
    labels: &[],
    help: "When the process began, in seconds since 1970.",
};
/// All kinds of them.
pub const THREADS: Name = Name { name: "process_threads", kind: Gauge, labels: &[], help: "Threads of the process." };

/// All of them, for the page that lists them.
pub const ALL: &[&Name] = &[
    &REQUESTS,
    &DURATION,
    &IN_PROGRESS,
    &SERVICE_HEALTH,
    &RATE_LIMITED,
    &REJECTIONS,
    &AUTH_FAILURES,
    &TOKEN_CACHE_HITS,
    &TOKEN_CACHE_MISSES,
    &TOKEN_CACHE_ENTRIES,
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
    &BUILD_INFO,
    &GENERATION,
    &RELOADS,
    &FAILED_RELOADS,
    &LAST_RELOAD,
    &DROPPED_LINES,
    &CONNECTIONS,
    &CONNECTIONS_OPEN,
    &CONNECTIONS_REFUSED,
    &MALFORMED,
    &SLOW_HEADS,
    &IDLE_CLOSED,
    &LIMIT_DECISIONS,
    &LIMIT_COUNTERS,
    &REDIS_WAIT,
    &REDIS_FAILURES,
    &REDIS_UP,
    &RESIDENT_MEMORY,
    &CPU_SECONDS,
    &OPEN_FDS,
    &MAX_FDS,
    &START_TIME,
    &THREADS,
];
