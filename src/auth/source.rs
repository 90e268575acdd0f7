//! A set of keys that somebody else changes: an issuer's address, or a file.

use super::keys::KeySet;
use crate::{
    net::{Ask, Client, NetError, Url},
    types::{Pinned, Swap, jittered},
};
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use parking_lot::Mutex;
use std::{
    fmt, fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Release},
    },
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};

/// Largest set that is read, in bytes.
const LARGEST: usize = 512 * 1024;

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// First pause after a fetch that failed; it doubles up to the time between two fetches.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What `Cache-Control: max-age` may ask for: an issuer that says 0 is not asked all the time.
const SHORTEST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(86_400);

/// Where keys come from, and how often they are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceSettings {
    pub(super) place: KeyPlace,
    pub(super) refresh: Duration,
    pub(super) cooldown: Duration,
    pub(super) timeout: Duration,
}

/// Where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyPlace {
    File(PathBuf),
    /// With the certificates that are trusted in place of the system's.
    Url(Url, Option<Bytes>),
}

/// The keys of one place as they were last, and the work of keeping them so. Outlives reloads that do not change it.
pub struct Source {
    /// The issuer's name in the file, for log and metrics.
    pub(super) name: Box<str>,
    pub(super) settings: SourceSettings,
    client: Option<Client>,
    /// Empty: there was no good set yet.
    keys: Swap<KeySet>,
    /// What they were read from.
    text: Mutex<Bytes>,
    /// Counts every change of any source: what was verified before is verified again.
    version: Arc<AtomicU64>,
    /// Somebody holds a token with a key that is not known.
    wanted: Notify,
    tried: watch::Sender<Tried>,
    counts: Mutex<Counts>,
}

/// The last look.
#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    at: Option<Instant>,
    failed: bool,
}

/// What became of all looks, for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Looks that brought a set, also the same one.
    pub succeeded: u64,
    /// Looks that did not.
    pub failed: u64,
    /// When the last good one was.
    pub last_success: Option<SystemTime>,
}

/// The keys are not as new as they would have to be, because nobody could be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unavailable;

impl Source {
    pub(super) fn build(name: &str, settings: SourceSettings, version: Arc<AtomicU64>) -> Result<Self, String> {
        let client = match &settings.place {
            KeyPlace::File(_) => None,
            KeyPlace::Url(_, ca) => Some(Client::build(ca.as_deref())?),
        };
        Ok(Self {
            name: name.into(),
            settings,
            client,
            keys: Swap::new(KeySet::default()),
            text: Mutex::default(),
            version,
            wanted: Notify::new(),
            tried: watch::Sender::new(Tried::default()),
            counts: Mutex::default(),
        })
    }

    /// The keys as they are now.
    pub(super) fn keys(&self) -> Pinned<KeySet> {
        self.keys.pin()
    }

    /// How many there are, and what became of looking for them.
    pub fn report(&self) -> (usize, Counts) {
        (self.keys().len(), *self.counts.lock())
    }

    /// Its name in the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Wait until somebody has looked for keys once more. `Ok`: the set that is there now is as new as may be.
    pub(super) async fn look_again(&self) -> Result<(), Unavailable> {
        let mut tried = self.tried.subscribe();
        let before = *tried.borrow_and_update();
        if self.may_look(before) {
            self.wanted.notify_one();
            // Whoever looks has a deadline of its own; this one is for the case that nobody does.
            _ = timeout(self.settings.timeout + LOOK, tried.changed()).await;
        }
        let after = *tried.borrow();
        match after.at {
            Some(_) if !after.failed => Ok(()),
            _ => Err(Unavailable),
        }
    }

    /// Not within the cool-down, but where there are no keys at all a little sooner.
    fn may_look(&self, tried: Tried) -> bool {
        let rest =
            if self.keys().len() == 0 { FIRST_PAUSE.min(self.settings.cooldown) } else { self.settings.cooldown };
        tried.at.is_none_or(|at| at.elapsed() >= rest)
    }

    /// Keep the keys as new as they should be, for ever.
    pub(super) async fn keep(self: Arc<Self>) {
        // Fetched just now, at the start or by the reload that brought it.
        let looked = self.tried.borrow().at;
        let mut due = looked.map_or_else(Instant::now, |_| Instant::now() + self.pause(None, 0));
        let mut failures = u32::from(looked.is_some() && self.tried.borrow().failed);
        if failures > 0 {
            due = Instant::now() + self.pause(None, failures);
        }
        loop {
            tokio::select! {
                () = sleep_until(due) => (),
                () = self.wanted.notified() => {
                    let tried = *self.tried.borrow();
                    if !self.may_look(tried) {
                        // Who waits shall see what was found meanwhile.
                        self.tried.send_modify(|_| ());
                        continue;
                    }
                }
            }
            let found = self.look().await;
            failures = if found.is_err() { failures.saturating_add(1) } else { 0 };
            due = Instant::now() + self.pause(found.ok().flatten(), failures);
        }
    }

