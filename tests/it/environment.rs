//! The shipped `conf/edgeway.yaml`, driven by variables alone, as the replaced gateway was.

use super::support::{
    Answer, Gateway, Outcome, Response, SECRET, Upstream, bearer, closed_port, edgeway, within_patience,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Value, json};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

type Variables<'v> = &'v [(&'v str, &'v str)];

/// Made for these tests: `openssl genpkey -algorithm ed25519`.
const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEILLAgGhEGvpFDT+9/pNI2lmEl40ZU7ShUqTVFKPvNCeN\n-----END PRIVATE KEY-----\n";
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAYsFrC320gvw1eoluIND6nJSR4z5IeXU+zHRKWXAtVT8=\n-----END PUBLIC KEY-----\n";

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/edgeway.yaml")
}

/// On a free port of the loopback; `variables` win.
fn start(variables: Variables<'_>) -> Gateway {
    start_in(TempDir::new().unwrap(), variables)
}

fn start_in(folder: TempDir, variables: Variables<'_>) -> Gateway {
    let own = [("JWT_SECRET_KEY", SECRET), ("HOST", "127.0.0.1"), ("PORT", "0")];
    let all: Vec<(&str, &str)> = own.iter().chain(variables).copied().collect();
    Gateway::start_file(folder, &shipped(), &all)
}

/// `edgeway check`, or another command, with these variables and a secret.
fn run(arguments: &[&str], variables: Variables<'_>) -> Outcome {
    run_in(TempDir::new().unwrap().path(), arguments, variables)
}

fn run_in(folder: &Path, arguments: &[&str], variables: Variables<'_>) -> Outcome {
    let mut command = edgeway(folder);
    command
        .env("JWT_SECRET_KEY", SECRET)
        .args(arguments)
        .arg("--config")
        .arg(shipped())
        .envs(variables.iter().copied());
    command.output().unwrap().into()
}

#[track_caller]
fn refused(variables: Variables<'_>, words: &[&str]) {
    for command in ["check", "run"] {
        let outcome = run(&[command], variables);
        assert_eq!(outcome.code, Some(78), "{variables:?}: {}", outcome.stderr);
        for word in words {
            assert!(outcome.stderr.contains(word), "{variables:?}: no {word:?} in\n{}", outcome.stderr);
        }
    }
}

/// What a route answers to a caller whom these claims describe.
fn asked_with(gateway: &Gateway, header: &Header, key: &EncodingKey, claims: &Value) -> Response {
    let token = encode(header, claims, key).unwrap();
    gateway.get("/api/members/1", &[&format!("Authorization: Bearer {token}")])
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn with_a_secret_alone_it_starts_is_ready_and_answers() {
    // The port apart: the default one may be taken where tests run.
    let gateway = start(&[]);
    assert_eq!(gateway.get("/health/ready", &[]).status, 200);
    assert_eq!(gateway.get("/health", &[]).status, 200);
    // As the replaced gateway did.
    assert_eq!(gateway.get("/metrics", &[]).status, 200);
    let root = gateway.get("/", &[]).json();
    assert_eq!((&root["name"], &root["version"]), (&json!("TS Portal API Gateway"), &json!("1.0.0")));
    assert_eq!(gateway.get("/api/members", &[]).status, 401);
    // Its services are not there yet.
    assert_eq!(gateway.get("/api/members", &[&bearer("admin")]).status, 503);
    assert_eq!(gateway.get("/api/auth/refresh", &[]).status, 503);
    assert_eq!(gateway.get("/nowhere", &[]).status, 404);
}

#[test]
fn without_a_secret_it_names_variable_file_and_line() {
    let line =
        fs::read_to_string(shipped()).unwrap().lines().position(|line| line.contains("JWT_SECRET_KEY:-")).unwrap() + 1;
    let place = format!("conf/edgeway.yaml:{line}:5: auth.jwt.secret:");
    // An empty one counts as not set.
    refused(&[("JWT_SECRET_KEY", "")], &[&place, "JWT_SECRET_KEY is not set"]);
}

#[test]
fn name_and_version_are_shown() {
    let gateway = start(&[("APP_NAME", "Portal: the \"new\" one # 2"), ("VERSION", "2.0")]);
    let root = gateway.get("/", &[]).json();
    assert_eq!((&root["name"], &root["version"]), (&json!("Portal: the \"new\" one # 2"), &json!("2.0")));
    assert_eq!(gateway.get("/health", &[]).json()["gateway"], "Portal: the \"new\" one # 2");
}

#[test]
fn host_and_port_are_listened_on() {
    let port = closed_port();
    let gateway = start(&[("HOST", "127.0.0.2"), ("PORT", &port.to_string())]);
    assert_eq!(gateway.address.to_string(), format!("127.0.0.2:{port}"));
    assert_eq!(gateway.get("/health", &[]).status, 200);
}

#[test]
fn tokens_are_checked_with_the_secret_and_the_algorithm() {
    let member = Upstream::echo();
    let url = member.url();
    let status = |variables: Variables<'_>| {
        let all: Vec<_> = [("MEMBER_SERVICE_URL", url.as_str())].iter().chain(variables).copied().collect();
        start(&all).get("/api/members/1", &[&bearer("admin")]).status
    };
    assert_eq!(status(&[]), 200);
    assert_eq!(status(&[("JWT_SECRET_KEY", "another-secret-0123456789-0123456789")]), 401);
    assert_eq!(status(&[("JWT_ALGORITHM", "HS512")]), 401);
    let gateway = start(&[("MEMBER_SERVICE_URL", &url), ("JWT_ALGORITHM", "HS512")]);
    let minted = run(&["token", "--sub", "7"], &[("JWT_ALGORITHM", "HS512")]).stdout;
    assert_eq!(gateway.get("/api/members/1", &[&format!("Authorization: Bearer {}", minted.trim())]).status, 200);
}

