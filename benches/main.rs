//! How long single stages of a request take. One file per stage; each calls exactly what the request path calls.
//!
//! `make bench` runs all, `make bench ARGS=routing` those of one name. Compare figures of one run with each other: on a
//! busy machine absolute ones mean little.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that cannot go on says so by panicking")]

mod auth;
mod headers;
mod log;
mod material;
mod metrics;
mod routing;
mod snapshot;

use criterion::{criterion_group, criterion_main};

criterion_group!(stages, routing::bench, auth::bench, headers::bench, log::bench, metrics::bench, snapshot::bench);
criterion_main!(stages);
