//! Own: the gateway's own public pages, answered before routing, limits and authentication.
//!
//! `/`, `/health`, `/health/live`, `/health/ready`, `/docs`, `/redoc`, `/openapi.json`, and `/metrics` where the file says
//! so. A route that takes one of these
//! paths is a configuration error. Refuses nothing; another method than GET and HEAD is 405.
//!
//! ```yaml
//! own: { docs: true, metrics: false }
//! ```

mod assets;
mod config;
mod contract;
mod docs;
mod document;
mod health;
mod openapi;
mod pages;

pub use config::OwnConfig;
pub use docs::Docs;
pub use health::{ServiceState, State};
pub use openapi::RouteDoc;
pub use pages::{Page, Pages};
