//! A hundred requests of the replaced gateway's callers through the shipped conf/edgeway.yaml, and what docs/migration.md
//! promises about the answers, what services see, and the log.

use super::support::{
    Answer, Gateway, Redis, Request, Response, SECRET, Upstream, base64, closed_port, now, within_patience,
};
use Caller::{Basic, Clerk, Empty, Expired, Foreign, Garbage, Kim, Nobody, Undated, Unsigned};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};
use tempfile::TempDir;

const ORIGIN: &str = "https://portal.example";

/// What a request says about who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// No header at all.
    Nobody,
    /// A good token with claims as texts.
    Kim,
    /// A good token with numbers, and permissions as one text.
    Clerk,
    Expired,
    /// Signed with another secret.
    Foreign,
    /// `alg: none`.
    Unsigned,
    /// Without `exp`.
    Undated,
    Garbage,
    Basic,
    Empty,
}

/// Request, caller, status, `target_service`. An answer of the gateway's own has no target.
type Row = (&'static str, Caller, u16, &'static str);

/// The services are there and well.
#[rustfmt::skip]
const USUAL: &[Row] = &[
    // The gateway's own pages, with nobody and with a token that is not looked at.
    ("GET /", Nobody, 200, ""),
    ("GET /health", Nobody, 200, ""),
    ("GET /metrics", Nobody, 200, ""),
    ("GET /docs", Nobody, 200, ""),
    ("GET /redoc", Nobody, 200, ""),
    ("GET /openapi.json", Nobody, 200, ""),
    ("GET /", Expired, 200, ""),
    ("GET /health", Expired, 200, ""),
    ("GET /metrics", Expired, 200, ""),
    ("GET /docs", Garbage, 200, ""),
    ("GET /redoc", Foreign, 200, ""),
    ("GET /openapi.json", Expired, 200, ""),
    ("POST /health", Nobody, 405, ""),
    ("POST /health", Kim, 405, ""),
    ("DELETE /", Nobody, 405, ""),
    ("DELETE /", Kim, 405, ""),
    ("PUT /docs", Nobody, 405, ""),
    ("PUT /docs", Kim, 405, ""),
    // Log in, refresh, log out, who am I.
    ("POST /api/auth/login", Nobody, 200, "auth-service"),
    ("POST /api/auth/login", Expired, 200, "auth-service"),
    ("POST /api/auth/refresh", Nobody, 200, "auth-service"),
    ("POST /api/auth/refresh", Expired, 200, "auth-service"),
    ("POST /api/auth/logout", Kim, 200, "auth-service"),
    ("GET /api/auth/me", Kim, 200, "auth-service"),
    ("GET /api/auth/me", Clerk, 200, "auth-service"),
    ("POST /api/auth/logout", Nobody, 401, ""),
    ("GET /api/auth/me", Nobody, 401, ""),
    ("GET /api/auth/me", Expired, 401, ""),
    // The collections.
    ("GET /api/members", Kim, 200, "member-service"),
    ("GET /api/members/", Kim, 200, "member-service"),
    ("GET /api/members?page=2&size=10&q=%ED%99%8D", Kim, 200, "member-service"),
    ("POST /api/members", Kim, 200, "member-service"),
    ("GET /api/members/7", Kim, 200, "member-service"),
    ("PUT /api/members/7", Kim, 200, "member-service"),
    ("PATCH /api/members/7", Kim, 200, "member-service"),
    ("DELETE /api/members/7", Kim, 200, "member-service"),
    ("GET /api/customers", Kim, 200, "customer-service"),
    ("GET /api/customers?page=2", Kim, 200, "customer-service"),
    ("POST /api/customers", Kim, 200, "customer-service"),
    ("GET /api/customers/7", Clerk, 200, "customer-service"),
    ("PUT /api/customers/7", Kim, 200, "customer-service"),
    ("DELETE /api/customers/7", Kim, 200, "customer-service"),
    ("GET /api/calendar/events", Kim, 200, "calendar-service"),
    ("GET /api/calendar/events?from=2025-01-01", Kim, 200, "calendar-service"),
    ("POST /api/calendar/events", Kim, 200, "calendar-service"),
    ("GET /api/calendar/events/7", Kim, 200, "calendar-service"),
    ("PUT /api/calendar/events/7", Kim, 200, "calendar-service"),
    ("DELETE /api/calendar/events/7", Kim, 200, "calendar-service"),
    ("GET /api/notices", Kim, 200, "notice-service"),
    ("GET /api/notices?pinned=true", Kim, 200, "notice-service"),
    ("POST /api/notices", Kim, 200, "notice-service"),
    ("GET /api/notices/7", Kim, 200, "notice-service"),
    ("PUT /api/notices/7", Kim, 200, "notice-service"),
    ("DELETE /api/notices/7", Kim, 200, "notice-service"),
    ("GET /api/feeds", Kim, 200, "honeybox"),
    ("GET /api/feeds/latest", Clerk, 200, "honeybox"),
    // Without a token, and with ones that do not count.
    ("GET /api/members", Nobody, 401, ""),
    ("GET /api/customers", Nobody, 401, ""),
    ("GET /api/calendar/events", Nobody, 401, ""),
    ("GET /api/notices", Nobody, 401, ""),
    ("GET /api/feeds", Nobody, 401, ""),
    ("DELETE /api/members/7", Nobody, 401, ""),
    ("GET /api/members", Expired, 401, ""),
    ("GET /api/members", Foreign, 401, ""),
    ("GET /api/members", Unsigned, 401, ""),
    ("GET /api/members", Undated, 401, ""),
    ("GET /api/members", Garbage, 401, ""),
    ("GET /api/members", Basic, 401, ""),
    ("GET /api/members", Empty, 401, ""),
    // No such place, with and without a token.
    ("GET /nothing", Nobody, 404, ""),
    ("GET /nothing", Kim, 404, ""),
    ("GET /api", Nobody, 404, ""),
    ("GET /api", Kim, 404, ""),
    ("GET /api/unknown/7", Nobody, 404, ""),
    ("GET /api/unknown/7", Kim, 404, ""),
    ("GET /api/memberships", Nobody, 404, ""),
    ("GET /api/memberships", Kim, 404, ""),
    // What a service says by itself passes as it is.
    ("GET /api/members/says-404", Kim, 404, "member-service"),
    ("POST /api/members/says-422", Kim, 422, "member-service"),
    ("POST /api/members/says-409", Kim, 409, "member-service"),
    ("GET /api/members/says-500", Kim, 500, "member-service"),
    ("GET /api/members/says-307", Kim, 307, "member-service"),
    // Trouble behind the gateway.
    ("GET /api/notices/slow", Kim, 504, "notice-service"),
    ("GET /api/notices/broken", Kim, 502, "notice-service"),
    // A page of the front end asks first.
    ("OPTIONS /api/members", Nobody, 204, ""),
    ("OPTIONS /nothing", Nobody, 204, ""),
];

