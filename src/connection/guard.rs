//! The stream around every connection: see the module above.

use super::{deadline::Timer, door::Place};
use crate::observability::RequestId;
use async_trait::async_trait;
use bytes::BytesMut;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
    raw_connect::ProxyDigest,
    tls::{SslDigest, TlsRef},
};
use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// Most bytes of a next request that wait while one is served; more stay with the system, as long as it has room.
const MOST_EARLY: usize = 8 * 1024;

/// A stream that knows whether it carries a head, since when, and by when an answer is wanted.
#[derive(Debug)]
pub(super) struct Guard {
    stream: Stream,
    head_timeout: Duration,
    born: Instant,
    /// Even: a head is expected; odd: one has arrived. Counted on by the proxy through a shared reference.
    heads: AtomicUsize,
    /// The head that `first_byte` belongs to.
    reading: usize,
    first_byte: Option<Instant>,
    /// By when an answer is wanted, in milliseconds since `born`; 0: no deadline.
    answer_until: AtomicU64,
    overdue: AtomicBool,
    /// Whether the request being served has arrived whole: what comes now belongs to the next.
    arrived: AtomicBool,
    /// Bytes of the next request that came early. Held back, because pingora stops reading at the first of them, and with
    /// it would stop looking at the deadline and at whether the caller is still there.
    early: BytesMut,
    /// Whether the last read found nothing, and nothing of a next head has come yet.
    idle: bool,
    place: Place,
    /// Touched by the second read of a head and by the wait for an answer: a head in one piece costs no timer.
    timer: Timer,
}

impl Guard {
    pub(super) fn new(stream: Stream, head_timeout: Duration, heads: bool, place: Place) -> Self {
        Self {
            stream,
            head_timeout,
            born: Instant::now(),
            heads: AtomicUsize::new(if heads { 0 } else { 1 }),
            reading: 0,
            first_byte: None,
            answer_until: AtomicU64::new(0),
            overdue: AtomicBool::new(false),
            arrived: AtomicBool::new(false),
            early: BytesMut::new(),
            idle: false,
            place,
            timer: Timer::default(),
        }
    }

    pub(super) fn expect_head(&self, expected: bool) {
        if self.head_expected() != expected {
            self.heads.fetch_add(1, Relaxed);
        }
        self.arrived.store(false, Relaxed);
    }

    pub(super) fn request_arrived(&self) {
        self.arrived.store(true, Relaxed);
    }

    pub(super) fn answer_until(&self, deadline: Option<Instant>) {
        // Never 0 for a deadline: one that has passed already must strike at the next look.
        let millis = |deadline: Instant| (deadline.saturating_duration_since(self.born).as_millis() as u64).max(1);
        self.answer_until.store(deadline.map_or(0, millis), Relaxed);
    }

    pub(super) fn take_overdue(&self) -> bool {
        self.overdue.swap(false, Relaxed)
    }

    fn head_expected(&self) -> bool {
        self.heads.load(Relaxed).is_multiple_of(2)
    }

    /// Ready when a head is being read for too long.
    fn poll_head_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.first_byte {
            Some(first_byte) => self.timer.poll(cx, first_byte + self.head_timeout),
            None => Poll::Pending,
        }
    }

    /// Ready when the service had its time for an answer.
    fn poll_answer_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.answer_until.load(Relaxed) {
            0 => Poll::Pending,
            millis => self.timer.poll(cx, self.born + Duration::from_millis(millis)),
        }
    }

    /// Keep what comes for the next request; ready when the caller has closed or broken the connection.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.early.len() < MOST_EARLY {
            let mut room = [MaybeUninit::uninit(); 1024];
            let mut bytes = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut bytes))?;
            if bytes.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.early.extend_from_slice(bytes.filled());
        }
        Poll::Pending
    }

    /// While a request is served: its body, or whoever leaves.
    fn poll_served(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = if self.arrived.load(Relaxed) {
            self.poll_early(cx)
        } else if !self.early.is_empty() {
            self.give_early(buf)
        } else {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        };
        if read.is_pending() && self.poll_answer_overdue(cx).is_ready() {
            self.answer_until.store(0, Relaxed);
            self.overdue.store(true, Relaxed);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")));
        }
        read
    }

    fn give_early(&mut self, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let bytes = self.early.split_to(self.early.len().min(buf.remaining()));
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }

    /// Best effort: whoever drips bytes may not read either.
    fn refuse_head(&mut self, cx: &mut Context<'_>) -> io::Error {
        self.expect_head(false);
        self.place.slow_head();
        let id = RequestId::random();
        log::debug!("{}: a head took longer than {:?}", id.as_str(), self.head_timeout);
        _ = Pin::new(&mut self.stream).poll_write(cx, too_slow(&id).as_bytes());
        _ = Pin::new(&mut self.stream).poll_flush(cx);
        io::Error::new(io::ErrorKind::TimedOut, "the head took too long")
    }
}

