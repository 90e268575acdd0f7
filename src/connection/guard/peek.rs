//! The first bytes of a connection: HTTP/2 or HTTP/1?

use super::Guard;
use crate::connection::{http2::PREFACE, own_answer::OwnAnswer};
use std::{
    io,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Instant;

/// How long a new connection may be silent; pingora's own time for a first byte.
const FIRST_BYTE: Duration = Duration::from_secs(60);

impl Guard {
    /// Ready with whether the caller begins as HTTP/2 does (RFC 9113 section 3.4). A byte that differs decides, so
    /// that a short HTTP/1 request does not wait for more.
    pub(super) fn poll_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
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
                if self.first_byte.is_some() {
                    ready!(self.poll_head_overdue(cx));
                    return Poll::Ready(Err(self.refuse(cx, OwnAnswer::SlowHead)));
                }
                ready!(self.timer.poll(cx, self.born + FIRST_BYTE));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
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
