//! What stages are fed with: the same for the clock (criterion) and for the count of instructions (callgrind).

use edgeway::{
    auth::{AuthConfig, Authenticator, Credentials, Identity, JwtConfig, MintClaims, Minter, RouteAuth},
    observability::{Level, Line},
    routing::{MatchConfig, Pattern, Table},
};
use futures_util::FutureExt;
use http::{HeaderMap, header};
use pingora::http::RequestHeader;
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// As real tables are: prefixes, exact paths and templates of a few levels.
pub(crate) fn table(routes: usize) -> Table<usize> {
    let pattern = |index: usize| {
        let path = match index % 3 {
            0 => format!("/api/service-{index}/*"),
            1 => format!("/api/service-{index}/items/{{id}}"),
            _ => format!("/api/service-{index}/status"),
        };
        let config: MatchConfig = serde_json::from_value(json!({ "path": path })).unwrap();
        (Pattern::parse(&config).unwrap(), index)
    };
    Table::build((0..routes).map(pattern)).unwrap()
}

/// The last template of such a table, so that no order could favour it.
pub(crate) fn last_template(routes: usize) -> usize {
    (0..routes).rev().find(|index| index % 3 == 1).unwrap()
}

/// The least that a request has.
pub(crate) fn head(path: &str) -> RequestHeader {
    let mut head = RequestHeader::build("GET", path.as_bytes(), None).unwrap();
    head.insert_header("host", "portal.example").unwrap();
    head
}

/// As a browser behind a balancer sends it.
pub(crate) fn browser(token: &str) -> RequestHeader {
    let mut head = RequestHeader::build("GET", b"/api/members/42", Some(16)).unwrap();
    for (name, value) in [
        ("host", "portal.example"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json"),
        ("accept-language", "ko,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("origin", "https://portal.example"),
        ("cookie", "theme=dark; session=0123456789abcdef"),
    ] {
        head.append_header(name, value).unwrap();
    }
    head.append_header(header::AUTHORIZATION, format!("Bearer {token}")).unwrap();
    head
}

/// `auth.jwt:` of a shared secret.
pub(crate) fn shared_secret() -> Value {
    json!({ "algorithm": "HS256", "secret": "benches-0123456789-0123456789-01" })
}

/// Checks tokens of `jwt`, and remembers so many.
pub(crate) fn authenticator(jwt: &Value, remember: usize) -> Authenticator {
    let config: AuthConfig = serde_json::from_value(json!({ "jwt": jwt, "remember": remember })).unwrap();
    Authenticator::build(&config, None, &Arc::default()).unwrap()
}

/// Who sends these headers. Nothing is waited for: keys are in the file.
pub(crate) fn caller(authenticator: &Authenticator, headers: &HeaderMap) -> Arc<Identity> {
    let credentials = Credentials { headers, query: None, websocket: false, trusted: false, certificate: None };
    let checked = authenticator.authenticate(RouteAuth::REQUIRED, &credentials);
    checked.now_or_never().unwrap().unwrap().unwrap()
}

/// A token of `jwt` that carries these permissions.
pub(crate) fn token(jwt: &Value, private_key: Option<&Path>, permissions: &[&str]) -> String {
    let parsed: JwtConfig = serde_json::from_value(jwt.clone()).unwrap();
    let claims = MintClaims {
        sub: "1004".to_owned(),
        username: Some("홍길동".to_owned()),
        role: Some("admin".to_owned()),
        permissions: permissions.iter().map(|one| (*one).to_owned()).collect(),
        ttl: Duration::from_secs(3_600),
    };
    Minter::build(&parsed, private_key).unwrap().mint(&claims).unwrap()
}

/// What is logged of a request that went well.
pub(crate) fn line() -> Line<'static> {
    Line {
        timestamp: SystemTime::now(),
        level: Level::of(200),
        service: "api-gateway",
        request_id: "req-0123456789abcdef",
        method: "GET",
        path: "/api/members/42",
        user_id: Some("1004"),
        username: Some("홍길동"),
        response_time: Duration::from_micros(15_300),
        status_code: 200,
        target_service: Some("member-service"),
        route: Some("members"),
        endpoint: Some("10.0.0.7:8001"),
        attempts: 1,
        client: [192, 0, 2, 7].into(),
        code: None,
        reason: None,
        observed: None,
    }
}
