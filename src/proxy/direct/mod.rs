//! The direct way: requests of HTTP/1.1 without a body, which most are, from the caller to the service without
//! pingora's proxy between them.
//!
//! The phases are the same functions in the same order; what is left out is what plain requests have no use for:
//! channels between two halves, buffers for bodies, upgrades, caching. A request that is not plain ([`head`]) is handed to
//! pingora, with the connection, for as long as it takes. So whatever is odd about a request is pingora's to say.
//!
//! ```text
//! next head ─► plain? ─ no ─► pingora's HttpProxy ─► (next head)
//!                │ yes
//!                ▼
//!          admission ─► attempt ─► answer ─► log ─► (next head)
//! ```

mod answer;
mod exchange;
mod head;
mod serve;

use super::{client, client::Connection, gateway::Gateway};
use crate::{
    connection::{Direct, Next},
    runtime::Live,
    types::ClientCertificate,
};
use async_trait::async_trait;
use pingora::{
    apps::{HttpServerApp, ServerApp},
    connectors::http::v1::Connector,
    protocols::{Stream, http::ServerSession},
    proxy::HttpProxy,
    server::ShutdownWatch,
};
use serve::After;
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Release},
    },
    task::Poll,
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// How long the caller may take the last bytes of its connection.
const GOODBYE: Duration = Duration::from_secs(5);

/// pingora's proxy, and the way around it.
pub struct DirectProxy {
    proxy: Arc<HttpProxy<Gateway>>,
    live: Live,
    listener: usize,
    connector: Connector,
    /// Whether callers may begin with the preface of HTTP/2.
    h2c: bool,
    /// No request more on connections that wait for one.
    closing: AtomicBool,
    closed: Notify,
}

/// A connection of a caller, and what all its requests share.
struct Caller {
    direct: Direct,
    connection: Connection,
    certificate: Option<Arc<ClientCertificate>>,
    /// How long to wait for the next request.
    idle: Duration,
}

impl Caller {
    fn of(direct: Direct) -> Self {
        let (peer, port) = direct.peer().map_or((None, None), |(peer, port)| (Some(peer), port));
        let tls = direct.tls();
        let connection = Connection { peer, port, scheme: client::scheme(tls.is_some()) };
        let certificate = tls.and_then(|tls| tls.extension.get::<Arc<ClientCertificate>>().cloned());
        let idle = direct.idle();
        Self { direct, connection, certificate, idle }
    }

    /// The end, as TLS has it; without TLS the end of the stream says it.
    async fn goodbye(&mut self) {
        if self.direct.tls().is_some() {
            _ = timeout(GOODBYE, self.direct.shutdown()).await;
        }
    }
}

impl DirectProxy {
    /// The way around `proxy`, for one listener (its place in the file). `connector` keeps its connections to services.
    pub fn new(proxy: HttpProxy<Gateway>, live: Live, listener: usize, connector: Connector) -> Self {
        let h2c = proxy.server_options.as_ref().is_some_and(|options| options.h2c);
        let (closing, closed) = (AtomicBool::new(false), Notify::new());
        Self { proxy: Arc::new(proxy), live, listener, connector, h2c, closing, closed }
    }

    /// Until the connection is over.
    async fn serve_all(&self, mut caller: Caller, shutdown: &ShutdownWatch) {
        // Looked at once, so that it wakes this task; then `closing` says what it was.
        let mut closed = pin!(self.closed.notified());
        poll_fn(|cx| {
            _ = closed.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
        loop {
            match caller.direct.next(caller.idle, &self.closing).await {
                Ok(Next::Head(raw)) => match head::read(&raw) {
                    Some(head) => {
                        caller.direct.take_head();
                        // Boxed: a connection that waits for its next request should not carry that state along.
                        match Box::pin(self.serve(&mut caller, head)).await {
                            After::Next => continue,
                            After::Over => return caller.goodbye().await,
                            After::BrokenOff => return,
                        }
                    }
                    None => caller.direct.give_back(&raw),
                },
                Ok(Next::Other) => (),
                Ok(Next::End) | Err(_) => return,
            }
            match self.by_pingora(caller.direct, shutdown).await {
                Some(direct) => caller.direct = direct,
                None => return,
            }
            // A reload may have changed it meanwhile.
            let idle = self.live.pin().listener(self.listener).map(|listener| listener.keepalive_seconds);
            caller.idle = idle.map_or(caller.idle, Duration::from_secs);
        }
    }

    /// One request that is not plain.
    async fn by_pingora(&self, direct: Direct, shutdown: &ShutdownWatch) -> Option<Direct> {
        let mut session = ServerSession::new_http1(direct.into_stream());
        // Whoever reads its head sets what holds; none where the process leaves.
        session.set_keepalive((!*shutdown.borrow()).then_some(60));
        let (stream, _) = self.proxy.process_new_http(session, shutdown).await?.consume();
        Direct::of(stream)
    }
}

#[async_trait]
impl ServerApp for DirectProxy {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let mut direct = Direct::of(stream)?;
        if direct.speaks_http2(self.h2c).await.ok()? {
            return self.proxy.process_new(direct.into_stream(), shutdown).await;
        }
        self.serve_all(Caller::of(direct), shutdown).await;
        None
    }

    async fn cleanup(&self) {
        self.closing.store(true, Release);
        self.closed.notify_waiters();
        self.proxy.cleanup().await;
    }
}

impl fmt::Debug for DirectProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DirectProxy")
    }
}
