//! A connection of HTTP/1.1 whose requests are read and answered without pingora, as far as they are of the plain kind.

use super::{Lifetime, guard::Guard};
use bytes::Bytes;
use pingora::protocols::{ALPN, GetSocketDigest, Shutdown, Ssl, Stream, l4::socket::SocketAddr, tls::SslDigest};
use std::{
    fmt,
    future::poll_fn,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Acquire},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{io::AsyncWrite, time::Instant};

/// What comes next on a connection.
#[derive(Debug)]
pub enum Next {
    /// A head in its own words, checked to the letter, of a request without a body.
    Head(Bytes),
    /// Something that pingora has to read.
    Other,
    /// Nothing more.
    End,
}

/// The connection.
pub struct Direct(Box<Guard>);

impl Direct {
    /// The guard in `stream`. `None`: there is none.
    pub fn of(stream: Stream) -> Option<Self> {
        stream.into_any().downcast().ok().map(Self)
    }

    /// For pingora.
    pub fn into_stream(self) -> Stream {
        self.0
    }

    /// Whether the caller speaks HTTP/2: by the handshake or, where `by_preface`, by its first bytes.
    ///
    /// # Errors
    /// The caller has left, or took too long.
    pub async fn speaks_http2(&mut self, by_preface: bool) -> io::Result<bool> {
        match self.0.selected_alpn_proto() {
            Some(ALPN::H2) => Ok(true),
            // Behind TLS the handshake decides.
            _ if !by_preface || self.0.get_ssl_digest().is_some() => Ok(false),
            _ => poll_fn(|cx| self.0.poll_http2(cx)).await,
        }
    }

    /// Who is connected, and to which port.
    pub fn peer(&self) -> Option<(IpAddr, Option<u16>)> {
        let digest = self.0.get_socket_digest()?;
        let port = digest.local_addr().and_then(SocketAddr::as_inet).map(|own| own.port());
        Some((digest.peer_addr()?.as_inet()?.ip(), port))
    }

    /// What the handshake has agreed on. `None`: there was none.
    pub fn tls(&self) -> Option<Arc<SslDigest>> {
        self.0.get_ssl_digest()
    }

    /// How long the caller may be idle, by the limits that it came in with.
    pub fn idle(&self) -> Duration {
        self.0.idle_limit()
    }

    /// Wait for the next head, `idle` at most. `closing` ends the wait of a connection that is woken by it.
    ///
    /// # Errors
    /// The caller was answered already (408, 400, 431).
    pub async fn next(&mut self, idle: Duration, closing: &AtomicBool) -> io::Result<Next> {
        let mut until = None;
        poll_fn(|cx| {
            match self.0.poll_next_head(cx, idle, &mut until) {
                // What is here already is served.
                Poll::Pending if closing.load(Acquire) => Poll::Ready(Ok(Next::End)),
                next => next,
            }
        })
        .await
    }

    /// Say that this is the end: over TLS callers want to hear it (RFC 8446 section 6.1).
    pub async fn shutdown(&mut self) {
        self.0.shutdown().await;
    }

    /// Let pingora read the head that came last.
    pub fn give_back(&mut self, head: &Bytes) {
        self.0.give_back(head);
    }

    /// Serve it.
    pub fn take_head(&mut self) {
        self.0.take_head();
    }

    /// It is answered: the next may come.
    pub fn await_head(&self) {
        self.0.expect_head(true);
    }

    /// See [`super::is_last`].
    pub fn is_last(&self, now: std::time::Instant, lifetime: Lifetime) -> bool {
        let after = || now.saturating_duration_since(self.0.born().into_std());
        !lifetime.is_endless() && lifetime.ends_with(self.0.requests(), after)
    }

    /// See [`super::answer_until`].
    pub fn answer_until(&self, deadline: Option<Instant>) {
        self.0.answer_until(deadline);
    }

    /// See [`super::answer_overdue`].
    pub fn take_overdue(&self) -> bool {
        self.0.take_overdue()
    }

    /// Ready when the caller has left, or when the deadline of [`Direct::answer_until`] strikes.
    ///
    /// # Errors
    /// The latter, and a broken connection.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_gone(cx)
    }

    /// Write some of `bytes`.
    ///
    /// # Errors
    /// The caller's system does not take them.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, bytes)
    }

    /// Send what was written.
    ///
    /// # Errors
    /// As [`Direct::poll_write`].
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Direct")
    }
}
