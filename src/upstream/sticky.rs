//! Callers that stay at one endpoint, by a cookie.
//!
//! The cookie's value is a signature (HMAC-SHA-256) of the service's name and the endpoint's address. Whoever lacks the
//! secret can neither read which endpoint it is nor ask for another one, and all instances agree on it without talking.

use super::caller::is_token;
use crate::types::{Secret, Span};
use aws_lc_rs::hmac;
use http::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, fmt::Write, net::SocketAddr};

/// Bytes of the signature that are kept: nobody guesses 128 bits.
const KEPT: usize = 16;

/// `sticky:` of a service.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StickyConfig {
    /// Name of the cookie.
    pub cookie: String,
    /// Signs it; the same in all instances. At least 32 bytes in production.
    pub secret: Secret,
    /// How long browsers keep it. Default: until they are closed.
    #[serde(default)]
    pub max_age: Option<Span>,
    /// Whether browsers send it over HTTPS only. Default: true.
    #[serde(default = "yes")]
    pub secure: bool,
    /// On which requests from other sites browsers send it. Default: lax.
    #[serde(default)]
    pub same_site: SameSite,
}

/// `same_site:` of the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    /// On none.
    Strict,
    /// When a link is followed.
    #[default]
    Lax,
    /// On all; needs `secure`.
    None,
}

/// `sticky:`, compiled.
pub(super) struct Sticky {
    pub(super) cookie: Box<str>,
    key: hmac::Key,
    attributes: String,
}

/// What a caller shows who is to stay at one endpoint.
pub(super) struct Ticket {
    /// The cookie's value.
    pub(super) value: Box<str>,
    /// The header that gives it to a caller.
    pub(super) set_cookie: HeaderValue,
}

impl Sticky {
    /// Compile the section, or name the key that is wrong.
    pub(super) fn build(config: &StickyConfig) -> Result<Self, (&'static str, String)> {
        if !is_token(&config.cookie) {
            return Err(("cookie", "not the name of a cookie; use letters, digits, - and _".to_owned()));
        }
        if config.same_site == SameSite::None && !config.secure {
            return Err(("same_site", "browsers ignore none without secure; write secure: true".to_owned()));
        }
        let mut attributes = "; Path=/; HttpOnly".to_owned();
        attributes += match config.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        };
        if config.secure {
            attributes += "; Secure";
        }
        if let Some(age) = config.max_age {
            _ = write!(attributes, "; Max-Age={}", age.get().as_secs());
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, config.secret.expose().as_bytes());
        Ok(Self { cookie: config.cookie.as_str().into(), key, attributes })
    }

    /// The ticket for one endpoint of a service.
    pub(super) fn ticket(&self, service: &str, endpoint: SocketAddr) -> Option<Ticket> {
        let signature = hmac::sign(&self.key, format!("{service}\n{endpoint}").as_bytes());
        let mut value = String::with_capacity(2 * KEPT);
        signature.as_ref().iter().take(KEPT).for_each(|byte| _ = write!(value, "{byte:02x}"));
        let set_cookie = HeaderValue::try_from(format!("{}={value}{}", self.cookie, self.attributes)).ok()?;
        Some(Ticket { value: value.into(), set_cookie })
    }
}

impl fmt::Debug for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sticky({})", self.cookie)
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sticky(text: &str) -> Result<Sticky, (&'static str, String)> {
        Sticky::build(&serde_yaml::from_str(text).unwrap())
    }

    #[test]
    fn a_ticket_names_one_endpoint_and_only_the_secret_makes_it() {
        let (one, other) = ("10.0.0.1:80".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let ours = sticky("{ cookie: at, secret: a, max_age: 1h }").unwrap();
        let theirs = sticky("{ cookie: at, secret: b }").unwrap();
        let ticket = ours.ticket("s", one).unwrap();
        assert_eq!(ticket.value.len(), 32);
        assert_eq!(ticket.value, ours.ticket("s", one).unwrap().value);
        for another in [ours.ticket("s", other), ours.ticket("t", one), theirs.ticket("s", one)] {
            assert_ne!(ticket.value, another.unwrap().value);
        }
        let cookie = format!("at={}; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=3600", ticket.value);
        assert_eq!(ticket.set_cookie, cookie);
    }

    #[test]
    fn what_browsers_would_ignore_is_refused() {
        for (text, key) in [
            ("{ cookie: \"a b\", secret: a }", "cookie"),
            ("{ cookie: a, secret: a, secure: false, same_site: none }", "same_site"),
        ] {
            assert_eq!(sticky(text).unwrap_err().0, key, "{text}");
        }
    }
}
