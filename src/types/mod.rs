//! Small words every module speaks. Nothing here knows about the gateway.

mod breaker;
mod client_certificate;
mod clock;
mod count;
mod duration;
mod list;
mod mode;
mod name;
mod network;
mod reply;
mod respond;
mod route_auth;
mod secret;
mod share;
mod size;
mod statuses;
mod swap;
mod task;

pub use breaker::Breaker;
pub use client_certificate::ClientCertificate;
pub use clock::{Clock, Moment};
pub use count::{Count, Tally};
pub use duration::Span;
pub use list::List;
pub use mode::Mode;
pub use name::{RouteId, ServiceId};
pub use network::{ListenAddress, Network};
pub use reply::Reply;
pub use respond::RespondConfig;
pub use route_auth::{AuthMethod, RouteAuth};
pub use secret::Secret;
pub use share::Share;
pub use size::Size;
pub use statuses::{StatusSet, Statuses};
pub use swap::{Pinned, Swap};
pub use task::{Task, jittered};
