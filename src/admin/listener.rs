//! Connections to the operator's listener: few, and none that is silent for long.

use crate::types::Standing;
use axum::{extract::connect_info::Connected, serve::IncomingStream};
use std::{
    future::pending,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, Sleep, sleep},
};

/// Most connections at a time: scrapers, probes and people. They share the process's descriptors with all callers.
const MOST: usize = 64;

/// Longest time from an answer's last bytes to the end of the next request, however many bytes of it drip in between. A
/// scraper that is slower opens another connection.
const SILENCE: Duration = Duration::from_secs(75);

/// Accepts while there is room.
pub(super) struct Listener {
    /// Let go of when operators will never come here again.
    socket: Option<TcpListener>,
    address: SocketAddr,
    room: Arc<Semaphore>,
    standing: watch::Receiver<Standing>,
}

/// A connection and its place among the others.
pub(super) struct Connection {
    stream: TcpStream,
    silent: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

/// Who connects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

impl Listener {
    pub(super) fn new(socket: TcpListener, standing: watch::Receiver<Standing>) -> io::Result<Self> {
        let address = socket.local_addr()?;
        Ok(Self { socket: Some(socket), address, room: Arc::new(Semaphore::new(MOST)), standing })
    }

    /// The socket, while operators may come. Not before, and never again once they will not.
    async fn open(&mut self) -> Option<&TcpListener> {
        // Whoever tells is there as long as the process.
        let standing = *self.standing.wait_for(|standing| *standing != Standing::Waiting).await.ok()?;
        if standing == Standing::Over {
            self.socket = None;
        }
        self.socket.as_ref()
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // Never closed, so there is always an answer.
            let Ok(place) = self.room.clone().acquire_owned().await else { continue };
            let mut standing = self.standing.clone();
            standing.mark_unchanged();
            let Some(socket) = self.open().await else { return pending().await };
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                _ = standing.changed() => continue,
            };
            match accepted {
                Ok((stream, peer)) => {
                    _ = stream.set_nodelay(true);
                    return (Connection { stream, silent: Box::pin(sleep(SILENCE)), _place: place }, peer);
                }
                // Out of descriptors, most likely: they come back.
                Err(error) => {
                    log::warn!("the admin listener cannot accept: {error}");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connection {
    fn poll_silent<R>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        self.silent.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() { read } else { self.poll_silent(cx) }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_pending() {
            return self.poll_silent(cx);
        }
        self.silent.as_mut().reset(Instant::now() + SILENCE);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
