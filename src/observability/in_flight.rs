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
struct Cell {
    requests: AtomicI64,
    tunnels: AtomicI64,
    streams: AtomicI64,
}

/// What lives as long as its two ends like, and is a request in flight all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongLived {
    /// A connection that became something else: a WebSocket.
    Tunnel,
    /// An answer without an end of its own: an event stream, gRPC.
    Stream,
}

impl LongLived {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tunnel, Self::Stream];

    /// Its name in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tunnel => "tunnel",
            Self::Stream => "stream",
        }
    }
}

impl Cell {
    fn of(&self, kind: LongLived) -> &AtomicI64 {
        match kind {
            LongLived::Tunnel => &self.tunnels,
            LongLived::Stream => &self.streams,
        }
    }
}

impl InFlight {
    /// A request began.
    pub fn begin(&self) {
        self.cells.get_or_default().requests.fetch_add(1, Relaxed);
    }

    /// A request ended.
    pub fn end(&self) {
        self.cells.get_or_default().requests.fetch_sub(1, Relaxed);
    }

    /// Requests being served now, over all threads.
    pub fn count(&self) -> i64 {
        self.cells.iter().map(|cell| cell.requests.load(Relaxed)).sum()
    }

    /// A request turned out to be one of these.
    pub fn becomes(&self, kind: LongLived) {
        self.cells.get_or_default().of(kind).fetch_add(1, Relaxed);
    }

    /// One of these ended.
    pub fn long_lived_end(&self, kind: LongLived) {
        self.cells.get_or_default().of(kind).fetch_sub(1, Relaxed);
    }

    /// How many of the requests in flight are such: a drain waits for them to its deadline, because they do not end by
    /// themselves.
    pub fn long_lived(&self, kind: LongLived) -> i64 {
        self.cells.iter().map(|cell| cell.of(kind).load(Relaxed)).sum()
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

    #[test]
    fn what_lives_long_is_counted_by_its_kind() {
        let in_flight = InFlight::default();
        in_flight.becomes(LongLived::Tunnel);
        in_flight.becomes(LongLived::Tunnel);
        in_flight.becomes(LongLived::Stream);
        std::thread::scope(|scope| _ = scope.spawn(|| in_flight.long_lived_end(LongLived::Tunnel)).join());
        assert_eq!(LongLived::ALL.map(|kind| in_flight.long_lived(kind)), [1, 1]);
        assert_eq!(in_flight.count(), 0);
    }
}
