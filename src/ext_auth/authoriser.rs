use super::{
    ExtAuthConfig, OnFailure, Question,
    names::{self, Chosen, is_same},
    remembered::{self, Remembered, Said, may_be_kept},
};
use crate::{
    net::{Answer, Ask, Client, NetError, Trust, Url},
    types::{Breaker, Mode, Reply, Tally},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use std::{
    collections::BTreeMap,
    fmt, fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use thread_local::ThreadLocal;

/// Longest answer, in bytes; a longer one is a failure. Pages that ask for a login are smaller.
const LARGEST: usize = 64 << 10;

/// What callers may be told beside status and body. Nothing that belongs to a connection or says where a body ends.
const FOR_CALLERS: [HeaderName; 8] = [
    header::LOCATION,
    header::WWW_AUTHENTICATE,
    header::SET_COOKIE,
    header::CONTENT_TYPE,
    header::CONTENT_LANGUAGE,
    header::CACHE_CONTROL,
    header::RETRY_AFTER,
    header::VARY,
];

/// Headers that the service is told about a request that may pass.
pub type Allowed = Arc<[(HeaderName, HeaderValue)]>;

/// Everybody who can be asked, by name.
#[derive(Default)]
pub struct Authorisers(BTreeMap<String, Arc<Authoriser>>);

/// Somebody who says whether requests may pass. Lives on when a reload changes nothing about it.
pub struct Authoriser {
    config: ExtAuthConfig,
    /// Certificates as they were when it was built: their file may change and the section not.
    ca: Option<Vec<u8>>,
    url: Url,
    sends: Box<[HeaderName]>,
    sets: Box<[HeaderName]>,
    /// One for each thread, so that a connection stays on the thread that made it.
    clients: ThreadLocal<Client>,
    breaker: Breaker,
    remembered: Option<Remembered>,
    counts: Arc<Counts>,
}

/// How questions ended, and how long requests waited. Lives on in every reload that keeps the name.
#[derive(Debug)]
pub struct Counts {
    outcomes: Tally,
    waited_micros: AtomicU64,
}

/// Why a request may not pass.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// The authoriser says so, in its own words.
    #[error("the request is not allowed")]
    Denied(Box<Reply>),
    /// Nobody says anything.
    #[error("nobody can say whether the request is allowed")]
    Unavailable(Unavailable),
}

/// Why there is no answer. For the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// There was none.
    Net(NetError),
    /// A status of 500 and above.
    Failed,
    /// It failed a moment ago, and is not asked.
    Resting,
}

impl Unavailable {
    /// As it stands in the log line.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Net(NetError::Unreachable) => "ext_auth: no connection",
            Self::Net(NetError::Late) => "ext_auth: no answer in time",
            Self::Net(NetError::TooLarge) => "ext_auth: the answer is too large",
            Self::Net(NetError::Broken) => "ext_auth: the answer broke off or is no HTTP",
            Self::Failed => "ext_auth: it failed itself, with a status of 500 and above",
            Self::Resting => "ext_auth: it failed a moment ago and is not asked",
        }
    }
}

impl Default for Counts {
    fn default() -> Self {
        let outcomes = Tally::new(["allowed", "denied", "failed", "resting", "remembered"]);
        Self { outcomes, waited_micros: AtomicU64::new(0) }
    }
}

impl Counts {
    /// How questions ended, word by word.
    pub fn outcomes(&self) -> Vec<(&'static str, u64)> {
        self.outcomes.sums()
    }

    /// How long all requests waited, in vain too.
    pub fn waited(&self) -> Duration {
        Duration::from_micros(self.waited_micros.load(Relaxed))
    }
}

