//! Store: what several instances share.

mod config;

pub use config::RedisConfig;