/// No service is there.
#[rustfmt::skip]
const ALONE: &[Row] = &[
    ("GET /health", Nobody, 200, ""),
    ("POST /api/auth/login", Nobody, 503, "auth-service"),
    ("GET /api/members", Kim, 503, "member-service"),
    ("GET /api/customers", Kim, 503, "customer-service"),
    ("GET /api/calendar/events", Kim, 503, "calendar-service"),
    ("GET /api/notices", Kim, 503, "notice-service"),
    ("GET /api/feeds", Kim, 503, "honeybox"),
    ("GET /api/feeds", Nobody, 401, ""),
];

/// Three requests are allowed.
const LIMITED: &[Row] = &[
    ("GET /api/members", Kim, 200, "member-service"),
    ("GET /api/members", Kim, 200, "member-service"),
    ("GET /api/notices", Kim, 200, "notice-service"),
    ("GET /api/members", Kim, 429, ""),
    ("GET /api/members", Clerk, 200, "member-service"),
    ("GET /health", Nobody, 200, ""),
];

const SERVICES: [(&str, &str); 6] = [
    ("AUTH_SERVICE_URL", "auth-service"),
    ("MEMBER_SERVICE_URL", "member-service"),
    ("CUSTOMER_SERVICE_URL", "customer-service"),
    ("CALENDAR_SERVICE_URL", "calendar-service"),
    ("NOTICE_SERVICE_URL", "notice-service"),
    ("HONEYBOX_SERVICE_URL", "honeybox"),
];

fn signed(secret: &str, claims: &Value) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

