//! Whose requests a limit counts together.

use http::{HeaderMap, HeaderName};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{
    borrow::Cow,
    fmt::{self, Write},
    hash::{BuildHasher, Hash, Hasher},
    net::IpAddr,
    str::FromStr,
};

/// One part of `key:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyConfig {
    /// Who calls, by `sub`; where nobody is known, the address.
    Consumer,
    /// The caller's address; IPv6 by its /64, because one caller has many of these.
    Address,
    /// The route.
    Route,
    /// The value of a header; without it all requests that lack it count together.
    Header(HeaderName),
}

impl FromStr for KeyConfig {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "not a key; write consumer, address, route or header:X-Api-Client";
        match text.trim() {
            "consumer" => Ok(Self::Consumer),
            "address" => Ok(Self::Address),
            "route" => Ok(Self::Route),
            other => {
                let name = other.strip_prefix("header:").ok_or(wrong)?;
                HeaderName::from_bytes(name.trim().as_bytes()).map(Self::Header).map_err(|_| wrong)
            }
        }
    }
}

impl fmt::Display for KeyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consumer => f.write_str("consumer"),
            Self::Address => f.write_str("address"),
            Self::Route => f.write_str("route"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

impl Serialize for KeyConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for KeyConfig {
    fn schema_name() -> Cow<'static, str> {
        "KeyConfig".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*(consumer|address|route|header:\s*[A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*$",
            "x-expects": "consumer, address, route or header:NAME"
        })
    }
}

/// Who asks, as far as a limit can tell callers apart.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "holds a closure, and lives for one question")]
pub struct Asker<'r> {
    /// The caller's address.
    pub client: IpAddr,
    /// `sub` of the verified token.
    pub consumer: Option<&'r str>,
    /// Whether credentials were asked for, and not good. Such requests count apart, so that whoever guesses tokens takes
    /// nothing from others behind the same address.
    pub refused: bool,
    /// The request's headers.
    pub headers: &'r HeaderMap,
    /// The route's name.
    pub route: &'r str,
    /// The number that a claim of the verified token holds.
    pub number: &'r (dyn Fn(&str) -> Option<u64> + Sync),
}

/// One part of a key, of one request.
#[derive(Hash)]
enum Part<'r> {
    Consumer(&'r str),
    Address(IpAddr),
    Refused(IpAddr),
    Route(&'r str),
    Header(&'r [u8]),
}

fn part<'r>(config: &KeyConfig, asker: &Asker<'r>) -> Part<'r> {
    match (config, asker.consumer) {
        (KeyConfig::Consumer, Some(consumer)) => Part::Consumer(consumer),
        (KeyConfig::Consumer, None) if asker.refused => Part::Refused(network(asker.client)),
        (KeyConfig::Consumer | KeyConfig::Address, _) => Part::Address(network(asker.client)),
        (KeyConfig::Route, _) => Part::Route(asker.route),
        (KeyConfig::Header(name), _) => Part::Header(asker.headers.get(name).map_or(b"", |value| value.as_bytes())),
    }
}

/// An IPv6 caller usually has a whole /64 to choose from.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << 64)).into()),
    }
}

/// In memory: a number, without building a text. `scope` is the limit's.
pub(super) fn hash(build: &impl BuildHasher, scope: u64, key: &[KeyConfig], asker: &Asker<'_>) -> u64 {
    let mut hasher = build.build_hasher();
    scope.hash(&mut hasher);
    key.iter().for_each(|config| part(config, asker).hash(&mut hasher));
    hasher.finish()
}

/// In Redis: a text that tells the same callers apart. What is long becomes a digest, so that keys stay bounded.
pub(super) fn write(out: &mut String, key: &[KeyConfig], asker: &Asker<'_>) {
    /// A longer part (bytes) is written as its SHA-256; no honest name is.
    const LONGEST: usize = 96;
    for config in key {
        let (kind, value): (_, Cow<'_, [u8]>) = match part(config, asker) {
            Part::Consumer(consumer) => ("user", consumer.as_bytes().into()),
            Part::Address(address) => ("ip", address.to_string().into_bytes().into()),
            Part::Refused(address) => ("refused", address.to_string().into_bytes().into()),
            Part::Route(route) => ("route", route.as_bytes().into()),
            Part::Header(value) => ("header", value.into()),
        };
        _ = write!(out, ":{kind}=");
        if value.len() <= LONGEST {
            // Colons and equals signs inside a value must not make two keys one.
            const APART: &percent_encoding::AsciiSet =
                &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
            _ = write!(out, "{}", percent_encoding::percent_encode(&value, APART));
        } else {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &value);
            digest.as_ref().iter().for_each(|byte| _ = write!(out, "{byte:02x}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &str, consumer: Option<&str>, client: &str) -> String {
        let key: Vec<KeyConfig> = key.split(' ').map(|part| part.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        headers.insert("x-client", http::HeaderValue::from_static("a:b"));
        let number = |_: &str| None;
        let client = client.parse().unwrap();
        let asker = Asker { client, consumer, refused: false, headers: &headers, route: "r", number: &number };
        let mut out = String::new();
        write(&mut out, &key, &asker);
        let state = ahash::RandomState::with_seeds(1, 2, 3, 4);
        assert_eq!(hash(&state, 1, &key, &asker), hash(&state, 1, &key, &asker));
        assert_ne!(hash(&state, 1, &key, &asker), hash(&state, 2, &key, &asker));
        out
    }

    #[test]
    fn callers_are_told_apart_by_what_the_key_names() {
        assert_eq!(text("consumer", Some("7"), "192.0.2.1"), ":user=7");
        assert_eq!(text("consumer", None, "192.0.2.1"), ":ip=192.0.2.1");
        assert_eq!(text("address", Some("7"), "2001:db8::1:2:3:4"), ":ip=2001%3Adb8%3A%3A");
        assert_eq!(text("route header:X-Client", Some("7"), "192.0.2.1"), ":route=r:header=a%3Ab");
        // A user who is called like an address is not that address.
        assert_ne!(text("consumer", Some("192.0.2.1"), "1.1.1.1"), text("consumer", None, "192.0.2.1"));
        assert_eq!(text("consumer", Some(&"x".repeat(500)), "192.0.2.1").len(), ":user=".len() + 64);
    }

    #[test]
    fn keys_are_read_and_shown_alike() {
        for text in ["consumer", "address", "route", "header:x-api-client"] {
            assert_eq!(text.parse::<KeyConfig>().unwrap().to_string(), text);
        }
        for text in ["", "user", "header:", "header:a b"] {
            assert!(text.parse::<KeyConfig>().is_err(), "{text}");
        }
    }
}
