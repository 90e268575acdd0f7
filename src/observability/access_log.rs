use super::Line;
use parking_lot::Mutex;
use std::{
    fmt,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use thread_local::ThreadLocal;

/// A buffer this full (bytes) goes to the writer. A wake-up per line costs as much as the request it tells about
/// (measured: 25 to 30 µs).
const FULL: usize = 32 * 1024;
/// No line waits longer than this.
const OLD: Duration = Duration::from_millis(100);
/// Full buffers that may wait for a slow target before lines are dropped: 8 MiB.
const QUEUE: usize = 256;

/// Writes lines without making a request wait: each worker fills a buffer of its own, one thread writes them out.
pub struct AccessLog {
    buffers: Arc<Buffers>,
    queue: SyncSender<Message>,
}

/// A registry and not plain thread-locals: at the end of the process somebody must find the last lines.
#[derive(Default)]
struct Buffers {
    of_threads: ThreadLocal<Mutex<Vec<u8>>>,
    dropped: AtomicU64,
}

enum Message {
    Full(Vec<u8>),
    Flush(Sender<()>),
}

impl AccessLog {
    /// Start the writer.
    ///
    /// # Errors
    /// The machine has no thread left.
    pub fn start(target: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE);
        let buffers = Arc::new(Buffers::default());
        let writer = Writer { buffers: buffers.clone(), waiting, target, spare: Vec::new(), complained: None };
        thread::Builder::new().name("access-log".into()).spawn(move || writer.run())?;
        Ok(Self { buffers, queue })
    }

    /// Append one line.
    pub fn write(&self, line: &Line<'_>) {
        // Only this thread and, every 100 ms, the writer lock it.
        let mut buffer = self.buffers.of_threads.get_or_default().lock();
        if serde_json::to_writer(&mut *buffer, line).is_ok() {
            buffer.push(b'\n');
        }
        if buffer.len() >= FULL {
            let full = std::mem::replace(&mut *buffer, Vec::with_capacity(FULL + 1024));
            drop(buffer);
            self.hand_over(full);
        }
    }

    fn hand_over(&self, full: Vec<u8>) {
        if let Err(TrySendError::Full(Message::Full(lost))) = self.queue.try_send(Message::Full(full)) {
            let lines = lost.iter().filter(|byte| **byte == b'\n').count();
            self.buffers.dropped.fetch_add(lines as u64, Relaxed);
        }
    }

    /// Lines that a slow target cost.
    pub fn dropped(&self) -> u64 {
        self.buffers.dropped.load(Relaxed)
    }

    /// Wait until everything so far is written, but not for ever. Before the process ends.
    pub fn flush(&self, at_most: Duration) {
        let until = Instant::now() + at_most;
        let (done, wait) = channel();
        let mut message = Message::Flush(done);
        // A full queue is no reason to give up at once: the writer may be just behind.
        while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
            if Instant::now() >= until {
                return;
            }
            message = back;
            thread::sleep(Duration::from_millis(1));
        }
        _ = wait.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessLog({} lines dropped)", self.dropped())
    }
}

struct Writer<W> {
    buffers: Arc<Buffers>,
    waiting: Receiver<Message>,
    target: W,
    spare: Vec<u8>,
    complained: Option<Instant>,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        let mut swept = Instant::now();
        let mut told = 0;
        loop {
            let message = self.waiting.recv_timeout(OLD);
            if let Ok(Message::Full(lines)) = &message {
                self.put(lines);
            }
            if swept.elapsed() >= OLD || !matches!(message, Ok(Message::Full(_))) {
                self.sweep();
                self.tell_dropped(&mut told);
                swept = Instant::now();
            }
            match message {
                Ok(Message::Flush(done)) => _ = done.send(()),
                Err(RecvTimeoutError::Disconnected) => return,
                _ => (),
            }
        }
    }

    fn sweep(&mut self) {
        let buffers = self.buffers.clone();
        for buffer in buffers.of_threads.iter() {
            // The spare takes the buffer's place, so that no thread has to grow a new one.
            let mut lines = std::mem::take(&mut self.spare);
            std::mem::swap(&mut lines, &mut *buffer.lock());
            self.put(&lines);
            lines.clear();
            self.spare = lines;
        }
    }

    fn put(&mut self, lines: &[u8]) {
        if !lines.is_empty()
            && let Err(error) = self.target.write_all(lines).and_then(|()| self.target.flush())
        {
            self.complain(&error);
        }
    }
}

impl<W> Writer<W> {
    /// At most once a minute, like everything that may repeat.
    fn tell_dropped(&mut self, told: &mut u64) {
        let dropped = self.buffers.dropped.load(Relaxed);
        if dropped > *told && self.complained.is_none_or(|last| last.elapsed() > Duration::from_secs(60)) {
            log::warn!("access log: {} lines were dropped, because stdout is read too slowly", dropped - *told);
            (*told, self.complained) = (dropped, Some(Instant::now()));
        }
    }

    /// A closed pipe stays closed: once a minute is enough.
    fn complain(&mut self, error: &std::io::Error) {
        if self.complained.is_none_or(|last| last.elapsed() > Duration::from_secs(60)) {
            log::warn!("access log: {error}; lines are lost until it can be written again");
            self.complained = Some(Instant::now());
        }
    }
}

#[cfg(test)]
#[path = "access_log_tests.rs"]
mod tests;
