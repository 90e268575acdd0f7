use crate::runtime::Process;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

/// Decides what a signal means. pingora only hears of the end, when there is no way back from it.
pub(super) struct Signals {
    pub(super) process: Arc<Process>,
    pub(super) pause: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let listen = |kind: SignalKind| signal(kind).map_err(|error| log::error!("signals: {error}"));
        let (Ok(mut quit), Ok(mut terminate), Ok(mut interrupt)) =
            (listen(SignalKind::quit()), listen(SignalKind::terminate()), listen(SignalKind::interrupt()))
        else {
            return ShutdownSignal::FastShutdown;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
                _ = terminate.recv() => return self.leave(&mut interrupt).await,
                // pingora's own way would stop serving whether or not anybody takes over.
                _ = quit.recv() => log::warn!("SIGQUIT: the handoff to a new process is not built yet; serving on"),
            }
        }
    }
}

impl Signals {
    /// Still accepting, but asking every caller to go elsewhere: what pingora does at the end, dropping idle
    /// connections, then hits nobody who is about to use one.
    async fn leave(&self, interrupt: &mut Signal) -> ShutdownSignal {
        self.process.leave();
        log::info!("SIGTERM: leaving; for {:?} answers close their connections, then the listeners close", self.pause);
        tokio::select! {
            () = sleep(self.pause) => ShutdownSignal::GracefulTerminate,
            _ = interrupt.recv() => ShutdownSignal::FastShutdown,
        }
    }
}

/// Until somebody listens, SIGHUP and SIGQUIT are lost instead of killing a process that is just starting.
///
/// # Errors
/// The process may not have signal handlers.
pub fn survive_early() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    // The handlers stay when the listeners are dropped.
    signal(SignalKind::hangup()).and(signal(SignalKind::quit())).map(drop)
}
