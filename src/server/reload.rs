use crate::{
    auth,
    config::{Config, ConfigErrors, Loaded},
    observability::Logger,
    runtime::{Live, ReloadAsked, ReloadError, Snapshot},
    upstream,
};
use async_trait::async_trait;
use pingora::{server::ShutdownWatch, services::background::BackgroundService};
use std::{path::PathBuf, sync::Arc, time::SystemTime};
use tokio::{
    runtime::Handle,
    sync::{Mutex, Notify, mpsc::Receiver},
    task::spawn_blocking,
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

/// Rereads the configuration on SIGHUP and for the admin listener, one after the other and away from the request
/// threads. A bad file changes nothing.
pub(super) struct Reload {
    pub(super) source: Source,
    pub(super) live: Live,
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
        loop {
            tokio::select! {
                () = self.signalled.notified() => drop(self.reload().await),
                // Whoever asked may be gone by then.
                Some(asked) = asked.recv() => drop(asked.done.send(self.reload().await)),
                _ = shutdown.changed() => break,
            }
        }
        // Who asks now hears that nobody is there.
        asked.close();
    }
}

impl Reload {
    async fn reload(&self) -> Result<u64, ReloadError> {
        let (source, live, logger) = (self.source.clone(), self.live.clone(), self.logger.clone());
        let outcome = spawn_blocking(move || {
            let loaded = source.load()?;
            super::warn(&loaded);
            let ready = |next: &Snapshot| {
                let known = upstream::prepare(next.services(), &next.config.dns, &next.process.upstream, super::NAMES);
                Handle::current().block_on(async { tokio::join!(known, auth::prepare(&next.auth, super::NAMES)) });
            };
            let generation = live.reload(&loaded, ready)?;
            logger.set(&loaded.config.log, loaded.config.server.debug);
            Ok(generation)
        });
        let outcome = outcome.await.unwrap_or_else(|panic| Err(ReloadError::Internal(panic.to_string())));
        match &outcome {
            Ok(generation) => log::info!("reloaded: generation {generation} serves"),
            Err(error) => log::error!("reload refused, the running configuration stays:\n{error}"),
        }
        self.live.pin().process.reloads.ended(&outcome, SystemTime::now());
        outcome
    }
}
