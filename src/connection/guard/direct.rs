//! Heads of requests for whoever reads them without pingora.

use super::{Guard, Part};
use crate::connection::{
    Next,
    head::{Body, Head, HeadReader},
    own_answer::OwnAnswer,
};
use bytes::{Bytes, BytesMut};
use std::{
    io,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{io::ReadBuf, time::Instant};

impl Guard {
    /// Ready with the next head. `until` is by when its first byte has to be there: set by the first look that finds
    /// nothing, `idle` from then on.
    pub(in crate::connection) fn poll_next_head(
        &mut self,
        cx: &mut Context<'_>,
        idle: Duration,
        until: &mut Option<Instant>,
    ) -> Poll<io::Result<Next>> {
        match self.part {
            Part::Between => (self.part, self.first_byte) = (Part::Head, None),
            Part::Head => (),
            // Nobody knows where a next head would begin.
            _ => return Poll::Ready(Ok(Next::End)),
        }
        loop {
            let came = self.early.get(self.scanned..).unwrap_or_default();
            if !came.is_empty() {
                if let Some(head) = self.reader.read(came) {
                    return Poll::Ready(Ok(self.found(head)));
                }
                self.scanned = self.early.len();
                if let Some(answer) = self.head_goes_on() {
                    return Poll::Ready(Err(self.refuse(cx, answer)));
                }
            }
            self.idle = self.first_byte.is_none() && self.early.is_empty();
            let Poll::Ready(more) = self.poll_more(cx) else {
                return self.poll_late(cx, idle, until);
            };
            self.idle = false;
            if !matches!(more, Ok(true)) {
                return Poll::Ready(Ok(Next::End));
            }
        }
    }

    /// Nothing more has come: ready when that is for too long.
    fn poll_late(
        &mut self,
        cx: &mut Context<'_>,
        idle: Duration,
        until: &mut Option<Instant>,
    ) -> Poll<io::Result<Next>> {
        if self.first_byte.is_some() {
            ready!(self.poll_head_overdue(cx));
            return Poll::Ready(Err(self.refuse(cx, OwnAnswer::SlowHead)));
        }
        let until = *until.get_or_insert_with(|| Instant::now() + idle);
        ready!(self.timer.poll(cx, until));
        Poll::Ready(Ok(Next::End))
    }

    fn found(&mut self, head: Head) -> Next {
        let end = std::mem::take(&mut self.scanned) + head.used;
        if head.body == Ok(Body::None) {
            // Whole where nothing follows: a connection that waits should not keep the memory of its last head.
            let head = if end == self.early.len() { std::mem::take(&mut self.early) } else { self.early.split_to(end) };
            return Next::Head(head.freeze());
        }
        self.reader = HeadReader::default();
        Next::Other
    }

    /// The head that was handed out last is not for whoever asked: pingora reads it as if nobody had.
    pub(in crate::connection) fn give_back(&mut self, head: &Bytes) {
        let mut early = BytesMut::with_capacity(head.len() + self.early.len());
        early.extend_from_slice(head);
        early.extend_from_slice(&self.early);
        self.early = early;
    }

    /// It is, and is being served from now on. It has no body.
    pub(in crate::connection) fn take_head(&mut self) {
        self.taken = self.heads.load(Relaxed);
        (self.part, self.fault, self.wrote) = (Part::Between, None, false);
        self.expect_head(false);
    }

    /// While a request without a body is served: ready when its caller has left, or when the deadline for an answer strikes.
    pub(in crate::connection) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_served(cx, &mut ReadBuf::new(&mut []))
    }
}
