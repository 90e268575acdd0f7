use super::run_dir::RunDir;
use crate::runtime::Process;
use async_trait::async_trait;
use pingora::{server::ShutdownWatch, services::background::BackgroundService};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// Time between two looks at what is still going on.
const LOOK: Duration = Duration::from_millis(20);
/// Looks in a row that found nothing, when no connection is left: one that was just accepted may not be counted yet.
const QUIET: u32 = 3;
/// The same while connections are left that bring nothing, such as one that waits in the middle of a head: half a second.
const SILENT: u32 = 25;

/// How long the last may take to say goodbye: WebSockets tell their callers to go elsewhere.
const GOODBYE: Duration = Duration::from_millis(500);

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
        self.idle(Instant::now() + self.deadline).await;
        self.goodbye().await;
        match self.process.in_flight.count() {
            0 => log::info!("drained: nothing was in flight any more"),
            cut => log::warn!("drained: {cut} requests were cut at the deadline of {:?}", self.deadline),
        }
        super::end(&self.process, &self.run_dir)
    }
}

impl Drain {
    /// Whatever is still under way hears that this is the end.
    async fn goodbye(&self) {
        self.process.departure.end();
        let until = Instant::now() + GOODBYE;
        while self.process.in_flight.count() > 0 && Instant::now() < until {
            sleep(LOOK).await;
        }
    }

    /// Until nothing is in flight and nothing can come any more, or the deadline. A moment without requests is not
    /// enough: the listeners may still be closing, and the last connection that they accepted brings one more.
    async fn idle(&self, deadline: Instant) {
        let mut quiet = 0;
        while Instant::now() < deadline {
            let busy = self.process.departure.accepting() > 0 || self.process.in_flight.count() > 0;
            quiet = if busy { 0 } else { quiet + 1 };
            let enough = if self.process.connections.snapshot().open == 0 { QUIET } else { SILENT };
            if quiet >= enough {
                return;
            }
            sleep(LOOK).await;
        }
    }
}
