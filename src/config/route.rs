//! One entry of `routes:`, composed of the sections of several modules.

use crate::{
    addresses::AddressesConfig,
    auth::{AccessConfig, RouteAuth},
    cors::CorsConfig,
    limits::LimitConfig,
    resilience::{RetryConfig, TimeoutsConfig},
    routing::{EncodedSlash, MatchConfig, RewriteConfig},
    security_headers::SecurityHeadersConfig,
    types::{RespondConfig, RouteId, ServiceId, Size},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is done with which request. Exactly one of `service`, `redirect` and `respond`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Its name in logs, metrics and errors. Unique; letters, digits, `-`, `_` and `.`, up to 64.
    pub id: RouteId,
    /// Which requests it takes.
    pub r#match: MatchConfig,
    /// Forward to this service.
    #[serde(default)]
    pub service: Option<ServiceId>,
    /// Send the caller elsewhere.
    #[serde(default)]
    pub redirect: Option<RedirectConfig>,
    /// Answer at once.
    #[serde(default)]
    pub respond: Option<RespondConfig>,
    /// From where it may be called, beside what the listener says.
    #[serde(default)]
    pub addresses: AddressesConfig,
    /// Who may call: `required` (by any way that `auth:` offers), `optional` (who sends nothing passes as nobody),
    /// `public`, or one or a list of jwt, api_key, basic, client_certificate and alb. Default: required.
    #[serde(default)]
    pub auth: RouteAuth,
    /// Revoke the token of each request that is let in, as on a way out: `auth.revocation` must be on. Default: false.
    #[serde(default)]
    pub revoke_token: bool,
    /// Which roles, permissions or claims a caller needs. All entries that apply must let the request pass. Default: none.
    #[serde(default)]
    pub access: Vec<AccessConfig>,
    /// Who is asked besides: an entry of `ext_auth:`. Default: nobody.
    #[serde(default)]
    pub ext_auth: Option<String>,
    /// How often callers may call, instead of `limits:` at the top level; all entries are asked. `[]`: no limit.
    #[serde(default)]
    pub limits: Option<Vec<LimitConfig>>,
    /// What pages of other origins may do, instead of `cors:` at the top level.
    #[serde(default)]
    pub cors: Option<CorsConfig>,
    /// What answers tell browsers to be careful about, instead of `security_headers:` at the top level.
    #[serde(default)]
    pub security_headers: Option<SecurityHeadersConfig>,
    /// What the service gets instead of the caller's path. Default: the path as normalised.
    #[serde(default)]
    pub rewrite: Option<RewriteConfig>,
    /// What becomes of `%2F` in the path. Default: refuse.
    #[serde(default)]
    pub encoded_slash: EncodedSlash,
    /// Changes of the request's headers, before it is forwarded.
    #[serde(default)]
    pub request_headers: HeadersConfig,
    /// Changes of the answer's headers.
    #[serde(default)]
    pub response_headers: HeadersConfig,
    /// Largest body of a request; then 413. Default: as `max_body` at the top level.
    #[serde(default)]
    pub max_body: Option<Size>,
    /// What is not set here is as in the service's `timeouts:`.
    #[serde(default)]
    pub timeouts: TimeoutsConfig,
    /// Whether and how often another endpoint is asked. Default: as in the service.
    #[serde(default)]
    pub retry: Option<RetryConfig>,
}

/// `redirect:` of a route.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedirectConfig {
    /// Where to. `{path}` is the path, `{query}` the query with its `?`, `{name}` a segment of the matched template:
    /// `https://new.example{path}{query}`.
    pub to: String,
    /// Status of the answer: 301, 302, 303, 307 or 308. Default: 308.
    #[serde(default = "permanent")]
    pub status: u16,
}

/// `request_headers:` and `response_headers:` of a route. Removed first, then set.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeadersConfig {
    /// Names that are taken out. Default: none.
    pub remove: Vec<String>,
    /// Names and values that replace whatever was there. Default: none.
    pub set: BTreeMap<String, String>,
}

fn permanent() -> u16 {
    308
}
