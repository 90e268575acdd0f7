//! Addresses of endpoints as operators write them.

use super::{EndpointConfig, resolver::Name};
use http::HeaderValue;
use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    sync::Arc,
};

/// One entry of `endpoints:`, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) address: Address,
    pub(super) weight: NonZeroU16,
    pub(super) priority: u8,
    pub(super) zone: Option<Box<str>>,
}

impl Written {
    /// Read one entry, or say which key of it is wrong and why.
    pub(super) fn read(entry: &EndpointConfig) -> Result<Self, (&'static str, String)> {
        match entry {
            EndpointConfig::Address(text) => {
                let address = Address::parse(text).map_err(|reason| ("", reason))?;
                Ok(Self { address, weight: NonZeroU16::MIN, priority: 0, zone: None })
            }
            EndpointConfig::Weighted(entry) => {
                let address = Address::parse(&entry.address).map_err(|reason| ("/address", reason))?;
                let zone = entry.zone.as_deref().map(Into::into);
                Ok(Self { address, weight: entry.weight, priority: entry.priority, zone })
            }
        }
    }
}

/// One written address: a name that is resolved again and again, or an address that stays.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) host: Arc<str>,
    /// 0: the answer says it (SRV).
    pub(super) port: u16,
    /// Set where there is nothing to resolve.
    pub(super) fixed: Option<SocketAddr>,
    /// `https://`.
    pub(super) tls: bool,
}

impl Address {
    /// `http://member-service:8001`, `member-service:8001`, `10.0.0.7:8001`, `[::1]:8001`; with `http://` or
    /// `https://` the port may be left out and is 80 or 443 then. `srv://_http._tcp.member.example` has its ports in DNS.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not an address; write http://member-service:8001 or 10.0.0.7:8001");
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
        let mut tls = false;
        match scheme.map(str::to_ascii_lowercase).as_deref() {
            None | Some("http") => (),
            Some("srv") => return service(rest),
            Some("https") => tls = true,
            Some(_) => return Err(wrong()),
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(format!("{text:?} has more than host and port; use rewrite on the route to change paths"));
        }
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?),
            None if scheme.is_some() => (authority, if tls { 443 } else { 80 }),
            None => return Err(format!("{text:?} has no port; write {text}:8001")),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let ip: Option<IpAddr> = bare.unwrap_or(host).parse().ok();
        // An IPv6 address without brackets could end anywhere.
        if !(is_name(host) || (ip.is_some() && bare.is_some())) {
            return Err(wrong());
        }
        let host = bare.unwrap_or(host).to_ascii_lowercase();
        Ok(Self { host: host.into(), port, fixed: ip.map(|ip| SocketAddr::new(ip, port)), tls })
    }

    /// What has to be resolved.
    pub(super) fn name(&self) -> Option<Name> {
        match (self.fixed, self.port) {
            (Some(_), _) => None,
            (None, 0) => Some(Name::Service(self.host.clone())),
            (None, _) => Some(Name::Host(self.host.clone())),
        }
    }

    /// What a service expects as its `Host`: without the port that its scheme means anyway, and of an SRV name the part
    /// behind service and protocol.
    pub(super) fn host_header(&self) -> Option<HeaderValue> {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        let text = match self.port {
            0 => host.splitn(3, '.').last().map(str::to_owned).unwrap_or_default(),
            443 if self.tls => host,
            80 if !self.tls => host,
            port => format!("{host}:{port}"),
        };
        HeaderValue::try_from(text.trim_end_matches('.')).ok()
    }
}

/// RFC 2782: `_service._protocol.name`.
fn service(name: &str) -> Result<Address, String> {
    let labels: Vec<&str> = name.splitn(3, '.').collect();
    let is_service = |label: &&str| label.len() > 1 && label.starts_with('_');
    match labels.as_slice() {
        [service, protocol, rest]
            if [service, protocol].into_iter().all(is_service) && is_name(rest) && is_name(name) =>
        {
            Ok(Address { host: name.to_ascii_lowercase().into(), port: 0, fixed: None, tls: false })
        }
        _ => Err(format!("{name:?} is not the name of a service; write srv://_http._tcp.member.example")),
    }
}

fn is_name(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !host.is_empty() && host.len() <= 253 && host.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_address_is_understood() {
        for (text, host, fixed) in [
            ("http://member-service:8001", "member-service:8001", None),
            ("HTTP://Member-Service:8001/", "member-service:8001", None),
            ("honeybox:8000", "honeybox:8000", None),
            ("http://honeybox", "honeybox", None),
            ("10.0.0.7:80", "10.0.0.7", Some("10.0.0.7:80")),
            ("http://[::1]:8001", "[::1]:8001", Some("[::1]:8001")),
            ("[::1]:80", "[::1]", Some("[::1]:80")),
            ("https://member.example", "member.example", None),
            ("https://member.example:80", "member.example:80", None),
            ("https://10.0.0.7", "10.0.0.7", Some("10.0.0.7:443")),
            ("srv://_http._tcp.Member.example", "member.example", None),
            ("members.default.svc.cluster.local.:8001", "members.default.svc.cluster.local.:8001", None),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.host_header().unwrap(), host, "{text}");
            assert_eq!(address.fixed.map(|fixed| fixed.to_string()).as_deref(), fixed, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            ":80",
            "a",
            "a:0",
            "a:99999",
            "a:x",
            "http://a/x",
            "http://u@a:1",
            "::1:80",
            "ftp://a:1",
            "https://a:1/x",
            "a b:1",
            "srv://member.example",
            "srv://_http._tcp.member:80",
            "srv://_http._tcp",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
