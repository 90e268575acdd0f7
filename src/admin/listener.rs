//! Connections to the operator's listener: few, and none that is silent for long.

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use std::{
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
    socket: TcpListener,
    room: Arc<Semaphore>,
    is_gateway: watch::Receiver<bool>,
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
    pub(super) fn new(socket: TcpListener, is_gateway: watch::Receiver<bool>) -> Self {
        Self { socket, room: Arc::new(Semaphore::new(MOST)), is_gateway }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // Never closed, so there is always an answer.
            let Ok(place) = self.room.clone().acquire_owned().await else { continue };
            // Whoever tells is there as long as the process.
            _ = self.is_gateway.wait_for(|is_gateway| *is_gateway).await;
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                _ = self.is_gateway.changed() => continue,
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
        self.socket.local_addr()
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
