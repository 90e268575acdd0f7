//! Background work of identity: keys and revocations stay as new as they should be.

use super::{Authenticator, Revocations, source::Source};
use crate::{
    store::{Heard, SharedList, Store, StoreError},
    types::Task,
};
use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{interval, sleep, timeout},
};

/// Where revocations are shared.
const LIST: SharedList = SharedList { name: "revoked" };

/// How often what is over is forgotten.
const SWEEP: Duration = Duration::from_secs(60);

/// Pause before Redis is asked again after a failure, at the most: a revocation has to be seen within a second of its
/// coming back.
const PAUSE: Duration = Duration::from_millis(250);

/// Fetch keys that are not there yet, for `patience` at most. The start and a reload wait for this.
pub async fn prepare(auth: &Authenticator, patience: Duration) {
    let missing: Vec<Arc<Source>> = auth.sources().filter(|source| source.keys().len() == 0).cloned().collect();
    let tasks: Vec<_> =
        missing.into_iter().map(|source| tokio::spawn(async move { source.look().await.is_ok() })).collect();
    let all = async {
        for task in tasks {
            _ = task.await;
        }
    };
    _ = timeout(patience, all).await;
}

/// Keep the keys of every snapshot new, for ever. `sources` are those of the current one; `changed` tells of a new one.
pub async fn keep_keys(sources: impl Fn() -> Vec<Arc<Source>>, mut changed: watch::Receiver<u64>) {
    let mut tasks: HashMap<usize, (Arc<Source>, Task)> = HashMap::new();
    loop {
        let current = sources();
        let wanted = |source: &Arc<Source>| current.iter().any(|one| Arc::ptr_eq(one, source));
        tasks.retain(|_, (source, task)| wanted(source) && !task.has_ended());
        for source in &current {
            let new = || (source.clone(), Task::spawn(source.clone().keep()));
            tasks.entry(Arc::as_ptr(source).addr()).or_insert_with(new);
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// Share revocations with all who use the same Redis, for ever. `shared` and `most` are asked of the current snapshot.
pub async fn share_revocations(revocations: Arc<Revocations>, store: &Store, settings: impl Fn() -> Option<usize>) {
    let sweep = async {
        let mut tick = interval(SWEEP);
        loop {
            tick.tick().await;
            revocations.drop_over();
        }
    };
    let share = async {
        let mut told = false;
        loop {
            match settings() {
                Some(most) => {
                    revocations.set_most(most);
                    let before = revocations.agreed.load(Relaxed);
                    let failure = Box::pin(share(&revocations, store, most, &settings)).await;
                    let again = revocations.agreed.load(Relaxed) != before || !told;
                    if again && failure != StoreError::Resting {
                        log::warn!("revocations are not shared at the moment: {failure}; what was revoked stays so");
                        told = true;
                    }
                    sleep(PAUSE.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                }
                None => sleep(Duration::from_secs(1)).await,
            }
        }
    };
    tokio::join!(sweep, share);
}

/// Until Redis fails: everything that it knows, and then what is new, in both directions.
async fn share(
    revocations: &Revocations,
    store: &Store,
    most: usize,
    settings: &impl Fn() -> Option<usize>,
) -> StoreError {
    let heard = |heard: Heard| match heard {
        Heard::All(entries) => {
            revocations.merge_all(entries);
            revocations.agreed.store(super::revocation::unix_millis(), Relaxed);
        }
        Heard::One(entry) => revocations.merge([entry]),
    };
    let follow = store.follow(&LIST, heard);
    let tell = async {
        loop {
            if let Err(error) = tell(revocations, store, most).await {
                break error;
            }
            revocations.more.notified().await;
        }
    };
    // Another size, or none at all: begin anew, with everything that was not kept.
    let changed = async {
        while settings() == Some(most) {
            sleep(Duration::from_secs(1)).await;
        }
        StoreError::Resting
    };
    either(Box::pin(either(follow, tell)), changed).await
}

/// Know what is revoked before the first request, for `patience` at most.
pub async fn read_revocations(revocations: &Revocations, store: &Store, most: usize, patience: Duration) {
    revocations.set_most(most);
    match timeout(patience, store.entries(&LIST)).await.unwrap_or(Err(StoreError::Late)) {
        Ok(entries) => revocations.merge(entries),
        Err(error) => log::warn!("{error}: revoked tokens pass until revocations can be read"),
    }
}

async fn tell(revocations: &Revocations, store: &Store, most: usize) -> Result<(), StoreError> {
    for entry in revocations.waiting() {
        if !store.add_entry(&LIST, &entry, most).await? {
            log::error!("auth.revocation.most is reached in Redis: a revocation holds on this instance only; raise it");
        }
        revocations.told(1);
    }
    Ok(())
}

async fn either<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    tokio::select! {
        found = one => found,
        found = other => found,
    }
}
