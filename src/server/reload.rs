use super::handoff::Handoff;
use crate::{
    auth,
    config::{Config, ConfigErrors, Loaded},
    files::Stamp,
    observability::Logger,
    runtime::{Live, ReloadAsked, ReloadError, Snapshot, changes},
    upstream,
};
use async_trait::async_trait;
use pingora::{server::ShutdownWatch, services::background::BackgroundService};
use std::{
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};
use tokio::{
    runtime::Handle,
    sync::{Mutex, Notify, mpsc::Receiver, oneshot},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file, or a folder of files.
    Path(PathBuf),
    /// The text of the variable `EDGEWAY_CONFIG`.
    Environment,
    /// Nothing that could change: the demo's.
    Fixed(Box<Loaded>),
}

impl Source {
    /// Read it, as it is now.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self) -> Result<Loaded, ConfigErrors> {
        match self {
            Self::Path(path) => Config::load(path),
            Self::Environment => Config::from_environment(),
            Self::Fixed(loaded) => Ok((**loaded).clone()),
        }
    }
}

/// How often the file is looked at. What is reloaded looked the same at two of them, so that nobody's half of a file is.
const LOOK: Duration = Duration::from_secs(1);

/// How much nicer a reload is than threads that serve: where both want one CPU, it gets a quarter.
const BEHIND: i32 = 5;

/// What the files of a source were like.
pub(super) type Stamps = Vec<(PathBuf, Option<Stamp>)>;

/// The file that the configuration comes from, and what of it is known.
struct WatchedSource {
    path: Option<PathBuf>,
    /// As it was read last.
    taken: Stamps,
    /// As it was at the last look.
    seen: Stamps,
}

impl WatchedSource {
    /// It was like `taken` before it was read.
    fn of(source: &Source, taken: Stamps) -> Self {
        let path = match source {
            Source::Path(path) => Some(path.clone()),
            Source::Environment | Source::Fixed(_) => None,
        };
        Self { path, taken, seen: Vec::new() }
    }

    /// It is being read.
    async fn taken(&mut self) {
        self.taken = self.stamps().await;
    }

    /// Whether it is another one than was read, and nobody is writing it any more.
    async fn has_changed(&mut self) -> bool {
        let now = self.stamps().await;
        let stands = now == self.seen;
        self.seen = now;
        stands && self.seen != self.taken
    }

    /// Away from the thread that waits for signals: a file system may take its time.
    async fn stamps(&self) -> Stamps {
        let Some(path) = self.path.clone() else { return Vec::new() };
        spawn_blocking(move || Config::stamps(&path)).await.unwrap_or_default()
    }
}

/// Rereads the configuration on SIGHUP and for the admin listener, one after the other and away from the request
/// threads. A bad file changes nothing.
pub(super) struct Reload {
    pub(super) source: Source,
    /// What it was like when it was read.
    pub(super) stamps: Stamps,
    pub(super) live: Live,
    pub(super) handoff: Arc<Handoff>,
    pub(super) logger: Logger,
    /// By SIGHUP. Several that come during one reload are one more.
    pub(super) signalled: Arc<Notify>,
    /// By somebody who waits for what comes of it. pingora starts services through a shared reference.
    pub(super) asked: Mutex<Receiver<ReloadAsked>>,
}

#[async_trait]
impl BackgroundService for Reload {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut asked = self.asked.lock().await;
        let mut file = WatchedSource::of(&self.source, self.stamps.clone());
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.signalled.notified() => if !self.is_superseded() {
                    drop(self.reload(&mut file).await);
                },
                // Whoever asked may be gone by then.
                Some(asked) = asked.recv() => drop(asked.done.send(self.reload(&mut file).await)),
                _ = looks.tick() => self.look(&mut file).await,
                _ = shutdown.changed() => break,
            }
        }
        // Who asks now hears that nobody is there.
        asked.close();
    }
}

impl Reload {
    /// What is to be done every second.
    async fn look(&self, file: &mut WatchedSource) {
        let live = self.live.clone();
        _ = spawn_blocking(move || live.tidy()).await;
        let watches = !self.is_superseded() && self.live.pin().config.server.reload_on_change;
        if watches && file.has_changed().await {
            log::info!("the configuration file has changed");
            drop(self.reload(file).await);
        }
    }

    /// Another process is the gateway, and reads the file.
    fn is_superseded(&self) -> bool {
        self.live.pin().process.departure.is_superseded()
    }

    async fn reload(&self, file: &mut WatchedSource) -> Result<u64, ReloadError> {
        self.handoff.supervisor.reloading();
        // Before it is read: a change meanwhile is another one.
        file.taken().await;
        let before = self.live.pin().config.clone();
        let (source, live, logger) = (self.source.clone(), self.live.clone(), self.logger.clone());
        let runtime = Handle::current();
        let outcome = behind_requests(move || {
            let loaded = source.load()?;
            super::warn(&loaded);
            let ready = |next: &Snapshot| {
                let known = upstream::prepare(next.services(), &next.config.dns, &next.process.upstream, super::NAMES);
                runtime.block_on(async { tokio::join!(known, auth::prepare(&next.auth, super::NAMES)) });
            };
            let generation = live.reload(&loaded, ready)?;
            logger.set(&loaded.config.log, loaded.config.server.debug);
            tell_changes(&before, &loaded.config);
            Ok(generation)
        });
        let outcome = outcome.await;
        match &outcome {
            Ok(generation) => {
                self.handoff.reloaded();
                log::info!("reloaded: generation {generation} serves");
            }
            Err(error) => log::error!("reload refused, the running configuration stays:\n{error}"),
        }
        self.live.pin().process.reloads.ended(&outcome, SystemTime::now());
        self.tell(&outcome);
        outcome
    }

    /// To the supervisor, also where nothing has changed: it serves, and the reload is over.
    fn tell(&self, outcome: &Result<u64, ReloadError>) {
        self.handoff.supervisor.ready();
        let generation = self.live.pin().generation;
        let refused = if outcome.is_err() { "the last reload was refused, as the log says; " } else { "" };
        self.handoff.supervisor.status(&format!("{refused}generation {generation} of the configuration serves"));
    }
}

/// Run `work` on a thread of its own, which gives way to those that serve requests. Not on one of those for blocking
/// work: whoever has become nicer stays so.
async fn behind_requests<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReloadError> + Send + 'static,
) -> Result<T, ReloadError> {
    let (done, ended) = oneshot::channel();
    let thread = thread::Builder::new().name("reload".to_owned()).spawn(move || {
        // Of this thread alone, on Linux. Where it is not allowed, the reload takes its turn like everybody.
        _ = rustix::process::nice(BEHIND);
        drop(done.send(work()));
    });
    thread.map_err(|error| ReloadError::Internal(format!("no thread for the reload: {error}")))?;
    ended.await.unwrap_or_else(|_| Err(ReloadError::Internal("the reload panicked; the log says where".to_owned())))
}

/// What a reload has changed, and what of it has to wait.
fn tell_changes(before: &Config, after: &Config) {
    changes(before, after).iter().for_each(|line| log::info!("reload: {line}"));
    for (index, (old, new)) in before.listeners.iter().zip(&after.listeners).enumerate() {
        if super::http2_limits(old) != super::http2_limits(new) {
            log::warn!(
                "listeners[{index}]: HTTP/2 keeps its limits of heads and idle time until `edgeway upgrade` or a restart"
            );
        }
    }
}
