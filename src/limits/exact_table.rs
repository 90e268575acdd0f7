use super::window::Window;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Parts that are locked apart, so that threads seldom meet. A power of two.
const SHARDS: usize = 64;

/// What is known exactly about one caller and one limit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry {
    /// Counts of a sliding window of this many milliseconds.
    Window(Window, u64),
    /// When the next request is due (microseconds), by GCRA.
    Arrival(u64),
    /// Redis refused it until then (milliseconds), with this quota.
    RefusedUntil(u64, u64),
}

impl Entry {
    fn is_over(self, now_millis: u64) -> bool {
        match self {
            Self::Window(window, length) => window.is_over(now_millis, length),
            Self::Arrival(arrival) => arrival <= now_millis.saturating_mul(1_000),
            Self::RefusedUntil(until, _) => until <= now_millis,
        }
    }
}

/// Exact counters of callers who may be near a limit. Bounded: where it is full, somebody else decides.
#[derive(Debug)]
pub(super) struct ExactTable {
    shards: Box<[Mutex<Shard>]>,
    most: usize,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<u64, Entry, ahash::RandomState>,
    /// No sweep before then (milliseconds): it looks at every entry.
    sweep: u64,
}

impl ExactTable {
    /// A table of at most about `entries`.
    pub(super) fn new(entries: usize) -> Self {
        let most = entries.div_ceil(SHARDS).max(1);
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), most }
    }

    /// Bytes of a full one. A map of the standard library has places in powers of two, of which it fills seven eighths,
    /// and a byte more for each.
    pub(super) fn memory(entries: usize) -> u64 {
        let most = entries.div_ceil(SHARDS).max(1);
        let places = (most * 8).div_ceil(7).next_power_of_two();
        (SHARDS * places * (size_of::<(u64, Entry)>() + 1)) as u64
    }

    /// Ask the entry of `key`; where there is none, the one that `new` makes. `None`: `new` made none, or there is no room.
    pub(super) fn ask<R>(
        &self,
        key: u64,
        now_millis: u64,
        new: impl FnOnce() -> Option<Entry>,
        ask: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        // Held for a few loads and stores; two threads meet here only where they serve callers of the same shard.
        let mut shard = self.shards.get(key as usize % SHARDS)?.lock();
        if let Some(entry) = shard.entries.get_mut(&key).filter(|entry| !entry.is_over(now_millis)) {
            return Some(ask(entry));
        }
        let mut entry = new()?;
        if !shard.has_room(key, self.most, now_millis) {
            return None;
        }
        let answer = ask(&mut entry);
        shard.entries.insert(key, entry);
        Some(answer)
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().entries.len()).sum()
    }
}

impl Shard {
    fn has_room(&mut self, key: u64, most: usize, now_millis: u64) -> bool {
        if self.entries.len() < most || self.entries.contains_key(&key) {
            return true;
        }
        if now_millis >= self.sweep {
            // At most once a second: in a full table every stranger would make it look at all.
            self.sweep = now_millis + 1_000;
            self.entries.retain(|_, entry| !entry.is_over(now_millis));
        }
        self.entries.len() < most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_takes_nobody_new_until_something_is_over() {
        let table = ExactTable::new(64);
        let refuse = |key: u64, until: u64, now: u64| {
            table.ask(key, now, || Some(Entry::RefusedUntil(until, 1)), |_| ()).is_some()
        };
        assert!((0..64).all(|key| refuse(key, 10_000, 0)));
        assert!(!refuse(64, 20_000, 5_000), "its shard is full");
        assert!(refuse(0, 12_000, 5_000), "who is there stays");
        assert!(refuse(64, 20_000, 10_001) && table.len() == 64);
        assert!(table.ask(63, 9_999, || None, |_| ()).is_some() && table.ask(63, 10_000, || None, |_| ()).is_none());
    }
}
