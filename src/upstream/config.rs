use super::{HashOnConfig, StickyConfig};
use crate::{
    resilience::{BreakerConfig, ConcurrencyConfig, EjectionConfig, RetryBudgetConfig, RetryConfig, TimeoutsConfig},
    tls::ServiceTlsConfig,
    types::{List, RespondConfig, ServiceId, Share, Span, Statuses},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU16;

/// One entry of `services:`: a named set of interchangeable endpoints.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// Where it runs: a list, or one text with commas: `http://member-service:8001`, `10.0.0.7:8001`,
    /// `https://member.example`, `srv://_http._tcp.member.example`.
    #[serde(default)]
    pub endpoints: List<EndpointConfig>,
    /// File with more of them, a YAML or JSON list in the same form; looked at every second, and taken over without a
    /// reload. Default: none.
    #[serde(default)]
    pub endpoints_file: Option<String>,
    /// Its name in the access log (`target_service`). Default: its name here.
    #[serde(default)]
    pub log_name: Option<String>,
    /// How one endpoint is chosen for each attempt. Default: round_robin.
    #[serde(default)]
    pub balancer: BalancerConfig,
    /// With consistent_hash: what is hashed, the first of these that the request has: `consumer`, `address`, `path`,
    /// `header:NAME`, `cookie:NAME`. Default: consumer, address.
    #[serde(default = "hash_on")]
    pub hash_on: List<HashOnConfig>,
    /// Keeps a caller at one endpoint by a cookie. Default: off.
    #[serde(default)]
    pub sticky: Option<StickyConfig>,
    /// How long an endpoint that came, or came back, gets less than its share, from a tenth rising evenly. Default: 0s.
    #[serde(default = "none")]
    pub slow_start: Span,
    /// Share of healthy endpoints below which the ill ones are asked too: the few that are left would break down.
    /// Default: 0%, and then only when none is left.
    #[serde(default = "never")]
    pub panic_threshold: Share,
    /// How its `https://` endpoints are spoken to.
    #[serde(default)]
    pub tls: Option<ServiceTlsConfig>,
    /// The `Host` it gets. Default: upstream.
    #[serde(default)]
    pub host: HostConfig,
    /// How its endpoints are probed. What is not set here is as in `health:` at the top level.
    #[serde(default)]
    pub health: HealthConfig,
    /// When endpoints that fail requests are left alone.
    #[serde(default)]
    pub ejection: EjectionConfig,
    /// When nothing is sent to it at all for a while.
    #[serde(default)]
    pub breaker: BreakerConfig,
    /// How many of its requests may be in flight.
    #[serde(default)]
    pub concurrency: ConcurrencyConfig,
    /// What is not set here is as in `timeouts:` at the top level.
    #[serde(default)]
    pub timeouts: TimeoutsConfig,
    /// Whether and how often another endpoint is asked.
    #[serde(default)]
    pub retry: Option<RetryConfig>,
    /// How many retries there may be in all, so that no outage is made worse by them.
    #[serde(default)]
    pub retry_budget: RetryBudgetConfig,
    /// What answers in its place when it cannot. Default: the gateway, with 503.
    #[serde(default)]
    pub fallback: Option<FallbackConfig>,
    /// How long an idle connection to it is kept for the next request. Below the service's own keep-alive time
    /// (uvicorn 5 s, Node 5 s, gunicorn 2 s), or requests meet connections that are just being closed. Default: 4s.
    #[serde(default = "idle_timeout")]
    pub idle_timeout: Span,
}

/// `fallback:` of a service. Exactly one of `service` and `respond`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FallbackConfig {
    /// Another service, asked like one more endpoint. Its own fallback does not count.
    pub service: Option<ServiceId>,
    /// A fixed answer.
    pub respond: Option<RespondConfig>,
}

/// One endpoint: an address, or `{ address: …, weight: …, priority: …, zone: … }`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expects" = "an address such as http://member-service:8001, or { address: …, weight: … }"))]
pub enum EndpointConfig {
    /// An address with weight 1.
    Address(String),
    /// An address with a weight.
    Weighted(WeightedConfig),
}

/// An endpoint with a weight.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightedConfig {
    /// `http://member-service:8001`, `member-service:8001`, `10.0.0.7:8001` or `srv://_http._tcp.member.example`. Names
    /// are resolved again when their time to live is over.
    pub address: String,
    /// Share of the requests, relative to the other endpoints. 1 to 1000. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1_000))]
    pub weight: NonZeroU16,
    /// The lowest one with a healthy endpoint is used, the others stand by. 0 to 100. Default: 0.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub priority: u8,
    /// Where it is. Those in the gateway's own zone (`server.zone`) go first while at least half of them are healthy.
    /// Default: not set.
    #[serde(default)]
    pub zone: Option<String>,
}

/// `balancer:` of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalancerConfig {
    /// Each endpoint in turn, by weight, smoothly.
    #[default]
    RoundRobin,
    /// Of two drawn by weight the one with fewer requests in flight.
    LeastRequest,
    /// Of two drawn by weight the one with less latency times requests in flight.
    Ewma,
    /// The same endpoint for the same `hash_on`, as far as its load allows.
    ConsistentHash,
    /// By chance, by weight.
    Random,
}

/// `host:` of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostConfig {
    /// The service's own: host and port of the endpoint as written in the file.
    #[default]
    Upstream,
    /// What the caller sent.
    Preserve,
}

/// `health:`: at the top level for all services; a service may set some of it anew.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// What a probe is. Default: http.
    pub probe: Option<ProbeConfig>,
    /// Path that an http probe gets. Default: /health.
    pub path: Option<String>,
    /// Status codes that mean healthy, single (`204`) or as a range (`200-299`). Default: 200-299.
    pub expect: Option<List<Statuses>>,
    /// Text that the first 64 KiB of an http probe's answer must contain. Default: any, and none is fine.
    pub contains: Option<String>,
    /// Time between two probes of an endpoint. At least 100ms. Default: 30s.
    pub interval: Option<Span>,
    /// Longest time for one probe, connecting included. Default: 5s.
    pub timeout: Option<Span>,
    /// Good probes in a row that make an endpoint healthy again. 1 to 100. Default: 1.
    #[schemars(range(min = 1, max = 100))]
    pub healthy_after: Option<u32>,
    /// Failed probes in a row that make an endpoint unhealthy. 1 to 100. Default: 2.
    #[schemars(range(min = 1, max = 100))]
    pub unhealthy_after: Option<u32>,
}

/// `probe:` of a health check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeConfig {
    /// `GET path`.
    #[default]
    Http,
    /// A connection that comes about.
    Tcp,
    /// None: the endpoint counts as healthy.
    Off,
}

fn idle_timeout() -> Span {
    Span::seconds(4)
}
fn none() -> Span {
    Span::seconds(0)
}
fn never() -> Share {
    Share::percent(0)
}
fn hash_on() -> List<HashOnConfig> {
    List(vec![HashOnConfig::Consumer, HashOnConfig::Address])
}
fn one() -> NonZeroU16 {
    NonZeroU16::MIN
}
