//! Own: the gateway's own public pages, answered before routing, limits and authentication.

mod config;

pub use config::OwnConfig;
