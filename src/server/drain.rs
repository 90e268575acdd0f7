use super::run_dir::RunDir;
use crate::{config::ServerConfig, runtime::Process};
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
    process: Arc<Process>,
    run_dir: Arc<RunDir>,
    /// Longest time for requests in flight.
    deadline: Duration,
    /// The same for WebSockets and streams, where another process is the gateway.
    streams: Duration,
}

#[async_trait]
impl BackgroundService for Drain {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        _ = shutdown.changed().await;
        let began = Instant::now();
        self.idle(began).await;
        let cut = self.process.in_flight.count();
        self.goodbye().await;
        match cut {
            ..=0 => log::info!("drained: nothing was in flight any more"),
            cut => log::warn!("drained: {cut} requests were cut after {:?}", began.elapsed()),
        }
        super::end(&self.process, &self.run_dir)
    }
}

impl Drain {
    pub(super) fn new(process: &Arc<Process>, run_dir: &Arc<RunDir>, config: &ServerConfig) -> Self {
        let (deadline, streams) = (config.drain.deadline.get(), config.handoff.streams.get());
        Self { process: process.clone(), run_dir: run_dir.clone(), deadline, streams }
    }

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
    async fn idle(&self, began: Instant) {
        let departure = &self.process.departure;
        let mut leaving = None;
        let mut quiet = 0;
        loop {
            // SIGTERM may come while a process that has handed over takes its time.
            let until = match departure.is_leaving() {
                true => *leaving.get_or_insert_with(Instant::now) + self.deadline,
                false if departure.has_given_up() => began + self.deadline,
                false => began + self.streams.max(self.deadline),
            };
            let busy = departure.accepting() > 0 || self.process.in_flight.count() > 0;
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet >= self.enough(began) || Instant::now() >= until {
                return;
            }
            sleep(LOOK).await;
        }
    }

    /// How many quiet looks are enough.
    fn enough(&self, began: Instant) -> u32 {
        match self.process.connections.snapshot().open {
            0 => QUIET,
            // Every answer of a process that has handed over ends its connection: one that is left has not had its
            // first request, and its caller has no reason to think that it is lost.
            _ if self.process.departure.is_superseded() && began.elapsed() < self.deadline => u32::MAX,
            _ => SILENT,
        }
    }
}
