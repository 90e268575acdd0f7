//! Auth: who is calling, and may they.
//!
//! Asked after routing: [`Authenticator`] turns a bearer token into an [`Identity`] (401 `token_*` where it cannot), then
//! the route's [`Access`] says whether that is enough (403 `forbidden`). A verified token is remembered with everything
//! the service will be told, so that its signature is checked once. [`Minter`] makes tokens, for tests and the demo.
//!
//! ```yaml
//! auth: { jwt: { algorithm: HS256, secret: "${JWT_SECRET_KEY}" } }
//! services: { member: { endpoints: ["member-service:8001"] } }
//! routes:
//!   - id: members
//!     match: { path: /api/members/* }
//!     service: member
//!     access: [{ methods: [DELETE], any_role: [admin] }]
//! ```

mod access;
mod authenticator;
mod config;
mod error;
mod expression;
mod identity;
mod jwt;
mod keys;
mod mint;
mod protected;

pub use access::{Access, AccessError, Forbidden};
pub use authenticator::{Authenticator, Remembered};
pub use config::{AccessConfig, Algorithm, AuthConfig, JwtConfig, RouteAuth};
pub use error::{AuthConfigError, AuthError};
pub use expression::{Facts, Language};
pub use identity::Identity;
pub use mint::{MintClaims, Minter};
pub use protected::Protected;