    /// How long until the next look: what the issuer says, else what the file says; after failures sooner. Up to a tenth
    /// less, so that many instances do not ask in step.
    fn pause(&self, said: Option<Duration>, failures: u32) -> Duration {
        let usual = match self.settings.place {
            KeyPlace::File(_) => return LOOK,
            KeyPlace::Url(..) => said.map_or(self.settings.refresh, |said| said.clamp(SHORTEST, LONGEST)),
        };
        let pause = match failures {
            0 => usual,
            more => FIRST_PAUSE.saturating_mul(1 << more.min(16).saturating_sub(1)).min(usual),
        };
        jittered(pause)
    }

    /// Look once. Tells how long the issuer says that its set is good for.
    pub(super) async fn look(&self) -> Result<Option<Duration>, ()> {
        let found = self.read().await;
        let outcome = found.and_then(|(text, said)| self.take(text).map(|()| said));
        let failed = outcome.is_err();
        {
            let mut counts = self.counts.lock();
            match failed {
                true => counts.failed += 1,
                false => (counts.succeeded, counts.last_success) = (counts.succeeded + 1, Some(SystemTime::now())),
            }
        }
        let was = self.tried.borrow().failed;
        match &outcome {
            Err(reason) if !was => log::warn!("keys of {}: {reason}; {}", self.name, self.what_stays()),
            Ok(_) if was => log::info!("keys of {}: {} is well again", self.name, self.settings.place),
            _ => (),
        }
        self.tried.send_replace(Tried { at: Some(Instant::now()), failed });
        outcome.map_err(|_| ())
    }

    fn what_stays(&self) -> String {
        match self.keys().len() {
            0 => "there are none, and its tokens get 503".to_owned(),
            known => format!("the {known} that are known stay"),
        }
    }

    async fn read(&self) -> Result<(Bytes, Option<Duration>), String> {
        let KeyPlace::Url(url, _) = &self.settings.place else { return self.read_file().await };
        let client = self.client.as_ref().ok_or("no client")?;
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json, application/jwk-set+json"));
        let ask = Ask { method: Method::GET, url, headers, deadline: self.settings.timeout, largest: LARGEST };
        let answer = client.ask(ask).await.map_err(|error: NetError| format!("{url}: {error}"))?;
        if !answer.is_there() {
            return Err(format!("{url}: answered {}", answer.status.as_u16()));
        }
        Ok((answer.body, max_age(&answer.headers)))
    }

    /// Away from the thread that keeps all sources: a file system may take its time.
    async fn read_file(&self) -> Result<(Bytes, Option<Duration>), String> {
        let KeyPlace::File(path) = &self.settings.place else { return Err("no file".to_owned()) };
        let path = path.clone();
        let read = move || {
            let length = fs::metadata(&path).map(|metadata| metadata.len());
            match length {
                Ok(length) if length > LARGEST as u64 => Err(format!("{}: larger than 512 KiB", path.display())),
                _ => fs::read(&path).map_err(|error| format!("{}: {error}", path.display())),
            }
        };
        let text = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())??;
        Ok((text.into(), None))
    }

    /// Use a set that was read, where it is another one.
    fn take(&self, text: Bytes) -> Result<(), String> {
        let mut known = self.text.lock();
        if *known == text {
            return Ok(());
        }
        let keys = KeySet::parse(&text).map_err(|reason| format!("{}: {reason}", self.settings.place))?;
        log::info!("keys of {}: {} from {}", self.name, keys.len(), self.settings.place);
        *known = text;
        // Before the version: who sees the new one must find the new keys.
        self.keys.store(keys);
        self.version.fetch_add(1, Release);
        Ok(())
    }
}

/// RFC 9111 section 5.2.2.1.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let directives = lines.flat_map(|line| line.split(',')).map(str::trim);
    let seconds = |directive: &str| {
        let (name, value) = directive.split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then(|| value.trim().trim_matches('"').parse().ok())?
    };
    directives.into_iter().find_map(seconds).map(Duration::from_secs)
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url, _) => write!(f, "{url}"),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({} from {}, {:?})", self.name, self.settings.place, self.keys())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(place: KeyPlace) -> Source {
        let settings = SourceSettings {
            place,
            refresh: Duration::from_secs(600),
            cooldown: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
        };
        Source::build("i", settings, Arc::default()).unwrap()
    }

    #[test]
    fn the_issuer_says_how_long_its_set_is_good_and_failures_are_tried_again_sooner() {
        let source = source(KeyPlace::Url(Url::parse("https://issuer.example/keys").unwrap(), None));
        for (said, failures, seconds) in [
            (None, 0, 600.0),
            (Some(3_600), 0, 3_600.0),
            (Some(0), 0, 30.0),
            (Some(u64::MAX), 0, 86_400.0),
            (None, 1, 1.0),
            (None, 4, 8.0),
            (None, 11, 600.0),
            (None, u32::MAX, 600.0),
        ] {
            let pause = source.pause(said.map(Duration::from_secs), failures).as_secs_f64();
            assert!(pause <= seconds && pause >= 0.9 * seconds, "{said:?} {failures}: {pause}");
        }
    }

    #[test]
    fn max_age_is_found_among_other_directives() {
        for (line, seconds) in [
            ("max-age=300", Some(300)),
            ("public, Max-Age=\"60\", must-revalidate", Some(60)),
            ("no-store", None),
            ("s-maxage=7", None),
            ("max-age=soon", None),
        ] {
            let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, line.parse().unwrap())]);
            assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{line}");
        }
    }
}
