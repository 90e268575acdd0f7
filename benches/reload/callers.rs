//! Open-loop load for `benches/reload/run.py`: requests are sent at the times of a Poisson process, whatever the answers.
//!
//! `callers ADDRESS RATE SECONDS` writes one line per request: when it was sent in nanoseconds since 1970, and how long
//! after that its whole answer came in microseconds; `failed` in place of that where none came. The last line tells how
//! late one was sent at most: the timer knows whole milliseconds, and a busy machine adds to that.

use std::{
    env, error,
    fmt::Write as _,
    io::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
const REQUEST: &[u8] = b"GET /r5000/x HTTP/1.1\r\nHost: bench.test\r\n\r\n";
/// The end of what the service answers.
const END: &[u8] = b"\r\n\r\nok";

type Failure = Box<dyn error::Error>;

struct Answered {
    sent: Instant,
    /// `None`: it failed.
    after: Option<Duration>,
    connection: Option<TcpStream>,
}

fn main() -> Result<(), Failure> {
    let mut words = env::args().skip(1);
    let mut next = |name: &str| words.next().ok_or(format!("{name} is missing: callers ADDRESS RATE SECONDS"));
    let (address, rate, seconds) = (next("ADDRESS")?, next("RATE")?.parse()?, next("SECONDS")?.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(load(&address, rate, seconds)))
}

async fn load(address: &str, rate: f64, seconds: f64) -> Result<(), Failure> {
    let (send, mut receive) = mpsc::unbounded_channel::<Answered>();
    let (begun, epoch) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH)?);
    let mut random = fastrand::Rng::with_seed(1);
    let (mut due, mut latest, mut under_way) = (begun, Duration::ZERO, 0_u64);
    let (mut free, mut text) = (Vec::new(), String::new());
    let mut take = |answered: Answered, free: &mut Vec<TcpStream>| {
        free.extend(answered.connection);
        let at = (epoch + (answered.sent - begun)).as_nanos();
        match answered.after {
            Some(after) => writeln!(text, "{at} {}", after.as_micros()),
            None => writeln!(text, "{at} failed"),
        }
    };
    loop {
        // The time to the next of a Poisson process.
        due += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / rate);
        if (due - begun).as_secs_f64() > seconds {
            break;
        }
        sleep_until(due).await;
        while let Ok(answered) = receive.try_recv() {
            under_way -= 1;
            take(answered, &mut free)?;
        }
        // Not from when it was due: waiting for the timer is no time of the gateway's.
        let sent = Instant::now();
        latest = latest.max(sent - due);
        let (kept, address, send) = (free.pop(), address.to_owned(), send.clone());
        under_way += 1;
        tokio::task::spawn_local(async move {
            let answer = timeout(PATIENCE, ask(kept, &address)).await;
            let connection = answer.ok().and_then(Result::ok);
            _ = send.send(Answered { sent, after: connection.is_some().then(|| sent.elapsed()), connection });
        });
    }
    while under_way > 0 {
        let Some(answered) = receive.recv().await else { break };
        under_way -= 1;
        take(answered, &mut free)?;
    }
    io::stdout().write_all(text.as_bytes())?;
    println!("late {}", latest.as_micros());
    Ok(())
}

/// One request and its whole answer; the connection, to be used again.
async fn ask(kept: Option<TcpStream>, address: &str) -> io::Result<TcpStream> {
    let mut stream = match kept {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            stream
        }
    };
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::with_capacity(1024);
    while !answer.ends_with(END) {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if answer.starts_with(b"HTTP/1.1 200 ") { Ok(stream) } else { Err(io::ErrorKind::InvalidData.into()) }
}
