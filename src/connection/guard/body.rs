//! While a request is served: its body, and whoever leaves.

use super::{Guard, Part};
use std::{
    io,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll, ready},
};
use tokio::io::ReadBuf;

/// Most bytes of a next request that wait while one is served; more stay with the system, as long as it has room.
const MOST_EARLY: usize = 8 * 1024;

impl Guard {
    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.poll_bytes(cx, buf))?;
        let came = buf.filled().get(before..).unwrap_or_default();
        let used = match &mut self.part {
            Part::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(came.len());
                *left -= used as u64;
                Ok((used, *left == 0))
            }
            Part::Chunks(chunks) => chunks.read(came).map(|used| (used, chunks.is_over())),
            _ => Ok((came.len(), false)),
        };
        match used {
            Ok((used, is_over)) => {
                self.keep_rest(buf, before, used);
                if is_over {
                    self.part = Part::Between;
                }
                Poll::Ready(Ok(()))
            }
            Err(fault) => {
                buf.set_filled(before);
                (self.part, self.fault) = (Part::Broken, Some(fault));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)))
            }
        }
    }

    /// Keep what comes for the next request; ready when the caller has closed or broken the connection.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.early.len() < MOST_EARLY {
            if !ready!(self.poll_more(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    /// While a request is served: its body, or whoever leaves.
    pub(super) fn poll_served(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = match self.part {
            Part::Between => self.poll_early(cx),
            _ => self.poll_body(cx, buf),
        };
        if read.is_pending() && self.poll_answer_overdue(cx).is_ready() {
            self.answer_until.store(0, Relaxed);
            self.overdue.store(true, Relaxed);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")));
        }
        read
    }
}
