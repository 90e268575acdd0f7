//! Connection: what pingora shows nobody else, a connection before its first head and between two answers.
//!
//! First the [`Door`]: what is over `max_connections`, over `max_connections_per_address` or over `server.max_connections`
//! is closed before a byte is read, counted, and told in one line a second. Trusted proxies are many callers and have no limit of their own.
//!
//! Where a listener speaks the PROXY protocol, every connection comes from a trusted proxy and begins by saying for whom:
//! who that is counts for the limits and is the peer from then on. Whatever begins otherwise is closed.
//!
//! Then the guard, the stream that [`Front`] puts around each connection. It hands the proxy one request at a time, to
//! its last byte and not one more, and knows what every head says about its body before pingora reads it: a head or a
//! body that could be read in two ways is [`Malformed`], and no byte behind it is ever taken for a request. What comes of
//! a next request while one is served it holds back, at most 8 KiB.
//!
//! It also knows two deadlines: one for the whole head of a request (408 when it strikes; pingora limits a dripping
//! client per read only), one for the header of the answer (the proxy turns it into a retry or a 504). The proxy tells it
//! when it has a head, when it wants the next, and by when it wants an answer.
//!
//! HTTP/2 by prior knowledge is known by its first 24 bytes. Its frames are h2's business; the guard counts what h2 and
//! pingora refuse before any phase of the proxy.
//!
//! ```yaml
//! listeners: [{ address: 0.0.0.0:8080, max_connections: 10000, max_connections_per_address: 1000, head_timeout: 10s }]
//! ```

mod chunks;
mod deadline;
mod direct;
mod door;
mod guard;
mod head;
mod http2;
mod life;
mod linger;
mod malformed;
mod own_answer;
mod places;
mod proxied;
mod proxy_header;
mod tell;
mod websocket;

pub use direct::{Direct, Next};
pub use door::Door;
use door::Place;
pub use head::content_length;
pub use http2::http2_options;
use life::Life;
pub use life::Lifetime;
pub use malformed::Malformed;
pub use places::{ConnectionLimits, ProcessPlaces};
pub use proxied::Opening;

use crate::{tls::ListenerTls, types::Departure};
use async_trait::async_trait;
use bytes::BytesMut;
use guard::Guard;
use pingora::{
    apps::ServerApp,
    protocols::{ALPN, Stream, http::ServerSession, l4},
    server::ShutdownWatch,
};
use std::{fmt, future::pending, sync::Arc, time::Duration};
use tokio::time::Instant;

/// An application behind guarded connections.
pub struct Front<A> {
    app: Arc<A>,
    head_timeout: Duration,
    door: Door,
    opening: Opening,
    /// Asked for each connection, so that a reload counts from the next one on.
    tls: Box<dyn Fn() -> Option<Arc<ListenerTls>> + Send + Sync>,
    departure: Arc<Departure>,
}

