//! Keys that signatures are checked with, each with the algorithms that it fits.

use super::config::Algorithm;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use std::fmt;

/// Smallest and largest RSA modulus, in bytes: aws-lc checks signatures of 2048 to 8192 bits.
const RSA_MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// Smallest RSA key in DER whose signatures are checked: one of 2048 bits has 270 bytes.
const SMALLEST_RSA_DER: usize = 256;

/// Uncompressed points of P-256 and P-384 (SEC 1 section 2.3.3), in bytes.
const P256_POINT: usize = 65;
const P384_POINT: usize = 97;

/// Public key of Ed25519 (RFC 8032 section 5.1.5), in bytes.
const ED25519: usize = 32;

/// Most keys of one set: an issuer that rotates has two or three.
const MOST_KEYS: usize = 64;

impl Algorithm {
    /// As the library calls it.
    pub(super) fn known_as(self) -> jsonwebtoken::Algorithm {
        use jsonwebtoken::Algorithm as Known;
        match self {
            Self::HS256 => Known::HS256,
            Self::HS384 => Known::HS384,
            Self::HS512 => Known::HS512,
            Self::RS256 => Known::RS256,
            Self::RS384 => Known::RS384,
            Self::RS512 => Known::RS512,
            Self::PS256 => Known::PS256,
            Self::PS384 => Known::PS384,
            Self::PS512 => Known::PS512,
            Self::ES256 => Known::ES256,
            Self::ES384 => Known::ES384,
            Self::EdDSA => Known::EdDSA,
        }
    }

    /// As RFC 7518 and RFC 8037 write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Whether one key can serve both.
    pub(super) fn shares_key_with(self, other: Self) -> bool {
        match self.known_as().family() {
            AlgorithmFamily::Ec => self == other,
            family => family == other.known_as().family(),
        }
    }

    /// Whether both sides share one secret.
    pub fn is_hmac(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }
}

/// One key.
pub(super) struct Key {
    pub(super) key: DecodingKey,
    kind: Kind,
    kid: Option<Box<str>>,
    /// The only algorithm that its owner allows, where that is said.
    only: Option<Box<str>>,
}

/// What a key is, which decides what it can check: a public RSA key never checks an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Kind {
    fn fits(self, algorithm: Algorithm) -> bool {
        match self {
            Self::Secret => algorithm.is_hmac(),
            Self::Rsa => algorithm.known_as().family() == AlgorithmFamily::Rsa,
            Self::P256 => algorithm == Algorithm::ES256,
            Self::P384 => algorithm == Algorithm::ES384,
            Self::Ed25519 => algorithm == Algorithm::EdDSA,
        }
    }
}

/// The keys of one issuer.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<Key>);

impl KeySet {
    /// Keys that the file holds itself.
    pub(super) fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// RFC 7517 section 5: what is not understood, or not for signatures, is left out.
    ///
    /// # Errors
    /// No key is left, or it is no set.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let set: JwkSet = serde_json::from_slice(text).map_err(|_| "not a set of keys (RFC 7517)".to_owned())?;
        if set.keys.len() > MOST_KEYS {
            return Err(format!("{} keys; at most {MOST_KEYS} are read", set.keys.len()));
        }
        let one = |value: &serde_json::Value| Jwk::deserialize(value).ok().and_then(Jwk::key);
        let keys: Vec<Key> = set.keys.iter().filter_map(one).collect();
        match keys.is_empty() {
            true => Err("holds no key that checks signatures".to_owned()),
            false => Ok(Self(keys)),
        }
    }

    /// Those that may have made a signature. A token without `kid` may be from any, and a key without one may be meant.
    pub(super) fn candidates<'k>(
        &'k self,
        kid: Option<&'k str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'k Key> {
        self.0.iter().filter(move |key| {
            let same = kid.is_none() || key.kid.is_none() || key.kid.as_deref() == kid;
            let allowed = key.only.as_deref().is_none_or(|only| only == algorithm.name());
            same && allowed && key.kind.fits(algorithm)
        })
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Key {
    /// Whether it has this very name.
    pub(super) fn is_called(&self, kid: Option<&str>) -> bool {
        self.kid.as_deref() == kid
    }

    /// A shared secret.
    pub(super) fn secret(secret: &[u8]) -> Self {
        Self { key: DecodingKey::from_secret(secret), kind: Kind::Secret, kid: None, only: None }
    }

    /// A public key in PEM that fits `algorithm`.
    ///
    /// # Errors
    /// What it is instead; what would be right. Never its content.
    pub(super) fn public(pem: &str, algorithm: Algorithm) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY-----") {
            return Err("this is a private key, which signs; give the public one (openssl pkey -pubout)".to_owned());
        }
        if pem.contains("BEGIN CERTIFICATE") {
            return Err("this is a certificate; give its public key (openssl x509 -pubkey -noout)".to_owned());
        }
        let bytes = pem.as_bytes();
        let (key, words) = match algorithm.known_as().family() {
            AlgorithmFamily::Rsa => (DecodingKey::from_rsa_pem(bytes), "an RSA public key"),
            AlgorithmFamily::Ec => (DecodingKey::from_ec_pem(bytes), "an EC public key"),
            _ => (DecodingKey::from_ed_pem(bytes), "an Ed25519 public key"),
        };
        // The library's own words may repeat what it read.
        let name = algorithm.name();
        let key =
            key.map_err(|_| format!("not {words} in PEM, which {name} needs; it begins with BEGIN PUBLIC KEY"))?;
        let kind = fits(algorithm, key.try_get_as_bytes().map_or(0, <[u8]>::len))?;
        Ok(Self { key, kind, kid: None, only: None })
    }
}

