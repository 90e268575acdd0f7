use crate::types::ListenAddress;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `admin:`: the operator's listener. Read and checked; opened from the next version on.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Where it listens. Default: 127.0.0.1:9901.
    pub address: ListenAddress,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { address: ListenAddress { host: "127.0.0.1".to_owned(), port: 9901 } }
    }
}
