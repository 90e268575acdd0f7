use crate::types::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::{NonZeroU16, NonZeroU32};

/// `redis:`: what several instances share. Read and checked; used from the next version on.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
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
    /// Most connections of this process. Default: 20.
    pub max_connections: NonZeroU32,
    /// Whether a command that timed out is sent once more, where that is safe. Default: true.
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
            retry_on_timeout: true,
        }
    }
}
