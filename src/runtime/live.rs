use super::{Process, Snapshot};
use crate::{
    config::{ConfigErrors, Loaded},
    types::{Pinned, Swap},
};
use parking_lot::Mutex;
use std::{fmt, sync::Arc};
use tokio::sync::watch;

/// The current snapshot: the only mutable cell of configuration. Cloning it is cheap and shares it.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    current: Swap<Snapshot>,
    /// The generation, for those who must hear of each one.
    changed: watch::Sender<u64>,
    /// One reload at a time: two would both build on the same old one.
    reloading: Mutex<()>,
    /// Former snapshots. Threads that serve requests let go of them one after the other, and the last one would have to
    /// drop thousands of routes in the middle of its requests.
    former: Mutex<Vec<Arc<Snapshot>>>,
}

impl Live {
    /// Compile the first snapshot.
    ///
    /// # Errors
    /// Everything that is well formed in the file and cannot run.
    pub fn start(loaded: &Loaded, process: Arc<Process>) -> Result<Self, ConfigErrors> {
        let snapshot = Snapshot::build(loaded, None, process)?;
        let changed = watch::Sender::new(snapshot.generation);
        let current = Swap::new(snapshot);
        Ok(Self(Arc::new(Inner { current, changed, reloading: Mutex::default(), former: Mutex::default() })))
    }

    /// Keep the current snapshot for one request. Writes nothing that threads share.
    pub fn pin(&self) -> Pinned<Snapshot> {
        self.0.current.pin()
    }

    /// Replace the snapshot, or keep the old one and say why. Returns the new generation. `ready` makes the new one
    /// ready before it serves.
    ///
    /// # Errors
    /// As [`Live::start`], and whatever only a restart can change.
    pub fn reload(&self, loaded: &Loaded, ready: impl FnOnce(&Snapshot)) -> Result<u64, ConfigErrors> {
        // Held while compiling, on a thread that serves nobody.
        let _one_at_a_time = self.0.reloading.lock();
        let old = self.pin();
        let snapshot = Snapshot::build(loaded, Some(&old), old.process.clone())?;
        let generation = snapshot.generation;
        ready(&snapshot);
        self.0.former.lock().push(self.0.current.replace(snapshot));
        self.0.changed.send_replace(generation);
        Ok(generation)
    }

    /// Drop former snapshots that no request has any more. Takes milliseconds for thousands of routes, so not on a thread
    /// that serves requests. Requests that go on for hours keep theirs.
    pub fn tidy(&self) {
        let unused: Vec<_> = self.0.former.lock().extract_if(.., |former| Arc::strong_count(former) == 1).collect();
        drop(unused);
    }

    /// Hears of every new generation.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Live(generation {})", self.pin().generation)
    }
}
