//! What only a restart can change.

use super::snapshot::Problem;
use crate::config::Config;

/// Sockets, threads and folders are made once. Everything else may change under traffic.
pub(super) fn changes(old: &Config, new: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let addresses = |config: &Config| -> Vec<_> {
        config
            .listeners
            .iter()
            .map(|listener| (listener.address.clone(), listener.head_timeout, listener.h2c, listener.proxy_protocol))
            .collect()
    };
    let mut check = |same: bool, pointer: &str| {
        if !same {
            problems.push((
                pointer.to_owned(),
                "cannot change while the gateway runs; `edgeway upgrade` changes it without losing a request, and so does a restart with a drain".to_owned(),
            ));
        }
    };
    check(addresses(old) == addresses(new), "/listeners");
    check(old.admin.address == new.admin.address, "/admin/address");
    check(old.redis == new.redis, "/redis");
    check(old.limits.expected_keys == new.limits.expected_keys, "/limits/expected_keys");
    check(old.admin.enabled == new.admin.enabled, "/admin/enabled");
    let (old, new) = (&old.server, &new.server);
    check((old.threads, old.default_threads) == (new.threads, new.default_threads), "/server/threads");
    check(old.max_connections == new.max_connections, "/server/max_connections");
    check(old.run_dir == new.run_dir, "/server/run_dir");
    check(old.upstream_idle_connections == new.upstream_idle_connections, "/server/upstream_idle_connections");
    check((old.drain.pause, old.drain.deadline) == (new.drain.pause, new.drain.deadline), "/server/drain");
    problems
}
