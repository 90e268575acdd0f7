//! One worker thread's connection to Redis.

use parking_lot::Mutex;
use redis::{AsyncConnectionConfig, Client, RedisResult, aio::MultiplexedConnection};
use std::{
    fmt,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Longest wait for a connection, TCP and greeting together. Longer than a request waits: it goes on in the background.
const CONNECT: Duration = Duration::from_secs(1);

/// No new try before then, where one failed.
const PAUSE: Duration = Duration::from_millis(200);

/// A connection that is made when it is first needed, and again when it broke.
pub(super) struct Line {
    state: Mutex<State>,
    changed: Notify,
}

enum State {
    /// Nobody has one; not before the moment.
    Down(Option<Instant>),
    Connecting,
    Up(MultiplexedConnection),
}

impl Line {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::Down(None)), changed: Notify::new() })
    }

    /// The connection, once there is one. Dropping the future does not stop the connecting. `None`: not now.
    pub(super) async fn connection(self: &Arc<Self>, client: &Client) -> Option<MultiplexedConnection> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.look() {
                Look::Use(connection) => return Some(connection),
                Look::NotNow => return None,
                Look::Connect => {
                    let (line, client) = (self.clone(), client.clone());
                    tokio::spawn(async move { line.connect(&client).await });
                }
                Look::Wait => (),
            }
            changed.await;
        }
    }

    fn look(&self) -> Look {
        let mut state = self.state.lock();
        match &*state {
            State::Up(connection) => Look::Use(connection.clone()),
            State::Connecting => Look::Wait,
            State::Down(Some(until)) if *until > Instant::now() => Look::NotNow,
            State::Down(_) => {
                *state = State::Connecting;
                Look::Connect
            }
        }
    }

    async fn connect(&self, client: &Client) {
        let found = establish(client).await;
        *self.state.lock() = match found {
            Ok(connection) => State::Up(connection),
            Err(error) => {
                log::debug!("redis: {error}");
                State::Down(Some(Instant::now() + PAUSE))
            }
        };
        self.changed.notify_waiters();
    }

    /// The connection is of no use any more: the next call makes a new one.
    pub(super) fn broke(&self) {
        let mut state = self.state.lock();
        if matches!(*state, State::Up(_)) {
            *state = State::Down(None);
        }
    }
}

/// What a look at the state asks for.
enum Look {
    Use(MultiplexedConnection),
    Connect,
    Wait,
    NotNow,
}

/// A new connection, greeted.
pub(super) async fn establish(client: &Client) -> RedisResult<MultiplexedConnection> {
    // Deadlines of calls are the store's.
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(None);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    // The library's own limit is for TCP only.
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(found) => found,
        Err(_) => Err((redis::ErrorKind::Io, "no greeting in time").into()),
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.state.lock() {
            State::Down(_) => "down",
            State::Connecting => "connecting",
            State::Up(_) => "up",
        };
        write!(f, "Line({state})")
    }
}
