//! An API gateway on pingora. The modules in reading order: ARCHITECTURE.md tells their story.

pub mod cli;
pub mod demo;

pub mod server;

pub mod connection;
pub mod proxy;

pub mod admin;
pub mod own;

pub mod runtime;

pub mod config;

pub mod addresses;
pub mod auth;
pub mod cors;
pub mod ext_auth;
pub mod limits;
pub mod observability;
pub mod resilience;
pub mod routing;
pub mod security_headers;
pub mod upstream;

pub mod files;
pub mod machine;
pub mod net;
pub mod store;
pub mod tls;
pub mod types;

/// With the system's allocator, a fifth of all instructions of a request went into allocating: docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
