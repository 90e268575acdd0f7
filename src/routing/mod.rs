//! Routing: which route a request belongs to.

mod config;

pub use config::{EncodedSlash, MatchConfig, RewriteConfig};
