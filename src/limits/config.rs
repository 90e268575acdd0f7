use crate::types::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// `limits:`: how often a caller may call. Read and checked; counted from the next version on.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Requests that one consumer may make in a window. Default: 100.
    pub requests: NonZeroU32,
    /// Length of the window. 1s to 31d. Default: 60s.
    pub window: Span,
    /// Where it is counted. Default: local.
    pub mode: LimitMode,
    /// What happens while Redis does not answer. Default: local.
    pub on_redis_failure: OnRedisFailure,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            requests: NonZeroU32::MIN.saturating_add(99),
            window: Span::seconds(60),
            mode: LimitMode::Local,
            on_redis_failure: OnRedisFailure::Local,
        }
    }
}

/// `limits.mode:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitMode {
    /// By this instance alone.
    Local,
    /// In Redis, for all instances together, with one question per request.
    Exact,
}

/// `limits.on_redis_failure:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnRedisFailure {
    /// Count by this instance alone.
    Local,
    /// Let everybody pass.
    Allow,
    /// Let nobody pass.
    Deny,
}
