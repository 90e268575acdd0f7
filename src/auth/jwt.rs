use super::{AuthConfigError, AuthError, JwtConfig, keys::Material};
use jsonwebtoken::{DecodingKey, Validation, decode};
use serde_json::{Map, Value};

/// The claims of a token, as they stand in it.
pub(super) type Claims = Map<String, Value>;

/// Checks signatures and registered claims (RFC 7519 section 4.1).
pub(super) struct JwtVerifier {
    keys: Box<[DecodingKey]>,
    validation: Validation,
    max_bytes: usize,
}

impl JwtVerifier {
    pub(super) fn build(config: &JwtConfig, material: &Material) -> Result<Self, AuthConfigError> {
        let mut validation = Validation::new(config.algorithm.known_as());
        // The library's defaults: 60 s of leeway, `nbf` not looked at, any `aud` refused where none is configured.
        validation.leeway = config.leeway.get().as_secs();
        validation.validate_nbf = true;
        validation.validate_aud = !config.audience.is_empty();
        let mut required = vec!["exp"];
        if !config.audience.is_empty() {
            validation.set_audience(&config.audience);
            required.push("aud");
        }
        if !config.issuer.is_empty() {
            validation.set_issuer(&config.issuer);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        Ok(Self { keys: material.keys(config.algorithm)?, validation, max_bytes: config.max_token_bytes })
    }

    /// Everything about a token but who it speaks for.
    pub(super) fn verify(&self, token: &str) -> Result<Claims, AuthError> {
        if token.len() > self.max_bytes {
            return Err(AuthError::TooLong);
        }
        let mut refused = AuthError::Signature;
        for key in &self.keys {
            match decode::<Claims>(token, key, &self.validation) {
                Ok(token) if token.header.crit.is_some() => return Err(AuthError::Critical),
                Ok(token) => return Ok(token.claims),
                Err(error) => refused = AuthError::from(&error),
            }
            // Only another key could make good a wrong signature.
            if refused != AuthError::Signature {
                break;
            }
        }
        Err(refused)
    }

    /// Seconds by which clocks may differ.
    pub(super) fn leeway(&self) -> u64 {
        self.validation.leeway
    }
}
