//! What is allowed and unwise: refused in production where it endangers, warned about elsewhere.

use super::{Config, ConfigError, ListenerConfig, SourceMap, source_map::below};
use crate::{
    auth::JwtConfig,
    net::Url,
    tls::{ListenerTls, ServiceTlsConfig},
    types::Span,
};
use std::{borrow::Cow, fs, time::Duration};

/// Secrets of examples and tutorials, the replaced gateway's among them.
const SAMPLES: [&str; 12] = [
    "change-me",
    "changeme",
    "change_me",
    "change-this",
    "changethis",
    "secret",
    "secretkey",
    "secret-key",
    "your-secret-key",
    "your_secret_key",
    "your-256-bit-secret",
    "password",
];

/// How the secrets of the demo and of the replaced gateway's example files begin.
const SAMPLE_BEGINNINGS: [&str; 3] = ["demo-secret", "your-secret-key", "your-super-secret"];

/// RFC 7518, section 3.2: a key of the size of the hash; the smallest one is SHA-256's.
const SHORTEST_SECRET: usize = 32;

/// The idle time of an AWS ALB, in seconds. Connections are kept for whole ones: 60.9s are 60.
const BALANCER_IDLE: u64 = 60;

/// Below that a connection with TLS costs more than what it is for.
const FEWEST_REQUESTS: u32 = 100;

/// Time for an answer to be written once its service has begun it.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What the policy found.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<ConfigError>,
}

pub(super) fn findings(config: &Config, sources: &SourceMap) -> Findings {
    let mut found = Findings::default();
    let risks = secrets(config).into_iter().flat_map(weakness).chain(debug(config)).chain(unverified(config));
    let risks = risks.map(|(pointer, reason)| sources.error(&pointer, reason));
    if config.server.is_production() {
        found.errors.extend(risks)
    } else {
        found.warnings.extend(risks)
    }
    let advice =
        plain_keys(config).into_iter().chain(listeners(config)).chain(drain(config)).chain(idle_per_host(config));
    found.warnings.extend(advice.map(|(pointer, reason)| sources.error(&pointer, reason)));
    found.warnings.sort_by(|a, b| a.place.cmp(&b.place));
    found
}

