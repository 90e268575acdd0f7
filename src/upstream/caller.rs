//! What of a request decides which endpoint it gets.

use super::balancer::hash;
use http::{HeaderMap, HeaderName, header};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr};

/// Who asks a service, as far as a choice can depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'r> {
    /// The caller's address.
    pub address: IpAddr,
    /// `sub` of the verified token.
    pub consumer: Option<&'r str>,
    /// The path as matched.
    pub path: &'r str,
    /// The request's headers.
    pub headers: &'r HeaderMap,
}

impl<'r> Caller<'r> {
    /// The value of the first cookie of this name.
    pub(super) fn cookie(&self, name: &str) -> Option<&'r str> {
        let texts = self.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The hash of the first of `keys` that the request has.
    pub(super) fn key(&self, keys: &[HashOnConfig]) -> Option<u64> {
        keys.iter().find_map(|key| match key {
            HashOnConfig::Consumer => self.consumer.map(|consumer| hash(consumer.as_bytes())),
            HashOnConfig::Address => Some(match self.address {
                IpAddr::V4(address) => hash(&address.octets()),
                IpAddr::V6(address) => hash(&address.octets()),
            }),
            HashOnConfig::Path => Some(hash(self.path.as_bytes())),
            HashOnConfig::Header(name) => self.headers.get(name).map(|value| hash(value.as_bytes())),
            HashOnConfig::Cookie(name) => self.cookie(name).map(|value| hash(value.as_bytes())),
        })
    }
}

/// One entry of `hash_on:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashOnConfig {
    /// Who calls, by `sub`.
    Consumer,
    /// The caller's address.
    Address,
    /// The path.
    Path,
    /// The value of a header.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(String),
}

impl FromStr for HashOnConfig {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "cannot be hashed; write consumer, address, path, header:X-Tenant or cookie:tenant";
        match text.trim() {
            "consumer" => Ok(Self::Consumer),
            "address" => Ok(Self::Address),
            "path" => Ok(Self::Path),
            other => match other.split_once(':').map(|(kind, name)| (kind, name.trim())) {
                Some(("header", name)) => HeaderName::from_bytes(name.as_bytes()).map(Self::Header).map_err(|_| wrong),
                Some(("cookie", name)) if is_token(name) => Ok(Self::Cookie(name.to_owned())),
                _ => Err(wrong),
            },
        }
    }
}

/// RFC 6265 section 4.1.1: a cookie's name is a token (RFC 9110 section 5.6.2).
pub(super) fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

impl fmt::Display for HashOnConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consumer => f.write_str("consumer"),
            Self::Address => f.write_str("address"),
            Self::Path => f.write_str("path"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}

impl Serialize for HashOnConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HashOnConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for HashOnConfig {
    fn schema_name() -> Cow<'static, str> {
        "HashOnConfig".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*(consumer|address|path|(header|cookie):\s*[A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*$",
            "x-expects": "consumer, address, path, header:NAME or cookie:NAME"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_first_key_that_is_there_counts() {
        let mut headers = HeaderMap::new();
        headers.insert("x-tenant", HeaderValue::from_static("a"));
        headers.append(header::COOKIE, HeaderValue::from_static("x=1; tenant=b"));
        headers.append(header::COOKIE, HeaderValue::from_static("late=c"));
        let caller = Caller { address: [10, 0, 0, 1].into(), consumer: None, path: "/x", headers: &headers };
        for (keys, expected) in [
            ("consumer, header:X-Tenant", Some(hash(b"a"))),
            ("header:nothing, cookie:tenant", Some(hash(b"b"))),
            ("cookie:late", Some(hash(b"c"))),
            ("path", Some(hash(b"/x"))),
            ("address", Some(hash(&[10, 0, 0, 1]))),
            ("consumer", None),
        ] {
            let keys: Vec<HashOnConfig> = keys.split(',').map(|key| key.parse().unwrap()).collect();
            assert_eq!(caller.key(&keys), expected, "{keys:?}");
        }
        assert!(
            ["", "header", "header:a b", "cookie:", "cookie:a;b"]
                .iter()
                .all(|text| text.parse::<HashOnConfig>().is_err())
        );
    }
}
