//! Callers whom an AWS Application Load Balancer has signed in: `x-amzn-oidc-data`.

use super::{
    AlbConfig, AuthConfigError, AuthError,
    config::Algorithm,
    jwt::{Claims, Demands, Unproven, date},
    keys::Key,
    token::only,
};
use crate::net::{Ask, Client, Url};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderName, Method};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt, fs,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex as Turn;

/// What the balancer says of its user.
pub(super) static DATA: HeaderName = HeaderName::from_static("x-amzn-oidc-data");

/// Longest token, in bytes: the balancer itself stops at 11 KB for all of its headers.
const LONGEST: usize = 16 * 1024;

/// A key in PEM has under 200 bytes.
const LARGEST_KEY: usize = 4 * 1024;

/// Keys that are kept; the balancer of a region has a handful. The one that was fetched first goes first.
const MOST_KEYS: usize = 32;

/// How long one fetch may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// No key is looked for twice within this time, and none at all after so many fetches: who makes up key ids must not
/// make this gateway a burden for the balancer's keys.
const COOLDOWN: Duration = Duration::from_secs(10);
const MOST_FETCHES: usize = 4;

/// The balancer pads its base64url, and what is padded is what is signed.
const PADDED: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `auth.alb:`, compiled.
pub(super) struct Alb {
    signers: Box<[Box<str>]>,
    keys_url: Url,
    client: Client,
    leeway: u64,
    known: Mutex<Known>,
    /// One fetch at a time.
    turn: Turn<()>,
}

#[derive(Default)]
struct Known {
    keys: HashMap<Box<str>, (Instant, Arc<Key>)>,
    /// When fetches were made within the cool-down, for which key, and whether somebody answered.
    fetches: Vec<(Instant, Box<str>, bool)>,
}

impl Alb {
    /// `previous` lends what it knows where nothing has changed.
    pub(super) fn build(config: &AlbConfig, errors: &mut Vec<AuthConfigError>) -> Option<Self> {
        let before = errors.len();
        let mut wrong =
            |key: &str, reason: String| errors.push(AuthConfigError::new(format!("/auth/alb/{key}"), reason));
        if config.signer.is_empty() || config.signer.iter().any(|arn| !arn.starts_with("arn:")) {
            let right = "name the balancers: arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/NAME/ID";
            wrong("signer", format!("anybody's balancer could sign; {right}"));
        }
        let url = Url::parse(&config.keys_url).map_err(|reason| wrong("keys_url", reason)).ok();
        let read = |path: &String| fs::read(path).map_err(|error| format!("{path}: {error}"));
        let ca = config.ca_file.as_ref().map(read).transpose();
        let client = ca.and_then(|ca| Client::build(ca.as_deref())).map_err(|reason| wrong("ca_file", reason)).ok();
        let (keys_url, client) = url.zip(client).filter(|_| errors.len() == before)?;
        Some(Self {
            signers: config.signer.iter().map(|arn| arn.as_str().into()).collect(),
            keys_url,
            client,
            leeway: config.leeway.get().as_secs(),
            known: Mutex::default(),
            turn: Turn::new(()),
        })
    }

