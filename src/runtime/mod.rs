//! Runtime: the configuration compiled into what a request needs.
//!
//! Two lifetimes, kept apart: a [`Snapshot`] is immutable and replaced whole by a reload; [`Process`] holds what is
//! learned and counted, as long as the process lives. A request pins the snapshot it began with.

mod changes;
mod fixed;
mod handoffs;
mod headers;
mod listener;
mod live;
mod memory;
mod process;
mod redirect;
mod reloads;
mod route;
mod scrape;
mod scrape_upstream;
mod snapshot;

pub use changes::changes;
pub use handoffs::{Former, HandoffResult, Handoffs};
pub use headers::HeaderEdits;
pub use listener::Listener;
pub use live::Live;
pub use memory::{Memory, MemoryPart};
pub use process::Process;
pub use redirect::Redirect;
pub use reloads::{History, ReloadAsked, ReloadError, Reloads};
pub use route::{Action, Limits, Route, milliseconds};
pub use scrape::Shown;
pub use snapshot::{Fallback, RouteIndex, ServiceIndex, Snapshot};
