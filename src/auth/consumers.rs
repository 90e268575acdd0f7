//! Callers that no token speaks for: what the file says about them.

use super::{
    ApiKeysConfig, AuthConfigError, AuthError, CertificateConfig, Identity, consumers_config::ConsumerConfig,
    identity::Told, token::only,
};
use crate::types::ClientCertificate;
use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName};
use quick_cache::sync::Cache;
use std::{collections::HashMap, sync::Arc};
use subtle::ConstantTimeEq;

/// Active keys of one consumer: one replaces the other.
const MOST_KEYS: usize = 2;

/// Longest key that is looked at, in bytes.
const LONGEST_KEY: usize = 512;

/// Callers made known by certificates that are remembered.
const REMEMBERED: usize = 1_000;

/// SHA-256 of what was sent.
pub(super) type Hash = [u8; 32];

pub(super) fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// `auth.api_keys:`, compiled.
#[derive(Debug)]
pub(super) struct ApiKeys {
    pub(super) header: HeaderName,
    pub(super) forward: bool,
    /// By hash, so that how long a look-up takes tells nothing about a key.
    known: HashMap<Hash, Arc<Identity>>,
}

impl ApiKeys {
    pub(super) fn build(config: &ApiKeysConfig, told: &Told, errors: &mut Vec<AuthConfigError>) -> Self {
        let mut wrong = |pointer: String, reason: String| {
            errors.push(AuthConfigError::new(format!("/auth/api_keys/{pointer}"), reason));
        };
        let header = HeaderName::from_bytes(config.header.as_bytes()).unwrap_or_else(|_| {
            wrong("header".to_owned(), "not a header name; write one such as X-API-Key".to_owned());
            HeaderName::from_static("x-api-key")
        });
        let mut known = HashMap::new();
        for (at, key) in config.keys.iter().enumerate() {
            let identity = Arc::new(Identity::of_consumer(&key.consumer(), told));
            if key.id.is_empty() {
                wrong(format!("keys/{at}"), "nobody is meant; add id".to_owned());
            }
            if key.sha256.is_empty() || key.sha256.len() > MOST_KEYS {
                let reason = "needs one or two hashes in sha256: edgeway hash --new-api-key makes a key and its hash";
                wrong(format!("keys/{at}"), reason.to_owned());
            }
            for (place, text) in key.sha256.iter().enumerate() {
                match hash_of(text) {
                    None => {
                        wrong(format!("keys/{at}/sha256/{place}"), "not a SHA-256: 64 digits from 0 to f".to_owned())
                    }
                    Some(hash) => {
                        if known.insert(hash, identity.clone()).is_some() {
                            wrong(format!("keys/{at}/sha256/{place}"), "somebody else has this key too".to_owned());
                        }
                    }
                }
            }
        }
        Self { header, forward: config.forward, known }
    }

    /// Who sent a key; `None`: nobody did.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Option<Arc<Identity>>, AuthError> {
        let Some(key) = only(headers, &self.header)? else { return Ok(None) };
        if key.len() > LONGEST_KEY {
            return Err(AuthError::ApiKey);
        }
        let hash = sha256(key.as_bytes());
        let found = self.known.get_key_value(&hash).filter(|(known, _)| bool::from(known.ct_eq(&hash)));
        found.map(|(_, identity)| Some(identity.clone())).ok_or(AuthError::ApiKey)
    }
}