#[test]
fn a_public_key_takes_the_place_of_the_secret() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("public.pem");
    fs::write(&file, PUBLIC_KEY).unwrap();
    let (member, file) = (Upstream::echo(), file.display().to_string());
    let url = member.url();
    // The secret is set too, and of no use.
    let variables =
        [("JWT_ALGORITHM", "EdDSA"), ("JWT_PUBLIC_KEY_FILE", file.as_str()), ("MEMBER_SERVICE_URL", url.as_str())];
    let gateway = start(&variables);
    let claims = json!({ "sub": "7", "exp": now() + 60 });
    let (ours, secret) =
        (EncodingKey::from_ed_pem(PRIVATE_KEY.as_bytes()).unwrap(), EncodingKey::from_secret(SECRET.as_bytes()));
    assert_eq!(asked_with(&gateway, &Header::new(Algorithm::EdDSA), &ours, &claims).status, 200);
    assert_eq!(asked_with(&gateway, &Header::new(Algorithm::HS256), &secret, &claims).status, 401);
    // And where it is missing, that is said.
    refused(&[("JWT_ALGORITHM", "RS256")], &["auth.jwt.public_key_file", "JWT_PUBLIC_KEY_FILE is not set"]);
}

#[test]
fn leeway_is_given_to_clocks() {
    let member = Upstream::echo();
    let url = member.url();
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let late = json!({ "sub": "7", "exp": now() - 30 });
    for (leeway, status) in [("0", 401), ("300", 200)] {
        let gateway = start(&[("MEMBER_SERVICE_URL", &url), ("JWT_LEEWAY", leeway)]);
        assert_eq!(asked_with(&gateway, &Header::new(Algorithm::HS256), &key, &late).status, status, "{leeway}");
    }
}

#[test]
fn tokens_of_ours_live_as_long_as_the_variable_says() {
    for (variables, seconds) in [(&[][..], 1_440 * 60), (&[("JWT_EXPIRE_MINUTES", "5")][..], 300)] {
        let outcome = run(&["token", "--sub", "7"], variables);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        let claims = decode::<Value>(outcome.stdout.trim(), &key, &Validation::new(Algorithm::HS256)).unwrap().claims;
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), seconds);
    }
}

#[test]
fn each_service_has_its_variable_and_a_list_is_a_pool() {
    for (variable, path) in [
        ("AUTH_SERVICE_URL", "/api/auth/me"),
        ("MEMBER_SERVICE_URL", "/api/members"),
        ("CUSTOMER_SERVICE_URL", "/api/customers/7"),
        ("CALENDAR_SERVICE_URL", "/api/calendar/events"),
        ("NOTICE_SERVICE_URL", "/api/notices"),
        ("HONEYBOX_SERVICE_URL", "/api/feeds/latest"),
    ] {
        let (one, other) = (Upstream::echo(), Upstream::echo());
        // Each thread has its own turn.
        let gateway = start(&[(variable, &format!("{}, {}", one.url(), other.url())), ("THREADS", "1")]);
        for _ in 0..4 {
            let response = gateway.get(path, &[&bearer("admin")]);
            assert_eq!((response.status, response.body), (200, format!("GET {path} HTTP/1.1")), "{variable}");
        }
        assert_eq!((one.seen().len(), other.seen().len()), (2, 2), "{variable}");
    }
}

