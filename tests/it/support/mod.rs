//! What the tests need to drive the real binary: a gateway in a folder of its own, recording services, a client.

mod browser;
pub mod callers;
mod certificates;
pub mod corpus;
mod dns;
mod gateway;
mod http;
pub mod http2;
mod issuer;
pub mod pages;
mod prometheus;
mod recorder;
mod redis;
mod relay;
mod token;
mod upstream;

pub use browser::chromium;
pub use certificates::{Authority, Files, Wanted, replace};
pub use dns::{Dns, Failure};
pub use gateway::{Gateway, Outcome, binary, edgeway};
pub use http::{Client, Response};
pub use issuer::{Key, KeyServer, Publishes, now, set};
pub use prometheus::{Prometheus, promtool};
pub use recorder::{Recorder, Seen};
pub use redis::Redis;
pub use relay::Relay;
pub use token::{SECRET, bearer};
pub use upstream::{Answer, Request, Upstream};

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Longest wait for anything that must happen: wide, because the machines of tests are slow and shared.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Ask again and again until `done`, or for [`PATIENCE`].
pub fn within_patience(mut done: impl FnMut() -> bool) -> bool {
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        if done() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

/// For tests that take the whole machine, and those with a browser, which gets nowhere beside one: each waits for its turn.
pub fn in_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port that nobody listens on, for what must not be there.
pub fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Without padding, as tokens have it.
pub fn base64(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(bytes)
}
