use super::{
    MetricFamily,
    names::{CPU_SECONDS, MAX_FDS, OPEN_FDS, RESIDENT_MEMORY, START_TIME, THREADS},
};
use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage},
    time::TimeVal,
};
use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

/// What the system knows about this process, which began at `started`. What it does not tell (there is no `/proc`
/// outside Linux) is left out.
pub fn families(started: SystemTime) -> Vec<MetricFamily> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu = getrusage(UsageWho::RUSAGE_SELF).map(|usage| seconds(usage.user_time()) + seconds(usage.system_time()));
    // The folder that is being read is one of them.
    let open = fs::read_dir("/proc/self/fd").map(|open| (open.count().saturating_sub(1)) as f64);
    [
        number(&status, "VmRSS:").map(|kibibytes| RESIDENT_MEMORY.one(kibibytes * 1024.0)),
        cpu.ok().map(|seconds| CPU_SECONDS.one(seconds)),
        open.ok().map(|open| OPEN_FDS.one(open)),
        getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(most, _)| MAX_FDS.one(most as f64)),
        Some(START_TIME.one(unix(started))),
        number(&status, "Threads:").map(|threads| THREADS.one(threads)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Seconds since 1970.
pub fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

fn number(status: &str, key: &str) -> Option<f64> {
    status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}
