//! The gateway as its users meet it: the real binary, real sockets, real files. One file per subject.

mod support;

mod bad_input;
mod cors;
mod environment;
mod errors;
mod headers;
mod identity;
mod lifecycle;
mod own;
mod paths;
mod routing;
mod timeouts;
mod tour;
mod upstream;
