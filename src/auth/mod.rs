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
mod alb;
mod authenticator;
mod basic;
mod config;
mod consumers;
mod consumers_config;
mod error;
mod expression;
mod identity;
mod issuers;
mod json;
mod jwt;
mod keeper;
mod keys;
mod material;
mod memory;
mod mint;
mod protected;
mod revocation;
mod source;
mod token;

pub use crate::store::Entry as RevocationEntry;
pub use crate::types::{AuthMethod as Method, RouteAuth};
pub use access::{Access, AccessError, Forbidden};
pub use authenticator::Authenticator;
pub use basic::{hash_password, password_memory};
pub use config::{
    AccessConfig, Algorithm, AuthConfig, ClaimsConfig, JwtConfig, RevocationConfig, RevocationMode, TokenConfig,
};
pub use consumers::{hash_api_key, new_api_key};
pub use consumers_config::{AlbConfig, ApiKeysConfig, BasicConfig, CertificateConfig};
pub use error::{AuthConfigError, AuthError};
pub use expression::{Facts, Language};
pub use identity::Identity;
pub use keeper::{keep_keys, prepare, read_revocations, share_revocations};
pub use memory::{Remembered, WEIGHT_OF_ONE as TOKEN_MEMORY};
pub use mint::{MintClaims, Minter};
pub use protected::Protected;
pub use revocation::{REVOCATION_MEMORY, Revocation, RevocationError, RevocationReport, Revocations};
pub use source::{Counts as KeyCounts, Source};
pub use token::{Credentials, TokenPlaces};
