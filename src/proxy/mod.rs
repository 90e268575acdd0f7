//! Proxy: the life of one request. The only module that turns a decision into bytes.
//!
//! [`Gateway`] is pingora's phases, `admission` the questions before a request may go upstream, `RequestCtx` what is
//! known so far, `attempt` one try against one endpoint, `waiting` how long it may take, `outcome` what becomes of it,
//! `permission` whether it may, `headers` what we add and take away, [`Rejection`] every way to say no.

mod admission;
mod answer;
mod attempt;
mod client;
mod ctx;
mod direct;
mod downstream;
mod forwarded;
mod gateway;
mod headers;
mod http2;
mod outcome;
mod permission;
mod rejection;
mod reply;
mod strict;
mod tls_fault;
mod waiting;

pub use direct::DirectProxy;
pub use gateway::Gateway;
pub use headers::{Word, speak_for};
pub use rejection::{Rejection, TimeoutKind};
