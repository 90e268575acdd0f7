//! How many workers.

use crate::config::ServerConfig;
use std::thread;

/// `threads`, else `default_threads`, else what the CPU limit of this process allows: its cgroup's quota (v1 and v2)
/// and its affinity, rounded down, at least 1. That of the standard library reads all of these.
pub(super) fn workers(config: &ServerConfig) -> usize {
    match (config.threads, config.default_threads) {
        (0, 0) => thread::available_parallelism().map_or(1, Into::into),
        (0, fallback) => fallback.into(),
        (threads, _) => threads.into(),
    }
}
