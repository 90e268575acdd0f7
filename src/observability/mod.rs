//! Observability: what the gateway tells about itself.
//!
//! One line of JSON per request ([`AccessLog`]), the name each request carries ([`RequestId`]), how many are being
//! served ([`InFlight`]), and what is counted about them ([`metrics`]). Refuses nothing and never makes a request wait.
//!
//! ```yaml
//! log: { level: info }
//! ```

mod access_log;
mod config;
mod in_flight;
mod line;
mod logger;
pub mod metrics;
mod request_id;

pub use access_log::AccessLog;
pub use config::{LogConfig, LogLevel};
pub use in_flight::InFlight;
pub use line::{Level, Line};
pub use logger::Logger;
pub use request_id::RequestId;
