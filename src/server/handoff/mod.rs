//! A new process takes over the sockets, and nobody notices.
//!
//! ```text
//! old                                         new
//! 1 checks binary and configuration
//! 2 starts it, detached, with the sockets ─►  builds everything
//! 4 ◄────────────────────────────── hello ── 3
//!   ── revocations ────────────────────────►  a request through its own stack; accepts
//! 6 ◄────────────────────────────── ready ── 5
//!   both serve; ◄─── how it goes, every second
//! 7 ── take ───────────────────────────────►  is the gateway: operators, pid file
//!   still accepts, politely                   (the old one's death means nothing any more)
//! 8 accepts no more, finishes, leaves
//! ```
//!
//! Whatever goes wrong before 7: the new process is told to leave, and killed where it does not. If it dies before 8, the
//! old one is the gateway again. It can be, because it accepts until then: pingora's accept loops cannot be stopped and
//! begun again. And if the old one dies before 7, the new one is the gateway: it has had the sockets from the start.

mod channel;
mod control;
mod incoming;
mod launch;
mod message;
mod outgoing;
mod proof;
mod watched;

pub use control::{Ask, Said, ask};
pub(super) use control::{listen as listen_for_upgrades, serve as serve_upgrades};
pub use incoming::Predecessor;
pub(super) use incoming::{Passed, Successor};
pub use launch::relaunch;
pub(super) use message::Role;
pub(super) use proof::prove;

use super::{Source, open::Opened, run_dir::RunDir, signals::Asked, sockets::Kept, supervisor::Supervisor};
use crate::{
    config::{Config, HandoffConfig},
    runtime::{Live, Process},
    types::{Span, Standing},
};
use message::{Message, Numbers};
use parking_lot::Mutex;
use std::{
    io,
    mem::take,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch, watch::Sender},
    time::{Instant, sleep},
};

/// The margin by which the old process outlasts idle connections of its callers.
const LINGER_MARGIN: Duration = Duration::from_secs(5);

/// How long the other process may take to hear that this one leaves.
const SETTLED: Duration = Duration::from_secs(1);
/// How often one looks whether it has.
const LOOK: Duration = Duration::from_millis(5);

/// What a handoff says while it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A step is done, or begins.
    Step(String),
    /// The new process is the gateway.
    Done(String),
    /// It did not come to that, and this is why.
    Failed(String),
}

/// This process as the old one of a handoff.
pub(super) struct Handoff {
    pub(super) process: Arc<Process>,
    live: Live,
    source: Source,
    /// What this process was started from: a newer one may stand there by now.
    binary: PathBuf,
    /// Ends the process once nobody needs it any more.
    signals: mpsc::Sender<Asked>,
    standing: Sender<Standing>,
    /// The process before this one, as long as this one lives: it must know when there is no way back.
    former: Mutex<Option<Predecessor>>,
    /// To be passed on. Empty once this process accepts no more.
    sockets: Mutex<Kept>,
    pub(super) run_dir: Arc<RunDir>,
    pub(super) supervisor: Supervisor,
    state: State,
}

/// Where a handoff is.
#[derive(Default)]
struct State {
    under_way: AtomicBool,
    /// The process is asked to leave.
    aborted: AtomicBool,
    /// And at once.
    stopped: AtomicBool,
    /// The other process has heard of it.
    settled: AtomicBool,
    reloaded: AtomicBool,
}

impl Handoff {
    /// A process that is the gateway from the start, or after its predecessor says so; with what it would pass on.
    ///
    /// # Errors
    /// Nobody knows where its binary is.
    pub(super) fn new(
        live: &Live,
        source: &Source,
        signals: mpsc::Sender<Asked>,
        opened: &mut Opened,
    ) -> io::Result<Arc<Self>> {
        let process = live.pin().process.clone();
        let is_gateway = opened.former.is_none();
        // systemd hears the main process alone, which this one is when the old one has said so.
        let supervisor = Supervisor::from_environment(process.departure.clone(), is_gateway);
        Ok(Arc::new(Self {
            process,
            supervisor,
            live: live.clone(),
            source: source.clone(),
            binary: launch::own_binary()?,
            signals,
            standing: Sender::new(if is_gateway { Standing::Gateway } else { Standing::Waiting }),
            former: Mutex::default(),
            sockets: Mutex::new(take(&mut opened.kept)),
            run_dir: opened.run_dir.clone(),
            state: State::default(),
        }))
    }

