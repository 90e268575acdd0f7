//! Who issues tokens, and whose word about one counts.

use super::{
    AuthConfig, AuthConfigError, AuthError, JwtConfig,
    config::Algorithm,
    jwt::{Claims, Demands, Unproven},
    keys::{Key, KeySet},
    material::Material,
    source::{KeyPlace, Source, SourceSettings, Unavailable},
};
use crate::net::Url;
use bytes::Bytes;
use std::{
    fs,
    sync::{Arc, atomic::AtomicU64},
};

/// Keys of one set that are tried for a token that names none, or names one that several have.
const MOST_TRIES: usize = 8;

/// Everybody whose tokens are accepted.
pub(super) struct Issuers {
    all: Box<[Issuer]>,
    /// Longest token that any of them accepts, in bytes.
    longest: usize,
}

struct Issuer {
    algorithms: Box<[Algorithm]>,
    keys: Keys,
    demands: Demands,
    longest: usize,
}

enum Keys {
    Fixed(KeySet),
    Kept(Arc<Source>),
}

impl Issuers {
    /// `auth.jwt` and `auth.issuers`. Sources of `previous` that are asked for in the same way are kept, with their keys.
    pub(super) fn build(
        config: &AuthConfig,
        previous: Option<&Self>,
        version: &Arc<AtomicU64>,
        errors: &mut Vec<AuthConfigError>,
    ) -> (Self, Vec<Material>) {
        let mut materials = Vec::new();
        let mut all = Vec::new();
        for (name, pointer, section) in sections(config) {
            match Issuer::build(name, &pointer, section, previous, version) {
                Ok((issuer, material)) => {
                    all.push(issuer);
                    materials.push(material);
                }
                Err(error) => errors.push(error),
            }
        }
        errors.extend(contradictions(config));
        let longest = all.iter().map(|issuer| issuer.longest).max().unwrap_or(0);
        (Self { all: all.into(), longest }, materials)
    }

    /// Those whose keys are kept new.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.all.iter().filter_map(|issuer| match &issuer.keys {
            Keys::Kept(source) => Some(source),
            Keys::Fixed(_) => None,
        })
    }

    /// Everything about a token but who it speaks for. Waits where its key has to be fetched first.
    pub(super) async fn verify(&self, token: &str, now: u64) -> Result<(Claims, u64), AuthError> {
        if token.len() > self.longest {
            return Err(AuthError::TooLong);
        }
        let unproven = Unproven::read(token)?;
        let issuer = self.of(unproven.issuer())?;
        if token.len() > issuer.longest {
            return Err(AuthError::TooLong);
        }
        issuer.prove(&unproven).await?;
        issuer.demands.check(&unproven.claims, now)?;
        Ok((unproven.claims, issuer.demands.leeway))
    }

    /// Whoever the token says that it is from. With several, one that is from nobody known is checked by nobody: no
    /// issuer's keys are ever tried for another's tokens.
    fn of(&self, issuer: Option<&str>) -> Result<&Issuer, AuthError> {
        let named = |one: &&Issuer| one.demands.issuers.iter().any(|known| Some(known.as_str()) == issuer);
        let anybody = |one: &&Issuer| one.demands.issuers.is_empty();
        match &*self.all {
            [] => Err(AuthError::Missing),
            [only] => Ok(only),
            several => several.iter().find(named).or_else(|| several.iter().find(anybody)).ok_or(AuthError::Issuer),
        }
    }
}

/// With the name, and the place in the file.
pub(super) fn sections(config: &AuthConfig) -> impl Iterator<Item = (&str, String, &JwtConfig)> {
    let one = config.jwt.iter().map(|jwt| ("jwt", "/auth/jwt".to_owned(), jwt));
    one.chain(config.issuers.iter().map(|(name, jwt)| {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        (name.as_str(), format!("/auth/issuers/{escaped}"), jwt)
    }))
}

/// Two that take the same `iss`: nobody could say whose keys count.
fn contradictions(config: &AuthConfig) -> Vec<AuthConfigError> {
    let mut errors = Vec::new();
    let mut known: Vec<(&str, &str)> = Vec::new();
    for (name, pointer, section) in sections(config) {
        errors.extend(mixed(section).map(|reason| AuthConfigError::new(format!("{pointer}/algorithm"), reason)));
        if section.issuer.is_empty() && pointer != "/auth/jwt" {
            errors.push(AuthConfigError::new(pointer.as_str(), "needs issuer: the iss of its tokens"));
        }
        for issuer in section.issuer.iter() {
            match known.iter().find(|(text, _)| text == issuer) {
                Some((_, other)) => {
                    let reason = format!("{other} takes the same iss; name each issuer once");
                    errors.push(AuthConfigError::new(format!("{pointer}/issuer"), reason));
                }
                None => known.push((issuer, name)),
            }
        }
    }
    errors
}

