use super::reply::Identity;
use parking_lot::Mutex;
use serde::Serialize;
use std::{collections::BTreeMap, time::SystemTime};

/// Most records of one store. Enough to play with, and the memory it can take stays small.
pub(super) const MOST: usize = 1_000;

/// A value with what the store knows about it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Stored<T> {
    pub(super) id: u64,
    #[serde(flatten)]
    pub(super) value: T,
    created_by: Identity,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_by: Option<Identity>,
}

/// There are [`MOST`] records already.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Records of one type, in the order of their creation.
///
/// The lock is held for one look or one change, never while somebody waits.
#[derive(Debug)]
pub(super) struct Store<T>(Mutex<Records<T>>);

#[derive(Debug)]
struct Records<T> {
    by_id: BTreeMap<u64, Stored<T>>,
    last_id: u64,
}

impl<T: Clone> Store<T> {
    /// A store that begins with `samples`.
    pub(super) fn new(samples: impl IntoIterator<Item = T>) -> Self {
        let store = Self(Mutex::new(Records { by_id: BTreeMap::new(), last_id: 0 }));
        let author = Identity { username: Some("demo".to_owned()), ..Identity::default() };
        // More samples than fit are a few less samples.
        _ = samples.into_iter().try_for_each(|sample| store.create(sample, author.clone()).map(drop));
        store
    }

    /// Every record.
    pub(super) fn all(&self) -> Vec<Stored<T>> {
        self.0.lock().by_id.values().cloned().collect()
    }

    /// The record `id`.
    pub(super) fn get(&self, id: u64) -> Option<Stored<T>> {
        self.0.lock().by_id.get(&id).cloned()
    }

    /// Keep `value` under an id that no record ever had.
    pub(super) fn create(&self, value: T, author: Identity) -> Result<Stored<T>, Full> {
        let mut records = self.0.lock();
        if records.by_id.len() >= MOST {
            return Err(Full);
        }
        records.last_id += 1;
        let created_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let stored = Stored { id: records.last_id, value, created_by: author, created_at, updated_by: None };
        records.by_id.insert(stored.id, stored.clone());
        Ok(stored)
    }

    /// Put `value` in the place of that of the record `id`.
    pub(super) fn replace(&self, id: u64, value: T, author: Identity) -> Option<Stored<T>> {
        let mut records = self.0.lock();
        let stored = records.by_id.get_mut(&id)?;
        stored.value = value;
        stored.updated_by = Some(author);
        Some(stored.clone())
    }

    /// Forget the record `id`.
    pub(super) fn remove(&self, id: u64) -> Option<Stored<T>> {
        self.0.lock().by_id.remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kim() -> Identity {
        Identity { user_id: Some("2".to_owned()), ..Identity::default() }
    }

    #[test]
    fn ids_are_never_used_twice() {
        let store = Store::new(["a", "b"]);
        assert_eq!(store.remove(2).unwrap().value, "b");
        assert_eq!(store.create("c", kim()).unwrap().id, 3);
        assert_eq!(store.all().iter().map(|stored| stored.id).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn a_replaced_record_keeps_its_author() {
        let store = Store::new(["a"]);
        let stored = store.replace(1, "b", kim()).unwrap();
        assert_eq!((stored.value, stored.created_by.username.as_deref()), ("b", Some("demo")));
        assert_eq!(stored.updated_by.unwrap().user_id.as_deref(), Some("2"));
        assert_eq!(store.get(1).unwrap().value, "b");
    }

    #[test]
    fn what_is_not_there_is_neither_replaced_nor_removed() {
        let store = Store::new(["a"]);
        assert!(store.get(7).is_none() && store.replace(7, "b", kim()).is_none() && store.remove(7).is_none());
    }

    #[test]
    fn a_full_store_takes_nothing_until_something_goes() {
        let store = Store::new(0..MOST);
        assert_eq!(store.create(0, kim()).unwrap_err(), Full);
        store.remove(1).unwrap();
        assert_eq!(store.create(0, kim()).unwrap().id, MOST as u64 + 1);
    }
}
