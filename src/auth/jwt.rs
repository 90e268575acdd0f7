//! One token: its three parts, and what the registered claims of RFC 7519 say.

use super::{AuthError, json, keys::Key};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::crypto;
use serde_json::{Map, Value};

/// The claims of a token, as they stand in it.
pub(super) type Claims = Map<String, Value>;

/// Longest `kid` that is looked at, in bytes.
const LONGEST_KID: usize = 512;

/// A token in its parts. Nothing of it is known to be true.
pub(super) struct Unproven<'t> {
    /// What is signed: header and claims as they were sent.
    message: &'t [u8],
    /// In base64url without padding, however it was sent.
    signature: String,
    /// What it says about itself. Decides nothing but which of our keys is tried.
    pub(super) algorithm: String,
    /// Which key the issuer took.
    pub(super) kid: Option<String>,
    /// All of its header: some issuers say more in it.
    pub(super) header: Map<String, Value>,
    pub(super) claims: Claims,
}

impl<'t> Unproven<'t> {
    /// Read a token of RFC 7515 section 3.1: three parts of base64url without padding and without spare bits.
    pub(super) fn read(token: &'t str) -> Result<Self, AuthError> {
        Self::read_as(token, |part| URL_SAFE_NO_PAD.decode(part).ok())
    }

    /// The same, of parts that are written in another way.
    pub(super) fn read_as(token: &'t str, decode: impl Fn(&str) -> Option<Vec<u8>>) -> Result<Self, AuthError> {
        let (message, signature) = token.rsplit_once('.').ok_or(AuthError::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(AuthError::Malformed)?;
        let read = |part: &str| decode(part).and_then(|text| json::object(&text)).ok_or(AuthError::Malformed);
        let (header, claims) = (read(header)?, read(claims)?);
        let signature = URL_SAFE_NO_PAD.encode(decode(signature).ok_or(AuthError::Malformed)?);
        if header.contains_key("crit") {
            // RFC 7515 section 4.1.11: who does not understand it must refuse, and we understand none.
            return Err(AuthError::Critical);
        }
        let text = |name: &str| header.get(name).map(|value| value.as_str().ok_or(AuthError::Malformed)).transpose();
        let algorithm = text("alg")?.ok_or(AuthError::Malformed)?.to_owned();
        let kid = text("kid")?.map(str::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.len() > LONGEST_KID) {
            return Err(AuthError::Malformed);
        }
        Ok(Self { message: message.as_bytes(), signature, algorithm, kid, header, claims })
    }

    /// `iss`, where it is a text.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// Whether `key` made the signature, with the algorithm that belongs to the key.
    pub(super) fn is_signed_by(&self, key: &Key, algorithm: jsonwebtoken::Algorithm) -> bool {
        !self.signature.is_empty()
            && crypto::verify(&self.signature, self.message, &key.key, algorithm).unwrap_or(false)
    }
}

/// What is asked of the claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Demands {
    /// One of them must be `iss`. Empty: any, or none.
    pub(super) issuers: Vec<String>,
    /// One of them must be in `aud`. Empty: any, or none.
    pub(super) audiences: Vec<String>,
    /// Seconds by which clocks may differ.
    pub(super) leeway: u64,
}

impl Demands {
    /// Whether the claims are good at `now`, in seconds since 1970.
    pub(super) fn check(&self, claims: &Claims, now: u64) -> Result<(), AuthError> {
        let expires = date(claims, "exp")?.ok_or(AuthError::Claims)?;
        if expires.saturating_add(self.leeway) <= now {
            return Err(AuthError::Expired);
        }
        if date(claims, "nbf")?.is_some_and(|begins| begins > now.saturating_add(self.leeway)) {
            return Err(AuthError::NotYetValid);
        }
        date(claims, "iat")?;
        let issuer = claims.get("iss").and_then(Value::as_str);
        if !self.issuers.is_empty() && !self.issuers.iter().any(|known| Some(known.as_str()) == issuer) {
            return Err(AuthError::Issuer);
        }
        if !self.audiences.is_empty() && !claims.get("aud").is_some_and(|aud| self.is_meant(aud)) {
            return Err(AuthError::Audience);
        }
        Ok(())
    }

    /// RFC 7519 section 4.1.3: a text, or a list of them.
    fn is_meant(&self, audience: &Value) -> bool {
        let ours = |value: &Value| value.as_str().is_some_and(|text| self.audiences.iter().any(|known| known == text));
        audience.as_array().map_or_else(|| ours(audience), |list| list.iter().any(ours))
    }
}

/// A NumericDate (RFC 7519 section 2): a number, not a text of one. What is after the end of time is that end; a fraction
/// of a second lets nobody in for longer.
pub(super) fn date(claims: &Claims, name: &str) -> Result<Option<u64>, AuthError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(seconds) if seconds >= 0.0 => Ok(Some(value.as_u64().unwrap_or(seconds as u64))),
            _ => Err(AuthError::Claims),
        },
    }
}
