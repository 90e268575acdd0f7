//! Addresses: from where callers may call.
//!
//! A listener or a route has lists of what is allowed and what is denied ([`Addresses`]), from the configuration, from
//! watched files ([`AddressFiles`]) or both. The address is the caller's, behind trusted proxies the one they name. The
//! lists of a listener are asked as soon as that is known, those of a route as soon as the route is found: before limits
//! and authentication.
//!
//! Refuses with [`AddressDenied`] who is on a `deny` list, and where there is an `allow` list, who is not on it. `deny`
//! wins. With `mode: observe` that is only counted and logged.
//!
//! ```yaml
//! listeners: [{ address: 0.0.0.0:8080, addresses: { deny: [192.0.2.0/24, "2001:db8::/32"] } }]
//! routes:
//!   - { id: office, match: { path: /office/* }, respond: { body: hi }, auth: public, addresses: { allow: 10.0.0.0/8 } }
//! ```

mod config;
mod file;
mod list;
mod ranges;

pub use config::AddressesConfig;
pub use file::AddressFiles;
pub use list::{AddressDenied, Addresses, Verdict};
