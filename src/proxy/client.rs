//! Who is calling from where, through which proxies.

use super::headers::Word;
use crate::types::Network;
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::{protocols::l4::socket::SocketAddr, proxy::Session};
use std::net::{self, IpAddr, Ipv4Addr};

/// What proxies in front of the gateway say about a request. `static`, so that a head can borrow the text.
pub(super) static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) static FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Most hops that are looked at: ALB itself answers 463 above 30 addresses.
const MOST_HOPS: usize = 64;

/// Longest text of an address, in bytes: IPv6 with an IPv4 tail.
const LONGEST_ADDRESS: usize = 45;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// The caller: the right-most address that is not a trusted proxy's.
    pub(super) address: IpAddr,
    /// Who is connected: the caller, or a proxy.
    pub(super) peer: IpAddr,
    /// Whether the peer is a trusted proxy, whose word counts.
    pub(super) trusted: bool,
    /// `https` where the peer speaks TLS with the gateway.
    pub(super) scheme: &'static str,
    /// The port that the peer is connected to, as far as is known; behind a PROXY protocol header the balancer's.
    pub(super) port: Option<u16>,
}

impl Client {
    /// Nobody, until the head of the request is there.
    pub(super) const UNKNOWN: Self = Self {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        trusted: false,
        scheme: "http",
        port: None,
    };

    /// Who stands behind a connection.
    pub(super) fn of(connection: &Connection, headers: &HeaderMap, trusted: &[Network]) -> Self {
        let &Connection { peer, port, scheme } = connection;
        let Some(peer) = peer else { return Self::UNKNOWN };
        Self { scheme, port, ..Self::resolve(peer, headers, trusted) }
    }

    /// Read `X-Forwarded-For` from right to left, as long as proxies in `trusted` vouch for it. `Forwarded` is not asked:
    /// where two headers could differ, somebody would use that.
    pub(super) fn resolve(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> Self {
        let peer = peer.to_canonical();
        let known = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        let mut client = Self { address: peer, peer, trusted: known(peer), ..Self::UNKNOWN };
        if !client.trusted {
            return client;
        }
        let lines = headers.get_all(&FORWARDED_FOR).iter().rev();
        let hops = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
        for hop in hops.take(MOST_HOPS) {
            // Whatever stands left of something unreadable is nobody's word.
            let Some(address) = hop_address(hop.trim()) else { break };
            client.address = address;
            if !known(address) {
                break;
            }
        }
        client
    }

    /// As the caller used it: what a trusted proxy says, and else what this connection is.
    pub(super) fn scheme_of(&self, headers: &HeaderMap) -> &'static str {
        match headers.get(&FORWARDED_PROTO).filter(|_| self.trusted) {
            Some(said) if said.as_bytes().eq_ignore_ascii_case(b"https") => "https",
            Some(_) => "http",
            None => self.scheme,
        }
    }

    /// Whether what the peer says about others counts.
    pub(super) fn word(&self) -> Word {
        if self.trusted { Word::Counts } else { Word::IsNothing }
    }

    /// The chain that the service gets: what trusted proxies said, and who is connected.
    pub(super) fn chain(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        use std::io::Write;
        // On the stack: the usual chain is one address.
        let mut text = [0; LONGEST_ADDRESS];
        let mut rest = &mut text[..];
        write!(rest, "{}", self.peer).ok()?;
        let left = rest.len();
        let peer = text.get(..LONGEST_ADDRESS - left)?;
        if !self.trusted {
            return HeaderValue::from_bytes(peer).ok();
        }
        let mut chain = Vec::new();
        for line in headers.get_all(&FORWARDED_FOR) {
            chain.extend_from_slice(line.to_str().ok()?.as_bytes());
            chain.extend_from_slice(b", ");
        }
        chain.extend_from_slice(peer);
        HeaderValue::from_bytes(&chain).ok()
    }
}

/// What a connection tells about its peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) peer: Option<IpAddr>,
    /// The port that the peer is connected to.
    pub(super) port: Option<u16>,
    /// What the peer speaks with the gateway.
    pub(super) scheme: &'static str,
}

impl Connection {
    pub(super) fn of(session: &Session) -> Self {
        let peer = session.client_addr().and_then(SocketAddr::as_inet).map(|peer| peer.ip());
        let port = session.server_addr().and_then(SocketAddr::as_inet).map(|own| own.port());
        Self { peer, port, scheme: scheme(session.digest().is_some_and(|digest| digest.ssl_digest.is_some())) }
    }
}

