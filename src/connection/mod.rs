//! Connection: what pingora shows nobody else, a connection before its first head and between two answers.
//!
//! First the [`Door`]: what is over `max_connections` or `max_connections_per_address` is closed before a byte is read,
//! counted, and told in one line a second. Trusted proxies are many callers and have no limit of their own.
//!
//! pingora limits a dripping client per read only, and has one timeout for a service's header and its body. [`Front`]
//! stands around the proxy and wraps each stream in a guard that knows two deadlines: one for the whole head of a
//! request (408 when it strikes), one for the header of the answer (the proxy turns it into a retry or a 504). The
//! proxy tells the guard when a head is complete, when the next may come, and by when it wants an answer. It
//! also holds back what comes of a next request while one is served, at most 8 KiB.
//!
//! ```yaml
//! listeners: [{ address: 0.0.0.0:8080, max_connections: 10000, max_connections_per_address: 1000, head_timeout: 10s }]
//! ```

mod deadline;
mod door;
mod guard;
mod places;
mod tell;

pub use door::Door;
pub use places::ConnectionLimits;

use async_trait::async_trait;
use guard::Guard;
use pingora::{
    apps::ServerApp,
    protocols::{ALPN, Stream, http::ServerSession},
    server::ShutdownWatch,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// An application behind guarded connections.
#[derive(Debug)]
pub struct Front<A> {
    app: Arc<A>,
    head_timeout: Duration,
    door: Door,
}

impl<A: ServerApp + Send + Sync + 'static> Front<A> {
    /// Guard the connections of `app` that come through `door`. A head may take `head_timeout` from its first to its
    /// last byte.
    pub fn new(app: A, head_timeout: Duration, door: Door) -> Self {
        Self { app: Arc::new(app), head_timeout, door }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Front<A> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let digest = stream.get_socket_digest();
        let peer = digest.as_ref().and_then(|digest| digest.peer_addr()?.as_inet()).map(|peer| peer.ip());
        let place = self.door.enter(peer)?;
        // HTTP/2 has heads inside frames; its own limits hold there.
        let heads = !matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        let guard = Guard::new(stream, self.head_timeout, heads, place);
        self.app.process_new(Box::new(guard), shutdown).await
    }

    /// Without this, keep-alive connections would not hear of the shutdown.
    async fn cleanup(&self) {
        self.app.cleanup().await;
    }
}

/// The head of a request is complete: no deadline until the next one.
pub fn head_arrived(session: &ServerSession) {
    guarded(session, |guard| guard.expect_head(false));
}

/// A request is over: the next head may come.
pub fn head_awaited(session: &ServerSession) {
    guarded(session, |guard| guard.expect_head(true));
}

/// The request has arrived whole, and nothing but the next one may follow.
pub fn request_arrived(session: &ServerSession) {
    guarded(session, Guard::request_arrived);
}

/// From now on the service has until `deadline` for its answer's header; `None`: as long as it likes.
///
/// When the deadline strikes, pingora sees a read error of the caller's connection (it always reads there, to notice
/// a caller who leaves) and [`answer_overdue`] says that it was this one. The connection itself is well.
pub fn answer_until(session: &ServerSession, deadline: Option<Instant>) {
    guarded(session, |guard| guard.answer_until(deadline));
}

/// Whether the last read error was the deadline of [`answer_until`]. Asking takes the answer away.
pub fn answer_overdue(session: &ServerSession) -> bool {
    let mut overdue = false;
    guarded(session, |guard| overdue = guard.take_overdue());
    overdue
}

/// Whether a guard is there to measure [`answer_until`]: HTTP/2 streams share their connection and have none.
pub fn is_guarded(session: &ServerSession) -> bool {
    let mut found = false;
    guarded(session, |_| found = true);
    found
}

fn guarded(session: &ServerSession, act: impl FnOnce(&Guard)) {
    if let ServerSession::H1(session) = session
        && let Some(guard) = (**session.stream()).as_any().downcast_ref::<Guard>()
    {
        act(guard);
    }
}
