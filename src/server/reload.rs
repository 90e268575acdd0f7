use crate::{
    config::{Config, ConfigErrors, Loaded},
    observability::Logger,
    runtime::{Live, Snapshot},
    upstream,
};
use async_trait::async_trait;
use pingora::{server::ShutdownWatch, services::background::BackgroundService};
use std::{path::PathBuf, sync::Arc};
use tokio::{runtime::Handle, sync::Notify, task::spawn_blocking};

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

/// Rereads the configuration on SIGHUP, away from the request threads. A bad file changes nothing.
pub(super) struct Reload {
    pub(super) source: Source,
    pub(super) live: Live,
    pub(super) logger: Logger,
    /// By SIGHUP. Several that come during one reload are one more.
    pub(super) asked: Arc<Notify>,
}

#[async_trait]
impl BackgroundService for Reload {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        loop {
            tokio::select! {
                () = self.asked.notified() => self.reload().await,
                _ = shutdown.changed() => return,
            }
        }
    }
}

impl Reload {
    async fn reload(&self) {
        let (source, live, logger) = (self.source.clone(), self.live.clone(), self.logger.clone());
        let outcome = spawn_blocking(move || {
            let loaded = source.load()?;
            super::warn(&loaded);
            let ready = |next: &Snapshot| {
                let known = upstream::resolve(next.services(), &next.process.upstream, super::NAMES);
                Handle::current().block_on(known);
            };
            let generation = live.reload(&loaded, ready)?;
            logger.set(&loaded.config.log, loaded.config.server.debug);
            Ok::<u64, ConfigErrors>(generation)
        });
        match outcome.await {
            Ok(Ok(generation)) => log::info!("reloaded: generation {generation} serves"),
            Ok(Err(errors)) => log::error!("reload refused, the running configuration stays:\n{errors}"),
            Err(panic) => log::error!("reload refused, the running configuration stays: {panic}"),
        }
    }
}