pub(super) fn scheme(encrypted: bool) -> &'static str {
    if encrypted { "https" } else { "http" }
}

/// `192.0.2.1`, `192.0.2.1:5678`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:5678`: all forms that ALB writes.
fn hop_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address =
        bare.parse::<IpAddr>().ok().or_else(|| text.parse::<net::SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    #[track_caller]
    fn check(peer: &str, lines: &[&str], expected: &str) {
        let trusted: Vec<Network> = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()).into();
        let mut headers = HeaderMap::new();
        lines.iter().for_each(|line| _ = headers.append(&FORWARDED_FOR, HeaderValue::from_str(line).unwrap()));
        let client = Client::resolve(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(client.address, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
    }

    #[test]
    fn the_right_most_untrusted_hop_is_the_caller() {
        check("192.0.2.9", &["1.1.1.1"], "192.0.2.9");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["1.1.1.1"], "1.1.1.1");
        check("::ffff:10.0.0.1", &["6.6.6.6, 1.1.1.1"], "1.1.1.1");
        check("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.2.0.1"], "1.1.1.1");
        check("10.0.0.1", &["6.6.6.6", "1.1.1.1 ,10.2.0.1"], "1.1.1.1");
        check("10.0.0.1", &["10.3.0.1, 10.2.0.1"], "10.3.0.1");
    }

    #[test]
    fn every_form_of_an_address_is_read_and_nothing_else() {
        check("10.0.0.1", &["1.1.1.1:5678"], "1.1.1.1");
        check("fd00::1", &["[2001:db8::1]:5678"], "2001:db8::1");
        check("fd00::1", &["[2001:db8::1]"], "2001:db8::1");
        check("fd00::1", &["2001:db8::1"], "2001:db8::1");
        for nonsense in ["unknown", "", "1.1.1.1, _hidden", "1.1.1.1, 999.1.1.1", "1.1.1.1, 2.2.2.2.", "1.1.1.1,"] {
            check("10.0.0.1", &[nonsense], "10.0.0.1");
        }
        let long = "10.9.9.9, ".repeat(1000) + "10.1.1.1";
        check("10.0.0.1", &[&format!("6.6.6.6, {long}")], "10.9.9.9");
    }

    #[test]
    fn the_chain_begins_anew_with_an_untrusted_peer() {
        let mut headers = HeaderMap::new();
        headers.append(&FORWARDED_FOR, HeaderValue::from_static("6.6.6.6"));
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let chain = |peer: [u8; 4]| Client::resolve(peer.into(), &headers, &trusted).chain(&headers).unwrap();
        assert_eq!(chain([192, 0, 2, 1]), "192.0.2.1");
        assert_eq!(chain([10, 0, 0, 1]), "6.6.6.6, 10.0.0.1");
    }

    /// A hop: of a proxy, of a stranger, or nobody's word.
    fn hop() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<[u8; 3]>().prop_map(|rest| format!("10.{}.{}.{}", rest[0], rest[1], rest[2])),
            any::<u16>().prop_map(|last| format!("fd00::{last:x}")),
            any::<[u8; 2]>().prop_map(|rest| format!("192.0.{}.{}", rest[0], rest[1])),
            any::<u16>().prop_map(|last| format!("[2001:db8::{last:x}]:5678")),
            "[ -+\\--~]{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn what_stands_left_of_a_strangers_address_changes_nothing(
            left in vec(hop(), 0..80),
            proxies in vec(any::<u8>(), 0..60),
            cut in any::<bool>(),
        ) {
            let trusted: Vec<Network> = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()).into();
            let right = proxies.iter().map(|last| format!("10.0.0.{last}"));
            let known: Vec<String> = std::iter::once("203.0.113.7".to_owned()).chain(right).collect();
            let mut headers = HeaderMap::new();
            // In one line or in two.
            let lines = if cut { vec![left.join(","), known.join(", ")] } else { vec![[left, known].concat().join(", ")] };
            lines.iter().for_each(|line| _ = headers.append(&FORWARDED_FOR, HeaderValue::from_str(line).unwrap()));
            let client = Client::resolve([10, 9, 9, 9].into(), &headers, &trusted);
            prop_assert_eq!(client.address, IpAddr::from([203, 0, 113, 7]), "{:?}", lines);
        }
    }
}
