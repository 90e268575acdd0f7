//! The thread that writes the access log out, and the one that says what was lost.

use super::access_log::Buffers;
use parking_lot::Mutex;
use std::{
    io::{self, ErrorKind, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// No line waits longer than this.
const OLD: Duration = Duration::from_millis(100);
/// How soon a target that cannot take anything just now is asked again.
const AGAIN: Duration = Duration::from_millis(5);
/// Time between two lines about drops: a closed pipe stays closed.
const PAUSE: Duration = Duration::from_secs(60);

/// What the writer is asked to do.
pub(super) enum Message {
    /// Write these whole lines.
    Full(Vec<u8>),
    /// Write everything there is, then say so.
    Flush(Sender<()>),
}

/// Lines that were lost.
pub(super) struct Drops {
    lines: AtomicU64,
    told: AtomicU64,
    /// Why the target would not have them. `None`: it is too slow.
    error: Mutex<Option<io::Error>>,
    /// One word is enough, and nobody waits to say it.
    teller: SyncSender<()>,
}

impl Drops {
    pub(super) fn new() -> (Arc<Self>, Receiver<()>) {
        let (teller, asked) = sync_channel(1);
        let (lines, told) = (AtomicU64::new(0), AtomicU64::new(0));
        (Arc::new(Self { lines, told, error: Mutex::new(None), teller }), asked)
    }

    pub(super) fn add(&self, lost: &[u8]) {
        let lines = lost.iter().filter(|byte| **byte == b'\n').count();
        self.lines.fetch_add(lines as u64, Relaxed);
        _ = self.teller.try_send(());
    }

    pub(super) fn count(&self) -> u64 {
        self.lines.load(Relaxed)
    }

    /// Say what was not said yet.
    pub(super) fn tell(&self) {
        let dropped = self.count();
        let news = dropped.saturating_sub(self.told.swap(dropped, Relaxed));
        match &*self.error.lock() {
            _ if news == 0 => (),
            Some(error) => log::warn!("access log: {error}; {news} lines were dropped"),
            None => log::warn!("access log: {news} lines were dropped, because stdout is read too slowly"),
        }
    }
}

/// Says what was lost, at most once a minute. In a thread of its own: the writer may be stuck in a write, and a request
/// must not wait for stderr.
pub(super) struct Teller {
    pub(super) drops: Arc<Drops>,
    pub(super) asked: Receiver<()>,
}

impl Teller {
    pub(super) fn run(self) {
        while self.asked.recv().is_ok() {
            self.drops.tell();
            thread::sleep(PAUSE);
        }
    }
}

/// Writes lines out; whole ones, in order, and none after a half one.
pub(super) struct Writer<W> {
    target: W,
    /// Most bytes of one write.
    at_once: usize,
    waiting: Receiver<Message>,
    buffers: Arc<Buffers>,
    drops: Arc<Drops>,
    spare: Vec<u8>,
    /// The rest of a line whose beginning the target has: goes first, or the next line would follow in the middle.
    torn: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(
        target: W,
        at_once: usize,
        waiting: Receiver<Message>,
        buffers: Arc<Buffers>,
        drops: Arc<Drops>,
    ) -> Self {
        Self { target, at_once, waiting, buffers, drops, spare: Vec::new(), torn: Vec::new() }
    }

    pub(super) fn run(mut self) {
        let mut swept = Instant::now();
        loop {
            let message = self.waiting.recv_timeout(OLD);
            if let Ok(Message::Full(lines)) = &message {
                self.put(lines);
            }
            if swept.elapsed() >= OLD || !matches!(message, Ok(Message::Full(_))) {
                self.sweep();
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
        for buffer in buffers.0.iter() {
            // The spare takes the buffer's place, so that no thread has to grow a new one.
            let mut lines = std::mem::take(&mut self.spare);
            std::mem::swap(&mut lines, &mut *buffer.lock());
            self.put(&lines);
            lines.clear();
            self.spare = lines;
        }
    }

    /// Write whole lines, or count those that are lost.
    fn put(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        if let Err(Failed { error, lost }) = self.mend(lines).and_then(|()| self.put_pieces(lines)) {
            *self.drops.error.lock() = Some(error);
            self.drops.add(lost);
        } else {
            *self.drops.error.lock() = None;
        }
    }

    /// Finish the line that an earlier failure tore.
    fn mend<'l>(&mut self, lines: &'l [u8]) -> Result<(), Failed<'l>> {
        let (written, outcome) = write(&mut self.target, &self.torn);
        self.torn.drain(..written);
        outcome.map_err(|error| Failed { error, lost: lines })
    }

    fn put_pieces<'l>(&mut self, lines: &'l [u8]) -> Result<(), Failed<'l>> {
        let mut rest = lines;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(whole_lines(rest, self.at_once));
            let (written, outcome) = write(&mut self.target, piece);
            if let Err(error) = outcome {
                let (done, undone) = rest.split_at(written);
                let torn = if done.is_empty() || done.ends_with(b"\n") { 0 } else { line_end(undone) };
                let (torn, lost) = undone.split_at(torn);
                self.torn.extend_from_slice(torn);
                return Err(Failed { error, lost });
            }
            rest = after;
        }
        self.target.flush().map_err(|error| Failed { error, lost: &[] })
    }
}

/// The target would not have something.
struct Failed<'l> {
    error: io::Error,
    /// Whole lines that it has nothing of.
    lost: &'l [u8],
}

/// Length of the first line, its end included.
fn line_end(text: &[u8]) -> usize {
    text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1)
}

/// Length of as many whole lines as fit into `at_most` bytes; at least one.
fn whole_lines(text: &[u8], at_most: usize) -> usize {
    let first = text.get(..at_most).unwrap_or(text);
    first.iter().rposition(|byte| *byte == b'\n').map_or_else(|| line_end(text), |at| at + 1)
}

/// As `write_all`, but says how much was written before it failed, and waits for a target that does not want to be
/// waited for: stdout may share its settings with a program that made it non-blocking.
fn write(target: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match target.write(rest) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
