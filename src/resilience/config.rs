use super::Mode;
use crate::types::{List, Share, Span, Statuses};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

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
    /// Longest time from the request's head to the last byte of its answer; not for streams. Default: none.
    pub total: Option<Span>,
    /// Longest life of a stream: an upgraded connection (WebSocket), an event stream, gRPC. Default: none.
    pub max_stream_age: Option<Span>,
}

/// `retry:` of a service or route.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Attempts in all, the first one included: 1 switches retries off. 1 to 8. Default: 2.
    #[schemars(range(min = 1, max = 8))]
    pub attempts: u8,
    /// Statuses after which another endpoint is asked, where that is safe: `[502, 503]`. Default: none.
    pub on: List<Statuses>,
    /// Before the first retry there is a random wait up to this, before each further one up to twice as much. Default:
    /// 25ms.
    pub backoff: Span,
    /// Longest such wait. Default: 250ms.
    pub longest_backoff: Span,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 2,
            on: List::default(),
            backoff: Span::milliseconds(25),
            longest_backoff: Span::milliseconds(250),
        }
    }
}

/// `retry_budget:` of a service: all its routes together.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryBudgetConfig {
    /// Retries in 10 s, as a share of the requests in that time. Default: 20%.
    pub share: Share,
    /// Retries a second that are allowed however few requests there are. Default: 10.
    pub least_per_second: u32,
}

impl Default for RetryBudgetConfig {
    fn default() -> Self {
        Self { share: Share::percent(20), least_per_second: 10 }
    }
}

/// `breaker:` of a service.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Whether an open breaker refuses requests, or only says that it would. Default: enforce.
    pub mode: Mode,
    /// Failed attempts in a row that open it; 0: not by this. Default: 10.
    pub consecutive: u32,
    /// Share of failed attempts in `window` that opens it; `0%`: not by this. Default: 50%.
    pub share: Share,
    /// Attempts in `window` before their share counts. Default: 20.
    pub least: NonZeroU32,
    /// What `share` looks back on. 1s to 60s. Default: 10s.
    pub window: Span,
    /// How long it is open the first time; each failed trial doubles it. Default: 1s.
    pub open: Span,
    /// Longest time that it is open before there is a trial. Default: 30s.
    pub longest_open: Span,
    /// Requests that are let through after that, at a time and in all; when all succeed it closes. 1 to 100. Default: 3.
    #[schemars(range(min = 1, max = 100))]
    pub trials: NonZeroU32,
    /// Statuses that are failures, beside connections that do not come about, die or time out. Default: 502-504.
    pub statuses: List<Statuses>,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            consecutive: 10,
            share: Share::percent(50),
            least: NonZeroU32::MIN.saturating_add(19),
            window: Span::seconds(10),
            open: Span::seconds(1),
            longest_open: Span::seconds(30),
            trials: NonZeroU32::MIN.saturating_add(2),
            statuses: List(vec![Statuses::new(502, 504)]),
        }
    }
}

/// `ejection:` of a service: endpoints that fail requests are left alone for a while.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EjectionConfig {
    /// Whether failing endpoints are ejected, or it is only said that they would be. Default: enforce.
    pub mode: Mode,
    /// Failed attempts in a row, at one endpoint, that eject it. Default: 5.
    pub after: NonZeroU32,
    /// How long the first time; each time in a row that much longer. Default: 10s.
    pub time: Span,
    /// Longest time. Default: 5m.
    pub longest: Span,
    /// Largest share of a service's endpoints that may be ejected at a time; never the last one. Default: 50%.
    pub most: Share,
    /// Statuses that are failures, beside connections that do not come about, die or time out. Default: 500, 502-504.
    pub statuses: List<Statuses>,
}

impl Default for EjectionConfig {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            after: NonZeroU32::MIN.saturating_add(4),
            time: Span::seconds(10),
            longest: Span::seconds(300),
            most: Share::percent(50),
            statuses: List(vec![Statuses::new(500, 500), Statuses::new(502, 504)]),
        }
    }
}

/// `concurrency:` of a service: how many of its requests may be in flight, in this instance.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConcurrencyConfig {
    /// Whether what is over a limit waits or is refused, or it is only said that it would be. Default: enforce.
    pub mode: Mode,
    /// Requests in flight to the service; then 503 `overloaded`. Default: no limit.
    pub max: Option<NonZeroU32>,
    /// Requests in flight to each endpoint. Default: no limit.
    pub per_endpoint: Option<NonZeroU32>,
    /// Where requests over a limit wait for their turn. Default: nowhere.
    pub queue: Option<QueueConfig>,
    /// A limit that follows how long the service takes. Default: none.
    pub adaptive: Option<AdaptiveConfig>,
}

/// `queue:` of a concurrency limit.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Requests that may wait; when it is full the oldest is refused, because its caller has most likely given up.
    /// 1 to 100000. Default: 100.
    #[schemars(range(min = 1, max = 100_000))]
    pub length: NonZeroU32,
    /// Longest wait; it counts against `timeouts.request`. Default: 1s.
    pub wait: Span,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self { length: NonZeroU32::MIN.saturating_add(99), wait: Span::seconds(1) }
    }
}

/// `adaptive:` of a concurrency limit.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveConfig {
    /// It never falls below this. Default: 10.
    pub least: NonZeroU32,
    /// It never rises above this. Default: 1000.
    pub most: NonZeroU32,
    /// How many times as long as usual the service may take before the limit falls. 1 to 10. Default: 2.
    #[schemars(range(min = 1, max = 10))]
    pub tolerance: NonZeroU32,
}

impl Default for AdaptiveConfig {
    fn default() -> Self {
        Self {
            least: NonZeroU32::MIN.saturating_add(9),
            most: NonZeroU32::MIN.saturating_add(999),
            tolerance: NonZeroU32::MIN.saturating_add(1),
        }
    }
}
