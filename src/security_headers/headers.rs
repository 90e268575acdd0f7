use super::{SecurityHeadersConfig, SecurityHeadersSection, Switch};
use http::{HeaderName, HeaderValue, header};
use pingora::{http::ResponseHeader, prelude::Result};

/// `security_headers:`, compiled.
#[derive(Debug, Default)]
pub struct SecurityHeaders {
    hsts: Option<HeaderValue>,
    others: Box<[(HeaderName, HeaderValue)]>,
}

/// How an answer reaches its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTPS, to the gateway or to a trusted proxy in front of it.
    Secure,
    /// HTTP.
    Plain,
}

impl SecurityHeaders {
    /// Compile one section.
    ///
    /// # Errors
    /// Everything that is wrong, each with a JSON pointer below the section.
    pub fn build(config: &SecurityHeadersConfig) -> std::result::Result<Self, Vec<(String, String)>> {
        let general = SecurityHeadersSection::default();
        let section = match config {
            SecurityHeadersConfig::Switch(Switch::Off) => return Ok(Self::default()),
            SecurityHeadersConfig::Switch(Switch::On) => &general,
            SecurityHeadersConfig::Section(section) => section,
        };
        let mut problems = Vec::new();
        let mut value = |key: &str, text: &str, check: fn(&str) -> Option<&'static str>| {
            if let Some(right) = check(text).filter(|_| !text.is_empty()) {
                problems.push((format!("/{key}"), format!("not a value of this header; write {right}")));
            }
            HeaderValue::from_str(text).ok().filter(|value| !value.is_empty())
        };
        let hsts = value("hsts", &section.hsts, wrong_hsts);
        let others = [
            (
                header::X_CONTENT_TYPE_OPTIONS,
                value("content_type_options", &section.content_type_options, |text| {
                    (text != "nosniff").then_some("nosniff")
                }),
            ),
            (
                header::X_FRAME_OPTIONS,
                value("frame_options", &section.frame_options, |text| {
                    (!["DENY", "SAMEORIGIN"].contains(&text)).then_some("DENY or SAMEORIGIN")
                }),
            ),
            (header::REFERRER_POLICY, value("referrer_policy", &section.referrer_policy, wrong_referrer)),
        ];
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { hsts, others: others.into_iter().filter_map(|(name, value)| Some((name, value?))).collect() })
    }

    /// Add what is not there: whoever answers knows better.
    ///
    /// # Errors
    /// None that ready-made names and values could cause; pingora's signature has one.
    pub fn apply(&self, response: &mut ResponseHeader, transport: Transport) -> Result<()> {
        for (name, value) in &self.others {
            if !response.headers.contains_key(name) {
                response.insert_header(name.clone(), value.clone())?;
            }
        }
        match &self.hsts {
            // RFC 6797 section 7.2: never over HTTP.
            Some(value)
                if transport == Transport::Secure
                    && !response.headers.contains_key(header::STRICT_TRANSPORT_SECURITY) =>
            {
                response.insert_header(header::STRICT_TRANSPORT_SECURITY, value.clone())
            }
            _ => Ok(()),
        }
    }
}

/// RFC 6797 section 6.1: `max-age` is there, and it is a number.
fn wrong_hsts(text: &str) -> Option<&'static str> {
    let is_known = |part: &str| {
        let part = part.trim().to_ascii_lowercase();
        let age = part.strip_prefix("max-age=").is_some_and(|age| age.parse::<u32>().is_ok());
        age || ["includesubdomains", "preload"].contains(&part.as_str())
    };
    let has_age = text.to_ascii_lowercase().contains("max-age=");
    (!(has_age && text.split(';').all(is_known))).then_some("max-age=31536000; includeSubDomains")
}

/// The words of the W3C's Referrer Policy, section 3.
fn wrong_referrer(text: &str) -> Option<&'static str> {
    const KNOWN: [&str; 8] = [
        "no-referrer",
        "no-referrer-when-downgrade",
        "origin",
        "origin-when-cross-origin",
        "same-origin",
        "strict-origin",
        "strict-origin-when-cross-origin",
        "unsafe-url",
    ];
    let known = text.split(',').all(|word| KNOWN.contains(&word.trim()));
    (!known).then_some("strict-origin-when-cross-origin or no-referrer")
}