impl Caller {
    fn header(self) -> Option<String> {
        let kim = json!({ "sub": "7", "username": "kim", "role": "member", "permissions": ["read", "write"], "exp": now() + 60 });
        let with = |key: &str, value: Value| {
            let mut claims = kim.clone();
            claims[key] = value;
            claims
        };
        let token = match self {
            Self::Nobody => return None,
            Self::Basic => return Some("Authorization: Basic a2ltOmtpbQ==".to_owned()),
            Self::Empty => String::new(),
            Self::Kim => signed(SECRET, &kim),
            Self::Clerk => signed(
                SECRET,
                // `aud` passes where no audience is configured.
                &json!({ "sub": 42, "username": 4711, "permissions": "read write", "aud": "portal", "exp": now() + 60 }),
            ),
            Self::Expired => signed(SECRET, &with("exp", json!(now() - 60))),
            Self::Foreign => signed("another-secret-0123456789-0123456789", &kim),
            Self::Undated => signed(SECRET, &json!({ "sub": "7" })),
            Self::Unsigned => {
                let part = |value: Value| base64(value.to_string().as_bytes());
                format!("{}.{}.", part(json!({ "alg": "none" })), part(kim))
            }
            Self::Garbage => "nonsense".to_owned(),
        };
        Some(format!("Authorization: Bearer {token}"))
    }

    /// `X-User-ID`, `X-Username`, `X-User-Role`, `X-User-Permissions`.
    fn told(self) -> [Option<&'static str>; 4] {
        match self {
            Self::Kim => [Some("7"), Some("kim"), Some("member"), Some("read,write")],
            Self::Clerk => [Some("42"), Some("4711"), None, Some("read,write")],
            _ => [None; 4],
        }
    }
}