/// 64 hexadecimal digits, colons between pairs or not.
pub(super) fn hash_of(text: &str) -> Option<Hash> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut hash = [0; 32];
    let pairs = digits.chunks_exact(2);
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// A key that nobody can guess: 256 bits. `None`: the system has no random numbers.
pub fn new_api_key() -> Option<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).ok()?;
    Some(format!("ew_{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// For `sha256`.
pub fn hash_api_key(key: &str) -> String {
    sha256_in_hex(key.as_bytes())
}

pub(super) fn sha256_in_hex(bytes: &[u8]) -> String {
    sha256(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// `auth.client_certificates:`, compiled.
#[derive(Debug)]
pub(super) struct Certificates {
    rules: Box<[Rule]>,
    remembered: Cache<Hash, Arc<Identity>>,
}

#[derive(Debug)]
struct Rule {
    sha256: Option<Hash>,
    subject: Option<Box<str>>,
    name: Option<Box<str>>,
    id: Option<Box<str>>,
    consumer: ConsumerConfig,
}

impl Certificates {
    /// `None`: there are none.
    pub(super) fn build(config: &[CertificateConfig], errors: &mut Vec<AuthConfigError>) -> Option<Self> {
        let mut rule = |(at, config): (usize, &CertificateConfig)| {
            let hash = config.sha256.as_deref().map(|text| {
                hash_of(text).unwrap_or_else(|| {
                    let reason = "not a SHA-256: 64 digits from 0 to f (openssl x509 -fingerprint -sha256 -noout)";
                    errors.push(AuthConfigError::new(format!("/auth/client_certificates/{at}/sha256"), reason));
                    Hash::default()
                })
            });
            Rule {
                sha256: hash,
                subject: config.subject.as_deref().map(Into::into),
                name: config.name.as_deref().map(Into::into),
                id: config.id.as_deref().map(Into::into),
                consumer: config.consumer(),
            }
        };
        let rules: Box<[Rule]> = config.iter().enumerate().map(&mut rule).collect();
        (!rules.is_empty()).then(|| Self { rules, remembered: Cache::new(REMEMBERED) })
    }

    /// Who the certificate speaks for. The handshake has checked it against the listener's authorities.
    pub(super) fn caller(&self, certificate: &ClientCertificate, told: &Told) -> Result<Arc<Identity>, AuthError> {
        if let Some(identity) = self.remembered.get(&certificate.sha256) {
            return Ok(identity);
        }
        let rule = self.rules.iter().find(|rule| rule.fits(certificate)).ok_or(AuthError::Certificate)?;
        let id = rule.id.as_deref().or(certificate.common_name.as_deref()).ok_or(AuthError::Certificate)?;
        let consumer = ConsumerConfig { id: id.to_owned(), ..rule.consumer.clone() };
        let mut identity = Identity::of_consumer(&consumer, told);
        // A connection may outlive its certificate.
        identity.expires = certificate.expires;
        let identity = Arc::new(identity);
        self.remembered.insert(certificate.sha256, identity.clone());
        Ok(identity)
    }
}

impl Rule {
    fn fits(&self, certificate: &ClientCertificate) -> bool {
        let name = |wanted: &str| certificate.names.iter().any(|name| is_named(name, wanted));
        self.sha256.is_none_or(|hash| hash == certificate.sha256)
            && self.subject.as_ref().is_none_or(|subject| *subject == certificate.subject)
            && self.name.as_deref().is_none_or(name)
    }
}

/// Of a host: neither `eve@x` nor `https://x`.
fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `*.internal` fits one label more, as in certificates (RFC 6125 section 6.4.3).
fn is_named(name: &str, wanted: &str) -> bool {
    match wanted.strip_prefix("*.") {
        Some(suffix) => name.split_once('.').is_some_and(|(label, rest)| is_label(label) && rest == suffix),
        None => name == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn certificate(common_name: Option<&str>, names: &[&str], hash: u8) -> ClientCertificate {
        ClientCertificate {
            subject: common_name.map_or_else(String::new, |name| format!("CN={name},O=Example")).into(),
            common_name: common_name.map(Into::into),
            names: names.iter().map(|name| (*name).into()).collect(),
            sha256: [hash; 32],
            expires: u64::MAX,
        }
    }

    #[test]
    fn a_certificate_speaks_for_whom_the_first_rule_that_fits_names() {
        let rules = json!([
            { "sha256": "01".repeat(32), "id": "pinned", "name": "pinned.internal" },
            { "subject": "CN=billing,O=Example", "id": "billing-service" },
            { "name": "*.internal", "roles": ["inside"] },
            { "name": "spiffe://example/mail", "id": "mail" },
        ]);
        let mut errors = Vec::new();
        let rules: Vec<CertificateConfig> = serde_json::from_value(rules).unwrap();
        let told = Told::default();
        let mut who = |certificate: &ClientCertificate| {
            // Anew each time: who was known by a hash is remembered by it.
            let known = Certificates::build(&rules, &mut errors).unwrap();
            known.caller(certificate, &told).map(|identity| identity.id().unwrap_or_default().to_owned())
        };
        assert_eq!(who(&certificate(Some("a"), &["pinned.internal"], 1)).unwrap(), "pinned");
        // All that a rule names must fit, and the next rule may.
        assert_eq!(who(&certificate(Some("billing"), &["other"], 1)).unwrap(), "billing-service");
        assert_eq!(who(&certificate(Some("b"), &["x.internal"], 2)).unwrap(), "b");
        assert_eq!(who(&certificate(None, &["spiffe://example/mail"], 3)).unwrap(), "mail");
        for (nobody, hash) in [
            (certificate(Some("c"), &["a.b.internal"], 4), "two labels"),
            (certificate(Some("c"), &["internal"], 5), "none"),
            (certificate(Some("c"), &[".internal"], 6), "an empty one"),
            (certificate(None, &["x.internal"], 7), "no common name"),
            (certificate(Some("c"), &["eve@x.internal", "https://x.internal"], 9), "no host"),
            (certificate(Some("c"), &[], 8), "nothing that fits"),
        ] {
            assert_eq!(who(&nobody), Err(AuthError::Certificate), "{hash}");
        }
        assert!(errors.is_empty());
    }

    #[test]
    fn hashes_are_read_with_and_without_colons_and_nothing_else_is() {
        let plain = "0f".repeat(32);
        let colons = vec!["0F"; 32].join(":");
        assert_eq!(hash_of(&plain), Some([0x0f; 32]));
        assert_eq!(hash_of(&colons), Some([0x0f; 32]));
        for wrong in ["", "0f", &"0g".repeat(32), &"0f".repeat(33), &"+f".repeat(32)] {
            assert_eq!(hash_of(wrong), None, "{wrong}");
        }
    }
}
