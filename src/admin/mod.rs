//! Admin: the operator's listener.

mod config;

pub use config::AdminConfig;
