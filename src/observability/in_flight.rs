use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use thread_local::ThreadLocal;

/// How many requests are being served. Each thread counts for itself; the sum is taken when somebody asks.
#[derive(Debug, Default)]
pub struct InFlight {
    /// A request may end on another thread than it began on: only the sum means something.
    cells: ThreadLocal<Cell>,
}

/// Alone in its cache line (64 bytes on x86-64 and most of aarch64), so that threads do not disturb each other.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Cell(AtomicI64);

impl InFlight {
    /// A request began.
    pub fn begin(&self) {
        self.cells.get_or_default().0.fetch_add(1, Relaxed);
    }

    /// A request ended.
    pub fn end(&self) {
        self.cells.get_or_default().0.fetch_sub(1, Relaxed);
    }

    /// Requests being served now, over all threads.
    pub fn count(&self) -> i64 {
        self.cells.iter().map(|cell| cell.0.load(Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_on_one_thread_may_end_on_another() {
        let in_flight = InFlight::default();
        in_flight.begin();
        in_flight.begin();
        std::thread::scope(|scope| _ = scope.spawn(|| in_flight.end()).join());
        assert_eq!(in_flight.count(), 1);
    }
}
