//! Tokens that ended before their time.

use super::{Identity, RevocationConfig, RevocationMode};
use crate::store::Entry;
use parking_lot::{Mutex, RwLock};
use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::Notify;

/// Revocations that wait for Redis at most: more than that are made while it is away for a very long time only.
const MOST_WAITING: usize = 10_000;

/// Longest id of a token or user that is kept, in bytes: an id is stored in Redis and in every instance.
pub(super) const LONGEST_ID: usize = 512;

/// What one revocation takes, in bytes, with an id of the usual length, a UUID.
pub const REVOCATION_MEMORY: u64 = 200;

/// No revocation is kept longer than this, in milliseconds since 1970: the end of the year 9999. A later end is no date to
/// Redis, which would then refuse every further entry too.
const LATEST: u64 = 253_402_300_799_000;

/// What is revoked. As long as the process: a reload changes nothing of it.
#[derive(Debug, Default)]
pub struct Revocations {
    lists: RwLock<Lists>,
    /// Counts every addition: who was looked up since then needs no second look.
    version: AtomicU64,
    /// Made here, and not yet known to Redis.
    waiting: Mutex<Vec<Entry>>,
    pub(super) more: Notify,
    /// When Redis and this instance last agreed, in milliseconds since 1970; 0: never.
    pub(super) agreed: AtomicU64,
    most: AtomicUsize,
}

#[derive(Debug, Default)]
struct Lists {
    /// By id, until when they are kept: milliseconds since 1970.
    tokens: HashMap<Box<str>, u64>,
    /// By id of the user: tokens issued up to this second are over; and until when that is kept.
    users: HashMap<Box<str>, (u64, u64)>,
}

/// One revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// One token, by its `jti`, or by its hash where it has none.
    Token {
        /// Which.
        id: Box<str>,
        /// Until when it would have been valid, in milliseconds since 1970.
        until: u64,
    },
    /// All tokens of a user that were issued so far.
    User {
        /// `sub` of the tokens.
        id: Box<str>,
        /// The second, since 1970, up to which they are over.
        before: u64,
        /// Until when the last of them would have been valid, in milliseconds since 1970.
        until: u64,
    },
}

/// Why nothing was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// `auth.revocation.mode: off`.
    #[error("auth.revocation.mode is off: nothing can be revoked")]
    Off,
    /// `auth.revocation.most`.
    #[error("auth.revocation.most revocations are kept already; raise it")]
    Full,
    /// Such an id is none of ours.
    #[error("the id is empty or longer than 512 bytes")]
    Id,
}

/// How many there are, for metrics and operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevocationReport {
    /// Tokens that are revoked one by one.
    pub tokens: usize,
    /// Users whose older tokens are revoked.
    pub users: usize,
    /// Made here and not yet known to Redis.
    pub waiting: usize,
    /// When Redis and this instance last agreed, in milliseconds since 1970; 0: never.
    pub agreed: u64,
}

impl Revocations {
    /// Revoke from now on, here; the others hear of it where `mode` says so.
    ///
    /// # Errors
    /// Nothing can be revoked, or no more.
    pub fn revoke(&self, config: &RevocationConfig, revocation: &Revocation) -> Result<(), RevocationError> {
        if config.mode == RevocationMode::Off {
            return Err(RevocationError::Off);
        }
        if revocation.id().is_empty() || revocation.id().len() > LONGEST_ID {
            return Err(RevocationError::Id);
        }
        self.most.store(config.most, Relaxed);
        let is_new = self.add(revocation).ok_or(RevocationError::Full)?;
        // Told once, however often somebody leaves with the same token.
        if is_new && config.mode == RevocationMode::Shared && !self.tell(revocation.entry()) {
            return Err(RevocationError::Full);
        }
        Ok(())
    }

    /// Whether the token behind `identity` is over. One load, unless something was revoked since its last use.
    pub(super) fn has(&self, identity: &Identity) -> bool {
        let version = self.version.load(Acquire);
        if identity.looked_up.load(Relaxed) == version {
            return false;
        }
        let revoked = self.lists.read().have(identity);
        if !revoked {
            identity.looked_up.store(version, Relaxed);
        }
        revoked
    }

