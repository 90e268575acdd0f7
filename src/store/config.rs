use crate::types::{Secret, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::{NonZeroU16, NonZeroU32};

/// `redis:`: what several instances share. Needs a restart. Nobody connects where no limit is `exact`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedisConfig {
    /// Name or address. Default: redis.
    pub host: String,
    /// Port. Default: 6379.
    pub port: NonZeroU16,
    /// Number of the database. Default: 0.
    pub db: u16,
    /// Password. Default: none.
    pub password: Option<Secret>,
    /// Accepted without effect: each worker thread has one connection, which all its requests share. Default: 20.
    pub max_connections: NonZeroU32,
    /// Longest wait of a request for Redis; then the limit's `on_redis_failure` decides. Default: 50ms.
    pub deadline: Span,
    /// Accepted without effect: counting twice is never safe, so no question is asked again. Default: true.
    pub retry_on_timeout: bool,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            host: "redis".to_owned(),
            port: NonZeroU16::MIN.saturating_add(6_378),
            db: 0,
            password: None,
            max_connections: NonZeroU32::MIN.saturating_add(19),
            deadline: Span::milliseconds(50),
            retry_on_timeout: true,
        }
    }
}
