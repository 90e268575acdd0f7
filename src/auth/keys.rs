//! The keys that signatures are checked with, as the file names them.

use super::{AuthConfigError, JwtConfig, config::Algorithm};
use crate::types::Secret;
use jsonwebtoken::{AlgorithmFamily, DecodingKey};
use std::fs;

/// Smallest RSA key in DER whose signatures are checked: aws-lc refuses everything below 2048 bits (270 bytes).
const SMALLEST_RSA_DER: usize = 256;

/// Uncompressed points of P-256 and P-384 (SEC 1 section 2.3.3), in bytes.
const P256_POINT: usize = 65;
const P384_POINT: usize = 97;

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

    /// Whether both sides share one secret.
    pub fn is_hmac(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }
}

/// What the file names, read: two snapshots with the same material trust the same tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Material(Vec<(String, Secret)>);

impl Material {
    /// Read secrets or public key, each with the place in the file that names it.
    pub(super) fn read(config: &JwtConfig) -> Result<Self, AuthConfigError> {
        let at = |key: &str| format!("/auth/jwt/{key}");
        let mut found = Vec::new();
        if config.algorithm.is_hmac() {
            found.extend(config.secret.iter().map(|secret| (at("secret"), secret.clone())));
            let several = config.secrets.iter().enumerate();
            found.extend(several.map(|(index, secret)| (at(&format!("secrets/{index}")), secret.clone())));
            if let Some(path) = &config.secret_file {
                let text = read(path, &at("secret_file"))?;
                found.push((at("secret_file"), Secret::new(text.trim())));
            }
        } else {
            found.extend(config.public_key.iter().map(|pem| (at("public_key"), Secret::new(pem.as_str()))));
            if let Some(path) = &config.public_key_file {
                found.push((at("public_key_file"), Secret::new(read(path, &at("public_key_file"))?)));
            }
        }
        match found.iter().find(|(_, secret)| secret.expose().is_empty()) {
            Some((pointer, _)) => Err(AuthConfigError::new(pointer.as_str(), "is empty; put the key there")),
            None if found.is_empty() => Err(missing(config.algorithm)),
            None => Ok(Self(found)),
        }
    }

    /// The first secret, which new tokens are signed with.
    pub(super) fn first(&self) -> Option<&Secret> {
        self.0.first().map(|(_, secret)| secret)
    }

    /// Ready to check signatures.
    pub(super) fn keys(&self, algorithm: Algorithm) -> Result<Box<[DecodingKey]>, AuthConfigError> {
        let key = |(pointer, secret): &(String, Secret)| {
            key(algorithm, secret).map_err(|reason| AuthConfigError::new(pointer.as_str(), reason))
        };
        self.0.iter().map(key).collect()
    }
}

fn missing(algorithm: Algorithm) -> AuthConfigError {
    let reason = match algorithm.is_hmac() {
        true => format!("{algorithm:?} needs a shared secret; give secret, secrets or secret_file"),
        false => format!("{algorithm:?} needs a public key in PEM; give public_key_file or public_key"),
    };
    AuthConfigError::new("/auth/jwt", reason)
}

fn read(path: &str, pointer: &str) -> Result<String, AuthConfigError> {
    fs::read_to_string(path).map_err(|error| AuthConfigError::new(pointer, format!("{path}: {error}")))
}

fn key(algorithm: Algorithm, material: &Secret) -> Result<DecodingKey, String> {
    let text = material.expose();
    if algorithm.is_hmac() {
        return Ok(DecodingKey::from_secret(text.as_bytes()));
    }
    if text.contains("PRIVATE KEY-----") {
        return Err("this is a private key, which signs; give the public one (openssl pkey -pubout)".to_owned());
    }
    if text.contains("BEGIN CERTIFICATE") {
        return Err("this is a certificate; give its public key (openssl x509 -pubkey -noout)".to_owned());
    }
    let pem = text.as_bytes();
    let (key, kind) = match algorithm.known_as().family() {
        AlgorithmFamily::Rsa => (DecodingKey::from_rsa_pem(pem), "an RSA public key"),
        AlgorithmFamily::Ec => (DecodingKey::from_ec_pem(pem), "an EC public key"),
        _ => (DecodingKey::from_ed_pem(pem), "an Ed25519 public key"),
    };
    // The library's own words may repeat what it read.
    let key =
        key.map_err(|_| format!("not {kind} in PEM, which {algorithm:?} needs; it begins with BEGIN PUBLIC KEY"))?;
    fits(algorithm, key.try_get_as_bytes().map_or(0, <[u8]>::len))?;
    Ok(key)
}

/// A key of the wrong size would refuse every token, one by one.
fn fits(algorithm: Algorithm, length: usize) -> Result<(), String> {
    let right = match algorithm {
        Algorithm::ES256 => length == P256_POINT,
        Algorithm::ES384 => length == P384_POINT,
        Algorithm::EdDSA => true,
        _ => length >= SMALLEST_RSA_DER,
    };
    match algorithm {
        _ if right => Ok(()),
        Algorithm::ES256 => Err("ES256 needs a key on the curve P-256".to_owned()),
        Algorithm::ES384 => Err("ES384 needs a key on the curve P-384".to_owned()),
        _ => Err(format!("{algorithm:?} needs a key of at least 2048 bits")),
    }
}
