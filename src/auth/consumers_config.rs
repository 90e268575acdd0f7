//! Callers that no bearer token speaks for, as the file writes them.

use crate::types::{List, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Who a caller is, where no token says it: what the sections below have in common.
#[derive(Clone, Debug)]
pub(super) struct ConsumerConfig {
    pub(super) id: String,
    pub(super) username: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) permissions: Vec<String>,
    pub(super) claims: BTreeMap<String, String>,
}

macro_rules! consumer {
    ($section:ty, $id:expr, $username:expr) => {
        impl $section {
            /// Who the entry speaks for.
            pub(super) fn consumer(&self) -> ConsumerConfig {
                let (id, username): (fn(&Self) -> String, fn(&Self) -> Option<String>) = ($id, $username);
                ConsumerConfig {
                    id: id(self),
                    username: username(self),
                    roles: self.roles.clone(),
                    permissions: self.permissions.clone(),
                    claims: self.claims.clone(),
                }
            }
        }
    };
}

consumer!(ApiKeyConfig, |key| key.id.clone(), |key| key.username.clone());
consumer!(BasicUserConfig, |user| user.username.clone(), |user| Some(user.username.clone()));
consumer!(CertificateConfig, |rule| rule.id.clone().unwrap_or_default(), |_| None);

/// `auth.api_keys:`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiKeysConfig {
    /// Header with the key. Default: X-API-Key.
    pub header: String,
    /// Forward the header to the service too. Default: false.
    pub forward: bool,
    /// Who may call with which key.
    pub keys: Vec<ApiKeyConfig>,
}

impl Default for ApiKeysConfig {
    fn default() -> Self {
        Self { header: "X-API-Key".to_owned(), forward: false, keys: Vec::new() }
    }
}

/// One consumer of `auth.api_keys.keys:`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiKeyConfig {
    /// Who it is: what `sub` is in a token.
    pub id: String,
    /// SHA-256 of the key in hexadecimal, never the key. Two at most: both are accepted while one replaces the other.
    pub sha256: List<String>,
    /// Their name, for the log and the service. Default: none.
    pub username: Option<String>,
    /// Their roles. Default: none.
    pub roles: Vec<String>,
    /// Their permissions. Default: none.
    pub permissions: Vec<String>,
    /// Further claims, as a token would have them: a plan, a department. Default: none.
    pub claims: BTreeMap<String, String>,
}

/// `auth.basic:`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasicConfig {
    /// Forward `Authorization` to the service too. Default: false.
    pub forward: bool,
    /// Who may call with which password.
    pub users: Vec<BasicUserConfig>,
}

/// One of `auth.basic.users:`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasicUserConfig {
    /// The name that is sent, and who it is: what `sub` is in a token.
    pub username: String,
    /// Argon2 hash of the password, as `edgeway hash` prints it: `$argon2id$v=19$...`.
    pub password_hash: String,
    /// Their roles. Default: none.
    pub roles: Vec<String>,
    /// Their permissions. Default: none.
    pub permissions: Vec<String>,
    /// Further claims, as a token would have them: a plan, a department. Default: none.
    pub claims: BTreeMap<String, String>,
}

/// One of `auth.client_certificates:`. All of `sha256`, `subject` and `name` that are given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateConfig {
    /// SHA-256 of the certificate in hexadecimal, with or without colons. Default: any.
    pub sha256: Option<String>,
    /// Its whole subject: `CN=billing,O=Example`. Default: any.
    pub subject: Option<String>,
    /// One of its alternative names: `billing.internal`, `spiffe://example/billing`; `*.internal` fits one label more.
    /// Default: any.
    pub name: Option<String>,
    /// Who it is: what `sub` is in a token. Default: the certificate's common name.
    pub id: Option<String>,
    /// Their roles. Default: none.
    pub roles: Vec<String>,
    /// Their permissions. Default: none.
    pub permissions: Vec<String>,
    /// Further claims, as a token would have them: a plan, a department. Default: none.
    pub claims: BTreeMap<String, String>,
}

/// `auth.alb:`: `x-amzn-oidc-data` of an AWS Application Load Balancer that is a trusted proxy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlbConfig {
    /// ARNs of the load balancers. Without this any balancer of anybody in the region could sign.
    pub signer: List<String>,
    /// Where their public keys are: `https://public-keys.auth.elb.REGION.amazonaws.com`.
    pub keys_url: String,
    /// Certificates in PEM that are trusted for `keys_url` in place of the system's. Default: none.
    pub ca_file: Option<String>,
    /// How far clocks may differ when `exp` is checked. At most 5m. Default: 0s.
    pub leeway: Span,
}

impl Default for AlbConfig {
    fn default() -> Self {
        Self { signer: List::default(), keys_url: String::new(), ca_file: None, leeway: Span::seconds(0) }
    }
}
