use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `match:` of a route: which requests it takes. All that is given must hold; the most specific route wins.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchConfig {
    /// Host without port: exact (`api.example.com`) or any subdomain (`*.example.com`). Default: every host.
    #[serde(default)]
    pub host: Option<String>,
    /// `/api/me` exactly, `/api/members/{id}` with one free segment, `/api/*` for `/api` and everything below.
    pub path: String,
    /// Methods, in capitals. Default: every method.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Headers that must be there with exactly this value; `"*"`: with any value. Default: none.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Query parameters that must be there with exactly this value (decoded); `"*"`: with any value. Default: none.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
}

/// `rewrite:` of a route: what the service gets instead of the caller's path. Exactly one key.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum RewriteConfig {
    /// Take this prefix off: `/v1` makes `/v1/members` `/members`.
    StripPrefix(String),
    /// Put this in place of the matched part of a `/*` path: `/members` makes `/api/members/7` of `/api/members/*` `/members/7`.
    ReplacePrefix(String),
    /// A whole new path; `{name}` is the segment that the matched template calls so: `/members/{id}`.
    Path(String),
}

/// `encoded_slash:` of a route: what becomes of `%2F` in a path, which services read in two ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodedSlash {
    /// Refuse with 400.
    #[default]
    Refuse,
    /// Forward it as `%2F`, inside its segment.
    Keep,
    /// Make it a `/`; the path that results must belong to the same route.
    Decode,
}
