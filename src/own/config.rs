use crate::types::RouteAuth;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `own:`: the gateway's own public pages, answered before routing, limits and authentication.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OwnConfig {
    /// Whether `/docs`, `/redoc` and `/openapi.json` are served. They tell everybody which routes there are. Default: true.
    pub docs: bool,
    /// Who may see `/docs`, `/redoc`, `/openapi.json` and `/metrics`: as `auth` of a route. `/` and `/health` are everybody's.
    /// Default: public.
    pub auth: RouteAuth,
    /// Whether `/metrics` is served here too, where a balancer publishes it; the admin listener always has it.
    /// Default: false.
    pub metrics: bool,
}

impl Default for OwnConfig {
    fn default() -> Self {
        Self { docs: true, auth: RouteAuth::PUBLIC, metrics: false }
    }
}
