use super::{RedisConfig, Waits, line, line::Line};
use crate::types::Breaker;
use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisResult};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use thread_local::ThreadLocal;
use tokio::time::timeout;

pub use redis::Script;

/// Failures in a row after which nobody asks for a while: with a deadline of 50 ms each.
const FAILURES: u32 = 3;

/// How long nobody asks; then one does.
const REST: Duration = Duration::from_millis(500);

/// The Redis that instances share.
pub struct Store {
    client: Client,
    address: String,
    deadline: Duration,
    lines: ThreadLocal<Arc<Line>>,
    breaker: Breaker,
    waits: Waits,
    failures: AtomicU64,
    told: Told,
}

/// What the log says about the breaker.
struct Told {
    is_open: AtomicBool,
    begun: Instant,
    /// The second of the last line, counted from 1.
    second: AtomicU64,
}

impl Told {
    fn may_tell(&self) -> bool {
        let (now, last) = (self.begun.elapsed().as_secs() + 1, self.second.load(Relaxed));
        last != now && self.second.compare_exchange(last, now, Relaxed, Relaxed).is_ok()
    }
}

/// Redis gave no answer that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It failed a moment ago, and is not asked.
    #[error("redis rests after failures")]
    Resting,
    /// No connection.
    #[error("redis cannot be reached")]
    Unreachable,
    /// No answer within the deadline.
    #[error("redis did not answer in time")]
    Late,
    /// An error, or nonsense.
    #[error("redis answered with an error")]
    Failed,
}

impl Store {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The settings make no address.
    pub fn build(config: &RedisConfig) -> Result<Self, String> {
        let mut settings = RedisConnectionInfo::default().set_db(config.db.into());
        if let Some(password) = &config.password {
            settings = settings.set_password(password.expose());
        }
        let address = ConnectionAddr::Tcp(config.host.clone(), config.port.get());
        let info = address.into_connection_info().map(|info| info.set_redis_settings(settings));
        let client = info.and_then(Client::open).map_err(|error| error.to_string())?;
        Ok(Self {
            client,
            address: format!("{}:{}", config.host, config.port),
            deadline: config.deadline.get(),
            lines: ThreadLocal::new(),
            breaker: Breaker::new(FAILURES, REST),
            waits: Waits::default(),
            failures: AtomicU64::new(0),
            told: Told { is_open: AtomicBool::new(false), begun: Instant::now(), second: AtomicU64::new(0) },
        })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Run a script that touches `key`, once. It may have run although no answer came.
    ///
    /// # Errors
    /// No usable answer, within the deadline at the latest.
    pub async fn run(&self, script: &Script, key: &str, arguments: [u64; 2]) -> Result<[i64; 4], StoreError> {
        let begun = Instant::now();
        if !self.breaker.may_ask(begun) {
            return Err(StoreError::Resting);
        }
        let line = self.lines.get_or(Line::new).clone();
        let asked = async {
            let mut connection = line.connection(&self.client).await.ok_or(StoreError::Unreachable)?;
            let mut call = script.key(key);
            arguments.iter().for_each(|argument| _ = call.arg(*argument));
            let answer: RedisResult<Vec<i64>> = call.invoke_async(&mut connection).await;
            let numbers = answer.map_err(|error| {
                log::debug!("redis: {error}");
                StoreError::Failed
            })?;
            <[i64; 4]>::try_from(numbers).map_err(|_| StoreError::Failed)
        };
        let outcome = timeout(self.deadline, asked).await.unwrap_or(Err(StoreError::Late));
        self.waits.record(begun.elapsed());
        self.judge(&line, outcome.as_ref().err().copied());
        outcome
    }

    /// A failure counts, and a success too. What that changes is told, by one line a second where it changes often.
    fn judge(&self, line: &Line, failure: Option<StoreError>) {
        match failure {
            None => self.breaker.succeeded(),
            Some(failure) => {
                self.failures.fetch_add(1, Relaxed);
                // A connection that is only slow may recover; one that broke, or that nobody answers on, does not.
                if failure == StoreError::Failed || self.breaker.is_open() {
                    line.broke();
                }
                self.breaker.failed(Instant::now());
            }
        }
        let open = self.breaker.is_open();
        if self.told.is_open.load(Relaxed) == open || !self.told.may_tell() {
            return;
        }
        self.told.is_open.store(open, Relaxed);
        match failure {
            Some(failure) if open => log::warn!("{}: {failure}; limits use their failure policy", self.address),
            _ if open => log::warn!("{}: redis failed; limits use their failure policy", self.address),
            _ => log::info!("{}: redis answers again", self.address),
        }
    }

    /// Say once, at the start, whether somebody answers. Requests do not wait for this.
    pub async fn greet(&self) {
        match line::establish(&self.client).await {
            Ok(_) => log::info!("{}: redis answers", self.address),
            Err(error) => log::warn!(
                "{}: {}; limits use their failure policy until it answers",
                self.address,
                if error.is_timeout() { "no answer".to_owned() } else { error.to_string() }
            ),
        }
    }

    /// How long calls took.
    pub fn waits(&self) -> &Waits {
        &self.waits
    }

    /// Calls that brought no usable answer, those that were not made apart.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Whether it is asked at the moment.
    pub fn is_resting(&self) -> bool {
        self.breaker.is_open()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.address)
    }
}
