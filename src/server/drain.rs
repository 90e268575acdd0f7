use super::{LAST_LINES, run_dir::RunDir};
use crate::{observability::Flushed, runtime::Process};
use async_trait::async_trait;
use pingora::{server::ShutdownWatch, services::background::BackgroundService};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// Ends the process as soon as nothing is in flight. pingora would sleep its whole grace period.
pub(super) struct Drain {
    pub(super) process: Arc<Process>,
    pub(super) run_dir: Arc<RunDir>,
    pub(super) deadline: Duration,
}

#[async_trait]
impl BackgroundService for Drain {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        _ = shutdown.changed().await;
        let deadline = Instant::now() + self.deadline;
        self.idle(deadline).await;
        // A request may come while lines are written, on a connection that was accepted before: its line counts too.
        while self.process.access_log.flush(LAST_LINES) == Flushed::Yes
            && self.process.in_flight.count() > 0
            && Instant::now() < deadline
        {
            self.idle(deadline).await;
        }
        match self.process.in_flight.count() {
            0 => log::info!("drained: nothing was in flight any more"),
            cut => log::warn!("drained: {cut} requests were cut at the deadline of {:?}", self.deadline),
        }
        super::end(&self.process, &self.run_dir)
    }
}

impl Drain {
    /// Until nothing is in flight, or the deadline.
    async fn idle(&self, deadline: Instant) {
        while self.process.in_flight.count() > 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
    }
}
