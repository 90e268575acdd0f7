use crate::types::{List, Mode, Network};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `addresses:` of a listener or a route: from where callers may call. `deny` wins over `allow`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AddressesConfig {
    /// Addresses and ranges that may call; where this or `allow_file` is given, nobody else may, and
    /// an empty list is an error. Default: everybody.
    pub allow: Option<List<Network>>,
    /// Addresses and ranges that may not call. Default: none.
    pub deny: List<Network>,
    /// File with more of `allow`: an address or a range on each line, `#` begins a comment. Looked at once a second. It
    /// must name somebody. Default: none.
    pub allow_file: Option<String>,
    /// File with more of `deny`. It may be empty. Default: none.
    pub deny_file: Option<String>,
    /// `enforce` refuses, `observe` only counts and logs who would be refused, `off` asks nothing. Default: enforce.
    pub mode: Mode,
}