impl<A: ServerApp + Send + Sync + 'static> Front<A> {
    /// Guard the connections of `app` that come through `door`. A head may take `head_timeout` from its first to its
    /// last byte, and so may a PROXY header and a handshake, where `opening` and `tls` say that there is one.
    pub fn new(
        app: A,
        head_timeout: Duration,
        door: Door,
        opening: Opening,
        tls: impl Fn() -> Option<Arc<ListenerTls>> + Send + Sync + 'static,
        departure: Arc<Departure>,
    ) -> Self {
        Self { app: Arc::new(app), head_timeout, door, opening, tls: Box::new(tls), departure }
    }

    /// Until the connection is over. An HTTP/2 one without a request hears here that the process leaves, and says GOAWAY; one
    /// that comes later hears it with its first request, so that this is answered and not sent in vain again and again.
    async fn serve(&self, guard: Box<Guard>, life: &Life) -> Option<Stream> {
        let (mut polite, ending) = (self.departure.polite(), life.ending());
        let leaves = async {
            while polite.changed().await.is_ok() {
                if *polite.borrow_and_update() {
                    life.end();
                }
            }
            pending::<()>().await;
        };
        tokio::select! {
            biased;
            served = self.app.process_new(guard, &ending) => served,
            () = leaves => None,
        }
    }

    /// The same connection, behind a handshake that `early` begins. `None`: it failed.
    async fn secured(&self, stream: Stream, early: &[u8], place: &Place, tls: &ListenerTls) -> Option<Stream> {
        // pingora's listeners make nothing else.
        let mut stream = stream.into_any().downcast::<l4::stream::Stream>().ok()?;
        if !early.is_empty() {
            stream.rewind(early);
        }
        match tls.accept(*stream, self.head_timeout).await {
            Ok(stream) => Some(Box::new(stream)),
            Err(error) => {
                place.no_handshake();
                log::debug!("no TLS: {error}");
                None
            }
        }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Front<A> {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, _: &ShutdownWatch) -> Option<Stream> {
        let (place, mut early) = match self.opening {
            Opening::ProxyHeader => proxied::enter(&mut stream, &self.door, self.head_timeout).await?,
            Opening::Request => (self.door.enter(proxied::peer(&*stream))?, BytesMut::new()),
        };
        let stream = match (self.tls)() {
            // What came behind the PROXY header is the handshake's.
            Some(tls) => Box::pin(self.secured(stream, &early.split(), &place, &tls)).await?,
            None => stream,
        };
        let http2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        let life = Life::new(place, self.departure.clone());
        let mut guard = Box::new(Guard::new(stream, self.head_timeout, life.clone()));
        guard.begin_with(early);
        if http2 {
            guard.speak_http2();
        }
        if let Err(error) = guard.begins().await {
            log::debug!("no first byte: {error}");
            return None;
        }
        self.serve(guard, &life).await
    }

    /// After the last accept. pingora drops whatever waits for a request here; a connection that was just accepted is
    /// about to bring one, so that comes only at the end.
    async fn cleanup(&self) {
        self.departure.accepts_no_more();
        _ = self.departure.ended().wait_for(|ended| *ended).await;
        self.app.cleanup().await;
    }
}

impl<A> fmt::Debug for Front<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Front({:?})", self.door)
    }
}

/// The proxy has a head: no deadline until the next one.
///
/// # Errors
/// It could be read in two ways, and nothing of it may be forwarded.
pub fn head_arrived(session: &ServerSession) -> Result<(), Malformed> {
    let mut fault = None;
    guarded(session, |guard| {
        guard.expect_head(false);
        fault = guard.fault();
    });
    fault.map_or(Ok(()), Err)
}

/// Whether this request, whose head came at `now`, is the last of its connection. HTTP/2 is told so here, with GOAWAY.
pub fn is_last(session: &ServerSession, now: std::time::Instant, lifetime: Lifetime) -> bool {
    if let ServerSession::H2(session) = session {
        let digest = session.digest().and_then(|digest| digest.proxy_digest.as_deref());
        return Life::ends_with_stream(digest, now, lifetime);
    }
    let mut last = false;
    if !lifetime.is_endless() {
        guarded(session, |guard| {
            let after = || now.saturating_duration_since(guard.born().into_std());
            last = lifetime.ends_with(guard.requests(), after);
        });
    }
    last
}

/// A request is over: the next head may come.
pub fn head_awaited(session: &ServerSession) {
    guarded(session, |guard| guard.expect_head(true));
}

/// Why the body could not be read further, where that was its own fault.
pub fn body_fault(session: &ServerSession) -> Option<Malformed> {
    let mut fault = None;
    guarded(session, |guard| fault = guard.fault());
    fault
}

/// Both sides speak another protocol from here on: what came early belongs to it.
pub fn become_tunnel(session: &ServerSession) {
    guarded(session, Guard::become_tunnel);
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