/// A key of the wrong size would refuse every token, one by one.
fn fits(algorithm: Algorithm, length: usize) -> Result<Kind, String> {
    match algorithm {
        Algorithm::ES256 if length == P256_POINT => Ok(Kind::P256),
        Algorithm::ES384 if length == P384_POINT => Ok(Kind::P384),
        Algorithm::ES256 => Err("ES256 needs a key on the curve P-256".to_owned()),
        Algorithm::ES384 => Err("ES384 needs a key on the curve P-384".to_owned()),
        Algorithm::EdDSA => Ok(Kind::Ed25519),
        _ if length >= SMALLEST_RSA_DER => Ok(Kind::Rsa),
        _ => Err(format!("{} needs a key of at least 2048 bits", algorithm.name())),
    }
}

#[derive(Deserialize)]
struct JwkSet {
    /// Read one by one: one that is not understood spoils no other.
    keys: Vec<serde_json::Value>,
}

/// RFC 7517 section 4 and RFC 7518 section 6. Private parts are not even read.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

impl Jwk {
    fn key(self) -> Option<Key> {
        let for_signatures = self.r#use.as_ref().is_none_or(|purpose| purpose == "sig");
        let may_verify = self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !for_signatures || !may_verify {
            return None;
        }
        let bytes = |part: &Option<String>| URL_SAFE_NO_PAD.decode(part.as_ref()?).ok();
        let (kind, key) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let (modulus, exponent) = (bytes(&self.n)?, bytes(&self.e)?);
                // RFC 7518 section 6.3.1.1 allows no zero in front; some issuers write one.
                let modulus = modulus.strip_prefix(&[0]).unwrap_or(&modulus);
                let key = DecodingKey::from_rsa_raw_components(modulus, &exponent);
                RSA_MODULUS.contains(&modulus.len()).then_some((Kind::Rsa, key))?
            }
            ("EC", Some("P-256")) => (Kind::P256, point(&bytes(&self.x)?, &bytes(&self.y)?, P256_POINT)?),
            ("EC", Some("P-384")) => (Kind::P384, point(&bytes(&self.x)?, &bytes(&self.y)?, P384_POINT)?),
            ("OKP", Some("Ed25519")) => {
                let x = bytes(&self.x).filter(|x| x.len() == ED25519)?;
                (Kind::Ed25519, DecodingKey::from_ed_der(&x))
            }
            ("oct", _) => (Kind::Secret, DecodingKey::from_secret(&bytes(&self.k).filter(|k| !k.is_empty())?)),
            _ => return None,
        };
        Some(Key { key, kind, kid: self.kid.map(Into::into), only: self.alg.map(Into::into) })
    }
}

/// SEC 1 section 2.3.3: 4, then both coordinates in full length.
fn point(x: &[u8], y: &[u8], length: usize) -> Option<DecodingKey> {
    let whole = [&[4], x, y].concat();
    (x.len() == y.len() && whole.len() == length).then(|| DecodingKey::from_ec_der(&whole))
}

/// What a key is stays unseen.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, kid {:?})", self.kind, self.kid)
    }
}
