//! Limits: how often a caller may call.
//!
//! Asked twice: per address before authentication, per consumer after it. A [`Limit`] is settings (from the snapshot);
//! what was counted lives in [`Counters`], as long as the process, so that no reload lifts a limit. `local` is a sketch
//! that can only count too much (pingora-limits), confirmed by an exact counter before anybody is refused; `exact` asks
//! Redis once per request, and not at all while Redis' last refusal holds. Refuses with `rate_limited`, and with
//! `limiter_unavailable` where Redis is away and the policy is `deny`.
//!
//! ```yaml
//! limits: { requests: 100, window: 60s }
//! services: { auth: { endpoints: ["auth-service:8010"] } }
//! routes:
//!   - id: login
//!     match: { path: /api/auth/login }
//!     service: auth
//!     auth: public
//!     limits: [{ key: address, requests: 10, window: 60s }]
//! ```

mod config;
mod counters;
mod decision;
mod exact_table;
mod gcra;
mod key;
mod limit;
mod local;
mod shared;
mod window;

pub use config::{AlgorithmConfig, KeyConfig, LimitConfig, LimitMode, LimitsConfig, OnRedisFailure};
pub use counters::{Counters, Tally};
pub use decision::{Decision, Headers, Refused};
pub use key::Asker;
pub use limit::{Limit, LimitError};
