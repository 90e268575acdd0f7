use super::{AlbConfig, ApiKeysConfig, BasicConfig, CertificateConfig, Method, RouteAuth};
use crate::types::{List, Mode, Secret, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `auth:` at the top level: how callers prove who they are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// How bearer tokens are checked. Default: not at all.
    pub jwt: Option<JwtConfig>,
    /// Further issuers by name, each with keys, algorithms and audiences of its own; a token is checked by the one that
    /// its `iss` names. Default: none.
    pub issuers: BTreeMap<String, JwtConfig>,
    /// Where a bearer token is looked for.
    pub token: TokenConfig,
    /// Which claims say who a caller is.
    pub claims: ClaimsConfig,
    /// Tokens that end before their time.
    pub revocation: RevocationConfig,
    /// Callers that send a key of their own. Default: none.
    pub api_keys: Option<ApiKeysConfig>,
    /// Callers that send a name and a password (RFC 7617). Default: none.
    pub basic: Option<BasicConfig>,
    /// Callers that a client certificate speaks for, on listeners that ask for one. The first entry that fits decides.
    /// Default: none.
    pub client_certificates: Vec<CertificateConfig>,
    /// Callers that an AWS Application Load Balancer has signed in. Default: none.
    pub alb: Option<AlbConfig>,
    /// Headers to the service and the claims they carry. Whatever a caller sends under these names is removed.
    /// Default: X-User-ID: sub, X-Username: username, X-User-Role: role, X-User-Permissions: permissions.
    pub headers: BTreeMap<String, String>,
    /// Verified tokens that are remembered, so that a signature is checked once: about this many, bounded by 2 KiB of
    /// memory for each. 0 to 1000000. Default: 20000.
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
        Self {
            jwt: None,
            issuers: BTreeMap::new(),
            token: TokenConfig::default(),
            claims: ClaimsConfig::default(),
            revocation: RevocationConfig::default(),
            api_keys: None,
            basic: None,
            client_certificates: Vec::new(),
            alb: None,
            headers: headers.map(header).into(),
            remember: 20_000,
        }
    }
}

impl AuthConfig {
    /// What a route asks for, of the ways that there are.
    pub fn accepted(&self, asked: RouteAuth) -> RouteAuth {
        asked.among(|method| self.offers(method))
    }

    /// Whether callers can make themselves known so.
    pub fn offers(&self, method: Method) -> bool {
        match method {
            Method::Jwt => self.jwt.is_some() || !self.issuers.is_empty(),
            Method::ApiKey => self.api_keys.is_some(),
            Method::Basic => self.basic.is_some(),
            Method::ClientCertificate => !self.client_certificates.is_empty(),
            Method::Alb => self.alb.is_some(),
        }
    }
}

/// `auth.jwt:` and each of `auth.issuers:`. The keys come from one of `secret`, `secrets`, `secret_file` (HS*) or
/// `public_key`, `public_key_file`, `jwks_file`, `jwks_url` (all others).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// The only algorithms that are accepted, whatever a token says about itself. Several: of one kind of key or with
    /// a set of keys, where each key checks what it fits.
    pub algorithm: List<Algorithm>,
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
    /// File with a set of keys (RFC 7517), read again when it changes.
    #[serde(default)]
    pub jwks_file: Option<String>,
    /// Address of the issuer's set of keys (RFC 7517), fetched in the background and when a token names a new key.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// Certificates in PEM that are trusted for `jwks_url` in place of the system's.
    #[serde(default)]
    pub jwks_ca_file: Option<String>,
    /// How often the set is fetched, where its `Cache-Control` names no other time. 10s to 1d. Default: 10m.
    #[serde(default = "ten_minutes")]
    pub jwks_refresh: Span,
    /// Shortest time between two fetches because of unknown keys: who makes up key ids must not load the issuer.
    /// At least 1s. Default: 30s.
    #[serde(default = "half_a_minute")]
    pub jwks_cooldown: Span,
    /// How long a fetch may take, and a request waits for one. 100ms to 30s. Default: 5s.
    #[serde(default = "five_seconds")]
    pub jwks_timeout: Span,
    /// Accepted `iss`. Required in `auth.issuers`. Default: any, and none is fine too.
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

/// `auth.token:`. Where there are several, the first of header, cookie, query and subprotocol counts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenConfig {
    /// Header with `Bearer TOKEN`; of a name other than Authorization, the token alone is fine too. Default: Authorization.
    pub header: String,
    /// Cookie with the token. Mind forgery across sites: such a cookie needs SameSite. Default: none.
    pub cookie: Option<String>,
    /// Parameter of the query with the token, on WebSocket handshakes only: a page cannot set headers there. It never
    /// reaches the service. Default: none.
    pub query: Option<String>,
    /// How the entry of `Sec-WebSocket-Protocol` begins that holds the token: with `bearer.`, `bearer.TOKEN`. It never
    /// reaches the service. Default: none.
    pub subprotocol: Option<String>,
    /// Take header and cookie out before the request is forwarded, where a route asks for a token. Default: false.
    pub strip: bool,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self { header: "Authorization".to_owned(), cookie: None, query: None, subprotocol: None, strip: false }
    }
}

/// `auth.claims:`, paths of claims: `realm_access.roles` steps into objects.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimsConfig {
    /// Who it is: for limits, logs and balancing. Default: sub.
    pub id: String,
    /// Their name, for the log. Default: username.
    pub username: String,
    /// Their roles. Default: role.
    pub roles: String,
    /// Their permissions: a list, or a text with spaces or commas. Default: permissions.
    pub permissions: String,
}

impl Default for ClaimsConfig {
    fn default() -> Self {
        let [id, username, roles, permissions] = ["sub", "username", "role", "permissions"].map(str::to_owned);
        Self { id, username, roles, permissions }
    }
}

/// `auth.revocation:`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RevocationConfig {
    /// Who knows of a revocation: nobody, this instance, or all that share the Redis. Default: off.
    pub mode: RevocationMode,
    /// How long it is kept where nobody says when the token ends: the longest life of a token. 1m to 366d. Default: 1d.
    pub keep: Span,
    /// Most revocations at a time, about 200 bytes each. 1 to 10000000. Default: 100000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub most: usize,
}

impl Default for RevocationConfig {
    fn default() -> Self {
        Self { mode: RevocationMode::Off, keep: Span::seconds(86_400), most: 100_000 }
    }
}

/// Who knows of a revocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevocationMode {
    /// Nothing can be revoked.
    #[default]
    Off,
    /// This instance, until it ends.
    Local,
    /// All instances that share the Redis, within a second.
    Shared,
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

fn ten_minutes() -> Span {
    Span::seconds(600)
}
fn half_a_minute() -> Span {
    Span::seconds(30)
}
fn five_seconds() -> Span {
    Span::seconds(5)
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