impl Authorisers {
    /// Prepare everybody. `previous` lends those about whom nothing changed, with what they know.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place below the section.
    pub fn build(
        config: &BTreeMap<String, ExtAuthConfig>,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<(String, String)>> {
        let (mut built, mut errors) = (BTreeMap::new(), Vec::new());
        for (name, config) in config {
            match Authoriser::build(config, previous.and_then(|previous| previous.0.get(name))) {
                Ok(authoriser) => _ = built.insert(name.clone(), authoriser),
                Err(found) => {
                    let place = name.replace('~', "~0").replace('/', "~1");
                    errors.extend(found.into_iter().map(|(key, reason)| (format!("/{place}/{key}"), reason)));
                }
            }
        }
        if errors.is_empty() { Ok(Self(built)) } else { Err(errors) }
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Authoriser>> {
        self.0.get(name)
    }

    /// All names, with what is counted.
    pub fn counts(&self) -> impl Iterator<Item = (&str, &Counts)> {
        self.0.iter().map(|(name, one)| (name.as_str(), &*one.counts))
    }
}

impl Authoriser {
    fn build(config: &ExtAuthConfig, previous: Option<&Arc<Self>>) -> Result<Arc<Self>, Vec<(String, String)>> {
        let mut errors = Vec::new();
        let mut wrong = |key: &str, reason: String| errors.push((key.to_owned(), reason));
        let url = Url::parse(&config.url).map_err(|reason| wrong("url", reason)).ok();
        let mut list = |key: &str, list: &[String], chosen| {
            names::read(list, chosen).map_err(|(at, reason)| wrong(&format!("{key}/{at}"), reason)).ok()
        };
        let sends = list("headers", &config.headers, Chosen::ToSend);
        let sets = list("set_headers", &config.set_headers, Chosen::ToSet);
        let (timeout, cache, rest) = (config.timeout.get(), config.cache.get(), config.breaker.rest.get());
        if timeout.is_zero() || timeout > Duration::from_secs(30) {
            wrong("timeout", "out of range; write 1ms to 30s".to_owned());
        }
        if cache > Duration::from_secs(60) {
            wrong("cache", "out of range; write at most 60s".to_owned());
        }
        if rest.is_zero() || rest > Duration::from_secs(60) {
            wrong("breaker/rest", "out of range; write 1ms to 60s".to_owned());
        }
        let read = |url| certificates(url, config.ca_file.as_deref());
        let ca = url.as_ref().and_then(|url| read(url).map_err(|reason| wrong("ca_file", reason)).ok());
        let (Some(url), Some(sends), Some(sets), Some(ca), true) = (url, sends, sets, ca, errors.is_empty()) else {
            return Err(errors);
        };
        if let Some(same) = previous.filter(|known| known.config == *config && known.ca == ca) {
            return Ok(same.clone());
        }
        Ok(Arc::new(Self {
            config: config.clone(),
            ca,
            url,
            sends,
            sets,
            clients: ThreadLocal::new(),
            breaker: Breaker::new(config.breaker.failures.get(), rest),
            remembered: Remembered::build(cache),
            counts: previous.map_or_else(Arc::default, |known| known.counts.clone()),
        }))
    }

    /// Whether its word counts.
    pub fn mode(&self) -> Mode {
        self.config.mode
    }

    /// Whether requests pass while it gives no answer.
    pub fn passes_on_failure(&self) -> bool {
        self.config.on_failure == OnFailure::Allow
    }

    /// Whether only it may say a header of this name to a service.
    pub fn owns(&self, name: &HeaderName) -> bool {
        self.sets.iter().any(|own| is_same(own, name))
    }

    /// What it is to be told about a request.
    pub fn question(&self, question: &Question<'_>) -> HeaderMap {
        question.said(&self.sends)
    }

    /// Ask it, unless it was asked the same a moment ago or rests.
    ///
    /// # Errors
    /// The request may not pass, by its word or because there is none.
    pub async fn ask(&self, question: HeaderMap) -> Result<Allowed, Refused> {
        let begun = Instant::now();
        let key = self.remembered.as_ref().map(|_| remembered::key(&question));
        let known = self.remembered.as_ref().zip(key.as_ref()).and_then(|(answers, key)| answers.find(key, begun));
        if let Some(said) = known {
            self.counts.outcomes.add("remembered");
            return told(said);
        }
        if !self.breaker.may_ask(begun) {
            self.counts.outcomes.add("resting");
            return Err(Refused::Unavailable(Unavailable::Resting));
        }
        let answer = self.answer(question).await;
        let now = Instant::now();
        self.counts.waited_micros.fetch_add(now.duration_since(begun).as_micros() as u64, Relaxed);
        self.judge(answer.as_ref().err().copied(), now);
        let answer = answer.map_err(Refused::Unavailable)?;
        let is_kept = may_be_kept(answer.status.as_u16(), &answer.headers);
        let said = self.meant(answer);
        if let (true, Some(answers), Some(key)) = (is_kept, &self.remembered, key) {
            answers.keep(key, said.clone(), now);
        }
        self.counts.outcomes.add(if matches!(said, Said::Yes(_)) { "allowed" } else { "denied" });
        told(said)
    }

    async fn answer(&self, headers: HeaderMap) -> Result<Answer, Unavailable> {
        let client = self.clients.get_or_try(|| Client::build_without_redirects(trust(&self.url, self.ca.as_deref())));
        let client = client.map_err(|reason| {
            log::error!("{}: {reason}", self.url);
            Unavailable::Net(NetError::Unreachable)
        })?;
        let deadline = self.config.timeout.get();
        let ask = Ask { method: Method::GET, url: &self.url, headers, deadline, largest: LARGEST };
        let (answer, fault) = client.ask_for_status(ask).await.map_err(Unavailable::Net)?;
        // A denial stays one: whoever can make its body long or break off must not undo what the status says.
        if let Some(fault) = fault.filter(|_| answer.status.is_success()) {
            return Err(Unavailable::Net(fault));
        }
        if answer.status.is_success() || answer.status.is_redirection() || answer.status.is_client_error() {
            Ok(answer)
        } else {
            Err(Unavailable::Failed)
        }
    }

    /// A failure counts, and an answer too. What that changes is told.
    fn judge(&self, failure: Option<Unavailable>, now: Instant) {
        let was_open = self.breaker.is_open();
        match failure {
            None => self.breaker.succeeded(),
            Some(failure) => {
                self.counts.outcomes.add("failed");
                // An answer that is too large is one: whoever can ask for it must not close the way for others.
                if failure != Unavailable::Net(NetError::TooLarge) {
                    self.breaker.failed(now);
                }
            }
        }
        match (was_open, self.breaker.is_open(), failure) {
            (false, true, Some(failure)) => log::warn!("{}: {}; it is left alone", self.url, failure.reason()),
            (true, false, _) => log::info!("{}: ext_auth answers again", self.url),
            _ => (),
        }
    }

    fn meant(&self, answer: Answer) -> Said {
        let chosen = |names: &[HeaderName]| -> Vec<(HeaderName, HeaderValue)> {
            let lines = |name: &HeaderName| {
                let name = name.clone();
                answer
                    .headers
                    .get_all(&name)
                    .iter()
                    .cloned()
                    .map(move |value| (name.clone(), value))
                    .collect::<Vec<_>>()
            };
            names.iter().flat_map(lines).collect()
        };
        match answer.status.is_success() {
            true => Said::Yes(chosen(&self.sets).into()),
            false => {
                let headers = chosen(&FOR_CALLERS);
                Said::No(Reply { status: answer.status, headers, body: answer.body })
            }
        }
    }
}

fn told(said: Said) -> Result<Allowed, Refused> {
    match said {
        Said::Yes(headers) => Ok(headers),
        Said::No(reply) => Err(Refused::Denied(Box::new(reply))),
    }
}

/// Read, and tried: a client that cannot be made is known before the first request.
fn certificates(url: &Url, file: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    let read = |path| fs::read(path).map_err(|error| format!("cannot be read: {error}; write a file in PEM"));
    let ca = file.map(read).transpose()?;
    let client = Client::build_without_redirects(trust(url, ca.as_deref()));
    client.map(|_| ca).map_err(|reason| format!("{reason}; write a file in PEM"))
}

fn trust<'a>(url: &Url, ca: Option<&'a [u8]>) -> Trust<'a> {
    match ca {
        Some(pem) => Trust::These(pem),
        None if url.is_plain() => Trust::Nobody,
        None => Trust::System,
    }
}

impl fmt::Debug for Authoriser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authoriser({})", self.url)
    }
}

impl fmt::Debug for Authorisers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.values()).finish()
    }
}

impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its headers may be secret.
        write!(f, "Question({} {})", self.method, self.uri)
    }
}
