use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread,
    time::Duration,
};

/// Lines that may wait for a slow reader of stderr before they are dropped.
const QUEUE: usize = 4_096;

/// How long the last lines may take.
const LAST: Duration = Duration::from_secs(1);

/// Stderr, written by a thread of its own: workers say things too, and a reader who stops must not stop them.
#[derive(Clone)]
pub(super) struct Stderr(SyncSender<Message>);

enum Message {
    Line(Vec<u8>),
    Flush(Sender<()>),
}

impl Stderr {
    /// Start the thread. Without one, lines go nowhere.
    pub(super) fn start() -> Self {
        let (queue, waiting) = sync_channel(QUEUE);
        _ = thread::Builder::new().name("stderr".into()).spawn(move || write(&waiting));
        Self(queue)
    }

    /// Wait until everything so far is written, but not for ever.
    pub(super) fn end(&self) {
        let (done, wait) = channel();
        if self.0.try_send(Message::Flush(done)).is_ok() {
            _ = wait.recv_timeout(LAST);
        }
    }
}

impl Write for Stderr {
    /// A whole line, as the logger writes it; what does not fit is dropped, because nobody reads it anyway.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        _ = self.0.try_send(Message::Line(line.to_vec()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(waiting: &Receiver<Message>) {
    for message in waiting {
        match message {
            Message::Line(line) => _ = io::stderr().write_all(&line),
            Message::Flush(done) => _ = done.send(()),
        }
    }
}
