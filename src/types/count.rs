//! Counters that all threads write and nobody waits for.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use thread_local::ThreadLocal;

/// A number that only grows. Each thread counts for itself; the sum is taken when somebody asks.
#[derive(Default)]
pub struct Count(ThreadLocal<Cell>);

/// Alone in its cache line (64 bytes on x86-64 and most of aarch64), so that threads do not disturb each other.
#[derive(Default)]
#[repr(align(64))]
struct Cell(AtomicU64);

impl Count {
    /// It happened once more.
    pub fn add(&self) {
        self.0.get_or_default().0.fetch_add(1, Relaxed);
    }

    /// How often, over all threads.
    pub fn sum(&self) -> u64 {
        self.0.iter().map(|cell| cell.0.load(Relaxed)).sum()
    }
}

/// Several such numbers, told apart by words of a closed set. Those nobody counted yet are zero, not absent.
pub struct Tally {
    words: Box<[&'static str]>,
    cells: ThreadLocal<Box<[AtomicU64]>>,
}

impl Tally {
    /// Counts these words and no others.
    pub fn new(words: impl IntoIterator<Item = &'static str>) -> Self {
        Self { words: words.into_iter().collect(), cells: ThreadLocal::new() }
    }

    /// It happened once more. A word that is not in the set is not counted.
    pub fn add(&self, word: &str) {
        let cells = self.cells.get_or(|| self.words.iter().map(|_| AtomicU64::new(0)).collect());
        if let Some(cell) = self.words.iter().position(|known| *known == word).and_then(|at| cells.get(at)) {
            cell.fetch_add(1, Relaxed);
        }
    }

    /// Each word with how often, over all threads.
    pub fn sums(&self) -> Vec<(&'static str, u64)> {
        let of = |at: usize| self.cells.iter().filter_map(|cells| cells.get(at)).map(|cell| cell.load(Relaxed)).sum();
        self.words.iter().enumerate().map(|(at, word)| (*word, of(at))).collect()
    }
}

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Count({})", self.sum())
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.sums()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_threads_count_is_one_sum() {
        let (count, tally) = (Count::default(), Tally::new(["a", "b"]));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..1000).for_each(|_| count.add());
                    (0..10).for_each(|_| tally.add("b"));
                    tally.add("c");
                });
            }
        });
        assert_eq!(count.sum(), 4000);
        assert_eq!(tally.sums(), [("a", 0), ("b", 40)]);
    }
}
