//! How many workers.

use crate::{config::ServerConfig, machine::Machine};
use std::fmt;

/// Worker threads, and why that many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Workers {
    pub(super) count: usize,
    why: String,
}

impl Workers {
    /// `threads`, else `default_threads`, else what the machine allows: the CPUs of the affinity, and of the CPU limit the
    /// whole ones, at least 1. More threads than that only take turns, and a limit stops them all at once.
    pub(super) fn of(config: &ServerConfig, machine: &Machine) -> Self {
        let set = |count: u16, key: &str| Self { count: count.into(), why: format!("server.{key} says so") };
        match (config.threads, config.default_threads) {
            (0, 0) => Self::allowed(machine),
            (0, count) => set(count, "default_threads"),
            (count, _) => set(count, "threads"),
        }
    }

    fn allowed(machine: &Machine) -> Self {
        let cpus = machine.cpus.get();
        let whole = |cpus: f64| (cpus as usize).max(1);
        match &machine.cpu_limit {
            Some(limit) if whole(limit.cpus) < cpus || limit.cpus < 1.0 => {
                Self { count: whole(limit.cpus), why: format!("the CPU limit is {limit}") }
            }
            _ => Self { count: cpus, why: format!("the process may run on {cpus} CPUs, without a smaller limit") },
        }
    }
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} worker threads: {}", self.count, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{CpuLimit, Version};
    use std::num::NonZeroUsize;

    fn machine(cpus: usize, limit: Option<f64>) -> Machine {
        let file = "/sys/fs/cgroup/cpu.max".into();
        let cpu_limit = limit.map(|cpus| CpuLimit { cpus, version: Version::V2, file });
        Machine { cpus: NonZeroUsize::new(cpus).unwrap(), cpu_limit, memory_limit: None, problems: Vec::new() }
    }

    #[test]
    fn a_limit_is_rounded_down_and_leaves_one_worker_at_least() {
        let config = ServerConfig::default();
        for (cpus, limit, count, why) in [
            (8, Some(2.5), 2, "the CPU limit is 2.5 (cgroup v2, /sys/fs/cgroup/cpu.max)"),
            (8, Some(0.5), 1, "the CPU limit is 0.5 ("),
            (1, Some(0.5), 1, "the CPU limit is 0.5 ("),
            (8, Some(8.0), 8, "the process may run on 8 CPUs"),
            (2, Some(64.0), 2, "the process may run on 2 CPUs"),
            (8, None, 8, "the process may run on 8 CPUs"),
        ] {
            let workers = Workers::of(&config, &machine(cpus, limit));
            assert_eq!(workers.count, count, "{cpus} {limit:?}");
            assert!(workers.to_string().starts_with(&format!("{count} worker threads: {why}")), "{workers}");
        }
    }

    #[test]
    fn what_the_file_says_comes_first() {
        for (threads, default_threads, count, key) in [(3, 5, 3, "threads"), (0, 5, 5, "default_threads")] {
            let config = ServerConfig { threads, default_threads, ..ServerConfig::default() };
            let workers = Workers::of(&config, &machine(8, Some(2.0)));
            assert_eq!(workers.to_string(), format!("{count} worker threads: server.{key} says so"));
        }
    }
}
