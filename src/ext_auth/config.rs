use crate::types::{List, Mode, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// One entry of `ext_auth:`, somebody who says whether a request may pass. Routes name it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtAuthConfig {
    /// Where it is asked, with GET: `http://policy:9000/check`.
    pub url: String,
    /// Headers of the request that it is told, beside method, address, host, scheme and callers' addresses. Names that
    /// `auth.headers` sets carry what the gateway knows. Default: authorization, cookie.
    #[serde(default = "headers")]
    pub headers: List<String>,
    /// Headers of its answer that the service is told. Whatever a caller sends under these names is removed. Default: none.
    #[serde(default)]
    pub set_headers: List<String>,
    /// How long it is waited for, to the last byte of its answer. 1ms to 30s. Default: 500ms.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// What happens to requests while it gives no answer. Default: deny.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How long an answer is remembered for the same question: 2xx, 401 and 403, unless they set a cookie or say
    /// `no-store`. At most 60s; 0s: not at all. Default: 0s.
    #[serde(default = "no_time")]
    pub cache: Span,
    /// File with the certificates in PEM that are trusted, in place of the system's.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// When it is left alone.
    #[serde(default)]
    pub breaker: ExtAuthBreakerConfig,
    /// enforce; observe (it is asked and every request passes, and log and metrics tell what would have been refused);
    /// off (it is not asked). Default: enforce.
    #[serde(default)]
    pub mode: Mode,
}

/// `breaker:` of an entry of `ext_auth:`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExtAuthBreakerConfig {
    /// Failures in a row after which it is not asked: no answer in time, or a status of 500 and above. Default: 5.
    pub failures: NonZeroU32,
    /// How long it is not asked then; after that by one request, each time it is over. Default: 1s.
    pub rest: Span,
}

impl Default for ExtAuthBreakerConfig {
    fn default() -> Self {
        Self { failures: NonZeroU32::MIN.saturating_add(4), rest: Span::seconds(1) }
    }
}

/// What happens to requests while nobody says whether they may pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// They are refused, with 503.
    #[default]
    Deny,
    /// They pass, and the log says so.
    Allow,
}

fn headers() -> List<String> {
    List(["authorization", "cookie"].map(str::to_owned).into())
}
fn timeout() -> Span {
    Span::milliseconds(500)
}
fn no_time() -> Span {
    Span::seconds(0)
}
