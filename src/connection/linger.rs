//! The end of a connection whose caller is still sending (RFC 9112 section 9.6).
//!
//! A system that is sent bytes after a socket was closed, or that still holds some when it is, answers with RST, and a
//! caller who is just uploading learns of that before the answer. So the gateway ends its own side only, reads on and throws
//! away, until the caller has noticed or has had enough of everything.

use super::life::Life;
use pingora::protocols::Stream;
use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, ReadBuf},
    runtime::Handle,
    time::timeout,
};

/// Longest time in all; as long as nginx (`lingering_time`).
const LONGEST: Duration = Duration::from_secs(30);

/// Longest silence of the caller; as long as nginx (`lingering_timeout`). Also how long our last bytes may take.
const SILENCE: Duration = Duration::from_secs(5);

/// Most bytes that are thrown away. Many clients look for an answer only when they have sent everything, so this is more
/// than uploads usually are and not only what fits into the buffers of the system (some MiB).
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Most connections of a listener that linger at a time; what is over it is closed at once. They hold no memory of ours but
/// the connection's own, and their places in `max_connections`.
const MOST_LINGERING: u32 = 1_000;

/// Bytes of one read.
const PIECE: usize = 16 * 1024;

/// Let the caller notice that this is the end, in the background.
pub(super) fn linger(stream: Stream, life: Arc<Life>) {
    let Ok(runtime) = Handle::try_current() else { return };
    let Some(turn) = Turn::take(life) else { return };
    runtime.spawn(async move {
        _ = timeout(LONGEST, farewell(stream)).await;
        drop(turn);
    });
}

async fn farewell(mut stream: Stream) {
    // TLS says so too (close_notify).
    if timeout(SILENCE, stream.shutdown()).await.is_err() {
        return;
    }
    let mut thrown_away = 0;
    while thrown_away < MOST_BYTES {
        match timeout(SILENCE, poll_fn(|cx| poll_throw_away(&mut stream, cx))).await {
            Ok(Ok(count @ 1..)) => thrown_away += count,
            _ => return,
        }
    }
}

/// Ready with how many bytes there were; 0 at the end.
fn poll_throw_away(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    // On the stack: whoever waits holds no buffer.
    let mut room = [MaybeUninit::uninit(); PIECE];
    let mut bytes = ReadBuf::uninit(&mut room);
    ready!(Pin::new(stream).poll_read(cx, &mut bytes))?;
    Poll::Ready(Ok(bytes.filled().len()))
}

/// One of [`MOST_LINGERING`], and the place of the connection.
struct Turn(Arc<Life>);

impl Turn {
    fn take(life: Arc<Life>) -> Option<Self> {
        let more = |count: u32| (count < MOST_LINGERING).then_some(count + 1);
        life.place.lingering().fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Self(life))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.place.lingering().fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{ConnectionLimits, Door, ProcessPlaces};

    #[test]
    fn no_more_than_so_many_linger() {
        let limits = ConnectionLimits { in_all: 2_000, per_address: None, largest_head: 1_000, idle: SILENCE };
        let door = Door::new(Arc::default(), ProcessPlaces::new(u32::MAX), move |_| limits);
        let life = || Life::new(door.enter(None).unwrap(), Arc::default());
        let mut turns: Vec<Turn> = (0..MOST_LINGERING).map(|_| Turn::take(life()).unwrap()).collect();
        assert!(Turn::take(life()).is_none());
        turns.pop();
        assert!(Turn::take(life()).is_some());
    }
}