/// Written by hand, because pingora has no session yet that could.
fn too_slow(id: &RequestId) -> String {
    let id = id.as_str();
    let body = format!(
        r#"{{"title":"Request Timeout","status":408,"code":"request_timeout","detail":"the request's head took too long","request_id":"{id}"}}"#
    );
    format!(
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/problem+json\r\n\
         X-Request-ID: {id}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl AsyncRead for Guard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let head = self.heads.load(Relaxed);
        if head != self.reading {
            (self.reading, self.first_byte) = (head, None);
        }
        if !self.head_expected() {
            return self.poll_served(cx, buf);
        }
        if self.poll_head_overdue(cx).is_ready() {
            return Poll::Ready(Err(self.refuse_head(cx)));
        }
        let before = buf.filled().len();
        self.idle = self.first_byte.is_none() && self.early.is_empty();
        let read = if self.early.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))
        } else {
            ready!(self.give_early(buf))
        };
        self.idle = false;
        if buf.filled().len() > before {
            self.first_byte.get_or_insert_with(Instant::now);
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Guard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // Somebody answers a head that no phase of ours has seen: pingora's own 400 or 405.
        if self.head_expected() {
            self.expect_head(false);
            self.place.malformed();
            log::debug!("a malformed request was answered before any phase of ours saw it");
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Had the caller closed it, the last read would have said so.
        if self.idle {
            self.place.idle_closed();
        }
    }
}

// What pingora asks of a stream; answered by the one inside.

#[async_trait]
impl Shutdown for Guard {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

impl UniqueID for Guard {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Guard {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ssl()
    }
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Guard {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl GetProxyDigest for Guard {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Guard {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

#[async_trait]
impl Peek for Guard {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        self.stream.try_peek(buf).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        connection::{ConnectionLimits, Door},
        observability::ConnectionCounters,
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::timeout,
    };

    fn guard() -> (Guard, DuplexStream, Arc<ConnectionCounters>) {
        let counters = Arc::new(ConnectionCounters::default());
        let door = Door::new(counters.clone(), |_| ConnectionLimits { in_all: 1, per_address: None });
        let (ours, theirs) = duplex(100);
        let place = door.enter(None).unwrap();
        (Guard::new(Box::new(ours), Duration::from_secs(10), true, place), theirs, counters)
    }

    /// Reads until nothing comes any more.
    async fn read(guard: &mut Guard) {
        let mut bytes = [0; 10];
        while timeout(Duration::from_secs(1), guard.read(&mut bytes)).await.is_ok_and(|read| read.unwrap() > 0) {}
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_that_waits_for_a_head_is_closed_as_idle() {
        // Sent before the gateway closes it, whether the caller closed it first, and what it counts as.
        for (sent, left, idle) in [("", false, 1), ("", true, 0), ("GET", false, 0)] {
            let (mut guard, mut caller, counters) = guard();
            caller.write_all(sent.as_bytes()).await.unwrap();
            let caller = (!left).then_some(caller);
            read(&mut guard).await;
            assert_eq!((counters.snapshot().open, counters.snapshot().idle_closed), (1, 0));
            drop((guard, caller));
            assert_eq!((counters.snapshot().open, counters.snapshot().idle_closed), (0, idle), "{sent} {left}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_between_two_heads_is_idle_and_one_with_a_request_is_not() {
        for (expected, idle) in [(false, 0), (true, 1)] {
            let (mut guard, mut caller, counters) = guard();
            caller.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            read(&mut guard).await;
            guard.expect_head(false);
            guard.expect_head(expected);
            read(&mut guard).await;
            drop(guard);
            assert_eq!(counters.snapshot().idle_closed, idle);
        }
    }
}
