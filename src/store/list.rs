//! A list that instances share: each entry has an end, anybody adds one, and all hear of it.

use super::{
    line,
    redis::{Store, StoreError},
};
use futures_util::StreamExt;
use redis::{AsyncCommands, RedisError, Script, aio::MultiplexedConnection};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::LazyLock, time::Duration};
use tokio::time::{interval, timeout};

/// How long a read of the whole list, or a subscription, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is asked whether anything was missed, and how long that may take. A connection that nobody answers on is
/// noticed so, and everybody knows of an entry within a second, whatever becomes of the message.
const LOOK: Duration = Duration::from_millis(400);
const LOOK_PATIENCE: Duration = Duration::from_millis(300);

/// Adds an entry with its end, and says so. Keys: the list (a sorted set by end), its version. Arguments: entry, end in
/// milliseconds since 1970, most entries, channel. Both keys end with the last entry. A version is the time of Redis in
/// microseconds: it differs from every one before, also after the keys have ended. -1: the list is full.
static ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local time = redis.call('TIME')
        local micros = time[1] * 1000000 + time[2]
        redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', math.floor(micros / 1000))
        local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
        if not known and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return -1 end
        if not known or tonumber(known) < tonumber(ARGV[2]) then redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) end
        local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
        if not last then return 0 end
        local version = string.format('%.0f', micros)
        redis.call('SET', KEYS[2], version)
        last = string.format('%.0f', math.min(tonumber(last), 253402300799000))
        redis.call('PEXPIREAT', KEYS[1], last)
        redis.call('PEXPIREAT', KEYS[2], last)
        redis.call('PUBLISH', ARGV[4], version .. ' ' .. ARGV[2] .. ' ' .. ARGV[1])
        return 1
        ",
    )
});

/// Which list.
#[derive(Clone, Copy, Debug)]
pub struct SharedList {
    /// A part of its keys: small letters.
    pub name: &'static str,
}

/// An entry.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What it says.
    pub text: String,
    /// Its end, in milliseconds since 1970.
    pub until: u64,
}

/// What a follower hears.
#[derive(Debug)]
pub enum Heard {
    /// Everything that is in the list: first of all, and again when something may have been missed.
    All(Vec<Entry>),
    /// One entry more.
    One(Entry),
}

impl SharedList {
    /// In braces what has to be on one node of a cluster.
    fn key(&self, part: &str) -> String {
        format!("edgeway:{{{}}}:{part}", self.name)
    }
}

impl Store {
    /// Add an entry. `false`: there are `most` already.
    ///
    /// # Errors
    /// Redis gave no usable answer. The entry may be there all the same; adding it again does no harm.
    pub async fn add_entry(&self, list: &SharedList, entry: &Entry, most: usize) -> Result<bool, StoreError> {
        let mut connection = self.connect().await?;
        let mut call = ADD.prepare_invoke();
        call.key(list.key("list")).key(list.key("version"));
        call.arg(&entry.text).arg(entry.until).arg(most).arg(list.key("news"));
        let answer = timeout(PATIENCE, call.invoke_async::<i64>(&mut connection)).await;
        answer.map_err(|_| StoreError::Late)?.map(|answer| answer >= 0).map_err(failed)
    }

    /// Everything in the list.
    ///
    /// # Errors
    /// Redis gave no usable answer.
    pub async fn entries(&self, list: &SharedList) -> Result<Vec<Entry>, StoreError> {
        all(&mut self.connect().await?, list).await
    }

    /// Tell `heard` everything in the list, and from then on what is new, until Redis fails.
    pub async fn follow(&self, list: &SharedList, heard: impl FnMut(Heard)) -> StoreError {
        match self.try_follow(list, heard).await {
            Ok(()) => StoreError::Unreachable,
            Err(error) => error,
        }
    }

    async fn try_follow(&self, list: &SharedList, mut heard: impl FnMut(Heard)) -> Result<(), StoreError> {
        let subscribed = async {
            let mut news = self.client().get_async_pubsub().await?;
            news.subscribe(list.key("news")).await?;
            Ok(news.into_on_message())
        };
        let subscribed = timeout(PATIENCE, subscribed).await.map_err(|_| StoreError::Late)?;
        let mut news = subscribed.map_err(failed)?;
        let mut connection = self.connect().await?;
        // After the subscription: what comes meanwhile is in one of the two, or in both.
        let mut known = version(&mut connection, list).await?;
        heard(Heard::All(all(&mut connection, list).await?));
        let mut looks = interval(LOOK);
        loop {
            tokio::select! {
                message = news.next() => {
                    let message = message.ok_or(StoreError::Unreachable)?;
                    let text: String = message.get_payload().map_err(failed)?;
                    let Some((version, entry)) = read(&text) else { continue };
                    heard(Heard::One(entry));
                    known = Some(version);
                }
                _ = looks.tick() => {
                    let now = version(&mut connection, list).await?;
                    if now != known {
                        heard(Heard::All(all(&mut connection, list).await?));
                        known = now;
                    }
                }
            }
        }
    }

    /// A connection of its own: those of worker threads have deadlines for requests.
    async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        line::establish(self.client()).await.map_err(failed)
    }
}

async fn version(connection: &mut MultiplexedConnection, list: &SharedList) -> Result<Option<String>, StoreError> {
    let asked = timeout(LOOK_PATIENCE, connection.get::<_, Option<String>>(list.key("version")));
    asked.await.map_err(|_| StoreError::Late)?.map_err(failed)
}

async fn all(connection: &mut MultiplexedConnection, list: &SharedList) -> Result<Vec<Entry>, StoreError> {
    let asked = connection.zrange_withscores::<_, Vec<(String, f64)>>(list.key("list"), 0, -1);
    let found = timeout(PATIENCE, asked).await.map_err(|_| StoreError::Late)?.map_err(failed)?;
    Ok(found.into_iter().map(|(text, until)| Entry { text, until: until as u64 }).collect())
}

/// `VERSION END ENTRY`.
fn read(message: &str) -> Option<(String, Entry)> {
    let mut parts = message.splitn(3, ' ');
    let (version, until, text) = (parts.next()?, parts.next()?, parts.next()?);
    Some((version.to_owned(), Entry { text: text.to_owned(), until: until.parse().ok()? }))
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn failed(error: RedisError) -> StoreError {
    log::debug!("redis: {error}");
    if error.is_connection_refusal() || error.is_io_error() { StoreError::Unreachable } else { StoreError::Failed }
}

impl fmt::Display for SharedList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
