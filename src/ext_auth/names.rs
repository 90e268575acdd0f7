//! Names of headers, and which of them nobody may choose.

use crate::types::is_same_for_cgi;
use http::HeaderName;

/// They belong to one connection (RFC 9110 section 7.6.1), or say where a body ends.
const OF_THE_CONNECTION: [&str; 12] = [
    "host",
    "connection",
    "keep-alive",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
];

/// Only the gateway says them.
const OF_THE_GATEWAY: [&str; 3] = ["forwarded", "x-real-ip", "x-request-id"];

/// What may be chosen by name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    /// Of the request.
    ToSend,
    /// Of the answer.
    ToSet,
}

/// Read a list of names; each problem with its place in the list.
pub(super) fn read(list: &[String], chosen: Chosen) -> Result<Box<[HeaderName]>, (usize, String)> {
    let name = |(at, text): (usize, &String)| known(text, chosen).map_err(|reason| (at, reason));
    list.iter().enumerate().map(name).collect()
}

fn known(text: &str, chosen: Chosen) -> Result<HeaderName, String> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| "not a header name; use letters, digits and -".to_owned())?;
    let word = name.as_str();
    if OF_THE_CONNECTION.contains(&word) {
        return Err(format!("{word} belongs to each connection; leave it out"));
    }
    match chosen {
        Chosen::ToSend if word.starts_with("x-forwarded-") => Err(format!("{word} is the gateway's; leave it out")),
        Chosen::ToSet if word.starts_with("x-forwarded-") || OF_THE_GATEWAY.contains(&word) => {
            Err(format!("{word} is the gateway's; choose another name"))
        }
        _ => Ok(name),
    }
}

/// Whether some servers take one for the other: CGI, WSGI and their heirs read `x_user_id` as `x-user-id`.
pub(super) fn is_same(one: &HeaderName, other: &HeaderName) -> bool {
    is_same_for_cgi(one.as_str(), other.as_str())
}
