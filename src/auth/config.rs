use crate::types::{List, Mode, Secret, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `auth:` at the top level: how callers prove who they are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// How bearer tokens are checked. Default: none, and then every route must be public.
    pub jwt: Option<JwtConfig>,
    /// Headers to the service and the claims they carry. Whatever a caller sends under these names is removed.
    /// Default: X-User-ID: sub, X-Username: username, X-User-Role: role, X-User-Permissions: permissions.
    pub headers: BTreeMap<String, String>,
    /// Verified tokens that are remembered, so that a signature is checked once: about this many, bounded by 2 KiB of
    /// memory for each. 0 to 1000000. Default: 10000.
    #[schemars(range(max = 1_000_000))]
    pub remember: usize,
}

impl Default for AuthConfig {
    fn default() -> Self {
        let header = |(name, claim): (&str, &str)| (name.to_owned(), claim.to_owned());
        let headers = [
            ("X-User-ID", "sub"),
            ("X-Username", "username"),
            ("X-User-Role", "role"),
            ("X-User-Permissions", "permissions"),
        ];
        Self { jwt: None, headers: headers.map(header).into(), remember: 10_000 }
    }
}

/// `auth.jwt:`. The key is one of `secret`, `secrets`, `secret_file` (HS*) or `public_key`, `public_key_file` (all others).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// The only algorithm that is accepted, whatever a token says about itself.
    pub algorithm: Algorithm,
    /// Shared secret (HS*). At least 32 bytes in production.
    #[serde(default)]
    pub secret: Option<Secret>,
    /// Up to two shared secrets (HS*), the newer first: both are accepted while one replaces the other.
    #[serde(default)]
    #[schemars(length(max = 2))]
    pub secrets: Vec<Secret>,
    /// File that holds the shared secret (HS*); white space around it is not part of it.
    #[serde(default)]
    pub secret_file: Option<String>,
    /// Public key in PEM (RS*, PS*, ES*, EdDSA).
    #[serde(default)]
    pub public_key: Option<String>,
    /// File that holds the public key in PEM (RS*, PS*, ES*, EdDSA).
    #[serde(default)]
    pub public_key_file: Option<String>,
    /// Accepted `iss`. Default: any, and none is fine too.
    #[serde(default)]
    pub issuer: List<String>,
    /// Accepted `aud`. Default: any, and none is fine too.
    #[serde(default)]
    pub audience: List<String>,
    /// How far clocks may differ when `exp` and `nbf` are checked. At most 5m. Default: 0s.
    #[serde(default = "no_time")]
    pub leeway: Span,
    /// Longest token that is looked at, in bytes. Default: 8192.
    #[serde(default = "max_token_bytes")]
    #[schemars(range(min = 64, max = 16_384))]
    pub max_token_bytes: usize,
    /// How long tokens of `edgeway token` and of the demo's auth service are valid. Default: 1440m.
    #[serde(default = "lifetime")]
    pub lifetime: Span,
}

/// A signature algorithm of RFC 7518 or RFC 8037.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// `auth:` of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteAuth {
    /// A valid token.
    #[default]
    Required,
    /// Nothing; a token that is sent is neither needed nor checked.
    Public,
}

/// One entry of `access:` of a route. Every entry that applies to the request's method must let it pass.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessConfig {
    /// Methods it applies to. Default: every method.
    pub methods: Vec<String>,
    /// The caller needs at least one of these roles.
    pub any_role: List<String>,
    /// The caller needs all of these roles.
    pub all_roles: List<String>,
    /// The caller needs at least one of these permissions.
    pub any_permission: List<String>,
    /// The caller needs all of these permissions.
    pub all_permissions: List<String>,
    /// Claims by path (`realm.roles`, dots step into objects): the value, or one of a list, must be one of these.
    pub claims: BTreeMap<String, List<String>>,
    /// A condition in CEL over request, claims, consumer and route; whatever goes wrong with it means no. At most 2 KiB.
    pub allow_if: Option<String>,
    /// enforce; observe (the request passes, and log and metrics tell what would have been refused); off. Default:
    /// enforce.
    pub mode: Mode,
}

fn no_time() -> Span {
    Span::seconds(0)
}
fn max_token_bytes() -> usize {
    8_192
}
fn lifetime() -> Span {
    Span::seconds(1_440 * 60)
}
