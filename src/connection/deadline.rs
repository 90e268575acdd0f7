use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::{Instant, Sleep, sleep_until};

/// One timer per connection that many deadlines share.
///
/// Each request has a later deadline than the one before, and almost all are taken back in time: so the timer is left
/// where it stands, wakes up once, and only then looks what the deadline has become. It moves only to come earlier.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready when `deadline` has come; else wakes the task, not necessarily only then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= deadline || Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, time::Duration};

    #[tokio::test(start_paused = true)]
    async fn a_timer_serves_later_and_earlier_deadlines() {
        let mut timer = Timer::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        for (deadline, elapsed) in [(10, 10), (30, 30), (60, 60)] {
            poll_fn(|cx| timer.poll(cx, after(deadline))).await;
            assert_eq!(start.elapsed().as_secs(), elapsed);
        }
        let still = poll_fn(|cx| Poll::Ready(timer.poll(cx, after(100)).is_pending())).await;
        assert!(still);
        poll_fn(|cx| timer.poll(cx, after(70))).await;
        assert_eq!(start.elapsed().as_secs(), 70, "an earlier deadline moves the timer");
    }
}
