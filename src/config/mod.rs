//! Config: the file as it is written, one section per module, composed here.
//!
//! A section's type lives beside the code it configures. This module reads the file and reports every error in one run:
//!
//! 1. text → tree whose values know their places (`tree`), with variables filled into its scalars (`interpolate`) and
//!    the files of a folder merged (`merge`);
//! 2. the tree against the schema that editors use too (`schema`, in words: `faults`), after texts became the numbers
//!    and lists that the schema asks for (`fit`);
//! 3. what no schema sees (`check`: references, names, times; `keys`; `reach`: routes that hide each other), on the same
//!    tree, so that it shows up beside errors of shape;
//! 4. tree → types (`load`), and what is allowed but unwise (`policy`).
//!
//! Errors say `file:line:column: path: what is wrong; what would be right`. No error repeats a value that may be secret.
//!
//! ```yaml
//! auth: { jwt: { algorithm: HS256, secret: "${JWT_SECRET_KEY}" } }
//! services: { member: { endpoints: "${MEMBER_SERVICE_URL:-http://member-service:8001}" } }
//! routes: [{ id: members, match: { path: /api/members/* }, service: member }]
//! ```

mod check;
mod environment;
mod error;
mod faults;
mod fit;
mod interpolate;
mod keys;
mod load;
mod merge;
mod not_offered;
mod policy;
mod reach;
mod route;
mod schema;
mod sections;
mod server;
mod source_map;
mod tree;

use crate::{
    admin::AdminConfig,
    auth::AuthConfig,
    cors::CorsConfig,
    ext_auth::ExtAuthConfig,
    limits::LimitsConfig,
    observability::LogConfig,
    own::OwnConfig,
    resilience::TimeoutsConfig,
    security_headers::SecurityHeadersConfig,
    store::RedisConfig,
    types::{ServiceId, Size},
    upstream::{DnsConfig, HealthConfig, ServiceConfig},
};
pub use error::{ConfigError, ConfigErrors};
pub use load::Loaded;
pub use route::{HeadersConfig, RedirectConfig, RouteConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use server::{DrainConfig, HandoffConfig, ListenerConfig, ServerConfig};
pub use source_map::{Place, SourceMap};
use std::collections::BTreeMap;

/// The whole file.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The process. Changing it needs a handoff.
    pub server: ServerConfig,
    /// The addresses that callers connect to. Changing them needs a handoff. Default: one, with its defaults.
    #[schemars(length(min = 1, max = 32))]
    pub listeners: Vec<ListenerConfig>,
    /// What is written to stderr.
    pub log: LogConfig,
    /// The operator's listener.
    pub admin: AdminConfig,
    /// What several instances share.
    pub redis: RedisConfig,
    /// The gateway's own public pages.
    pub own: OwnConfig,
    /// How callers prove who they are.
    pub auth: AuthConfig,
    /// Others who say whether requests may pass, by the names that routes call them. Letters, digits, `-`, `_` and `.`, up to 64.
    /// Default: nobody.
    pub ext_auth: BTreeMap<String, ExtAuthConfig>,
    /// What pages of other origins may do, on every route that does not say otherwise.
    pub cors: CorsConfig,
    /// What answers tell browsers to be careful about, on every route that does not say otherwise. Default: off.
    pub security_headers: SecurityHeadersConfig,
    /// How often a caller may call.
    pub limits: LimitsConfig,
    /// Largest body of a request, on every route that does not say otherwise; then 413. Default: 10MiB.
    pub max_body: Size,
    /// How long things may take, for every service and route that does not say otherwise.
    pub timeouts: TimeoutsConfig,
    /// How endpoints are probed, for every service that does not say otherwise.
    pub health: HealthConfig,
    /// How names of endpoints are resolved.
    pub dns: DnsConfig,
    /// The services behind the gateway. Names: letters, digits, `-`, `_` and `.`, up to 64.
    pub services: BTreeMap<ServiceId, ServiceConfig>,
    /// What is done with which request. The most specific route wins, whatever the order here.
    pub routes: Vec<RouteConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            listeners: vec![ListenerConfig::default()],
            log: LogConfig::default(),
            admin: AdminConfig::default(),
            redis: RedisConfig::default(),
            own: OwnConfig::default(),
            auth: AuthConfig::default(),
            ext_auth: BTreeMap::new(),
            cors: CorsConfig::default(),
            security_headers: SecurityHeadersConfig::default(),
            limits: LimitsConfig::default(),
            max_body: Size::mib(10),
            timeouts: TimeoutsConfig::default(),
            health: HealthConfig::default(),
            dns: DnsConfig::default(),
            services: BTreeMap::new(),
            routes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod shipped_tests;
