//! A connection that speaks another protocol: bytes go through as they are, and at the end of the process there is a word of
//! goodbye.

use super::{Guard, Part};
use crate::{
    connection::websocket::{Frames, GOING_AWAY},
    types::Departure,
};
use pingora::protocols::Stream;
use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncWrite, ReadBuf};

/// What the guard knows of a tunnel.
pub(super) struct Tunnel {
    frames: Frames,
    /// Ready when the process ends.
    ended: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    goodbye: Goodbye,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goodbye {
    /// The process serves on.
    NotYet,
    /// To be said where a frame ends; so many bytes of it are.
    Due(usize),
    /// Said, and nothing more is written: what the service still says reaches nobody.
    Said,
}

impl Tunnel {
    fn new(departure: &Departure) -> Box<Self> {
        let mut ended = departure.ended();
        let ended = Box::pin(async move { _ = ended.wait_for(|ended| *ended).await });
        Box::new(Self { frames: Frames::new(), ended, goodbye: Goodbye::NotYet })
    }

    /// Whether the last byte to the caller is written.
    pub(super) fn is_over(&self) -> bool {
        self.goodbye == Goodbye::Said
    }

    /// Look whether the process ends, and say goodbye if this is the place for it.
    fn poll_end(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.goodbye == Goodbye::NotYet && self.ended.as_mut().poll(cx).is_ready() {
            self.goodbye = Goodbye::Due(0);
        }
        while let Goodbye::Due(said) = self.goodbye
            && self.frames.at_boundary()
        {
            let rest = GOING_AWAY.get(said..).unwrap_or_default();
            if rest.is_empty() {
                ready!(Pin::new(&mut *stream).poll_flush(cx))?;
                ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
                self.goodbye = Goodbye::Said;
            } else {
                self.goodbye = Goodbye::Due(said + ready!(Pin::new(&mut *stream).poll_write(cx, rest))?);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, stream: &mut Stream, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_end(stream, cx))?;
        let part = match self.goodbye {
            Goodbye::Said => return Poll::Ready(Ok(buf.len())),
            // Not a byte behind the place where the goodbye belongs.
            Goodbye::Due(_) => buf.get(..self.frames.to_boundary(buf)).unwrap_or_default(),
            Goodbye::NotYet => buf,
        };
        let written = ready!(Pin::new(stream).poll_write(cx, part))?;
        self.frames.follow(part.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }
}

impl Guard {
    /// Both sides have agreed: what comes and goes from here on is theirs.
    pub(super) fn enter_tunnel(&mut self) {
        self.part = Part::Tunnel(Tunnel::new(&self.life.departure));
    }

    /// The caller's bytes go on to the service, whose answers to them are heard no more once the goodbye is said: so both
    /// sides end as WebSocket wants it, by the caller's own Close.
    pub(super) fn poll_tunnel(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Part::Tunnel(tunnel) = &mut self.part {
            // Where it cannot be written yet, it is when there is room.
            if let Poll::Ready(said) = tunnel.poll_end(&mut self.stream, cx) {
                said?;
            }
        }
        self.poll_bytes(cx, buf)
    }

    pub(super) fn poll_write_tunnel(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.part {
            Part::Tunnel(tunnel) => tunnel.poll_write(&mut self.stream, cx, buf),
            _ => Pin::new(&mut self.stream).poll_write(cx, buf),
        }
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tunnel({:?}, {:?})", self.frames, self.goodbye)
    }
}
