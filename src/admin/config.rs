use crate::types::{ListenAddress, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// `admin:`: the operator's listener.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Whether there is one. Changing it needs a handoff. Default: true.
    pub enabled: bool,
    /// Where it listens. Off the loopback interface it needs a `token`. Changing it needs a handoff.
    /// Default: 127.0.0.1:9901.
    pub address: ListenAddress,
    /// What callers send as `Authorization: Bearer …`, on everything but `/metrics` and `/health`. Default: none.
    pub token: Option<Secret>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { enabled: true, address: ListenAddress { host: "127.0.0.1".to_owned(), port: 9901 }, token: None }
    }
}

impl AdminConfig {
    /// Whether others than this machine may reach it, and nothing keeps them from changing things.
    pub fn is_open(&self) -> bool {
        let host = &self.address.host;
        let local = host.parse::<IpAddr>().map_or(host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback());
        self.enabled && !local && self.token.is_none()
    }
}
