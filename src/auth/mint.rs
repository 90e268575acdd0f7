//! Tokens of our own, for tests and for the demo's auth service. A gateway in production mints none.

use super::{Algorithm, AuthConfigError, JwtConfig, material::Material};
use jsonwebtoken::{AlgorithmFamily, EncodingKey, Header, encode};
use serde_json::{Map, Value};
use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Who a token speaks for.
#[derive(Clone, Debug)]
pub struct MintClaims {
    /// `sub`.
    pub sub: String,
    /// `username`; left out where there is none.
    pub username: Option<String>,
    /// `role`; left out where there is none.
    pub role: Option<String>,
    /// `permissions`; left out where there are none.
    pub permissions: Vec<String>,
    /// From now on; then it is over.
    pub ttl: Duration,
}

/// Signs tokens that the gateway of the same configuration accepts.
pub struct Minter {
    key: EncodingKey,
    algorithm: Algorithm,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Minter {
    /// `private_key`: a PEM file, where the algorithm is not HS256, HS384 or HS512.
    ///
    /// # Errors
    /// Which key is missing or wrong.
    pub fn build(config: &JwtConfig, private_key: Option<&Path>) -> Result<Self, AuthConfigError> {
        let algorithm =
            *config.algorithm.first().ok_or_else(|| AuthConfigError::new("/auth/jwt/algorithm", "is empty"))?;
        let key = match (algorithm.is_hmac(), private_key) {
            (true, _) => {
                let material = Material::read(config, "/auth/jwt")?;
                let secret = material.first().map(|secret| secret.expose().as_bytes().to_vec()).unwrap_or_default();
                EncodingKey::from_secret(&secret)
            }
            (false, Some(path)) => private(algorithm, path)?,
            (false, None) => {
                let reason = format!("{algorithm:?} signs with a private key; name its PEM file with --key-file");
                return Err(AuthConfigError::new("/auth/jwt", reason));
            }
        };
        let first = |list: &[String]| list.first().cloned();
        Ok(Self { key, algorithm, issuer: first(&config.issuer), audience: first(&config.audience) })
    }

    /// A token, signed.
    ///
    /// # Errors
    /// The key does not fit the algorithm.
    pub fn mint(&self, claims: &MintClaims) -> Result<String, jsonwebtoken::errors::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        let mut all = Map::new();
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                all.insert(name.to_owned(), value);
            }
        };
        add("sub", Some(claims.sub.as_str().into()));
        add("username", claims.username.as_deref().map(Into::into));
        add("role", claims.role.as_deref().map(Into::into));
        add("permissions", (!claims.permissions.is_empty()).then(|| claims.permissions.clone().into()));
        add("iss", self.issuer.as_deref().map(Into::into));
        add("aud", self.audience.as_deref().map(Into::into));
        add("iat", Some(now.into()));
        add("exp", Some(now.saturating_add(claims.ttl.as_secs()).into()));
        add("jti", Some(format!("{:032x}", fastrand::u128(..)).into()));
        encode(&Header::new(self.algorithm.known_as()), &all, &self.key)
    }
}

fn private(algorithm: Algorithm, path: &Path) -> Result<EncodingKey, AuthConfigError> {
    let wrong = |reason: String| AuthConfigError::new("/auth/jwt", format!("{}: {reason}", path.display()));
    let pem = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let key = match algorithm.known_as().family() {
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(&pem),
        AlgorithmFamily::Ec => EncodingKey::from_ec_pem(&pem),
        _ => EncodingKey::from_ed_pem(&pem),
    };
    let reason =
        || format!("not a private key for {algorithm:?} in PKCS#8 PEM; convert it: openssl pkcs8 -topk8 -nocrypt");
    key.map_err(|_| wrong(reason()))
}

/// The key stays unseen.
impl std::fmt::Debug for Minter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Minter({:?})", self.algorithm)
    }
}
