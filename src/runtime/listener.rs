use crate::{config::ListenerConfig, types::Network};

/// One entry of `listeners:`, compiled. What a reload may change of it.
#[derive(Debug)]
pub struct Listener {
    /// Proxies whose word counts.
    pub trusted_proxies: Box<[Network]>,
    /// How long an idle connection is kept; pingora counts in whole seconds and takes 0 for ever, so at least 1.
    pub keepalive_seconds: u64,
    /// Most headers of a request.
    pub max_headers: usize,
    /// Longest header line, in bytes.
    pub max_header: u64,
    /// All header lines, in bytes.
    pub max_headers_total: u64,
    /// Longest request target, in bytes.
    pub max_target: u64,
}

impl Listener {
    pub(super) fn build(config: &ListenerConfig) -> Self {
        Self {
            trusted_proxies: config.trusted_proxies.iter().copied().collect(),
            keepalive_seconds: config.keepalive_timeout.get().as_secs().max(1),
            max_headers: config.max_headers,
            max_header: config.max_header.get(),
            max_headers_total: config.max_headers_total.get(),
            max_target: config.max_target.get(),
        }
    }
}
