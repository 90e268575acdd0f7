//! Security headers: what answers tell browsers to be careful about, as one setting.
//!
//! `on` sends all four with their defaults, a section changes some of them, a route may say something else. What a service or
//! `response_headers` set stays. HSTS goes over HTTPS only.
//!
//! ```yaml
//! security_headers: { frame_options: SAMEORIGIN, referrer_policy: no-referrer }
//! ```

mod config;
mod headers;

pub use config::{SecurityHeadersConfig, SecurityHeadersSection, Switch};
pub use headers::{SecurityHeaders, Transport};
