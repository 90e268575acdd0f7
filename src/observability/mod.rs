//! Observability: what the gateway tells about itself.
//!
//! One line of JSON per request ([`AccessLog`]), the name each request carries ([`RequestId`]), how many are being served
//! ([`InFlight`]), what became of connections ([`ConnectionCounters`]), and what is counted about requests ([`metrics`]).
//! Refuses nothing and never makes a request wait.
//!
//! ```yaml
//! log: { level: info }
//! ```

mod access_log;
mod config;
mod connections;
mod in_flight;
mod line;
mod log_writer;
mod logger;
pub mod metrics;
mod request_id;
mod stderr;

pub use access_log::{AccessLog, Flushed};
pub use config::{LogConfig, LogLevel};
pub use connections::{ConnectionCounters, ConnectionCounts, ConnectionRefusal};
pub use in_flight::{InFlight, LongLived};
pub use line::{Level, Line};
pub use logger::Logger;
pub use request_id::RequestId;
