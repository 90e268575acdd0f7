//! Who may ask for what. Decided before anything is looked at.

use super::{Admin, answer::problem, listener::Peer};
use crate::types::{Secret, Standing};
use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};
use subtle::ConstantTimeEq;

/// What scrapers and orchestrators ask for, who have no token.
const PUBLIC: [&str; 4] = ["/metrics", "/health", "/health/live", "/health/ready"];

/// Who changes something, for the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Author {
    peer: SocketAddr,
    by: By,
}

/// How they proved that they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Token,
    /// Nobody is asked: whoever can connect is on this machine.
    None,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Host,
    Origin,
    Token,
    /// Another process is the gateway.
    Superseded,
}

/// Refuse, or pass on with the author's name.
pub(super) async fn guard(
    State(admin): State<Admin>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let config = admin.live.pin().config.clone();
    // From the moment in which another process is told what this one knows.
    let superseded = admin.standing.as_ref().is_some_and(|standing| *standing.borrow() != Standing::Gateway);
    let rules = Rules { local: admin.local, token: config.admin.token.as_ref() };
    let mut response = match rules.check(request.method(), request.uri().path(), request.headers()) {
        Ok(_) if superseded && !reads(request.method()) => Refusal::Superseded.into_response(),
        Ok(by) => {
            request.extensions_mut().insert(Author { peer, by });
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    if superseded {
        // The next question goes to the process that is the gateway now.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn reads(method: &Method) -> bool {
    [Method::GET, Method::HEAD].contains(method)
}

struct Rules<'t> {
    local: bool,
    token: Option<&'t Secret>,
}

impl Rules<'_> {
    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<By, Refusal> {
        // A page may make its own name mean 127.0.0.1, and would then be of this origin. Off the loopback interface
        // names are how the gateway is found, and what a page could read there is open to all that can connect.
        if self.local && !is_of_this_machine(headers) {
            return Err(Refusal::Host);
        }
        // Browsers say with each change from where it comes; nothing but a browser does.
        if !reads(method) && headers.contains_key(header::ORIGIN) {
            return Err(Refusal::Origin);
        }
        match self.token {
            _ if PUBLIC.contains(&path) => Ok(By::None),
            Some(token) if has(headers, token) => Ok(By::Token),
            None if self.local => Ok(By::None),
            _ => Err(Refusal::Token),
        }
    }
}

/// `Host` is an address or `localhost`, with or without a port.
fn is_of_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else { return false };
    let bare = |host: &str| host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).map(str::to_owned);
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() && !name.ends_with(':') => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || bare(name).as_deref().unwrap_or(name).parse::<IpAddr>().is_ok()
}

