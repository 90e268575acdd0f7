//! What in a service's section contradicts something else in it.

use super::{BalancerConfig, ServiceConfig};

/// Each with a JSON pointer below the section.
pub(super) fn contradictions(config: &ServiceConfig) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut wrong = |pointer: &str, reason: &str| found.push((pointer.to_owned(), reason.to_owned()));
    let breaker = &config.breaker;
    if breaker.longest_open.get() < breaker.open.get() {
        wrong("/breaker/longest_open", "shorter than breaker.open; write at least as much");
    }
    if !(1..=60).contains(&breaker.window.get().as_secs()) {
        wrong("/breaker/window", "out of range; write 1s to 60s");
    }
    if breaker.open.get().is_zero() {
        wrong("/breaker/open", "out of range; write more than 0s, or mode: off");
    }
    ejection(config, &mut wrong);
    concurrency(config, &mut wrong);
    if let Some(retry) = &config.retry
        && retry.longest_backoff.get() < retry.backoff.get()
    {
        wrong("/retry/longest_backoff", "shorter than retry.backoff; write at least as much");
    }
    if config.balancer == BalancerConfig::ConsistentHash && config.hash_on.is_empty() {
        wrong("/hash_on", "nothing is hashed; write consumer, address, path, header:NAME or cookie:NAME");
    }
    found
}

fn ejection(config: &ServiceConfig, wrong: &mut impl FnMut(&str, &str)) {
    let ejection = &config.ejection;
    if ejection.longest.get() < ejection.time.get() {
        wrong("/ejection/longest", "shorter than ejection.time; write at least as much");
    }
    if ejection.time.get().is_zero() {
        wrong("/ejection/time", "out of range; write more than 0s, or mode: off");
    }
}

fn concurrency(config: &ServiceConfig, wrong: &mut impl FnMut(&str, &str)) {
    if let Some(adaptive) = config.concurrency.adaptive
        && adaptive.most < adaptive.least
    {
        wrong("/concurrency/adaptive/most", "less than adaptive.least; write at least as much");
    }
    let limited = config.concurrency.max.is_some()
        || config.concurrency.per_endpoint.is_some()
        || config.concurrency.adaptive.is_some();
    if config.concurrency.queue.is_some() && !limited {
        wrong(
            "/concurrency/queue",
            "nobody would wait in it, because there is no limit; add max, per_endpoint or adaptive",
        );
    }
}
