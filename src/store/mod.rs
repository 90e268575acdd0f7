//! Store: what several instances share. The only module that speaks Redis.
//!
//! [`Store`] lives as long as the process: one multiplexed connection per worker thread, a deadline for every call and a
//! breaker, so that a slow or dead Redis costs a request at most its deadline, and most requests nothing.
//!
//! ```yaml
//! redis: { host: redis, port: 6379, deadline: 50ms }
//! ```

mod config;
mod line;
mod list;
mod redis;
mod waits;

pub use self::redis::{Script, Store, StoreError};
pub use config::RedisConfig;
pub use list::{Entry, Heard, SharedList};
pub use waits::Waits;
