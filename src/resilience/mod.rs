//! Resilience: when to stop waiting, and when to try again.

mod config;

pub use config::{RetryConfig, TimeoutsConfig};
