//! Verified tokens that are remembered.

use super::Identity;
use crate::types::Count;
use quick_cache::{Weighter, sync::Cache};
use std::{fmt, sync::Arc};

/// What one remembered token may take on average, in bytes; `auth.remember` × this bounds the memory of all.
pub const WEIGHT_OF_ONE: u64 = 2_048;

/// By the whole token: a signature costs 30 to 90 µs, a look-up a fraction of one. What is refused is not remembered.
pub(super) struct Memory {
    verified: Arc<Cache<Box<[u8]>, Arc<Identity>, ByMemory>>,
    asked: Arc<Asked>,
}

/// How often a token was looked for. Outlives reloads, also those that end the memory itself.
#[derive(Default)]
struct Asked {
    known: Count,
    unknown: Count,
}

/// What is remembered of tokens, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Tokens that were known already.
    pub hits: u64,
    /// Tokens that had to be verified.
    pub misses: u64,
    /// Tokens that are known now.
    pub entries: usize,
    /// What they weigh, roughly, in bytes.
    pub bytes: u64,
}

#[derive(Clone)]
struct ByMemory;

impl Weighter<Box<[u8]>, Arc<Identity>> for ByMemory {
    fn weight(&self, token: &Box<[u8]>, identity: &Arc<Identity>) -> u64 {
        identity.weight(token.len())
    }
}

impl Memory {
    /// With what `same` knows; counting on where `previous` stands.
    pub(super) fn new(most: usize, same: Option<&Self>, previous: Option<&Self>) -> Self {
        let fresh = || Arc::new(Cache::with_weighter(most, most as u64 * WEIGHT_OF_ONE, ByMemory));
        Self {
            verified: same.map_or_else(fresh, |same| same.verified.clone()),
            asked: previous.map_or_else(Arc::default, |previous| previous.asked.clone()),
        }
    }

    /// By its bytes: what is remembered was a text when it was verified, so it needs no second look at each byte.
    pub(super) fn get(&self, token: &[u8]) -> Option<Arc<Identity>> {
        let identity = self.verified.get(token)?;
        self.asked.known.add();
        Some(identity)
    }

    pub(super) fn missed(&self) {
        self.asked.unknown.add();
    }

    pub(super) fn insert(&self, token: &[u8], identity: Arc<Identity>) {
        self.verified.insert(token.into(), identity);
    }

    /// How well it works.
    pub(super) fn report(&self) -> Remembered {
        Remembered {
            hits: self.asked.known.sum(),
            misses: self.asked.unknown.sum(),
            entries: self.verified.len(),
            bytes: self.verified.weight(),
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} tokens)", self.verified.len())
    }
}
