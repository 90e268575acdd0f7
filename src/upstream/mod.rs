//! Upstream: services, their endpoints, and the choice between them.
//!
//! Asked once per attempt: [`Service::leave`] (breaker), [`Service::enter`] (concurrency limit), [`Service::pick`] (an
//! endpoint); told with [`Service::ended`] what came of it. A [`Service`] is settings (from the snapshot), members (its
//! endpoints at this moment and the plan whom of them to ask, swapped whole) and state (from [`States`], which lives as
//! long as the process: a reload changes settings and keeps what was learned). [`Watch`] probes endpoints, resolves names
//! and makes plans in the background. Refuses with `no_endpoint`, `circuit_open`, `overloaded`.
//!
//! ```yaml
//! health: { path: /health, interval: 10s, unhealthy_after: 2 }
//! services:
//!   member:
//!     endpoints: ["http://member-1:8001", { address: "10.0.0.7:8001", weight: 3, zone: a }]
//!     balancer: least_request
//!     ejection: { after: 5, time: 10s }
//! ```

mod address;
mod caller;
mod config;
mod contradictions;

mod balancer;
mod choice;
mod load;
mod members;
mod protection;
mod service;
mod sticky;
mod tls;

mod endpoint;
mod health;
mod report;
mod states;

mod endpoints_file;
mod files;
mod machine;
mod names;
mod probe;
mod question;
mod resolver;
mod watch;

pub use caller::{Caller, HashOnConfig};
pub use choice::NoEndpoint;
pub use config::{
    BalancerConfig, EndpointConfig, FallbackConfig, HealthConfig, HostConfig, ProbeConfig, ServiceConfig,
    WeightedConfig,
};
use contradictions::contradictions;
pub use endpoint::{Attempt, Tried};
pub use health::{Health, ServiceHealth};
pub use protection::{CircuitOpen, Leave, Observed, Verdict};
pub use report::{EndpointReport, NameReport, ServiceReport};
pub use resolver::{DnsConfig, DnsServer};
pub use service::{Common, Service};
pub use states::States;
pub use sticky::StickyConfig;
pub use watch::{Watch, prepare};
