//! Limits: how often a caller may call.

mod config;

pub use config::{LimitMode, LimitsConfig, OnRedisFailure};
