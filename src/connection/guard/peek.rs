//! The first bytes of a connection: HTTP/2 or HTTP/1?

use super::{Guard, Part};
use crate::connection::{http2::PREFACE, own_answer::OwnAnswer};
use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};
use tokio::time::Instant;

impl Guard {
    /// Wait for the first byte of a new connection, no longer than one may be idle: pingora waits for 60 s whatever is
    /// configured, which is as long as an ALB keeps connections, and so the two would race.
    ///
    /// HTTP/2 behind TLS is waited for until its preface is whole: h2 has no deadline for that.
    ///
    /// # Errors
    /// Nothing came, or the caller has left.
    pub(in crate::connection) async fn begins(&mut self) -> io::Result<()> {
        let until = self.life.born + self.life.place.idle();
        poll_fn(|cx| self.poll_first_byte(cx, until)).await?;
        if matches!(self.part, Part::Http2(_)) {
            // What is none is refused by h2.
            poll_fn(|cx| self.poll_http2(cx)).await?;
        }
        Ok(())
    }

    fn poll_first_byte(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.idle = true;
        let Poll::Ready(more) = self.poll_more(cx) else {
            ready!(self.timer.poll(cx, until));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        self.idle = false;
        if !more? {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.first_byte = Some(Instant::now());
        Poll::Ready(Ok(()))
    }

    /// Ready with whether the caller begins as HTTP/2 does (RFC 9113 section 3.4). A byte that differs decides, so
    /// that a short HTTP/1 request does not wait for more.
    pub(in crate::connection) fn poll_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let known = self.early.len().min(PREFACE.len());
            if self.early.get(..known) != PREFACE.get(..known) {
                return Poll::Ready(Ok(false));
            }
            if known == PREFACE.len() {
                return Poll::Ready(Ok(true));
            }
            self.idle = self.early.is_empty();
            let Poll::Ready(more) = self.poll_more(cx) else {
                ready!(self.poll_head_overdue(cx));
                return Poll::Ready(Err(self.refuse(cx, OwnAnswer::SlowHead)));
            };
            self.idle = false;
            if !more? {
                // The reader of heads finds the end too.
                return Poll::Ready(Ok(false));
            }
            self.first_byte.get_or_insert_with(Instant::now);
        }
    }
}
