use super::{
    Line,
    log_writer::{Drops, Message, Teller, Writer},
};
use parking_lot::Mutex;
use std::{
    fmt,
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError, channel, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use thread_local::ThreadLocal;

/// A buffer this full (bytes) goes to the writer. A wake-up per line costs as much as the request it tells about
/// (measured: 25 to 30 µs).
const FULL: usize = 32 * 1024;
/// Room behind that for the line that fills it.
const SLACK: usize = 1024;
/// Full buffers that may wait for a slow target before lines are dropped: 8 MiB.
const QUEUE: usize = 256;
/// What a pipe takes whole or not at all (`PIPE_BUF` of Linux): lines of two processes, as in a handoff, do not mix,
/// and whoever dies in a write leaves no half line.
const PIPE: usize = 4096;

/// Writes lines without making a request wait: each worker fills a buffer of its own, one thread writes them out.
pub struct AccessLog {
    buffers: Arc<Buffers>,
    drops: Arc<Drops>,
    queue: SyncSender<Message>,
}

/// A registry and not plain thread-locals: at the end of the process somebody must find the last lines.
#[derive(Default)]
pub(super) struct Buffers(pub(super) ThreadLocal<Mutex<Vec<u8>>>);

impl AccessLog {
    /// Write to `target`, in pieces that a pipe takes whole.
    ///
    /// # Errors
    /// The machine has no thread left.
    pub fn start(target: impl Write + Send + 'static) -> io::Result<Self> {
        Self::start_in_pieces(target, PIPE)
    }

    /// Write to stdout. Not through `io::stdout`, which has a lock and a buffer of its own.
    ///
    /// # Errors
    /// The machine has no thread or file descriptor left.
    pub fn to_stdout() -> io::Result<Self> {
        let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from)?;
        // Nobody waits at the other end of a file: it takes a buffer in one call.
        let at_once = if stdout.metadata()?.is_file() { FULL } else { PIPE };
        Self::start_in_pieces(stdout, at_once)
    }

    fn start_in_pieces(target: impl Write + Send + 'static, at_once: usize) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE);
        let (buffers, (drops, asked)) = (Arc::new(Buffers::default()), Drops::new());
        let writer = Writer::new(target, at_once, waiting, buffers.clone(), drops.clone());
        let teller = Teller { drops: drops.clone(), asked };
        thread::Builder::new().name("access-log".into()).spawn(move || writer.run())?;
        thread::Builder::new().name("access-log-drops".into()).spawn(move || teller.run())?;
        Ok(Self { buffers, drops, queue })
    }

    /// Bytes of all its buffers, where nothing is read from it: those of so many workers, and those that wait.
    pub fn memory(workers: usize) -> usize {
        (QUEUE + workers) * (FULL + SLACK)
    }

    /// Append one line.
    pub fn write(&self, line: &Line<'_>) {
        // Only this thread and, every 100 ms, the writer lock it.
        let mut buffer = self.buffers.0.get_or_default().lock();
        let before = buffer.len();
        if serde_json::to_writer(&mut *buffer, line).is_ok() {
            buffer.push(b'\n');
        } else {
            buffer.truncate(before);
        }
        if buffer.len() >= FULL {
            let full = std::mem::replace(&mut *buffer, Vec::with_capacity(FULL + SLACK));
            drop(buffer);
            self.hand_over(full);
        }
    }

    fn hand_over(&self, full: Vec<u8>) {
        if let Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) =
            self.queue.try_send(Message::Full(full))
            && let Message::Full(lines) = lost
        {
            self.drops.add(&lines);
        }
    }

    /// Lines that are in no log: the target was too slow, or would not have them.
    pub fn dropped(&self) -> u64 {
        self.drops.count()
    }

    /// Wait until everything so far is written, but not for ever.
    pub fn flush(&self, at_most: Duration) -> Flushed {
        let until = Instant::now() + at_most;
        let (done, wait) = channel();
        let mut message = Message::Flush(done);
        // A full queue is no reason to give up at once: the writer may be just behind.
        while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
            if Instant::now() >= until {
                return Flushed::No;
            }
            message = back;
            thread::sleep(Duration::from_millis(1));
        }
        let told = wait.recv_timeout(until.saturating_duration_since(Instant::now()));
        if told.is_ok() { Flushed::Yes } else { Flushed::No }
    }

    /// As [`AccessLog::flush`], and say what was lost: before the process ends.
    pub fn end(&self, at_most: Duration) {
        let flushed = self.flush(at_most);
        self.drops.tell();
        if flushed == Flushed::No {
            log::warn!("access log: its last lines could not be written within {at_most:?}");
        }
    }
}

/// Whether all lines were handed to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Those that it would not have are counted as dropped.
    Yes,
    /// It took nothing for as long as one could wait.
    No,
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessLog({} lines dropped)", self.dropped())
    }
}

#[cfg(test)]
#[path = "access_log_tests.rs"]
mod tests;
