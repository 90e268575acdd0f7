//! Resilience: when to stop waiting, and when to try again.
//!
//! Pure: no sockets and no clocks of their own. [`Timeouts`] are resolved once per route; [`RetryPolicy`] is asked after
//! each failed attempt. Refuses nothing itself: where it says no, the proxy answers 502, 503 or 504.
//!
//! ```yaml
//! timeouts: { connect: 2s, attempt: 5s, request: 30s }
//! services: { member: { endpoints: ["member-1:8001", "member-2:8001"], retry: { attempts: 2 } } }
//! ```

mod config;
mod retry;
mod timeouts;

pub use config::{RetryConfig, TimeoutsConfig};
pub use retry::{Failure, Retry, RetryPolicy};
pub use timeouts::Timeouts;
