//! The keys that the configuration names itself: secrets, and public keys in PEM.

use super::{
    AuthConfigError, JwtConfig,
    keys::{Key, KeySet},
};
use crate::types::Secret;
use std::fs;

/// What the file names, read: two snapshots with the same material trust the same tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Material(Vec<(String, Secret)>);

impl Material {
    /// Read secrets or public key, each with the place in the file that names it: below `pointer`. Empty where a set of
    /// keys is kept elsewhere.
    pub(super) fn read(config: &JwtConfig, pointer: &str) -> Result<Self, AuthConfigError> {
        let at = |key: &str| format!("{pointer}/{key}");
        let mut found = Vec::new();
        if is_hmac(config) {
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
        let kept = config.jwks_file.is_some() || config.jwks_url.is_some();
        match found.iter().find(|(_, secret)| secret.expose().is_empty()) {
            Some((pointer, _)) => Err(AuthConfigError::new(pointer.as_str(), "is empty; put the key there")),
            None if found.is_empty() && !kept => Err(missing(config, pointer)),
            None => Ok(Self(found)),
        }
    }

    /// The first secret, which new tokens are signed with.
    pub(super) fn first(&self) -> Option<&Secret> {
        self.0.first().map(|(_, secret)| secret)
    }

    /// Ready to check signatures.
    pub(super) fn keys(&self, config: &JwtConfig, pointer: &str) -> Result<KeySet, AuthConfigError> {
        let Some(algorithm) = config.algorithm.first() else { return Err(missing(config, pointer)) };
        let key = |(pointer, secret): &(String, Secret)| match algorithm.is_hmac() {
            true => Ok(Key::secret(secret.expose().as_bytes())),
            false => Key::public(secret.expose(), *algorithm)
                .map_err(|reason| AuthConfigError::new(pointer.as_str(), reason)),
        };
        self.0.iter().map(key).collect::<Result<_, _>>().map(KeySet::new)
    }
}

/// Whether both sides share one secret.
pub(super) fn is_hmac(config: &JwtConfig) -> bool {
    config.algorithm.first().is_some_and(|algorithm| algorithm.is_hmac())
}

fn missing(config: &JwtConfig, pointer: &str) -> AuthConfigError {
    let reason = match config.algorithm.first() {
        None => "no algorithm; name those that are accepted, as in RS256".to_owned(),
        Some(algorithm) if algorithm.is_hmac() => {
            format!("{} needs a shared secret; give secret, secrets or secret_file", algorithm.name())
        }
        Some(algorithm) => {
            let name = algorithm.name();
            format!("{name} needs a public key; give jwks_url, jwks_file, public_key_file or public_key")
        }
    };
    AuthConfigError::new(pointer, reason)
}

fn read(path: &str, pointer: &str) -> Result<String, AuthConfigError> {
    fs::read_to_string(path).map_err(|error| AuthConfigError::new(pointer, format!("{path}: {error}")))
}