/// The HS secrets, the admin token and those of sticky cookies with their places. A file that cannot be read is the authenticator's to report.
fn secrets(config: &Config) -> Vec<(String, Cow<'_, str>)> {
    let mut found: Vec<(String, Cow<'_, str>)> = Vec::new();
    found.extend(config.admin.token.iter().map(|token| ("/admin/token".to_owned(), token.expose().into())));
    let sticky = config.services.iter().filter_map(|(id, service)| Some((id, service.sticky.as_ref()?)));
    found.extend(sticky.map(|(id, sticky)| (format!("/services/{id}/sticky/secret"), sticky.secret.expose().into())));
    let one = config.auth.jwt.iter().map(|jwt| ("/auth/jwt".to_owned(), jwt));
    let more = config.auth.issuers.iter().map(|(name, jwt)| (below("/auth/issuers", name), jwt));
    for (here, jwt) in one.chain(more) {
        found.extend(secrets_of(&here, jwt));
    }
    found
}

/// Whoever stands on the way could put keys of their own in place.
fn plain_keys(config: &Config) -> Vec<(String, String)> {
    let places = config.auth.issuers.iter().map(|(name, jwt)| (below("/auth/issuers", name), jwt));
    let places = places.chain(config.auth.jwt.iter().map(|jwt| ("/auth/jwt".to_owned(), jwt)));
    let plain = |jwt: &JwtConfig| {
        let url = jwt.jwks_url.as_deref().and_then(|url| Url::parse(url).ok());
        url.is_some_and(|url| url.is_plain() && !url.is_loopback())
    };
    let reason = "whoever can change what comes over plain HTTP makes tokens that are accepted here; write https://";
    let balancer = config.auth.alb.as_ref().and_then(|alb| Url::parse(&alb.keys_url).ok());
    let balancer = balancer.filter(|url| url.is_plain() && !url.is_loopback()).map(|_| "/auth/alb/keys_url".to_owned());
    let found = places.filter(|(_, jwt)| plain(jwt)).map(|(here, _)| format!("{here}/jwks_url"));
    found.chain(balancer).map(|place| (place, reason.to_owned())).collect()
}

fn secrets_of<'c>(here: &str, jwt: &'c JwtConfig) -> Vec<(String, Cow<'c, str>)> {
    let here = |key: &str| format!("{here}/{key}");
    let mut found: Vec<(String, Cow<'c, str>)> = Vec::new();
    found.extend(jwt.secret.iter().map(|secret| (here("secret"), secret.expose().into())));
    let several = jwt.secrets.iter().enumerate();
    found.extend(several.map(|(at, secret)| (here(&format!("secrets/{at}")), secret.expose().into())));
    let content = jwt.secret_file.as_ref().and_then(|path| fs::read_to_string(path).ok());
    found.extend(content.map(|text| (here("secret_file"), text.trim().to_owned().into())));
    found
}

fn weakness((pointer, secret): (String, Cow<'_, str>)) -> Option<(String, String)> {
    let remedy = "make one with: openssl rand -hex 32";
    let small = secret.to_ascii_lowercase();
    if SAMPLES.contains(&small.as_str()) || SAMPLE_BEGINNINGS.iter().any(|sample| small.starts_with(sample)) {
        return Some((pointer, format!("a sample secret, which everybody knows; {remedy}")));
    }
    let reason = || format!("shorter than {SHORTEST_SECRET} bytes, so that it can be guessed; {remedy}");
    (secret.len() < SHORTEST_SECRET).then(|| (pointer, reason()))
}

fn debug(config: &Config) -> Option<(String, String)> {
    let reason = "debug logs are on; switch them off for real traffic";
    (config.server.debug).then(|| ("/server/debug".to_owned(), reason.to_owned()))
}

fn unverified(config: &Config) -> Vec<(String, String)> {
    let reason = "anybody on the way can pretend to be this service, and read and change everything; write tls.ca_file";
    let off = |tls: &ServiceTlsConfig| !tls.verify;
    let found = config.services.iter().filter(|(_, service)| service.tls.as_ref().is_some_and(off));
    found.map(|(id, _)| (format!("/services/{id}/tls/verify"), reason.to_owned())).collect()
}

fn listeners(config: &Config) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        let here = |key: &str| format!("/listeners/{index}/{key}");
        if listener.trusted_proxies.iter().any(|network| network.to_string().ends_with("/0")) {
            let reason = "everybody may say who they are; name the addresses of your balancers";
            found.push((here("trusted_proxies"), reason.to_owned()));
        }
        if !listener.trusted_proxies.is_empty() && listener.keepalive_timeout.get().as_secs() <= BALANCER_IDLE {
            let reason =
                "a balancer that keeps connections for 60s sends requests into closed ones; write more than 60s";
            found.push((here("keepalive_timeout"), reason.to_owned()));
        }
        found.extend(ageing(listener).map(|(key, reason)| (here(key), reason.to_owned())));
        let expired = listener.tls.iter().flat_map(ListenerTls::warnings);
        found.extend(expired.map(|(pointer, reason)| (here("tls") + &pointer, reason)));
    }
    found
}

/// Connections that end so often that each request needs a new one. Nothing is lost by it: they end with an answer.
fn ageing(listener: &ListenerConfig) -> impl Iterator<Item = (&'static str, &'static str)> {
    let young = listener.max_connection_age.is_some_and(|age| age.get() < listener.keepalive_timeout.get());
    let few = listener.max_requests_per_connection.is_some_and(|most| most < FEWEST_REQUESTS);
    let age =
        "shorter than keepalive_timeout: a connection that was idle once ends with its next answer; write 10m or more";
    let requests = "so few that connections cost more than their requests; write 100 or more";
    let age = young.then_some(("max_connection_age", age));
    age.into_iter().chain(few.then_some(("max_requests_per_connection", requests)))
}

fn drain(config: &Config) -> Option<(String, String)> {
    let of_services = config.services.values().map(|service| service.timeouts.request);
    let of_routes = config.routes.iter().map(|route| route.timeouts.request);
    let given = of_services.chain(of_routes).chain([config.timeouts.request]).flatten();
    let longest = given.max().unwrap_or(Span::seconds(30));
    let reason = || {
        let right = longest.get() + LAST_ANSWERS;
        format!("requests may take {longest} and are cut at a restart; write at least {}s", right.as_secs())
    };
    (config.server.drain.deadline.get() < longest.get() + LAST_ANSWERS)
        .then(|| ("/server/drain/deadline".to_owned(), reason()))
}

fn idle_per_host(config: &Config) -> Option<(String, String)> {
    let reason = "accepted without effect: pingora keeps one idle pool for all endpoints";
    let given = config.server.upstream_idle_connections_per_host;
    given.map(|_| ("/server/upstream_idle_connections_per_host".to_owned(), reason.to_owned()))
}
