//! The caller's side of a request, as the phases know it: pingora's session, or the direct way's.

use super::strict;
use crate::connection::{self, Malformed};
use pingora::{http::RequestHeader, proxy::Session};
use tokio::time::Instant;

/// What an attempt asks about the caller, and tells the guard of its connection.
pub(super) trait Downstream: Send + Sync {
    /// The head of the request, as the caller sent it and the gateway understood it.
    fn head(&self) -> &RequestHeader;
    /// Whether its body is here to the last byte.
    fn is_whole(&mut self) -> bool;
    /// Whether the caller would like to speak WebSocket.
    fn asks_for_websocket(&self) -> bool;
    /// Whether both sides speak another protocol by now.
    fn was_upgraded(&self) -> bool;
    /// Streams of HTTP/2 have no guard of their own.
    fn is_http2(&self) -> bool;
    /// Whether any header of an answer went out.
    fn has_begun_to_answer(&self) -> bool;
    /// Whether all of its body so far is kept for another attempt.
    fn is_replayable(&self) -> bool;
    /// See [`connection::is_guarded`].
    fn is_guarded(&self) -> bool;
    /// See [`connection::answer_until`].
    fn answer_until(&self, deadline: Option<Instant>);
    /// See [`connection::answer_overdue`].
    fn take_overdue(&self) -> bool;
    /// See [`connection::body_fault`].
    fn body_fault(&self) -> Option<Malformed>;
    /// See [`connection::become_tunnel`].
    fn become_tunnel(&self);
}

impl Downstream for Session {
    fn head(&self) -> &RequestHeader {
        self.req_header()
    }

    fn is_whole(&mut self) -> bool {
        self.as_downstream_mut().is_body_done()
    }

    fn asks_for_websocket(&self) -> bool {
        strict::asks_for_websocket(self)
    }

    fn was_upgraded(&self) -> bool {
        self.as_downstream().was_upgraded()
    }

    fn is_http2(&self) -> bool {
        self.as_downstream().is_http2()
    }

    fn has_begun_to_answer(&self) -> bool {
        self.response_written().is_some()
    }

    fn is_replayable(&self) -> bool {
        !self.as_ref().retry_buffer_truncated()
    }

    fn is_guarded(&self) -> bool {
        connection::is_guarded(self.as_downstream())
    }

    fn answer_until(&self, deadline: Option<Instant>) {
        connection::answer_until(self.as_downstream(), deadline);
    }

    fn take_overdue(&self) -> bool {
        connection::answer_overdue(self.as_downstream())
    }

    fn body_fault(&self) -> Option<Malformed> {
        connection::body_fault(self.as_downstream())
    }

    fn become_tunnel(&self) {
        connection::become_tunnel(self.as_downstream());
    }
}
