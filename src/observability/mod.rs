//! Observability: what the gateway tells about itself.

mod config;

pub use config::{LogConfig, LogLevel};
