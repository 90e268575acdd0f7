//! How many connections the file descriptors of the process allow.

use crate::config::Config;

/// File descriptors for everything but callers and services: the listeners, the operator's 64 connections, probes, questions
/// to DNS, authorisers, sets of keys, files. Generous, because whoever has none left cannot even read its own
/// configuration.
const RESERVE: u64 = 512;

/// Of one worker: its poll, its wake-up, its connection to Redis, its clients of authorisers.
const OF_A_WORKER: u64 = 8;

/// A connection, and its request to a service.
const OF_A_CONNECTION: u64 = 2;

/// How many connections of callers there may be, over all listeners, and what of the file descriptors that takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    /// Connections, at least 1.
    pub(super) connections: u32,
    /// What was wanted: `server.max_connections`, else the sum of the listeners' `max_connections`.
    wanted: u64,
    /// Descriptors for what was wanted.
    needed: u64,
    /// Descriptors there are.
    there: u64,
}

impl Capacity {
    /// With `there` file descriptors and so many workers.
    pub(super) fn of(config: &Config, workers: usize, there: u64) -> Self {
        let listeners = listed(config);
        let others = RESERVE + OF_A_WORKER * workers as u64 + 2 * config.server.upstream_idle_connections as u64;
        let allowed = (there.saturating_sub(others) / OF_A_CONNECTION).max(1);
        let (set, wanted) = match u64::from(config.server.max_connections) {
            0 => (allowed, listeners),
            set => (set, set.min(listeners)),
        };
        let connections = u32::try_from(set.min(allowed)).unwrap_or(u32::MAX);
        Self { connections, wanted, needed: others + OF_A_CONNECTION * wanted, there }
    }

    /// Connections that there can really be: the listeners may take fewer.
    pub(super) fn callers(&self, config: &Config) -> u64 {
        listed(config).min(self.connections.into())
    }

    /// What is wrong with it, and what would be right.
    pub(super) fn warning(&self) -> Option<String> {
        let Self { connections, wanted, needed, there } = self;
        (there < needed).then(|| {
            format!(
                "{wanted} connections need {needed} file descriptors, and {there} may be open: there will be {connections} \
                 connections at most. Set LimitNOFILE={needed} (systemd), ulimits.nofile (containers) or ulimit -n, or lower \
                 max_connections"
            )
        })
    }
}

/// What the listeners take together.
fn listed(config: &Config) -> u64 {
    config.listeners.iter().map(|listener| u64::from(listener.max_connections)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ListenerConfig, ServerConfig};

    fn config(max_connections: u32, listeners: &[u32]) -> Config {
        let listener = |most: &u32| ListenerConfig { max_connections: *most, ..ListenerConfig::default() };
        Config {
            server: ServerConfig { max_connections, upstream_idle_connections: 100, ..ServerConfig::default() },
            listeners: listeners.iter().map(listener).collect(),
            ..Config::default()
        }
    }

    #[test]
    fn connections_are_as_many_as_descriptors_allow_and_the_file_says() {
        // 512 + 2 × 8 + 2 × 100 are for others.
        for (max_connections, listeners, there, connections, needed) in [
            (0, &[10_000][..], 1_048_576, 523_924, None),
            (0, &[10_000], 20_728, 10_000, None),
            (0, &[10_000], 20_726, 9_999, Some(20_728)),
            (0, &[10_000, 5_000], 20_728, 10_000, Some(30_728)),
            (5_000, &[10_000], 20_000, 5_000, None),
            (50_000, &[10_000], 20_728, 10_000, None),
            (5_000, &[10_000], 1_024, 148, Some(10_728)),
            (0, &[10_000], 256, 1, Some(20_728)),
        ] {
            let capacity = Capacity::of(&config(max_connections, listeners), 2, there);
            assert_eq!(capacity.connections, connections, "{max_connections} {listeners:?} {there}");
            let warning = capacity.warning();
            assert_eq!(warning.is_some(), needed.is_some(), "{warning:?}");
            if let (Some(warning), Some(needed)) = (warning, needed) {
                assert!(warning.contains(&format!("LimitNOFILE={needed} ")), "{warning}");
                assert!(warning.contains(&format!("and {there} may be open")), "{warning}");
            }
        }
    }
}
