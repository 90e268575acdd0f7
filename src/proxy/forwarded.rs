//! RFC 7239, `Forwarded`: who is connected to the gateway, as which host, over what.

use super::client::Client;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::net::IpAddr;

/// `static`, so that a head can borrow the text.
pub(super) static FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// The chain that the service gets: what trusted proxies said, and what the gateway sees itself. `None`: a proxy said
/// something that no text is.
pub(super) fn chain(client: &Client, headers: &HeaderMap) -> Option<HeaderValue> {
    let mut chain = Vec::new();
    if client.trusted {
        for line in headers.get_all(&FORWARDED) {
            chain.extend_from_slice(line.to_str().ok()?.as_bytes());
            chain.extend_from_slice(b", ");
        }
    }
    match client.peer {
        IpAddr::V4(peer) => chain.extend_from_slice(format!("for={peer}").as_bytes()),
        // Section 6: brackets, and quotes because of them.
        IpAddr::V6(peer) => chain.extend_from_slice(format!("for=\"[{peer}]\"").as_bytes()),
    }
    if let Some(host) = headers.get(header::HOST) {
        chain.extend_from_slice(b";host=");
        quote(host.as_bytes(), &mut chain);
    }
    chain.extend_from_slice(b";proto=");
    chain.extend_from_slice(client.scheme.as_bytes());
    HeaderValue::from_bytes(&chain).ok()
}

/// A token as it is, anything else as a quoted string (RFC 9110, sections 5.6.2 and 5.6.4).
fn quote(value: &[u8], into: &mut Vec<u8>) {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if !value.is_empty() && value.iter().all(is_plain) {
        return into.extend_from_slice(value);
    }
    into.push(b'"');
    for byte in value {
        if b"\"\\".contains(byte) {
            into.push(b'\\');
        }
        into.push(*byte);
    }
    into.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Network;

    #[track_caller]
    fn check(peer: &str, lines: &[(&HeaderName, &str)], expected: &str) {
        let trusted: [Network; 2] = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        lines.iter().for_each(|(name, value)| _ = headers.append(*name, HeaderValue::from_str(value).unwrap()));
        let client = Client::resolve(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(chain(&client, &headers).unwrap(), expected, "{peer} {lines:?}");
    }

    #[test]
    fn each_hop_says_what_it_sees_and_strangers_say_nothing() {
        let host = (&header::HOST, "api.example");
        check("192.0.2.1", &[host], "for=192.0.2.1;host=api.example;proto=http");
        check("::ffff:192.0.2.1", &[host], "for=192.0.2.1;host=api.example;proto=http");
        check("2001:db8::1", &[host], "for=\"[2001:db8::1]\";host=api.example;proto=http");
        check(
            "192.0.2.1",
            &[(&header::HOST, "api.example:8080")],
            "for=192.0.2.1;host=\"api.example:8080\";proto=http",
        );
        check("192.0.2.1", &[(&header::HOST, "[::1]:80")], "for=192.0.2.1;host=\"[::1]:80\";proto=http");
        check("192.0.2.1", &[(&header::HOST, "a\"b\\c")], "for=192.0.2.1;host=\"a\\\"b\\\\c\";proto=http");
        check("192.0.2.1", &[], "for=192.0.2.1;proto=http");
        let said = (&FORWARDED, "for=6.6.6.6;proto=https");
        check("192.0.2.1", &[said, host], "for=192.0.2.1;host=api.example;proto=http");
        let both = "for=6.6.6.6;proto=https, for=7.7.7.7, for=10.0.0.1;host=api.example;proto=http";
        check("10.0.0.1", &[said, (&FORWARDED, "for=7.7.7.7"), host], both);
    }
}
