//! A balancer that keeps connections up to its own idle time, and uses them again just then: with the gateway's idle time above
//! it, no request meets a connection that is being closed. Scaled down from 60 s and 75 s to 1 s and 2 s.

use super::support::Gateway;
use bytes::Bytes;
use http::Request;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
    task::JoinSet,
    time::sleep,
};

/// The balancer's idle time.
const IDLE: Duration = Duration::from_secs(1);

/// So much before and behind it requests are fired.
const EPSILON: Duration = Duration::from_millis(20);

/// A balancer lets go of a connection that it finds to be older than it wanted, on a machine that is busy.
const TOO_LATE: Duration = Duration::from_millis(1_900);

/// Whoever has not fired enough by then never will.
const LONGEST: Duration = Duration::from_secs(120);

/// What became of requests on connections that had been idle for about [`IDLE`].
#[derive(Default)]
struct Fired {
    answered: AtomicUsize,
    /// Reset, or closed before the answer: a balancer makes 502 of it.
    lost: AtomicUsize,
}

/// One connection at a time of a balancer's pool.
trait Pooled: Sized + Send + 'static {
    fn connect(address: SocketAddr) -> impl Future<Output = Self> + Send;
    /// Whether a request is answered.
    fn ask(&mut self) -> impl Future<Output = bool> + Send;
}

struct Http1(TcpStream);

impl Pooled for Http1 {
    async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn ask(&mut self) -> bool {
        if self.0.write_all(b"GET /r HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await.is_err() {
            return false;
        }
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nhi") {
            match self.0.read_buf(&mut answer).await {
                Ok(1..) => {}
                _ => return false,
            }
        }
        true
    }
}

struct Http2(h2::client::SendRequest<Bytes>);

impl Pooled for Http2 {
    async fn connect(address: SocketAddr) -> Self {
        let (sender, connection) = h2::client::handshake(TcpStream::connect(address).await.unwrap()).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn ask(&mut self) -> bool {
        let Ok(mut sender) = self.0.clone().ready().await else { return false };
        let request = Request::get("http://gateway.test/r").body(()).unwrap();
        let Ok((answer, _)) = sender.send_request(request, true) else { return false };
        let Ok(answer) = answer.await else { return false };
        let mut body = answer.into_body();
        while let Some(piece) = body.data().await {
            match piece {
                Ok(piece) => _ = body.flow_control().release_capacity(piece.len()),
                Err(_) => return false,
            }
        }
        true
    }
}

impl Fired {
    fn count(&self) -> usize {
        self.answered.load(Relaxed) + self.lost.load(Relaxed)
    }
}

/// A pool of `connections`, used `wanted` times in all; how many requests were answered and lost.
fn fire<P: Pooled>(address: SocketAddr, connections: u32, wanted: usize) -> (usize, usize) {
    let fired = Arc::new(Fired::default());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut pool = JoinSet::new();
        for nth in 0..connections {
            pool.spawn(one::<P>(address, nth, wanted, fired.clone()));
        }
        pool.join_all().await;
    });
    (fired.answered.load(Relaxed), fired.lost.load(Relaxed))
}

async fn one<P: Pooled>(address: SocketAddr, nth: u32, wanted: usize, fired: Arc<Fired>) {
    let since = Instant::now();
    // Not all in one moment.
    sleep(IDLE * (nth % 100) / 100).await;
    let mut connection = P::connect(address).await;
    // Before the answer: the gateway has written it earlier than it is read here.
    let mut asked = Instant::now();
    assert!(connection.ask().await, "a new connection is answered");
    for round in 0.. {
        if fired.count() >= wanted || since.elapsed() > LONGEST {
            return;
        }
        sleep(IDLE - EPSILON + EPSILON * ((nth + round) % 3)).await;
        let in_time = asked.elapsed() < TOO_LATE;
        asked = Instant::now();
        let answered = in_time && connection.ask().await;
        if in_time {
            let count = if answered { &fired.answered } else { &fired.lost };
            count.fetch_add(1, Relaxed);
        }
        if !answered {
            connection = P::connect(address).await;
            asked = Instant::now();
            assert!(connection.ask().await, "a new connection is answered");
        }
    }
}

fn gateway(keepalive: &str) -> Gateway {
    Gateway::start(&format!(
        "listeners: [{{ address: \"127.0.0.1:0\", keepalive_timeout: {keepalive} }}]\n\
         routes: [{{ id: r, match: {{ path: /r }}, respond: {{ body: hi }}, auth: public }}]\n"
    ))
}

#[test]
fn no_request_of_10000_meets_a_connection_that_is_being_closed() {
    let (answered, lost) = fire::<Http1>(gateway("2s").address, 240, 10_000);
    println!("{answered} answered, {lost} lost");
    assert_eq!(lost, 0);
    assert!(answered >= 10_000, "the machine is too slow for this: {answered}");
}

#[test]
fn with_the_balancers_own_idle_time_some_do() {
    let (answered, lost) = fire::<Http1>(gateway("1s").address, 200, 800);
    assert!(lost > 0, "of {answered} none: the test above could not fail");
}

#[test]
fn the_same_is_true_of_http2() {
    let (answered, lost) = fire::<Http2>(gateway("2s").address, 200, 1_200);
    assert_eq!(lost, 0);
    assert!(answered >= 1_200, "the machine is too slow for this: {answered}");
    let (answered, lost) = fire::<Http2>(gateway("1s").address, 100, 400);
    assert!(lost > 0, "of {answered} none: this test could not fail");
}
