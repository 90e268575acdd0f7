//! CORS: what a page of another origin may do.

mod config;

pub use config::CorsConfig;
