use crate::types::{List, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `cors:`: what pages of other origins may do (Fetch standard). At the top level for all routes; on a route instead of that.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CorsConfig {
    /// Origins whose pages may read answers: `https://portal.example`, `https://*.example.com` for any subdomain, or `*`.
    /// Default: none, and then nothing of CORS is sent.
    pub allow_origins: List<String>,
    /// Methods beyond GET, HEAD and POST that pages may use. Default: PUT, PATCH, DELETE.
    pub allow_methods: List<String>,
    /// Request headers that pages may set; `*`: any (a preflight's own list is echoed).
    /// Default: Authorization, Content-Type, X-Request-ID, X-Requested-With.
    pub allow_headers: List<String>,
    /// Response headers that pages may read. Default: X-Request-ID, Retry-After, RateLimit, RateLimit-Policy, Location.
    pub expose_headers: List<String>,
    /// Whether pages may send cookies and client certificates. Not with `*` as origin. Default: false.
    pub allow_credentials: bool,
    /// How long a browser remembers a preflight. Default: 600s.
    pub max_age: Span,
}

impl Default for CorsConfig {
    fn default() -> Self {
        let list = |names: &[&str]| List(names.iter().map(|name| (*name).to_owned()).collect());
        Self {
            allow_origins: List::default(),
            allow_methods: list(&["PUT", "PATCH", "DELETE"]),
            allow_headers: list(&["Authorization", "Content-Type", "X-Request-ID", "X-Requested-With"]),
            expose_headers: list(&["X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy", "Location"]),
            allow_credentials: false,
            max_age: Span::seconds(600),
        }
    }
}
