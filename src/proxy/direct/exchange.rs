//! One request and its answer, on the caller's side.

use super::{
    Caller,
    answer::{self, Framing},
};
use crate::{connection::Malformed, proxy::downstream::Downstream};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use pingora::{
    ErrorType as Type, OrErr,
    http::{RequestHeader, ResponseHeader},
    prelude::{Error, Result},
};
use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// What is collected before it is written: the head with a usual body is one write.
const ENOUGH: usize = 16 * 1024;

/// Room for a head and a small body.
const USUAL: usize = 2 * 1024;

/// The caller's side.
pub(super) struct Exchange<'c> {
    pub(super) caller: &'c mut Caller,
    /// What is to be written. Of the request and not of the connection, which may be idle for long.
    out: BytesMut,
    pub(super) request: RequestHeader,
    /// Whether the connection goes on behind it.
    pub(super) keep: bool,
    /// Longest silence of a caller who does not take the answer.
    pub(super) patience: Duration,
    /// The final status that went out.
    pub(super) status: Option<StatusCode>,
    /// Something of an answer did, if only an interim one.
    begun: bool,
    framing: Framing,
}

impl<'c> Exchange<'c> {
    pub(super) fn new(caller: &'c mut Caller, request: RequestHeader, keep: bool, patience: Duration) -> Self {
        Self {
            caller,
            out: BytesMut::new(),
            request,
            keep,
            patience,
            status: None,
            begun: false,
            framing: Framing::Empty,
        }
    }

    /// The head of an answer, framed as `framing` says.
    pub(super) fn head(&mut self, response: &mut ResponseHeader, framing: Framing) {
        self.out.reserve(USUAL);
        answer::write_head(response, self.keep, &mut self.out);
        self.begun = true;
        if !response.status.is_informational() {
            (self.status, self.framing) = (Some(response.status), framing);
        }
    }

    /// A piece of its body.
    ///
    /// # Errors
    /// The caller does not take it.
    pub(super) async fn body(&mut self, piece: Option<Bytes>, is_end: bool) -> Result<()> {
        let large = piece.as_ref().filter(|piece| piece.len() >= ENOUGH && self.framing == Framing::Length);
        if let Some(piece) = large {
            // Written as it is, without a copy.
            self.flush().await?;
            return self.write(piece).await;
        }
        answer::write_body(self.framing, piece.as_ref(), is_end, &mut self.out);
        if self.out.len() >= ENOUGH { self.flush().await } else { Ok(()) }
    }

    /// Write what was collected.
    ///
    /// # Errors
    /// As [`Exchange::body`].
    pub(super) async fn flush(&mut self) -> Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let out = self.out.split();
        self.write(&out).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let direct = &mut self.caller.direct;
        let mut rest = bytes;
        let writing = pin!(poll_fn(|cx| {
            while !rest.is_empty() {
                match direct.poll_write(cx, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(written)) => rest = rest.get(written..).unwrap_or_default(),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            direct.poll_flush(cx)
        }));
        let mut writing: Pin<&mut (dyn Future<Output = io::Result<()>> + Send)> = writing;
        // Nearly every caller takes it at once, and no timer is made.
        let written = match now(writing.as_mut()).await {
            Some(written) => written,
            None => match timeout(self.patience, writing).await {
                Ok(written) => written,
                Err(_) => return Err(Error::explain(Type::WriteTimedout, "the caller does not take it").into_down()),
            },
        };
        written.or_err(Type::WriteError, "to the caller").map_err(|error| error.into_down())
    }

    /// The outcome of `work` with the service, unless the caller leaves or time is up first. What was collected is written
    /// before it is waited for.
    ///
    /// # Errors
    /// Of the caller; `work`'s own as it is.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let work = pin!(work);
        // It is looked at in two places, and large: compiled once.
        let mut work: Pin<&mut (dyn Future<Output = Result<T>> + Send)> = work;
        if let Some(outcome) = now(work.as_mut()).await {
            return outcome.map_err(|error| error.into_up());
        }
        self.flush().await?;
        let direct = &mut self.caller.direct;
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = work.as_mut().poll(cx) {
                return Poll::Ready(outcome.map_err(|error| error.into_up()));
            }
            direct.poll_gone(cx).map(|gone| {
                let error = match gone {
                    Ok(()) => Error::explain(Type::ConnectionClosed, "the caller has left"),
                    Err(error) => Error::because(Type::ReadError, "from the caller", error),
                };
                Err(error.into_down())
            })
        })
        .await
    }
}

/// The outcome of `work`, if it is there without waiting.
async fn now<T>(mut work: Pin<&mut (dyn Future<Output = T> + Send)>) -> Option<T> {
    poll_fn(|cx| {
        Poll::Ready(match work.as_mut().poll(cx) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        })
    })
    .await
}

impl Downstream for Exchange<'_> {
    fn head(&self) -> &RequestHeader {
        &self.request
    }

    fn is_whole(&mut self) -> bool {
        true
    }

    fn asks_for_websocket(&self) -> bool {
        false
    }

    fn was_upgraded(&self) -> bool {
        false
    }

    fn is_http2(&self) -> bool {
        false
    }

    fn has_begun_to_answer(&self) -> bool {
        self.begun
    }

    fn is_replayable(&self) -> bool {
        true
    }

    fn is_guarded(&self) -> bool {
        true
    }

    fn answer_until(&self, deadline: Option<Instant>) {
        self.caller.direct.answer_until(deadline);
    }

    fn take_overdue(&self) -> bool {
        self.caller.direct.take_overdue()
    }

    fn body_fault(&self) -> Option<Malformed> {
        None
    }

    fn become_tunnel(&self) {}
}
