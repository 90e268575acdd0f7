//! CORS: what a page of another origin may do (Fetch standard, "CORS protocol").
//!
//! Preflights are answered before authentication, because they carry no credentials; every answer, refusals included,
//! passes [`Cors::headers_for`], or a page could not read why it was refused. Refuses nothing: a browser that misses the
//! headers does.
//!
//! ```yaml
//! cors: { allow_origins: ["https://portal.example", "https://*.portal.example"], allow_credentials: true }
//! ```

mod config;
mod origins;
mod policy;

pub use config::CorsConfig;
pub use policy::{CORS_HEADERS, Cors, CorsError, preflight_method};
