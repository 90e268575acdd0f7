//! Machine: what of the machine this process may use.
//!
//! Read once, at the start, before anything is built: how many CPUs ([`Machine::cpus`]), how much CPU time and memory
//! cgroups allow ([`CpuLimit`], [`MemoryLimit`]), and how many file descriptors may be open ([`Descriptors`]). It decides
//! nothing and refuses nothing: `server` makes worker threads and connection limits of it.
//!
//! Limits are those of cgroup v1 and v2, also side by side, and the smallest one between the group of the process and the
//! top of what it sees: a limit of a pod holds for each of its containers.
//!
//! ```yaml
//! server: { threads: 0, max_connections: 0 }   # 0: as much as the machine allows
//! routes: []
//! ```

mod cgroup;
mod descriptors;
mod limits;

pub use cgroup::Version;
pub use descriptors::Descriptors;
pub use limits::{CpuLimit, MemoryLimit};

use limits::Limit;
use nix::{
    sched::{CpuSet, sched_getaffinity},
    unistd::Pid,
};
use std::{fs, io::ErrorKind, num::NonZeroUsize, path::Path, thread};

/// The limits of CPU and memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// CPUs that the process may run on, its affinity.
    pub cpus: NonZeroUsize,
    /// CPU time that it may use. `None`: as much as there is.
    pub cpu_limit: Option<CpuLimit>,
    /// Memory that it may use. `None`: as much as there is.
    pub memory_limit: Option<MemoryLimit>,
    /// Files that should hold a limit and hold something else; taken as none.
    pub problems: Vec<String>,
}

impl Machine {
    /// As `/proc` and the cgroups below `root` say; `/` outside of tests.
    pub fn read(root: &Path) -> Self {
        let mut problems = Vec::new();
        Self {
            cpus: affinity(),
            cpu_limit: smallest(root, "cpu", &mut problems),
            memory_limit: smallest(root, "memory", &mut problems),
            problems,
        }
    }
}

/// How many CPUs the scheduler may choose of. The standard library mixes this with cgroups, whose limits are to be named.
fn affinity() -> NonZeroUsize {
    let chosen = sched_getaffinity(Pid::from_raw(0)).ok();
    let count = chosen.map(|set| (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).count());
    // A machine of more than 1024 CPUs does not fit the set.
    let fallback = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    count.and_then(NonZeroUsize::new).unwrap_or_else(fallback)
}

/// The smallest limit of one kind between the group of the process and the top.
fn smallest<L: Limit>(root: &Path, controller: &str, problems: &mut Vec<String>) -> Option<L> {
    let mut found: Option<L> = None;
    for place in cgroup::places(root, controller) {
        for (folder, file) in
            place.folders.iter().flat_map(|folder| L::files(place.version).iter().map(move |f| (folder, f)))
        {
            let path = folder.join(file);
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                // The group at the top has no limit and no file for one.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    problems.push(format!("{}: {error}; taken as no limit", path.display()));
                    continue;
                }
            };
            match L::parse(place.version, text.trim(), &path) {
                Some(limit) => found = [found, limit].into_iter().flatten().min_by(L::order),
                None => problems.push(format!("{}: {:?} is no limit; taken as none", path.display(), text.trim())),
            }
        }
    }
    found
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
