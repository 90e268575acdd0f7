use crate::types::{List, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::{NonZeroU32, NonZeroUsize};

/// `limits:` at the top level: the limit of every route that has none of its own, and how limits are counted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Requests that one caller may make in a window, over all routes that have no limits of their own. Without it
    /// there is no such limit. Default: not set.
    pub requests: Option<NonZeroU32>,
    /// Length of the window. 1s to 31d. Default: 60s.
    pub window: Span,
    /// How requests are counted. Default: sliding_window.
    pub algorithm: AlgorithmConfig,
    /// With gcra: how many requests may come at once. Default: as `requests`.
    pub burst: Option<NonZeroU32>,
    /// Whose requests are counted together: `consumer`, else the address where nobody is known; `address`; `route`;
    /// `header:NAME`; or a list of these. Default: consumer.
    pub key: List<KeyConfig>,
    /// Where it is counted. Default: local.
    pub mode: LimitMode,
    /// What happens while Redis does not answer. Default: local.
    pub on_redis_failure: OnRedisFailure,
    /// Callers that are expected within one window: sizes the memory of `local`, 256 bytes for each. At most 4194304.
    /// Needs a restart. Default: 16384.
    #[schemars(range(max = 4_194_304))]
    pub expected_keys: NonZeroUsize,
    /// Begins the names of all keys in Redis, after `rate_limit:`. Instances with the same prefix count together.
    /// Default: empty.
    pub prefix: String,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            requests: None,
            window: Span::seconds(60),
            algorithm: AlgorithmConfig::SlidingWindow,
            burst: None,
            key: List(vec![KeyConfig::Consumer]),
            mode: LimitMode::Local,
            on_redis_failure: OnRedisFailure::Local,
            expected_keys: NonZeroUsize::MIN.saturating_add(16_383),
            prefix: String::new(),
        }
    }
}

/// One entry of `limits:` of a route. What is not set here is as at the top level. All entries are asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    /// Its name in `RateLimit-Policy` and in Redis; routes whose limits have the same name count together.
    /// Default: the route's name, and its place in the list from the second on.
    #[serde(default)]
    pub name: Option<String>,
    /// Requests in a window.
    pub requests: NonZeroU32,
    /// A claim whose number takes the place of `requests` where the caller has it: a plan's quota. Default: none.
    #[serde(default)]
    pub requests_claim: Option<String>,
    /// Length of the window. 1s to 31d.
    #[serde(default)]
    pub window: Option<Span>,
    /// How requests are counted.
    #[serde(default)]
    pub algorithm: Option<AlgorithmConfig>,
    /// With gcra: how many requests may come at once. Default: as `requests`.
    #[serde(default)]
    pub burst: Option<NonZeroU32>,
    /// Whose requests are counted together.
    #[serde(default)]
    pub key: Option<List<KeyConfig>>,
    /// Where it is counted.
    #[serde(default)]
    pub mode: Option<LimitMode>,
    /// What happens while Redis does not answer.
    #[serde(default)]
    pub on_redis_failure: Option<OnRedisFailure>,
}

/// `algorithm:` of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlgorithmConfig {
    /// The last window's count, faded out, and this one's: 100 per 60s means that, at every moment.
    SlidingWindow,
    /// Evenly: `requests` spread over the window, and `burst` of them at once (generic cell rate algorithm).
    Gcra,
}

/// `mode:` of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitMode {
    /// By this instance alone.
    Local,
    /// In Redis, for all instances together, with one question per request.
    Exact,
}

/// `on_redis_failure:` of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnRedisFailure {
    /// Count by this instance alone.
    Local,
    /// Let everybody pass.
    Allow,
    /// Let nobody pass: 503.
    Deny,
}

pub use super::key::KeyConfig;
