//! Upstream: services, their endpoints, and the choice between them.
//!
//! Asked once per attempt. A [`Service`] is settings (from the snapshot), members (its endpoints at this moment, swapped
//! whole) and state (from [`States`], which lives as long as the process: a reload changes settings and keeps what was
//! learned). [`Watch`] probes endpoints and resolves names in the background. Refuses with `no_endpoint`.
//!
//! ```yaml
//! health: { path: /health, interval: 10s, unhealthy_after: 2 }
//! services:
//!   member:
//!     endpoints: ["http://member-1:8001", { address: "10.0.0.7:8001", weight: 3 }]
//! ```

mod address;
mod balancer;
mod config;
mod endpoint;
mod health;
mod names;
mod probe;
mod report;
mod service;
mod states;
mod watch;

pub use config::{
    BalancerConfig, EndpointConfig, HealthConfig, HostConfig, ProbeConfig, ServiceConfig, WeightedConfig,
};
pub use endpoint::{Attempt, Tried};
pub use health::{Health, ServiceHealth};
pub use names::resolve;
pub use report::EndpointReport;
pub use service::{NoEndpoint, Service};
pub use states::States;
pub use watch::Watch;