    /// Begin one, on a thread of its own. `told` hears how it goes, and of its end.
    pub(super) fn begin(self: &Arc<Self>, ask: Ask, told: mpsc::UnboundedSender<Told>) {
        if let Err(reason) = self.may_begin() {
            log::warn!("no handoff: {reason}");
            _ = told.send(Told::Failed(reason.to_owned()));
            return;
        }
        let under_way = UnderWay(self.clone());
        let work = move || outgoing::hand_over(&under_way.0, &ask, &told);
        if let Err(error) = thread::Builder::new().name("handoff".to_owned()).spawn(work) {
            log::error!("no thread for a handoff: {error}");
        }
    }

    fn may_begin(&self) -> Result<(), &'static str> {
        if launch::ends_with_its_container() {
            return Err("the container ends with this process: replace the container");
        }
        if matches!(self.source, Source::Fixed(_)) {
            return Err("the demo cannot be upgraded; end it and start it again");
        }
        if self.process.departure.is_polite() || *self.standing.borrow() != Standing::Gateway {
            return Err("this process is about to leave, or not the gateway yet");
        }
        if self.state.under_way.swap(true, Relaxed) {
            return Err("one is under way already");
        }
        self.state.settled.store(false, Relaxed);
        self.state.reloaded.store(false, Relaxed);
        Ok(())
    }

    /// This process is asked to leave, so nobody takes over from it who has not done so yet. Returns when the other one
    /// knows: it would be the gateway if this one just died.
    pub(super) async fn abort(&self) {
        self.state.aborted.store(true, Relaxed);
        let until = Instant::now() + SETTLED;
        while self.is_unsettled() && Instant::now() < until {
            sleep(LOOK).await;
        }
    }

    /// The same at once; blocks its thread.
    pub(super) fn stop(&self) {
        self.state.stopped.store(true, Relaxed);
        self.state.aborted.store(true, Relaxed);
        let until = Instant::now() + SETTLED;
        while self.is_unsettled() && Instant::now() < until {
            thread::sleep(LOOK);
        }
    }

    fn is_unsettled(&self) -> bool {
        self.state.under_way.load(Relaxed) && !self.state.settled.load(Relaxed)
    }

    /// Its configuration is another one now; the new process should have it too.
    pub(super) fn reloaded(&self) {
        self.state.reloaded.store(true, Relaxed);
    }

    /// Nobody connects to this process any more.
    pub(super) fn close(&self) {
        self.sockets.lock().clear();
    }

    /// The same, where another process is the gateway: operators cannot connect, either.
    pub(super) fn let_go(&self) {
        self.close();
        self.standing.send_replace(Standing::Over);
    }

    /// The process before this one hears what only this one knows.
    fn tell_former(&self, message: &Message) {
        if let Some(former) = &*self.former.lock() {
            former.tell(message);
        }
    }

    /// This process ends because somebody wants that: the one before it must not come back, or must stay.
    pub(super) fn say_goodbye(&self) {
        match *self.standing.borrow() {
            Standing::Gateway => self.tell_former(&Message::Goodbye),
            Standing::Waiting => self.tell_former(&Message::Failed { reason: "it is asked to leave".to_owned() }),
            Standing::Over => (),
        }
    }

    /// There is no other process: this one is the gateway from now on.
    pub(super) fn begin_alone(&self) {
        self.become_gateway();
        self.supervisor.ready();
        self.supervisor.status("generation 1 of the configuration serves");
    }

    /// Operators and pid file are this process's.
    fn become_gateway(&self) {
        self.run_dir.claim();
        self.standing.send_replace(Standing::Gateway);
    }

    /// Hears whether this process is the gateway.
    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    fn numbers(&self) -> Numbers {
        numbers(&self.process)
    }
}

/// A handoff can begin again when this one is over, however it ends.
struct UnderWay(Arc<Handoff>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.state.under_way.store(false, Relaxed);
    }
}

fn numbers(process: &Process) -> Numbers {
    let (answered, failed) = process.metrics.totals();
    Numbers { answered, failed, panics: process.panics.sum() }
}

/// How long the old process accepts after it has handed over.
fn linger(config: &Config) -> Duration {
    let HandoffConfig { linger, .. } = config.server.handoff;
    let idle = config.listeners.iter().map(|listener| listener.keepalive_timeout.get()).max().unwrap_or_default();
    linger.map_or(idle + LINGER_MARGIN, Span::get)
}
