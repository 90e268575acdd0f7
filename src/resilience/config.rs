use crate::types::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `timeouts:`: at the top level for all routes; a service, and then a route, may set some of them anew.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsConfig {
    /// Longest time to establish a connection to an endpoint. Default: 10s.
    pub connect: Option<Span>,
    /// Longest time one attempt may wait for the response header; then another endpoint is asked, where that is safe.
    /// Default: as long as `request` allows.
    pub attempt: Option<Span>,
    /// Longest time from the end of the request to the response header, all attempts included. Default: 30s.
    pub request: Option<Span>,
    /// Longest silence between two bytes of a body, in either direction. Default: 60s.
    pub idle: Option<Span>,
}

/// `retry:` of a service or route.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Attempts in all, the first one included: 1 switches retries off. 1 to 8. Default: 2.
    #[schemars(range(min = 1, max = 8))]
    pub attempts: u8,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { attempts: 2 }
    }
}