/// In a time that does not depend on where a wrong token differs.
fn has(headers: &HeaderMap, token: &Secret) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next().and_then(|value| value.to_str().ok()), values.next()) else {
        return false;
    };
    let (scheme, sent) = value.split_once(' ').unwrap_or_default();
    let is_right = |sent: &[u8]| bool::from(sent.ct_eq(token.expose().as_bytes()));
    if scheme.eq_ignore_ascii_case("basic") {
        // A browser asks for a name and a password: the token is the password, whatever the name.
        let pair = STANDARD.decode(sent.trim()).unwrap_or_default();
        return pair
            .iter()
            .position(|byte| *byte == b':')
            .and_then(|colon| pair.get(colon + 1..))
            .is_some_and(is_right);
    }
    scheme.eq_ignore_ascii_case("bearer") && is_right(sent.trim().as_bytes())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Host => problem(
                StatusCode::FORBIDDEN,
                "bad_host",
                "the Host is neither an address nor localhost; a page of another site may be asking",
            ),
            Self::Origin => {
                problem(StatusCode::FORBIDDEN, "bad_origin", "changes do not come from a browser; leave Origin out")
            }
            Self::Superseded => problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "superseded",
                "another process is the gateway now; ask again on a new connection, which reaches it",
            ),
            Self::Token => {
                let detail = "send the admin token: Authorization: Bearer …";
                let mut response = problem(StatusCode::UNAUTHORIZED, "token_missing", detail);
                let challenges = ["Bearer", "Basic realm=\"edgeway admin\", charset=\"UTF-8\""];
                for challenge in challenges {
                    response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                }
                response
            }
        }
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.peer, if self.by == By::Token { "token" } else { "none" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let pair = |line: &&str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())
        };
        lines.iter().map(pair).collect()
    }

    #[track_caller]
    fn check(local: bool, token: Option<&str>, request: &str, lines: &[&str], expected: Result<By, Refusal>) {
        let token = token.map(Secret::new);
        let (method, path) = request.split_once(' ').unwrap();
        let rules = Rules { local, token: token.as_ref() };
        assert_eq!(rules.check(&method.parse().unwrap(), path, &headers(lines)), expected, "{request} {lines:?}");
    }

    #[test]
    fn on_loopback_every_address_and_localhost_may_ask() {
        for host in ["127.0.0.1:9901", "127.0.0.1", "[::1]:9901", "[::1]", "localhost", "LocalHost:80", "192.0.2.7"] {
            check(true, None, "GET /api/v1/state", &[&format!("host: {host}")], Ok(By::None));
        }
        for host in ["evil.example", "evil.example:9901", "localhost.evil.example", "127.0.0.1.evil.example", "", ":80"]
        {
            check(true, None, "GET /metrics", &[&format!("host: {host}")], Err(Refusal::Host));
        }
        check(true, None, "GET /metrics", &[], Err(Refusal::Host));
        check(true, None, "GET /metrics", &["host: localhost", "host: localhost"], Err(Refusal::Host));
    }

    #[test]
    fn no_page_changes_anything() {
        let page = ["host: localhost", "origin: http://localhost:9901"];
        check(true, None, "POST /api/v1/reload", &page, Err(Refusal::Origin));
        check(true, None, "PUT /api/v1/log-level", &["host: localhost", "origin: null"], Err(Refusal::Origin));
        check(true, None, "GET /api/v1/state", &page, Ok(By::None));
    }

    #[test]
    fn where_there_is_a_token_it_is_asked_for() {
        let right = ["host: gateway.internal", "authorization: bearer the-token"];
        check(false, Some("the-token"), "POST /api/v1/reload", &right, Ok(By::Token));
        for wrong in ["Bearer the-tokem", "Bearer the-token2", "Bearer ", "Basic the-token", "the-token"] {
            let lines = ["host: 192.0.2.7", &format!("authorization: {wrong}")];
            check(false, Some("the-token"), "GET /api/v1/state", &lines, Err(Refusal::Token));
        }
        for (pair, outcome) in [
            ("anybody:the-token", Ok(By::Token)),
            (":the-token", Ok(By::Token)),
            ("the-token", Err(Refusal::Token)),
            ("the-token:", Err(Refusal::Token)),
            ("a:the-token:", Err(Refusal::Token)),
        ] {
            let lines = ["host: 192.0.2.7", &format!("authorization: Basic {}", STANDARD.encode(pair))];
            check(false, Some("the-token"), "GET /api/v1/state", &lines, outcome);
        }
        let twice = [right[0], right[1], right[1]];
        check(false, Some("the-token"), "GET /api/v1/state", &twice, Err(Refusal::Token));
        for path in PUBLIC {
            check(false, Some("the-token"), &format!("GET {path}"), &["host: gateway"], Ok(By::None));
        }
        check(true, Some("the-token"), "GET /api/v1/state", &["host: localhost"], Err(Refusal::Token));
        check(false, None, "GET /api/v1/state", &["host: 192.0.2.7"], Err(Refusal::Token));
        check(true, Some("the-token"), "GET /nothing", &["host: localhost"], Err(Refusal::Token));
    }
}