#[test]
fn probes_come_as_often_and_last_as_long_as_the_variables_say() {
    let probes = Arc::new(AtomicUsize::new(0));
    let counted = probes.clone();
    let service = Upstream::start(move |request| {
        counted.fetch_add(usize::from(request.line.starts_with("GET /health ")), SeqCst);
        Answer::Hang
    });
    let since = Instant::now();
    let url = service.url();
    let gateway =
        start(&[("NOTICE_SERVICE_URL", &url), ("HEALTH_CHECK_INTERVAL", "1"), ("HEALTH_CHECK_TIMEOUT", "0.2")]);
    let notice = || gateway.get("/health", &[]).json()["services"]["notice"].clone();
    assert!(within_patience(|| notice()["status"] == "unhealthy"), "{}", notice());
    // Two failures: at the defaults they take half a minute.
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    assert!(within_patience(|| probes.load(SeqCst) >= 4));
}

#[test]
fn a_request_times_out_after_the_newer_variable_else_the_older() {
    let service = Upstream::start(|_| Answer::Hang);
    let url = service.url();
    for variables in [
        &[("REQUEST_TIMEOUT", "0.3")][..],
        &[("HTTPX_TIMEOUT", "0.3")],
        &[("REQUEST_TIMEOUT", "300ms"), ("HTTPX_TIMEOUT", "60")],
        &[("REQUEST_TIMEOUT", ""), ("HTTPX_TIMEOUT", "0.3")],
    ] {
        let all: Vec<_> = [("NOTICE_SERVICE_URL", url.as_str())].iter().chain(variables).copied().collect();
        let gateway = start(&all);
        let since = Instant::now();
        assert_eq!(gateway.get("/api/notices", &[&bearer("admin")]).status, 504, "{variables:?}");
        assert!(since.elapsed() < Duration::from_secs(10), "{variables:?}: {:?}", since.elapsed());
    }
}

/// A connection attempt that nobody answers: the queue of the listener is full, so its system drops every SYN.
#[test]
fn connecting_takes_at_most_what_the_variable_says() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        queued.push(stream);
        assert!(queued.len() < 100, "the queue never fills");
    }
    let gateway = start(&[("NOTICE_SERVICE_URL", &format!("http://{address}")), ("CONNECTION_TIMEOUT", "0.5")]);
    let since = Instant::now();
    let response = gateway.get("/api/notices", &[&bearer("admin")]);
    assert_eq!((response.status, response.code().as_str()), (504, "upstream_timeout"));
    assert!(since.elapsed() < Duration::from_secs(8), "{:?}: the default is 10 s", since.elapsed());
    let line = gateway.log_line(response.header("x-request-id").unwrap());
    assert_eq!(line["reason"], "timeouts.connect struck");
}

/// Three requests at once need three connections; how many of these serve the next three is what the pool keeps.
#[test]
fn idle_connections_to_services_are_kept_as_many_as_the_variable_says() {
    for (variables, kept) in [(&[("HTTPX_POOL_CONNECTIONS", "1")][..], 1), (&[], 3)] {
        let together = Arc::new(Barrier::new(3));
        let waiting = together.clone();
        let service = Upstream::start(move |request| {
            if !request.line.contains("/health") {
                waiting.wait();
            }
            Answer::Text(String::new())
        });
        let url = service.url();
        let own = [("NOTICE_SERVICE_URL", url.as_str()), ("THREADS", "1")];
        let all: Vec<_> = own.iter().chain(variables).copied().collect();
        let gateway = start(&all);
        let three = || {
            let ask = || assert_eq!(gateway.get("/api/notices", &[&bearer("admin")]).status, 200);
            thread::scope(|scope| (0..3).for_each(|_| _ = scope.spawn(ask)));
        };
        three();
        // Released connections are put away a moment after their answers.
        assert!(within_patience(|| {
            service.forget();
            three();
            service.seen().iter().filter(|request| request.nth > 0).count() == kept
        }));
    }
}

