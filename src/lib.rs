//! An API gateway on pingora.

pub mod config;

pub mod admin;
pub mod connection;
pub mod own;

pub mod auth;
pub mod cors;
pub mod limits;
pub mod observability;
pub mod resilience;
pub mod routing;
pub mod upstream;

pub mod store;
pub mod types;
