//! Resilience: when to stop waiting, when to try again, and when to leave a service alone.
//!
//! Pure: no sockets and no clocks of their own. [`Timeouts`] are resolved once per route; [`RetryPolicy`] is asked after
//! each failed attempt, [`BudgetSettings`] whether there may be one more. [`BreakerState`], [`EjectionState`] and [`Gate`]
//! are state that outlives reloads; their settings come with each call. Refuses nothing itself: where it says no, the
//! proxy answers 502, 503 or 504.
//!
//! ```yaml
//! timeouts: { connect: 2s, attempt: 5s, request: 30s }
//! services:
//!   member:
//!     endpoints: ["member-1:8001", "member-2:8001"]
//!     retry: { attempts: 3, on: [503], backoff: 25ms }
//!     breaker: { consecutive: 10, open: 1s }
//!     concurrency: { max: 200, queue: { length: 50, wait: 500ms } }
//! ```

mod config;
mod settings;

mod backoff;
mod budget;
mod retry;
mod timeouts;

mod breaker;
mod ejection;
mod slow_start;
mod traffic;

mod adaptive;
mod gate;
mod places;
mod queue;

pub use crate::types::Mode;
pub use adaptive::{AdaptiveSettings, Sample};
pub use backoff::{Backoff, retry_after};
pub use breaker::{Admit, Asked, BreakerSettings, BreakerState, Change, Status as BreakerStatus};
pub use budget::BudgetSettings;
pub use config::{
    AdaptiveConfig, BreakerConfig, ConcurrencyConfig, EjectionConfig, QueueConfig, RetryBudgetConfig, RetryConfig,
    TimeoutsConfig,
};
pub use ejection::{EjectionSettings, EjectionState, most_ejected};
pub use gate::{Enter, Gate, GateReport, GateSettings, Overloaded, Permit};
pub use queue::QueueSettings;
pub use retry::{Failure, Retry, RetryPolicy, is_safe};
pub use slow_start::SlowStart;
pub use timeouts::Timeouts;
pub use traffic::{Event, Traffic};