    /// Take over what others have revoked. What is over its time is dropped.
    pub(super) fn merge(&self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            match Revocation::of(&entry) {
                Some(revocation) if self.add(&revocation).is_none() => {
                    // Must not happen silently: what is not kept here still passes here.
                    log::error!("auth.revocation.most is reached: a revocation made elsewhere is not kept; raise it");
                }
                Some(_) => (),
                None => log::warn!("a revocation in Redis is not understood: made by a newer version?"),
            }
        }
    }

    /// The same of everything that Redis has; what it has lost meanwhile, it is told again.
    pub(super) fn merge_all(&self, entries: Vec<Entry>) {
        let lost = {
            let known: HashSet<&str> = entries.iter().map(|entry| entry.text.as_str()).collect();
            self.lists.read().entries(&known, unix_millis())
        };
        self.merge(entries);
        for entry in lost {
            if !self.waiting.lock().contains(&entry) && !self.tell(entry) {
                break;
            }
        }
    }

    /// `false`: too many wait already.
    fn tell(&self, entry: Entry) -> bool {
        let mut waiting = self.waiting.lock();
        let room = waiting.len() < MOST_WAITING;
        if room {
            waiting.push(entry);
            self.more.notify_one();
        }
        room
    }

    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Relaxed);
    }

    /// Whether it says more than was known; `None`: there is no room.
    fn add(&self, revocation: &Revocation) -> Option<bool> {
        let mut lists = self.lists.write();
        if lists.tokens.len() + lists.users.len() >= self.most.load(Relaxed) && !lists.knows(revocation.id()) {
            lists.drop_over(unix_millis());
            if lists.tokens.len() + lists.users.len() >= self.most.load(Relaxed) {
                return None;
            }
        }
        let is_new = lists.add(revocation);
        drop(lists);
        if is_new {
            self.version.fetch_add(1, Release);
        }
        Some(is_new)
    }

    /// Forget what has ended by itself.
    pub(super) fn drop_over(&self) {
        self.lists.write().drop_over(unix_millis());
    }

    /// Those that Redis has to be told of, the oldest first. They stay until [`Revocations::told`].
    pub(super) fn waiting(&self) -> Vec<Entry> {
        self.waiting.lock().clone()
    }

    /// Redis knows the first so many.
    pub(super) fn told(&self, count: usize) {
        let mut waiting = self.waiting.lock();
        let count = count.min(waiting.len());
        waiting.drain(..count);
    }

    /// All that are not over, for a process that takes over from this one.
    pub fn export(&self) -> Vec<Entry> {
        self.lists.read().entries(&HashSet::new(), unix_millis())
    }

    /// Another number with every addition.
    pub fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// What the process before this one knew; `most` as in [`RevocationConfig`].
    pub fn take_over(&self, entries: Vec<Entry>, most: usize) {
        self.most.store(most, Relaxed);
        self.merge(entries);
    }

    /// How many there are.
    pub fn report(&self) -> RevocationReport {
        let lists = self.lists.read();
        RevocationReport {
            tokens: lists.tokens.len(),
            users: lists.users.len(),
            waiting: self.waiting.lock().len(),
            agreed: self.agreed.load(Relaxed),
        }
    }
}

impl Lists {
    /// Whether it says more than was known.
    fn add(&mut self, revocation: &Revocation) -> bool {
        match revocation {
            Revocation::Token { id, until } => {
                let known = self.tokens.entry(id.clone()).or_insert(0);
                let before = std::mem::replace(known, (*known).max((*until).min(LATEST)));
                *known != before
            }
            Revocation::User { id, before, until } => {
                let known = self.users.entry(id.clone()).or_insert((0, 0));
                let more = (known.0.max(*before), known.1.max((*until).min(LATEST)));
                std::mem::replace(known, more) != more
            }
        }
    }

    /// Those that are not over and not among `known`, as they stand in Redis.
    fn entries(&self, known: &HashSet<&str>, now: u64) -> Vec<Entry> {
        let tokens = self.tokens.iter().map(|(id, until)| Revocation::Token { id: id.clone(), until: *until });
        let users = self.users.iter().map(|(id, (before, until))| Revocation::User {
            id: id.clone(),
            before: *before,
            until: *until,
        });
        let all = tokens.chain(users).map(|one| one.entry());
        all.filter(|entry| entry.until > now && !known.contains(entry.text.as_str())).collect()
    }

    fn knows(&self, id: &str) -> bool {
        self.tokens.contains_key(id) || self.users.contains_key(id)
    }

    fn have(&self, identity: &Identity) -> bool {
        let token = identity.token_id().is_some_and(|id| self.tokens.contains_key(id));
        // A token that does not say when it was issued may be as old as any.
        let user = identity.id().and_then(|id| self.users.get(id));
        token || user.is_some_and(|(before, _)| identity.issued.is_none_or(|issued| issued <= *before))
    }

    fn drop_over(&mut self, now: u64) {
        self.tokens.retain(|_, until| *until > now);
        self.users.retain(|_, (_, until)| *until > now);
    }
}

impl Revocation {
    fn id(&self) -> &str {
        match self {
            Self::Token { id, .. } | Self::User { id, .. } => id,
        }
    }

    /// As it stands in Redis: `t:ID`, `u:SECOND:ID`.
    fn entry(&self) -> Entry {
        match self {
            Self::Token { id, until } => Entry { text: format!("t:{id}"), until: (*until).min(LATEST) },
            Self::User { id, before, until } => Entry { text: format!("u:{before}:{id}"), until: (*until).min(LATEST) },
        }
    }

    fn of(entry: &Entry) -> Option<Self> {
        let until = entry.until;
        if let Some(id) = entry.text.strip_prefix("t:") {
            return Some(Self::Token { id: id.into(), until });
        }
        let (before, id) = entry.text.strip_prefix("u:")?.split_once(':')?;
        Some(Self::User { id: id.into(), before: before.parse().ok()?, until })
    }
}

/// Wall clock on purpose: tokens end at a date.
pub(super) fn unix_millis() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
