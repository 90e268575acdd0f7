use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use reqwest::{
    Certificate,
    redirect::{Action, Attempt, Policy},
};
use std::{fmt, sync::Once, time::Duration};
use tokio::time::{Instant, timeout_at};

/// Redirects within one origin that are followed.
const MOST_REDIRECTS: usize = 3;

/// How long a connection that nobody uses is kept: shorter than the idle time of most servers.
const IDLE: Duration = Duration::from_secs(4);

/// Who asks. Cloning it is cheap and shares its connections, which belong to the runtime that made them.
#[derive(Clone)]
pub struct Client(reqwest::Client);

/// Whose certificates count.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// Those that the system trusts. Reading them takes a moment.
    System,
    /// These, in PEM.
    These(&'a [u8]),
    /// Nobody's: only plain addresses are asked, and the system need not have any.
    Nobody,
}

/// An address that was checked when the file was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(reqwest::Url);

/// One question.
#[derive(Debug)]
pub struct Ask<'a> {
    /// GET, most of the time.
    pub method: Method,
    /// Where.
    pub url: &'a Url,
    /// What is said beside `Host` and the length.
    pub headers: HeaderMap,
    /// From the first byte of the connection to the last of the answer.
    pub deadline: Duration,
    /// A longer answer is an error. In bytes.
    pub largest: usize,
}

/// What came back, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

/// There is no answer. For the log; it names no secret of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// No connection came about: refused, no such name, no trust.
    #[error("no connection")]
    Unreachable,
    /// The deadline struck.
    #[error("no answer in time")]
    Late,
    /// It is larger than is looked at.
    #[error("the answer is too large")]
    TooLarge,
    /// The conversation broke off, or was no HTTP.
    #[error("the answer broke off or is no HTTP")]
    Broken,
}

impl Answer {
    /// It is what was asked for (RFC 9110 section 15.3.1).
    pub fn is_there(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// There is no such thing. S3 says 403 for what it does not have.
    pub fn is_absent(&self) -> bool {
        [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN, StatusCode::GONE].contains(&self.status)
    }
}

impl Client {
    /// `ca`: certificates in PEM that are trusted in place of the system's.
    ///
    /// # Errors
    /// `ca` holds no certificate; or the system has none, and no `ca` is given.
    pub fn build(ca: Option<&[u8]>) -> Result<Self, String> {
        Self::with(Policy::custom(within_origin), ca.map_or(Trust::System, Trust::These))
    }

    /// As [`Client::build`]; follows no redirect at all, because it is an answer for somebody else.
    ///
    /// # Errors
    /// As [`Client::build`].
    pub fn build_without_redirects(trust: Trust<'_>) -> Result<Self, String> {
        Self::with(Policy::none(), trust)
    }

    fn with(redirects: Policy, trust: Trust<'_>) -> Result<Self, String> {
        use_provider();
        let builder = reqwest::Client::builder()
            .user_agent(concat!("edgeway/", env!("CARGO_PKG_VERSION")))
            .redirect(redirects)
            .no_proxy()
            .pool_idle_timeout(IDLE);
        let builder = match trust {
            Trust::System => builder,
            Trust::Nobody => builder.tls_certs_only([]),
            Trust::These(pem) => {
                let found = Certificate::from_pem_bundle(pem).map_err(|_| "holds no certificate in PEM".to_owned())?;
                if found.is_empty() {
                    return Err("holds no certificate in PEM".to_owned());
                }
                builder.tls_certs_only(found)
            }
        };
        builder.build().map(Self).map_err(|error| format!("no HTTP client: {error}"))
    }

    /// Ask, and wait for the whole answer.
    ///
    /// # Errors
    /// There is none within the deadline and the size.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Answer, NetError> {
        let (answer, fault) = self.ask_for_status(ask).await?;
        fault.map_or(Ok(answer), Err)
    }

    /// Ask, where the status alone is an answer: what is wrong with the body, which is empty then, is told beside it.
    ///
    /// # Errors
    /// There is not even a status within the deadline.
    pub async fn ask_for_status(&self, ask: Ask<'_>) -> Result<(Answer, Option<NetError>), NetError> {
        let Ask { method, url, headers, deadline, largest } = ask;
        let until = Instant::now() + deadline;
        let sent = self.0.request(method, url.0.clone()).headers(headers).send();
        let answer = timeout_at(until, sent).await.map_err(|_| NetError::Late)?.map_err(means)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = timeout_at(until, whole(answer, largest)).await.unwrap_or(Err(NetError::Late));
        let fault = body.as_ref().err().copied();
        Ok((Answer { status, headers, body: body.unwrap_or_default() }, fault))
    }
}

fn within_origin(attempt: Attempt<'_>) -> Action {
    let origin = |url: &reqwest::Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port());
    let first = attempt.previous().first().map(origin);
    let stays = first.is_some_and(|first| first == origin(attempt.url()));
    if stays && attempt.previous().len() <= MOST_REDIRECTS { attempt.follow() } else { attempt.stop() }
}

async fn whole(mut answer: reqwest::Response, largest: usize) -> Result<Bytes, NetError> {
    let mut body = BytesMut::new();
    while let Some(piece) = answer.chunk().await.map_err(means)? {
        if body.len() + piece.len() > largest {
            return Err(NetError::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn means(error: reqwest::Error) -> NetError {
    let meaning = match () {
        () if error.is_timeout() => NetError::Late,
        () if error.is_connect() => NetError::Unreachable,
        () => NetError::Broken,
    };
    // Without the address, whose query may be a secret.
    log::debug!("{meaning}: {:?}", error.without_url());
    meaning
}

/// rustls asks for one provider per process; pingora brings ring, and so do we.
pub(crate) fn use_provider() {
    static ONCE: Once = Once::new();
    // An error says that there is one already, which is what is wanted.
    ONCE.call_once(|| _ = rustls::crypto::ring::default_provider().install_default());
}

impl Url {
    /// An address with `http://` or `https://`, a host, and no user, password or fragment.
    ///
    /// # Errors
    /// What is wrong with it; what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "not an address; write https://host/path".to_owned();
        let url = reqwest::Url::parse(text).map_err(|_| wrong())?;
        if !["http", "https"].contains(&url.scheme()) || !url.has_host() || url.fragment().is_some() {
            return Err(wrong());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address must not carry a user or a password".to_owned());
        }
        Ok(Self(url))
    }

    /// Whether what is said on the way can be read and changed by others.
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        self.0.host_str().is_some_and(|host| {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }

    /// Another path and query on the same origin.
    #[must_use]
    pub fn with_path(&self, path: &str, query: Option<&str>) -> Self {
        let mut url = self.0.clone();
        url.set_path(path);
        url.set_query(query);
        Self(url)
    }

    /// Its path.
    pub fn path(&self) -> &str {
        self.0.path()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may be a secret.
        let mut url = self.0.clone();
        url.set_query(None);
        f.write_str(url.as_str())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
