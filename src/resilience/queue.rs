//! Who waits for a place, and who is next.

use crate::types::Moment;
use std::{collections::VecDeque, time::Duration};

/// `queue:` of a concurrency limit, compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// How many may wait. 0: nobody.
    pub length: usize,
    /// Longest wait of each of them.
    pub wait: Duration,
}

/// Waiters in the order they came. Calm, the oldest is next; under overload the newest, for whoever has waited longest
/// has most likely given up, and a queue that serves only those serves nobody.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// By ticket, ascending. The first and the last of them are always still there.
    entries: VecDeque<Entry<T>>,
    last_ticket: u64,
    /// Entries in the middle whose item was removed.
    gone: usize,
}

/// Names one waiter for as long as the queue lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// One more waits now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pushed<T> {
    pub(super) ticket: Ticket,
    /// The oldest, where there was no room for both.
    pub(super) thrown_out: Option<T>,
}

#[derive(Debug)]
struct Entry<T> {
    ticket: Ticket,
    came: Moment,
    /// `None`: it was removed. Moving all entries behind it for each caller who hangs up would be work for an attacker
    /// to give.
    item: Option<T>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), last_ticket: 0, gone: 0 }
    }
}

impl<T> Queue<T> {
    /// Let `item` wait behind all others. Over `length` the oldest is thrown out.
    ///
    /// A queue that was made shorter throws out one for each that comes, and nobody at once.
    ///
    /// # Errors
    /// The item, where nobody may wait.
    pub(super) fn push(&mut self, item: T, length: usize, now: Moment) -> Result<Pushed<T>, T> {
        if length == 0 {
            return Err(item);
        }
        let thrown_out = if self.len() >= length { self.pop_oldest() } else { None };
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.entries.push_back(Entry { ticket, came: now, item: Some(item) });
        Ok(Pushed { ticket, thrown_out })
    }

    /// Whose turn it is.
    pub(super) fn pop(&mut self, settings: QueueSettings, now: Moment) -> Option<T> {
        if self.is_overloaded(settings, now) { self.pop_newest() } else { self.pop_oldest() }
    }

    /// Whoever holds this ticket waits no longer; `None`: it does not wait any more.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let at = self.entries.binary_search_by_key(&ticket, |entry| entry.ticket).ok()?;
        let item = self.entries.get_mut(at)?.item.take()?;
        self.gone += 1;
        self.tidy();
        Some(item)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.gone
    }

    /// How long the oldest has been waiting; `None`: nobody waits.
    pub(super) fn oldest(&self, now: Moment) -> Option<Duration> {
        self.entries.front().map(|entry| now.since(entry.came))
    }

    /// More than half of the room, or of the time, is used up.
    fn is_overloaded(&self, settings: QueueSettings, now: Moment) -> bool {
        self.len() > settings.length / 2 || self.oldest(now).is_some_and(|waited| waited > settings.wait / 2)
    }

    fn pop_oldest(&mut self) -> Option<T> {
        let item = self.entries.pop_front()?.item;
        self.tidy();
        item
    }

    fn pop_newest(&mut self) -> Option<T> {
        let item = self.entries.pop_back()?.item;
        self.tidy();
        item
    }

    /// Drop what was removed: at both ends at once, in the middle when it is more than half.
    fn tidy(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.item.is_none()) {
            self.entries.pop_front();
            self.gone -= 1;
        }
        while self.entries.back().is_some_and(|entry| entry.item.is_none()) {
            self.entries.pop_back();
            self.gone -= 1;
        }
        if self.gone > self.entries.len() / 2 {
            self.entries.retain(|entry| entry.item.is_some());
            self.gone = 0;
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
