use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use thread_local::ThreadLocal;

/// How long requests waited for Redis. Each thread counts for itself; sums are taken when somebody asks.
#[derive(Debug, Default)]
pub struct Waits(ThreadLocal<Cells>);

/// Counts by bucket, then the sum in microseconds.
#[derive(Debug, Default)]
struct Cells {
    buckets: [AtomicU64; Waits::BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Waits {
    /// Upper bounds of the buckets, in milliseconds; the last bucket has none. Dense around the default deadline.
    pub const BOUNDS: [f64; 16] =
        [0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 55.0, 60.0, 75.0, 100.0, 250.0, 1_000.0];

    pub(super) fn record(&self, wait: Duration) {
        let millis = wait.as_secs_f64() * 1_000.0;
        let bucket = Self::BOUNDS.iter().position(|bound| millis <= *bound).unwrap_or(Self::BOUNDS.len());
        let cells = self.0.get_or_default();
        // Only this thread writes them.
        let add = |cell: &AtomicU64, more: u64| cell.store(cell.load(Relaxed) + more, Relaxed);
        if let Some(cell) = cells.buckets.get(bucket) {
            add(cell, 1);
        }
        add(&cells.micros, wait.as_micros() as u64);
    }

    /// Counts by bucket (not cumulated), and the sum of all waits.
    pub fn sums(&self) -> ([u64; Self::BOUNDS.len() + 1], Duration) {
        let mut sums = [0; Self::BOUNDS.len() + 1];
        let mut micros = 0;
        for cells in &self.0 {
            sums.iter_mut().zip(&cells.buckets).for_each(|(sum, cell)| *sum += cell.load(Relaxed));
            micros += cells.micros.load(Relaxed);
        }
        (sums, Duration::from_micros(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_of_all_threads_are_summed() {
        let waits = Waits::default();
        waits.record(Duration::from_micros(300));
        std::thread::scope(|scope| _ = scope.spawn(|| waits.record(Duration::from_secs(9))).join());
        let (sums, sum) = waits.sums();
        assert_eq!((sums[1], sums[16], sums.iter().sum::<u64>()), (1, 1, 2));
        assert_eq!(sum, Duration::from_micros(9_000_300));
    }
}
