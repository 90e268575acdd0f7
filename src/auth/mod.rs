//! Auth: who is calling, and may they.

mod config;

pub use config::{AccessConfig, Algorithm, AuthConfig, JwtConfig, RouteAuth};
