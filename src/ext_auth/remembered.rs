//! Answers that are used again for the same question.

use super::authoriser::Allowed;
use crate::types::Reply;
use http::{HeaderMap, header};
use quick_cache::{Weighter, sync::Cache};
use std::time::{Duration, Instant};

/// Memory of all answers of one authoriser, in bytes.
pub const MOST_BYTES: u64 = 8 << 20;

/// How many there are about, for the first allocation.
const USUAL: usize = 4_096;

/// What an entry takes beside its texts, in bytes.
const OVERHEAD: u64 = 256;

/// An answer that does not depend on the moment.
#[derive(Clone)]
pub(super) enum Said {
    Yes(Allowed),
    No(Reply),
}

/// What was said, by everything that was asked.
pub(super) struct Remembered {
    answers: Cache<Box<[u8]>, Kept, ByMemory>,
    lasts: Duration,
}

#[derive(Clone)]
struct Kept {
    said: Said,
    until: Instant,
}

#[derive(Clone)]
struct ByMemory;

impl Weighter<Box<[u8]>, Kept> for ByMemory {
    fn weight(&self, key: &Box<[u8]>, kept: &Kept) -> u64 {
        let (headers, body): (&[_], usize) = match &kept.said {
            Said::Yes(headers) => (headers, 0),
            Said::No(reply) => (&reply.headers, reply.body.len()),
        };
        let texts: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum();
        OVERHEAD + (key.len() + texts + body) as u64
    }
}

impl Remembered {
    /// `None`: nothing is to be remembered.
    pub(super) fn build(lasts: Duration) -> Option<Self> {
        let answers = || Cache::with_weighter(USUAL, MOST_BYTES, ByMemory);
        (!lasts.is_zero()).then(|| Self { answers: answers(), lasts })
    }

    pub(super) fn find(&self, key: &[u8], now: Instant) -> Option<Said> {
        self.answers.get(key).filter(|kept| now < kept.until).map(|kept| kept.said)
    }

    pub(super) fn keep(&self, key: Box<[u8]>, said: Said, now: Instant) {
        self.answers.insert(key, Kept { said, until: now + self.lasts });
    }
}

/// Everything that is asked, in one text. No value holds a line end, so that no two questions have the same.
pub(super) fn key(said: &HeaderMap) -> Box<[u8]> {
    let mut key = Vec::with_capacity(256);
    for (name, value) in said {
        key.extend_from_slice(name.as_str().as_bytes());
        key.push(b':');
        key.extend_from_slice(value.as_bytes());
        key.push(b'\n');
    }
    key.into()
}

/// Whether an answer may be used again: a cookie is for one caller, once.
pub(super) fn may_be_kept(status: u16, headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::CACHE_CONTROL);
    let forbidden = lines.iter().any(|line| {
        let words = line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        words.into_iter().any(|word| word.eq_ignore_ascii_case(b"no-store"))
    });
    matches!(status, 200..=299 | 401 | 403) && !headers.contains_key(header::SET_COOKIE) && !forbidden
}
