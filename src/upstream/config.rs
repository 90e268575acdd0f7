use crate::{
    resilience::{RetryConfig, TimeoutsConfig},
    types::{List, Span, Statuses},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU16;

/// One entry of `services:`: a named set of interchangeable endpoints.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// Where it runs: a list, or one text with commas: `http://member-service:8001`, `10.0.0.7:8001`.
    pub endpoints: List<EndpointConfig>,
    /// Its name in the access log (`target_service`). Default: its name here.
    #[serde(default)]
    pub log_name: Option<String>,
    /// How one endpoint is chosen for each attempt. Default: round_robin.
    #[serde(default)]
    pub balancer: BalancerConfig,
    /// The `Host` it gets. Default: upstream.
    #[serde(default)]
    pub host: HostConfig,
    /// How its endpoints are probed. What is not set here is as in `health:` at the top level.
    #[serde(default)]
    pub health: HealthConfig,
    /// What is not set here is as in `timeouts:` at the top level.
    #[serde(default)]
    pub timeouts: TimeoutsConfig,
    /// Whether and how often another endpoint is asked.
    #[serde(default)]
    pub retry: Option<RetryConfig>,
    /// How long an idle connection to it is kept for the next request. Below the service's own keep-alive time
    /// (uvicorn 5 s, Node 5 s, gunicorn 2 s), or requests meet connections that are just being closed. Default: 4s.
    #[serde(default = "idle_timeout")]
    pub idle_timeout: Span,
}

/// One endpoint: an address, or `{ address: …, weight: … }`.
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
    /// `http://member-service:8001`, `member-service:8001` or `10.0.0.7:8001`. Names are resolved again every 5 s.
    pub address: String,
    /// Share of the requests, relative to the other endpoints. 1 to 1000. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1_000))]
    pub weight: NonZeroU16,
}

/// `balancer:` of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalancerConfig {
    /// Each endpoint in turn, by weight, smoothly.
    #[default]
    RoundRobin,
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
fn one() -> NonZeroU16 {
    NonZeroU16::MIN
}
