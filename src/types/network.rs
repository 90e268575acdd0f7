//! Addresses as operators write them.

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr};

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether `address` lies in the range. An IPv4 address that came over an IPv6 socket counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Its first and its last address. A range within `::ffff:0:0/96` is one of IPv4 addresses.
    pub fn bounds(&self) -> (IpAddr, IpAddr) {
        let (first, last) = (self.0.network(), self.0.broadcast());
        match (first.to_canonical(), last.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(last)) => (first.into(), last.into()),
            _ => (first, last),
        }
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(|network| Self(network.trunc())).map_err(|_| "not an address range; write 10.0.0.0/8 or 192.0.2.7")
    }
}

/// Where a listener accepts: `0.0.0.0:8080`, `[::]:8080`, `localhost:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// An address without brackets, or a name.
    pub host: String,
    /// 0: any free port, for tests; the log line of the start names it.
    pub port: u16,
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "not an address to listen on; write 0.0.0.0:8080, [::]:8080 or 127.0.0.1:8080";
        let (host, port) = text.trim().rsplit_once(':').ok_or(wrong)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = |host: &str| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        };
        if host.parse::<IpAddr>().is_err() && !name(host) {
            return Err(wrong);
        }
        Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| wrong)? })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Read from and shown as one text, with this hint in the schema.
macro_rules! textual {
    ($name:ident, $pattern:literal, $expects:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "format": stringify!($name), "x-expects": $expects })
            }
        }
    };
}
textual!(Network, r"^[0-9A-Fa-f:.]+(/\d{1,3})?$", "an address range such as 10.0.0.0/8, or one address");
textual!(ListenAddress, r"^\s*\S+:\d{1,5}\s*$", "an address to listen on, such as 0.0.0.0:8080 or [::]:8080");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses_are_read_with_and_without_brackets() {
        for (text, shown) in
            [("0.0.0.0:80", "0.0.0.0:80"), ("[::]:80", "[::]:80"), (":::80", "[::]:80"), ("localhost:1", "localhost:1")]
        {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), shown);
        }
        for text in ["80", "a b:80", "0.0.0.0:80x", "0.0.0.0:65536", ":80"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_holds_addresses_of_either_socket_family() {
        let network: Network = "10.1.2.3/8".parse().unwrap();
        assert!(network.contains("::ffff:10.9.9.9".parse().unwrap()) && network.contains("10.0.0.1".parse().unwrap()));
        assert!(!network.contains("11.0.0.1".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
    }
}