/// Algorithms that no key, or no single key, could serve.
fn mixed(config: &JwtConfig) -> Option<String> {
    let first = config.algorithm.first()?;
    let kept = config.jwks_file.is_some() || config.jwks_url.is_some();
    let (one, other) = config.algorithm.iter().find_map(|other| {
        let apart = other.is_hmac() != first.is_hmac() || !kept && !other.shares_key_with(*first);
        apart.then_some((first.name(), other.name()))
    })?;
    let right = "keep one kind, or name the other issuer in auth.issuers";
    Some(format!("{one} and {other} need different kinds of keys; {right}"))
}

impl Issuer {
    fn build(
        name: &str,
        pointer: &str,
        config: &JwtConfig,
        previous: Option<&Issuers>,
        version: &Arc<AtomicU64>,
    ) -> Result<(Self, Material), AuthConfigError> {
        let material = Material::read(config, pointer)?;
        let keys = match source_settings(config, pointer)? {
            None => Keys::Fixed(material.keys(config, pointer)?),
            Some(settings) => {
                let mut known = previous.into_iter().flat_map(Issuers::sources);
                let same = known.find(|source| *source.name == *name && source.settings == settings).cloned();
                let wrong = |reason: String| AuthConfigError::new(format!("{pointer}/jwks_ca_file"), reason);
                let fresh = || Source::build(name, settings, version.clone()).map(Arc::new).map_err(wrong);
                Keys::Kept(same.map_or_else(fresh, Ok)?)
            }
        };
        let demands = Demands {
            issuers: config.issuer.to_vec(),
            audiences: config.audience.to_vec(),
            leeway: config.leeway.get().as_secs(),
        };
        let algorithms = config.algorithm.iter().copied().collect();
        Ok((Self { algorithms, keys, demands, longest: config.max_token_bytes }, material))
    }

    /// Whether one of our keys made the signature, with an algorithm of ours.
    async fn prove(&self, unproven: &Unproven<'_>) -> Result<(), AuthError> {
        let known = self.algorithms.iter().find(|algorithm| algorithm.name() == unproven.algorithm);
        let algorithm = *known.ok_or(AuthError::Algorithm)?;
        let source = match &self.keys {
            Keys::Fixed(keys) => return prove(unproven, keys, algorithm).map_err(|_| AuthError::Signature),
            Keys::Kept(source) => source,
        };
        match prove(unproven, &source.keys(), algorithm) {
            Ok(()) => return Ok(()),
            // A key that we have says no: asking again would only let forgers load the issuer.
            Err(Unproved::Wrong) if unproven.kid.is_some() => return Err(AuthError::Signature),
            Err(_) => (),
        }
        match source.look_again().await {
            Ok(()) => prove(unproven, &source.keys(), algorithm).map_err(|_| AuthError::Signature),
            Err(Unavailable) => prove(unproven, &source.keys(), algorithm).map_err(|_| AuthError::KeysUnavailable),
        }
    }
}

/// Why a signature is not known to be right.
enum Unproved {
    /// There is a key for it, and it says no.
    Wrong,
    /// No key of ours is meant.
    NoKey,
}

fn prove(unproven: &Unproven<'_>, keys: &KeySet, algorithm: Algorithm) -> Result<(), Unproved> {
    let signed = |key: &Key| unproven.is_signed_by(key, algorithm.known_as());
    let kid = unproven.kid.as_deref();
    let mut is_meant = false;
    for key in keys.candidates(kid, algorithm).take(MOST_TRIES) {
        if signed(key) {
            return Ok(());
        }
        // A key without a name says nothing about one that is named and may be new.
        is_meant |= kid.is_none() || key.is_called(kid);
    }
    Err(if is_meant { Unproved::Wrong } else { Unproved::NoKey })
}

/// Where the keys are kept, if they are not in the file itself.
fn source_settings(config: &JwtConfig, pointer: &str) -> Result<Option<SourceSettings>, AuthConfigError> {
    let place = match (&config.jwks_url, &config.jwks_file) {
        (Some(text), _) => {
            let wrong = |reason| AuthConfigError::new(format!("{pointer}/jwks_url"), reason);
            KeyPlace::Url(Url::parse(text).map_err(wrong)?, authorities(config.jwks_ca_file.as_deref(), pointer)?)
        }
        (None, Some(path)) => KeyPlace::File(path.into()),
        (None, None) => return Ok(None),
    };
    Ok(Some(SourceSettings {
        place,
        refresh: config.jwks_refresh.get(),
        cooldown: config.jwks_cooldown.get(),
        timeout: config.jwks_timeout.get(),
    }))
}

fn authorities(path: Option<&str>, pointer: &str) -> Result<Option<Bytes>, AuthConfigError> {
    let wrong = |path: &str, error: std::io::Error| {
        AuthConfigError::new(format!("{pointer}/jwks_ca_file"), format!("{path}: {error}"))
    };
    path.map(|path| fs::read(path).map(Bytes::from).map_err(|error| wrong(path, error))).transpose()
}