/// A service of the portal. It brags about itself, as most frameworks do.
fn stand_in(request: &Request) -> Answer {
    let status = request.line.split("/says-").nth(1).and_then(|rest| rest.get(..3)).unwrap_or("200");
    if request.line.contains("/slow ") {
        return Answer::Hang;
    }
    if request.line.contains("/broken ") {
        return Answer::Close;
    }
    let body = format!("{{\"detail\":\"the service's own {status}\"}}");
    // FastAPI redirects with its own address.
    let location = format!("Location: http://{}/api/members/moved?a=1\r\n", request.header("host").unwrap());
    let location = if status == "307" { location } else { String::new() };
    Answer::Raw(format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nServer: uvicorn\r\nX-Powered-By: FastAPI\r\n\
         X-Service: yes\r\n{location}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// The shipped file, driven by variables alone. Beside it, because a machine of tests may be slow: a long wait for Redis.
fn start(variables: &[(&str, &str)]) -> Gateway {
    let folder = TempDir::new().unwrap();
    let conf = folder.path().join("conf");
    fs::create_dir(&conf).unwrap();
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/edgeway.yaml"), conf.join("10-edgeway.yaml")).unwrap();
    fs::write(conf.join("20-patience.yaml"), "redis: { deadline: 1s }\n").unwrap();
    let own = [("JWT_SECRET_KEY", SECRET), ("HOST", "127.0.0.1"), ("PORT", "0"), ("CORS_ALLOW_ORIGINS", ORIGIN)];
    let all: Vec<(&str, &str)> = own.iter().chain(variables).copied().collect();
    Gateway::start_file(folder, &conf, &all)
}

/// A gateway and what stands behind it, under the names of the log.
struct Portal {
    gateway: Gateway,
    services: BTreeMap<&'static str, Upstream>,
}

impl Portal {
    fn open(variables: &[(&str, &str)]) -> Self {
        let services: BTreeMap<_, _> = SERVICES.map(|(_, name)| (name, Upstream::start(stand_in))).into();
        let urls: Vec<(&str, String)> = SERVICES.map(|(variable, name)| (variable, services[name].url())).into();
        let mut all: Vec<(&str, &str)> = urls.iter().map(|(variable, url)| (*variable, url.as_str())).collect();
        all.extend(variables);
        Self { gateway: start(&all), services }
    }

    /// Send them all and look at each; the answers, in order.
    fn check(&self, rows: &[Row]) -> Vec<Response> {
        rows.iter().map(|row| self.one(*row)).collect()
    }

    fn one(&self, row: Row) -> Response {
        let (line, caller, status, target) = row;
        self.services.values().for_each(Upstream::forget);
        let (method, path) = line.split_once(' ').unwrap();
        let token = caller.header();
        let mut headers =
            vec!["X-User-ID: 1", "X-User-Role: admin", "X-Forwarded-For: 192.0.2.7", "Origin: https://portal.example"];
        headers.extend(token.as_deref());
        if method == "OPTIONS" {
            headers.push("Access-Control-Request-Method: DELETE");
        }
        let body = if ["POST", "PUT", "PATCH"].contains(&method) { r#"{"name":"홍길동"}"# } else { "" };
        let response = self.gateway.request(method, path, &headers, body);
        assert_eq!(response.status, status, "{row:?}: {response:?}");
        promised_of_every_answer(row, &response);
        self.told_to_the_log(row, &response);
        let seen: Vec<Request> = self.services.values().flat_map(Upstream::seen).collect();
        if target.is_empty() {
            assert!(seen.is_empty(), "{row:?}: {seen:?}");
        } else if let Some(service) = self.services.get(target) {
            let seen = service.seen();
            assert!(!seen.is_empty(), "{row:?}: {target} saw nothing");
            seen.iter().for_each(|request| told_to_the_service(row, service, request, (token.as_deref(), body)));
        }
        response
    }

    fn told_to_the_log(&self, row: Row, response: &Response) {
        let (line, caller, status, target) = row;
        let (method, path) = line.split_once(' ').unwrap();
        let log = self.gateway.log_line(response.header("x-request-id").unwrap());
        let level = if status >= 500 {
            "ERROR"
        } else if status == 429 {
            "WARN"
        } else {
            "INFO"
        };
        let target = if target.is_empty() { Value::Null } else { json!(target) };
        for (field, value) in [
            ("level", json!(level)),
            ("service", json!("api-gateway")),
            ("method", json!(method)),
            ("path", json!(path.split('?').next().unwrap())),
            ("status_code", json!(status)),
            ("target_service", target),
        ] {
            assert_eq!(log[field], value, "{row:?}: {field} in {log}");
        }
        assert!(
            log["timestamp"].as_str().unwrap().ends_with('Z') && log["response_time"].as_str().unwrap().ends_with("ms"),
            "{log}"
        );
        // Who calls is known where a token was asked for.
        if log["route"].is_string() && !["login", "refresh"].contains(&log["route"].as_str().unwrap()) {
            let [id, name, ..] = caller.told();
            assert_eq!((log["user_id"].as_str(), log["username"].as_str()), (id, name), "{row:?}: {log}");
        }
    }
}

fn promised_of_every_answer(row: Row, response: &Response) {
    let (_, _, status, target) = row;
    assert!(response.header("x-request-id").is_some_and(|id| id.starts_with("req-")), "{row:?}: {response:?}");
    assert_eq!(response.header("access-control-allow-origin"), Some(ORIGIN), "{row:?}: {response:?}");
    for hidden in ["server", "x-powered-by"] {
        assert_eq!(response.header(hidden), None, "{row:?}: {response:?}");
    }
    let own = response.header("x-service").is_none();
    if status >= 400 && own {
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{row:?}");
        let body = response.json();
        assert!(body["detail"].is_string() && body["code"].is_string(), "{row:?}: {body}");
        assert_eq!(body["status"], status, "{row:?}");
    }
    if !target.is_empty() && !own {
        let written = row.0.split("/says-").nth(1).map_or("200", |rest| &rest[..3]);
        assert_eq!(response.json()["detail"], format!("the service's own {written}"), "{row:?}");
    }
    assert_eq!(
        response.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")),
        status == 401,
        "{row:?}"
    );
    assert_eq!(response.header("retry-after").is_some(), status == 429, "{row:?}: {response:?}");
}

fn told_to_the_service(row: Row, service: &Upstream, seen: &Request, (token, body): (Option<&str>, &str)) {
    let (line, caller, ..) = row;
    assert_eq!(seen.line, format!("{line} HTTP/1.1"), "{row:?}");
    assert_eq!(seen.body, body, "{row:?}");
    assert_eq!(seen.header("host"), Some(service.address.to_string().as_str()), "{row:?}");
    let public = ["/api/auth/login", "/api/auth/refresh"].iter().any(|path| line.ends_with(path));
    let told = if public { [None; 4] } else { caller.told() };
    for (name, value) in ["x-user-id", "x-username", "x-user-role", "x-user-permissions"].into_iter().zip(told) {
        assert_eq!(seen.all(name), value.into_iter().collect::<Vec<_>>(), "{row:?}: {name}");
    }
    let sent = token.and_then(|line| line.strip_prefix("Authorization: "));
    assert_eq!(seen.header("authorization"), sent, "{row:?}");
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"), "{row:?}");
    assert_eq!(seen.header("x-forwarded-host"), Some("gateway.test"), "{row:?}");
    // Nobody trusts 127.0.0.1 here, so what it says about others is gone.
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"), "{row:?}");
    assert!(seen.header("x-request-id").is_some_and(|id| id.starts_with("req-")), "{row:?}");
}

/// The answer to the first row with this request.
fn answer<'r>(rows: &[Row], answers: &'r [Response], line: &str) -> &'r Response {
    let at = rows.iter().position(|row| row.0 == line).unwrap();
    &answers[at]
}

#[test]
fn there_are_a_hundred_requests() {
    assert_eq!(USUAL.len() + ALONE.len() + LIMITED.len(), 100);
}

#[test]
fn with_all_services_there_everything_is_as_it_was() {
    let portal =
        Portal::open(&[("REQUEST_TIMEOUT", "1"), ("RATE_LIMIT_MODE", "local"), ("RATE_LIMIT_REQUESTS", "1000")]);
    // The gateway and the six: until the first probe is back a service is `unknown`.
    let health = || portal.gateway.get("/health", &[]).body;
    assert!(within_patience(|| health().matches("\"healthy\"").count() == 7), "{}", health());
    let answers = portal.check(USUAL);

    let root = answer(USUAL, &answers, "GET /").json();
    assert_eq!((&root["name"], &root["version"]), (&json!("TS Portal API Gateway"), &json!("1.0.0")));
    assert!(root["links"].is_object(), "{root}");
    let health = answer(USUAL, &answers, "GET /health").json();
    assert_eq!((&health["status"], &health["gateway"]), (&json!("healthy"), &json!("TS Portal API Gateway")));
    assert!(health["timestamp"].as_str().unwrap().ends_with('Z'), "{health}");
    for name in ["auth", "member", "customer", "calendar", "notice", "honeybox"] {
        let one = &health["services"][name];
        assert_eq!(one["status"], "healthy", "{health}");
        assert!(one["response_time"].as_str().unwrap().ends_with("ms"), "{health}");
    }
    let moved = answer(USUAL, &answers, "GET /api/members/says-307");
    assert_eq!(moved.header("location"), Some("http://gateway.test/api/members/moved?a=1"));
    let preflight = answer(USUAL, &answers, "OPTIONS /api/members");
    assert!(preflight.header("access-control-allow-methods").is_some_and(|methods| methods.contains("DELETE")));
    let wrong = answer(USUAL, &answers, "POST /health");
    assert!(wrong.header("allow").is_some_and(|methods| methods.contains("GET")), "{wrong:?}");
    let scraped = portal.gateway.get("/metrics", &[]).body;
    for name in [
        "http_requests_total",
        "http_request_duration_seconds",
        "http_requests_in_progress",
        "service_health_status",
        "rate_limit_exceeded_total",
    ] {
        assert!(scraped.contains(&format!("# TYPE {name} ")), "{name}");
    }
    assert_eq!(answer(USUAL, &answers, "GET /openapi.json").json()["openapi"], "3.1.0");
}

#[test]
fn without_its_services_it_says_so_and_stays_up() {
    let nobody: Vec<(&str, String)> =
        SERVICES.map(|(variable, _)| (variable, format!("http://127.0.0.1:{}", closed_port()))).into();
    let mut variables: Vec<(&str, &str)> = nobody.iter().map(|(variable, url)| (*variable, url.as_str())).collect();
    variables.extend([("RATE_LIMIT_MODE", "local"), ("HEALTH_CHECK_INTERVAL", "0.1")]);
    let portal = Portal { gateway: start(&variables), services: BTreeMap::new() };
    let health = || portal.gateway.get("/health", &[]).json();
    assert!(within_patience(|| health()["status"] == "unhealthy"), "{}", health());
    assert_eq!(
        health()["services"]["auth"],
        json!({ "status": "unhealthy", "response_time": null, "error": "connect" })
    );
    portal.check(ALONE);
}

#[test]
fn the_limit_is_counted_in_redis_under_the_old_prefix() {
    let redis = Redis::start();
    let port = redis.port.to_string();
    let portal = Portal::open(&[("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &port), ("RATE_LIMIT_REQUESTS", "3")]);
    // Until Redis has answered once, the gateway counts alone. Logins have a limit of their own.
    let asked = r#"edgeway_limit_decisions_total{by="redis",decision="allowed"}"#;
    assert!(within_patience(|| {
        portal.gateway.request("POST", "/api/auth/login", &[], "{}");
        portal.gateway.metric(asked) > Some(0.0)
    }));
    portal.check(LIMITED);
    let keys = redis.keys();
    assert!(!keys.is_empty() && keys.iter().all(|(name, ttl)| name.starts_with("rate_limit:") && *ttl > 0), "{keys:?}");
    let counted = |sample: &str| portal.gateway.metric(sample) == Some(1.0);
    assert!(within_patience(|| counted(r#"rate_limit_exceeded_total{route="members"}"#)));
}
