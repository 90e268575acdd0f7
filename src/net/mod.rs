//! Net: HTTP that the gateway speaks on its own behalf: key sets, external authorisation.
//!
//! Never the requests of callers; those are pingora's. Every call has a deadline and a largest answer, follows no
//! redirect to another origin, and takes no proxy from the environment.

mod client;

pub use client::{Answer, Ask, Client, NetError, Trust, Url};