#[test]
fn worker_threads_are_as_many_as_the_newer_variable_says_else_the_older() {
    for (variables, threads) in [
        (&[("THREADS", "3")][..], 3),
        (&[("UVICORN_WORKERS", "4")], 4),
        (&[("UVICORN_WORKERS", "4"), ("THREADS", "0")], 4),
        (&[("UVICORN_WORKERS", "4"), ("THREADS", "3")], 3),
    ] {
        start(variables).tells(&[&format!("with {threads} worker threads")]);
    }
}

#[test]
fn the_log_level_is_read_in_any_case_and_debug_raises_it() {
    // What pingora says of its own start is on from debug on.
    let is_chatty = |variables: Variables<'_>| start(variables).stderr().contains("Bootstrap");
    assert!(!is_chatty(&[]) && !is_chatty(&[("LOG_LEVEL", "INFO")]));
    for variables in [[("LOG_LEVEL", "DEBUG")], [("LOG_LEVEL", "Debug")], [("DEBUG", "true")], [("DEBUG", "True")]] {
        start(&variables).tells(&["Bootstrap"]);
    }
    for level in ["WARNING", "error", "Trace"] {
        assert_eq!(run(&["check"], &[("LOG_LEVEL", level)]).code, Some(0), "{level}");
    }
}

#[test]
fn production_refuses_what_is_warned_about_elsewhere() {
    for (variable, value, word) in [
        ("JWT_SECRET_KEY", "change-me", "a sample secret"),
        ("JWT_SECRET_KEY", "short-but-no-sample", "shorter than 32 bytes"),
        ("DEBUG", "true", "server.debug"),
    ] {
        refused(&[("ENVIRONMENT", "production"), (variable, value)], &[word]);
        let outcome = run(&["check"], &[(variable, value)]);
        assert!(outcome.code == Some(0) && outcome.stderr.contains(word), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("short-but-no-sample"), "{}", outcome.stderr);
    }
    assert_eq!(run(&["check"], &[("ENVIRONMENT", "production")]).stderr, "");
}

#[test]
fn proxies_are_believed_where_they_are_named() {
    let service = Upstream::echo();
    let url = service.url();
    for (proxies, believed) in [("", false), ("10.0.0.0/8, 127.0.0.1", true)] {
        let gateway = start(&[("NOTICE_SERVICE_URL", &url), ("TRUSTED_PROXIES", proxies)]);
        service.forget();
        assert_eq!(gateway.get("/api/notices", &[&bearer("admin"), "X-Forwarded-For: 192.0.2.7"]).status, 200);
        let seen = service.only();
        let chain = seen.header("x-forwarded-for").unwrap_or_default();
        assert_eq!(chain.contains("192.0.2.7"), believed, "{proxies:?}: {chain}");
    }
}

#[test]
fn pages_of_named_origins_may_read_answers() {
    let allowed = |origins: &str| {
        let gateway = start(&[("CORS_ALLOW_ORIGINS", origins)]);
        let response = gateway.get("/api/members", &["Origin: https://portal.example"]);
        response.header("access-control-allow-origin").map(ToOwned::to_owned)
    };
    assert_eq!(allowed(""), None);
    assert_eq!(allowed("https://a.example, https://portal.example").as_deref(), Some("https://portal.example"));
}

#[test]
fn the_pid_file_lies_in_the_run_dir() {
    let folder = TempDir::new().unwrap();
    let wanted = folder.path().join("elsewhere");
    let gateway = start(&[("RUN_DIR", &wanted.display().to_string())]);
    assert!(wanted.join("edgeway.pid").exists(), "{}", gateway.stderr());
}

#[test]
fn a_pool_size_per_host_is_said_once_to_be_without_effect() {
    assert!(!start(&[]).stderr().contains("without effect"));
    let gateway = start(&[("HTTPX_POOL_MAXSIZE", "20"), ("HTTPX_POOL_CONNECTIONS", "50")]);
    let said = gateway.tells(&["accepted without effect"]);
    assert_eq!(said.matches("accepted without effect").count(), 1, "{said}");
}