    /// What a balancer has sent, if one has.
    pub(super) fn sent<'r>(&self, headers: &'r HeaderMap) -> Result<Option<&'r [u8]>, AuthError> {
        Ok(only(headers, &DATA)?.map(|value| value.as_bytes()))
    }

    /// Everything about it but who it speaks for.
    pub(super) async fn verify(&self, token: &[u8], now: u64) -> Result<(Claims, u64), AuthError> {
        if token.len() > LONGEST {
            return Err(AuthError::TooLong);
        }
        let text = str::from_utf8(token).map_err(|_| AuthError::Malformed)?;
        let unproven = Unproven::read_as(text, |part| PADDED.decode(part).ok())?;
        if unproven.algorithm != Algorithm::ES256.name() {
            return Err(AuthError::Algorithm);
        }
        let signer = unproven.header.get("signer").and_then(serde_json::Value::as_str).unwrap_or_default();
        if !self.signers.iter().any(|known| **known == *signer) {
            return Err(AuthError::Issuer);
        }
        let kid = unproven.kid.as_deref().filter(|kid| is_key_id(kid)).ok_or(AuthError::Malformed)?;
        let key = self.key(kid).await?;
        if !unproven.is_signed_by(&key, Algorithm::ES256.known_as()) {
            return Err(AuthError::Signature);
        }
        // The balancer says in the header when it ends; claims that say so too are held to it.
        let mut claims = unproven.claims;
        let expires = date(&unproven.header, "exp")?.ok_or(AuthError::Claims)?;
        let sooner = date(&claims, "exp")?.map_or(expires, |own| own.min(expires));
        claims.insert("exp".to_owned(), sooner.into());
        Demands { leeway: self.leeway, ..Demands::default() }.check(&claims, now)?;
        Ok((claims, self.leeway))
    }

    async fn key(&self, kid: &str) -> Result<Arc<Key>, AuthError> {
        if let Some(key) = self.known.lock().get(kid) {
            return Ok(key);
        }
        let _turn = self.turn.lock().await;
        {
            let mut known = self.known.lock();
            if let Some(key) = known.get(kid) {
                return Ok(key);
            }
            known.may_fetch(kid)?;
        }
        let fetched = self.fetch(kid).await;
        let mut known = self.known.lock();
        known.fetches.push((Instant::now(), kid.into(), fetched.is_ok()));
        let key = Arc::new(fetched?.ok_or(AuthError::Signature)?);
        known.add(kid, key.clone());
        Ok(key)
    }

    /// `Ok(None)`: there is no such key.
    async fn fetch(&self, kid: &str) -> Result<Option<Key>, AuthError> {
        let path = format!("{}/{kid}", self.keys_url.path().trim_end_matches('/'));
        let url = self.keys_url.with_path(&path, None);
        let ask =
            Ask { method: Method::GET, url: &url, headers: HeaderMap::new(), deadline: PATIENCE, largest: LARGEST_KEY };
        let answer = self.client.ask(ask).await.map_err(|error| {
            log::warn!("keys of auth.alb: {url}: {error}");
            AuthError::KeysUnavailable
        })?;
        if answer.is_absent() {
            return Ok(None);
        }
        let key = match str::from_utf8(&answer.body) {
            Ok(pem) if answer.is_there() => Key::public(pem, Algorithm::ES256),
            _ => Err(format!("answered {} and no key", answer.status.as_u16())),
        };
        key.map(Some).map_err(|reason| {
            log::warn!("keys of auth.alb: {url}: {reason}");
            AuthError::KeysUnavailable
        })
    }
}

impl Known {
    fn get(&self, kid: &str) -> Option<Arc<Key>> {
        self.keys.get(kid).map(|(_, key)| key.clone())
    }

    fn may_fetch(&mut self, kid: &str) -> Result<(), AuthError> {
        self.fetches.retain(|(at, ..)| at.elapsed() < COOLDOWN);
        match self.fetches.iter().find(|(_, known, _)| **known == *kid) {
            // It was asked for just now.
            Some((.., true)) => Err(AuthError::Signature),
            Some((.., false)) => Err(AuthError::KeysUnavailable),
            None if self.fetches.len() >= MOST_FETCHES => Err(AuthError::KeysUnavailable),
            None => Ok(()),
        }
    }

    fn add(&mut self, kid: &str, key: Arc<Key>) {
        if self.keys.len() >= MOST_KEYS {
            let oldest = self.keys.iter().min_by_key(|(_, (at, _))| *at).map(|(kid, _)| kid.clone());
            oldest.and_then(|kid| self.keys.remove(&kid));
        }
        self.keys.insert(kid.into(), (Instant::now(), key));
    }
}

/// It becomes a part of an address: letters, digits and dashes, as in a UUID.
fn is_key_id(kid: &str) -> bool {
    (1..=64).contains(&kid.len()) && kid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl fmt::Debug for Alb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alb({:?}, keys from {})", self.signers, self.keys_url)
    }
}
