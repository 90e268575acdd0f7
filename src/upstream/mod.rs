//! Upstream: services, their endpoints, and the choice between them.

mod config;

pub use config::{
    BalancerConfig, EndpointConfig, HealthConfig, HostConfig, ProbeConfig, ServiceConfig, WeightedConfig,
};