#[test]
fn a_dot_env_file_is_read_and_the_environment_wins() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(".env"), "# ours\nAPP_NAME='From # the file'\nVERSION=8\nLOG_LEVEL=\n").unwrap();
    let gateway = start_in(folder, &[("VERSION", "9")]);
    let root = gateway.get("/", &[]).json();
    assert_eq!((&root["name"], &root["version"]), (&json!("From # the file"), &json!("9")));

    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(".env"), "VERSION=8\nREDIS_PASSWORD=hunter2 hunter3\n").unwrap();
    let outcome = run_in(folder.path(), &["check"], &[]);
    assert_eq!(outcome.code, Some(78), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(".env:2:1: ") && !outcome.stderr.contains("hunter"), "{}", outcome.stderr);
}

#[test]
fn a_variable_may_hold_the_configuration_itself() {
    let folder = TempDir::new().unwrap();
    let check = |text: &str| -> Outcome {
        edgeway(folder.path()).arg("check").env("EDGEWAY_CONFIG", text).output().unwrap().into()
    };
    assert_eq!(check("max_body: 1MiB").code, Some(0));
    let outcome = check("max_body: 1MiB\nmax_bdy: 2MiB");
    let said = "EDGEWAY_CONFIG:2:1: max_bdy: unknown key; did you mean \"max_body\"?";
    assert!(outcome.code == Some(78) && outcome.stderr.contains(said), "{}", outcome.stderr);
}

#[test]
fn wrong_values_are_refused_with_their_places() {
    for (variable, value, path) in [
        ("PORT", "65536", "listeners[0].address"),
        ("HOST", "a b", "listeners[0].address"),
        ("DEBUG", "perhaps", "server.debug"),
        ("LOG_LEVEL", "loud", "log.level"),
        ("THREADS", "many", "server.threads"),
        ("UVICORN_WORKERS", "-1", "server.default_threads"),
        ("HTTPX_POOL_CONNECTIONS", "some", "server.upstream_idle_connections"),
        ("HTTPX_POOL_MAXSIZE", "some", "server.upstream_idle_connections_per_host"),
        ("TRUSTED_PROXIES", "10.0.0.0/33", "listeners[0].trusted_proxies[0]"),
        ("ADMIN_ADDRESS", "9901", "admin.address"),
        // Others can reach it, so ADMIN_TOKEN must be set.
        ("ADMIN_ADDRESS", "0.0.0.0:9901", "admin.token"),
        ("JWT_ALGORITHM", "none", "auth.jwt.algorithm[0]"),
        ("JWT_LEEWAY", "301", "auth.jwt.leeway"),
        ("JWT_EXPIRE_MINUTES", "long", "auth.jwt.lifetime"),
        ("CONNECTION_TIMEOUT", "0", "timeouts.connect"),
        ("REQUEST_TIMEOUT", "soon", "timeouts.request"),
        ("HEALTH_CHECK_INTERVAL", "0", "health.interval"),
        ("HEALTH_CHECK_TIMEOUT", "-5", "health.timeout"),
        ("RATE_LIMIT_REQUESTS", "0", "limits.requests"),
        ("RATE_LIMIT_WINDOW", "32d", "limits.window"),
        ("RATE_LIMIT_MODE", "fast", "limits.mode"),
        ("RATE_LIMIT_ON_REDIS_FAILURE", "panic", "limits.on_redis_failure"),
        ("REDIS_PORT", "0", "redis.port"),
        ("REDIS_DB", "first", "redis.db"),
        ("REDIS_MAX_CONNECTIONS", "0", "redis.max_connections"),
        ("REDIS_RETRY_ON_TIMEOUT", "maybe", "redis.retry_on_timeout"),
    ] {
        refused(&[(variable, value)], &["conf/edgeway.yaml:", &format!(": {path}: ")]);
    }
}

#[test]
fn unusual_values_of_what_is_used_later_are_fine() {
    let variables = [
        ("REDIS_HOST", "10.0.0.9"),
        ("REDIS_PORT", "6380"),
        ("REDIS_DB", "3"),
        ("REDIS_PASSWORD", "a: b # c"),
        ("REDIS_MAX_CONNECTIONS", "5"),
        ("REDIS_RETRY_ON_TIMEOUT", "False"),
        ("RATE_LIMIT_REQUESTS", "7"),
        ("RATE_LIMIT_WINDOW", "1h"),
        ("RATE_LIMIT_MODE", "local"),
        ("RATE_LIMIT_ON_REDIS_FAILURE", "deny"),
        ("ADMIN_ADDRESS", "[::1]:9902"),
        ("CONNECTION_TIMEOUT", "2.5"),
    ];
    let outcome = run(&["check"], &variables);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}
