//! Routing: which route a request belongs to.
//!
//! First stage of admission. The path is normalised once ([`Target`]); the same form is matched, forwarded and logged.
//! The [`Table`] finds the most specific route whatever the order in the file: host, then path segment by segment
//! (plain before `{name}` before `/*`), then method, then the number of headers and of query parameters asked for.
//! A route that takes GET takes HEAD too. Refuses with `bad_target` and its kin, `no_route`, `method_not_allowed`.
//!
//! ```yaml
//! services: { member: { endpoints: ["member-service:8001"] } }
//! routes:
//!   - { id: members, match: { path: /api/members/*, methods: [GET] }, service: member, auth: public }
//!   - { id: member, match: { path: "/m/{id}" }, service: member, rewrite: { path: "/api/members/{id}" }, auth: public }
//! ```

mod conditions;
mod config;
mod near;
mod node;
mod normal;
mod pattern;
mod redirect;
mod rewrite;
mod table;
mod target;
mod template;

pub use config::{EncodedSlash, MatchConfig, RewriteConfig};
pub use near::{Miss, Near};
pub use pattern::{Pattern, PatternError};
pub use redirect::RedirectTo;
pub use rewrite::Rewrite;
pub use table::{Conflict, Found, Table};
pub use target::{Target, TargetError};

#[cfg(test)]
mod properties_tests;
