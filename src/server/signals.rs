use super::handoff::{Ask, Handoff};
use crate::runtime::Process;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use std::{io, sync::Arc, thread, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
    sync::{
        Mutex, Notify,
        mpsc::{Receiver, Sender, channel, unbounded_channel},
    },
    time::{Instant, sleep},
};

/// Signals that may wait to be looked at; more of them say nothing new.
const WAITING: usize = 16;

/// How long SIGINT waits for requests that are just being answered: a caller has its answer a moment before the line.
const ANSWERED: Duration = Duration::from_millis(100);

/// What a process is asked to do by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// SIGTERM.
    Drain,
    /// SIGINT.
    Stop,
    /// SIGQUIT.
    Handoff,
    /// Nobody needs this process any more: another one is the gateway.
    Leave,
}

/// Signals, heard from the moment this exists by a thread of their own: none is lost while pingora starts.
pub(super) struct Heard {
    pub(super) asked: Receiver<Asked>,
    /// Asks the same from within.
    pub(super) ask: Sender<Asked>,
    /// SIGHUP.
    pub(super) reload: Arc<Notify>,
}

/// Hear every signal from now on.
///
/// # Errors
/// The process may not have signal handlers, or no thread.
pub(super) fn listen() -> io::Result<Heard> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let (sender, asked) = channel(WAITING);
    let reload = Arc::new(Notify::new());
    let (told, ask) = (reload.clone(), sender.clone());
    let hear = {
        let _inside = runtime.enter();
        hear(sender, told)?
    };
    thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(hear))?;
    Ok(Heard { asked, ask, reload })
}

fn hear(sender: Sender<Asked>, reload: Arc<Notify>) -> io::Result<impl Future<Output = ()> + Send> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    Ok(async move {
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => {
                    reload.notify_one();
                    continue;
                }
                _ = terminate.recv() => Asked::Drain,
                _ = interrupt.recv() => Asked::Stop,
                _ = quit.recv() => Asked::Handoff,
            };
            _ = sender.try_send(asked);
        }
    })
}

/// Decides what a signal means. pingora only hears of the end, when there is no way back from it.
pub(super) struct Signals {
    pub(super) process: Arc<Process>,
    pub(super) pause: Duration,
    pub(super) handoff: Arc<Handoff>,
    /// Taken by pingora's only question, which comes through a shared reference.
    pub(super) asked: Mutex<Option<Receiver<Asked>>>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let Some(mut asked) = self.asked.lock().await.take() else { return ShutdownSignal::GracefulTerminate };
        loop {
            match asked.recv().await {
                None | Some(Asked::Stop) => {
                    self.handoff.supervisor.stopping();
                    stop(&self.handoff)
                }
                Some(Asked::Drain) => return self.leave(asked).await,
                // pingora's own way would stop serving whether or not anybody takes over.
                Some(Asked::Handoff) => {
                    log::info!("SIGQUIT: a new process is to take over");
                    // What it says is in the log.
                    self.handoff.begin(Ask::default(), unbounded_channel().0);
                }
                Some(Asked::Leave) => {
                    self.handoff.let_go();
                    self.stay_stoppable(asked);
                    return ShutdownSignal::GracefulTerminate;
                }
            }
        }
    }
}

impl Signals {
    /// Still accepting, but asking every caller to go elsewhere: what pingora does at the end, dropping idle
    /// connections, then hits nobody who is about to use one.
    async fn leave(&self, mut asked: Receiver<Asked>) -> ShutdownSignal {
        self.handoff.supervisor.stopping();
        self.process.departure.leave();
        self.handoff.say_goodbye();
        self.handoff.abort().await;
        log::info!("SIGTERM: leaving; for {:?} answers close their connections, then the listeners close", self.pause);
        let stopped = async { while asked.recv().await.is_some_and(|asked| asked != Asked::Stop) {} };
        tokio::select! {
            () = sleep(self.pause) => (),
            // A second SIGTERM changes nothing: supervisors send it twice.
            () = stopped => stop(&self.handoff),
        }
        self.handoff.close();
        self.stay_stoppable(asked);
        ShutdownSignal::GracefulTerminate
    }

    /// pingora asks no more, and waits for requests that may take long: whoever has no patience sends SIGINT.
    fn stay_stoppable(&self, mut asked: Receiver<Asked>) {
        let (process, handoff) = (self.process.clone(), self.handoff.clone());
        let wait = move || {
            while let Some(asked) = asked.blocking_recv() {
                match asked {
                    Asked::Stop => stop(&handoff),
                    // Who has handed over has more time than this.
                    Asked::Drain => process.departure.leave(),
                    Asked::Handoff | Asked::Leave => (),
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("stop".into()).spawn(wait) {
            log::warn!("no thread that hears SIGINT from now on: {error}");
        }
    }
}

/// Not through pingora: where callers keep coming, its accept loop spins in a runtime that is shutting down, logs a
/// line each time round and never ends (0.9.1, seen). Blocks its thread, which has nothing else to do any more.
fn stop(handoff: &Handoff) -> ! {
    handoff.say_goodbye();
    handoff.stop();
    let (process, run_dir) = (&handoff.process, &handoff.run_dir);
    let until = Instant::now() + ANSWERED;
    while process.in_flight.count() > 0 && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    super::end(process, run_dir)
}

/// Until somebody listens, SIGHUP and SIGQUIT are lost instead of killing a process that is just starting. SIGTERM and
/// SIGINT end it, as they should: nobody is served yet.
///
/// # Errors
/// The process may not have signal handlers.
pub fn survive_early() -> io::Result<()> {
    let runtime: Runtime = Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    // The handlers stay when the listeners are dropped.
    signal(SignalKind::hangup()).and(signal(SignalKind::quit())).map(drop)
}
