//! What may happen a thousand times a second, told in one line a second.

use parking_lot::Mutex;
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{runtime::Handle, time::sleep};

/// Time between two lines of one kind.
const PAUSE: Duration = Duration::from_secs(1);

/// One kind of event. Its line comes a second after the first that it tells about, with how many there were.
pub(super) struct Teller {
    untold: AtomicU64,
    /// Of one of them, so that an operator has a place to begin.
    peer: Mutex<Option<IpAddr>>,
    line: fn(u64, &str),
}

impl Teller {
    /// `line` gets how many there were, and the address of the last.
    pub(super) fn new(line: fn(u64, &str)) -> Arc<Self> {
        Arc::new(Self { untold: AtomicU64::new(0), peer: Mutex::new(None), line })
    }

    pub(super) fn happened(self: &Arc<Self>, peer: Option<IpAddr>) {
        *self.peer.lock() = peer;
        if self.untold.fetch_add(1, Relaxed) > 0 {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return self.tell() };
        let teller = self.clone();
        runtime.spawn(async move {
            sleep(PAUSE).await;
            teller.tell();
        });
    }

    fn tell(&self) {
        let peer = self.peer.lock().map_or_else(|| "unknown".to_owned(), |peer| peer.to_canonical().to_string());
        (self.line)(self.untold.swap(0, Relaxed), &peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TOLD: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());

    #[tokio::test(start_paused = true)]
    async fn many_events_are_one_line_a_second_and_none_is_lost() {
        let teller = Teller::new(|count, peer| TOLD.lock().push((count, peer.to_owned())));
        (0..1000).for_each(|_| teller.happened(Some([192, 0, 2, 1].into())));
        assert!(TOLD.lock().is_empty());
        sleep(PAUSE * 2).await;
        teller.happened(None);
        sleep(PAUSE * 2).await;
        assert_eq!(*TOLD.lock(), [(1000, "192.0.2.1".to_owned()), (1, "unknown".to_owned())]);
    }
}
