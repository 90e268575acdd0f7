//! Requests, limits, configuration and the process.

use crate::observability::metrics::{
    Kind::{Counter, Gauge, Histogram},
    Name,
};

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
/// What `mode: observe` let pass of a route's checks.
pub const OBSERVED_REJECTIONS: Name = Name {
    name: "edgeway_observed_rejections_total",
    kind: Counter,
    labels: &["code"],
    help: "Requests that would have been refused if it were not for mode: observe, by the code they would have had.",
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
/// Whether what stands in the file serves.
pub const LAST_RELOAD_SUCCESSFUL: Name = Name {
    name: "edgeway_config_last_reload_successful",
    kind: Gauge,
    labels: &[],
    help: "1: the last reload, or the start, was taken over. 0: it was refused, and an older configuration serves.",
};
/// Lines that a slow reader of stdout cost.
pub const DROPPED_LINES: Name = Name {
    name: "edgeway_access_log_dropped_lines_total",
    kind: Counter,
    labels: &[],
    help: "Lines of the access log that were dropped because stdout was read too slowly.",
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

/// All of these.
pub(super) const PROCESS: &[&Name] = &[
    &REQUESTS,
    &DURATION,
    &IN_PROGRESS,
    &SERVICE_HEALTH,
    &RATE_LIMITED,
    &REJECTIONS,
    &OBSERVED_REJECTIONS,
    &BUILD_INFO,
    &GENERATION,
    &RELOADS,
    &FAILED_RELOADS,
    &LAST_RELOAD,
    &LAST_RELOAD_SUCCESSFUL,
    &DROPPED_LINES,
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
