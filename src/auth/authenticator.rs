use super::{AuthConfig, AuthConfigError, AuthError, Identity, Protected, RouteAuth, jwt::JwtVerifier, keys::Material};
use crate::types::Count;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use quick_cache::{Weighter, sync::Cache};
use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// What one remembered token may take on average, in bytes; `auth.remember` × this bounds the memory of all.
const WEIGHT_OF_ONE: u64 = 2_048;

/// Checks callers in every way the configuration allows.
pub struct Authenticator {
    config: AuthConfig,
    material: Option<Material>,
    jwt: Option<JwtVerifier>,
    headers: Box<[(HeaderName, Box<str>)]>,
    protected: Protected,
    verified: Arc<Verified>,
    asked: Arc<Asked>,
}

/// How often a token was looked for. Outlives reloads, also those that end the memory itself.
#[derive(Default)]
struct Asked {
    known: Count,
    unknown: Count,
}

/// What is remembered of tokens, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Tokens that were known already.
    pub hits: u64,
    /// Tokens that had to be verified.
    pub misses: u64,
    /// Tokens that are known now.
    pub entries: usize,
}

/// By the whole token: a signature costs 30 to 90 µs, a look-up a fraction of one.
type Verified = Cache<Box<[u8]>, Arc<Identity>, ByMemory>;

#[derive(Clone)]
struct ByMemory;

impl Weighter<Box<[u8]>, Arc<Identity>> for ByMemory {
    fn weight(&self, token: &Box<[u8]>, identity: &Arc<Identity>) -> u64 {
        identity.weight(token.len())
    }
}

impl Authenticator {
    /// Prepare keys once, so that a request only pays for the check. Where nothing about identity changed, what
    /// `previous` has verified stays verified; new keys begin with an empty memory.
    ///
    /// # Errors
    /// Everything that is wrong with the section.
    pub fn build(config: &AuthConfig, previous: Option<&Self>) -> Result<Self, Vec<AuthConfigError>> {
        let mut errors = Vec::new();
        let headers = headers(config, &mut errors);
        let mut note = |error| errors.push(error);
        let material = config.jwt.as_ref().map(Material::read).transpose().map_err(&mut note).unwrap_or_default();
        let jwt = match (&config.jwt, &material) {
            (Some(jwt), Some(material)) => JwtVerifier::build(jwt, material).map_err(&mut note).ok(),
            _ => None,
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        let same = previous.filter(|previous| previous.config == *config && previous.material == material);
        let fresh = || Cache::with_weighter(config.remember, config.remember as u64 * WEIGHT_OF_ONE, ByMemory);
        Ok(Self {
            config: config.clone(),
            material,
            jwt,
            protected: Protected::new(headers.iter().map(|(name, _)| name.clone())),
            headers,
            verified: same.map_or_else(|| Arc::new(fresh()), |previous| previous.verified.clone()),
            asked: previous.map_or_else(Arc::default, |previous| previous.asked.clone()),
        })
    }

    /// The caller, or `None` where the route asks for nobody.
    ///
    /// # Errors
    /// Why the caller is not let in.
    pub fn authenticate(&self, asked: RouteAuth, headers: &HeaderMap) -> Result<Option<Arc<Identity>>, AuthError> {
        match asked {
            RouteAuth::Public => Ok(None),
            RouteAuth::Required => self.caller(authorization(headers)?).map(Some),
        }
    }

    /// What nobody but the gateway may say to a service.
    pub fn protected(&self) -> &Protected {
        &self.protected
    }

    /// How well remembering tokens works.
    pub fn remembered(&self) -> Remembered {
        Remembered { hits: self.asked.known.sum(), misses: self.asked.unknown.sum(), entries: self.verified.len() }
    }

    fn caller(&self, authorization: &HeaderValue) -> Result<Arc<Identity>, AuthError> {
        let jwt = self.jwt.as_ref().ok_or(AuthError::Missing)?;
        let in_time = |identity: Arc<Identity>| {
            // Never past `exp`, however often it is used.
            let over = identity.expires.saturating_add(jwt.leeway()) <= unix_now();
            if over { Err(AuthError::Expired) } else { Ok(identity) }
        };
        // By its bytes: what is remembered was a text when it was verified, so it needs no second look at each byte.
        if let Some(identity) = bearer(authorization.as_bytes()).and_then(|token| self.verified.get(token)) {
            self.asked.known.add();
            return in_time(identity);
        }
        self.asked.unknown.add();
        let text = authorization.to_str().map_err(|_| AuthError::Ambiguous)?;
        let token = bearer(text.as_bytes()).ok_or(AuthError::Missing)?;
        let claims = jwt.verify(str::from_utf8(token).map_err(|_| AuthError::Ambiguous)?)?;
        let identity = in_time(Arc::new(Identity::new(claims, &self.headers)))?;
        self.verified.insert(token.into(), identity.clone());
        Ok(identity)
    }
}

/// A second one could be read in two ways.
fn authorization(headers: &HeaderMap) -> Result<&HeaderValue, AuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(AuthError::Missing),
        (Some(only), None) => Ok(only),
        _ => Err(AuthError::Ambiguous),
    }
}

/// RFC 6750 section 2.1: the scheme in any case, then the token.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, mut token) = value.split_at_checked(b"Bearer".len())?;
    while let [b' ', rest @ ..] = token {
        token = rest;
    }
    while let [rest @ .., b' '] = token {
        token = rest;
    }
    let apart = value.get(scheme.len()) == Some(&b' ');
    (scheme.eq_ignore_ascii_case(b"bearer") && apart && !token.is_empty()).then_some(token)
}

/// `auth.headers`, with what a claim must never replace refused.
fn headers(config: &AuthConfig, errors: &mut Vec<AuthConfigError>) -> Box<[(HeaderName, Box<str>)]> {
    let mut known = Vec::new();
    for (text, claim) in &config.headers {
        let mut wrong = |reason: &str| {
            let pointer = format!("/auth/headers/{}", text.replace('~', "~0").replace('/', "~1"));
            errors.push(AuthConfigError::new(pointer, reason));
        };
        match HeaderName::from_bytes(text.as_bytes()) {
            Err(_) => wrong("not a header name; use letters, digits and -, as in X-User-ID"),
            Ok(name) if belongs_to_http(&name) => wrong("belongs to HTTP itself; choose a name such as X-User-ID"),
            Ok(name) if name.as_str().starts_with("x-forwarded-") || name == "x-request-id" => {
                wrong("belongs to the gateway; choose a name such as X-User-ID");
            }
            Ok(name) => known.push((name, claim.as_str().into())),
        }
    }
    known.into()
}

fn belongs_to_http(name: &HeaderName) -> bool {
    const ITS_OWN: [HeaderName; 11] = [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
        header::AUTHORIZATION,
        header::COOKIE,
        header::CONTENT_TYPE,
    ];
    ITS_OWN.contains(name)
}

/// Wall clock on purpose: `exp` is a date.
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authenticator({:?}, {} tokens remembered)", self.config, self.verified.len())
    }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
