use super::{HeaderEdits, Redirect, ServiceIndex, listener::below_addresses, snapshot::Problem};
use crate::{
    addresses::{AddressFiles, Addresses},
    auth::{Access, AccessError, Language, RouteAuth},
    config::{Config, HeadersConfig, RouteConfig},
    cors::Cors,
    ext_auth::{Authoriser, Authorisers},
    limits::{Counters, Limit},
    observability::metrics::{Metrics, RouteMetrics},
    resilience::{RetryConfig, RetryPolicy, Timeouts},
    routing::{EncodedSlash, Pattern, Rewrite},
    security_headers::SecurityHeaders,
    types::{Reply, RouteId},
};
use http::HeaderValue;
use std::{sync::Arc, time::Duration};

/// A route with its policies resolved: nothing is looked up by name after this.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub id: RouteId,
    /// What it does.
    pub action: Action,
    /// From where it may be called; `None`: from everywhere.
    pub addresses: Option<Addresses>,
    /// Who may call, of the ways that the file offers.
    pub auth: RouteAuth,
    /// Whether the token of a request is over with it.
    pub revoke_token: bool,
    /// Which roles, permissions and claims are needed.
    pub access: Access,
    /// Who is asked besides.
    pub ext_auth: Option<Arc<Authoriser>>,
    /// How often callers may call.
    pub limits: Limits,
    /// From which origins, where the route says so itself.
    pub cors: OwnCors,
    /// What browsers are told, where the route says so itself.
    pub security_headers: Option<SecurityHeaders>,
    /// What the service gets as path.
    pub rewrite: Option<Rewrite>,
    /// What `%2F` means here.
    pub encoded_slash: EncodedSlash,
    /// Changes before it is forwarded.
    pub request_headers: HeaderEdits,
    /// Changes of the service's answer.
    pub response_headers: HeaderEdits,
    /// Largest body of a request, in bytes.
    pub max_body: u64,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What the service is told about that, as long as nothing of it is used up: `X-Request-Timeout-Ms`.
    pub patience: HeaderValue,
    /// Whether another endpoint is asked.
    pub retry: RetryPolicy,
    /// Where its requests are counted; the same place in every snapshot.
    pub metrics: Arc<RouteMetrics>,
}

/// The limits of a route, in the order they are asked.
#[derive(Debug, Default)]
pub struct Limits {
    /// Before authentication.
    pub before: Box<[Arc<Limit>]>,
    /// After it, because they tell consumers apart.
    pub after: Box<[Arc<Limit>]>,
}

/// `cors:` of a route.
#[derive(Debug)]
pub enum OwnCors {
    /// Not given: as at the top level.
    General,
    /// Given, and no origin is allowed.
    Nobody,
    /// Given.
    Policy(Box<Cors>),
}

/// What a route does with a request that was let in.
#[derive(Debug)]
pub enum Action {
    /// Ask a service.
    Forward(ServiceIndex),
    /// Send the caller elsewhere.
    Redirect(Redirect),
    /// Answer at once.
    Respond(Reply),
}

impl Route {
    /// Compile one route; problems are named below it. `service` is where its service stands in the snapshot.
    pub(super) fn build(
        config: &Config,
        route: &RouteConfig,
        pattern: &Pattern,
        service: Option<ServiceIndex>,
        general: &General<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let action = keep(action(route, pattern, service), &mut problems);
        let entrance = entrance(config, route, general, &mut problems);
        let permission = permission(route, general, &mut problems);
        let cors = keep(own_cors(route), &mut problems);
        let rewrite = keep(rewrite(route, pattern), &mut problems);
        let headers = headers(route, &mut problems);
        let parts = action.zip(permission).zip(cors.zip(rewrite)).zip(headers).zip(entrance);
        let ((((action, (access, ext_auth)), (cors, rewrite)), headers), entrance) = parts.ok_or(problems)?;
        let ((limits, addresses), (request_headers, response_headers, security_headers)) = (entrance, headers);
        let (timeouts, retry) = waiting(config, route);
        Ok(Self {
            id: route.id.clone(),
            action,
            addresses,
            auth: config.auth.accepted(route.auth),
            revoke_token: route.revoke_token,
            access,
            ext_auth,
            limits,
            cors,
            security_headers,
            rewrite,
            encoded_slash: route.encoded_slash,
            request_headers,
            response_headers,
            max_body: route.max_body.unwrap_or(config.max_body).get(),
            patience: milliseconds(timeouts.header()),
            timeouts,
            retry,
            metrics: general.metrics.route(&route.id, route.service.as_ref()),
        })
    }
}

/// As a header says it.
pub fn milliseconds(time: Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// All problems are wanted, not the first.
fn keep<T>(outcome: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    outcome.map_err(|problem| problems.push(problem)).ok()
}

/// What the route does not say is as in its service, and then as at the top level.
fn waiting(config: &Config, route: &RouteConfig) -> (Timeouts, RetryPolicy) {
    let from = route.service.as_ref().and_then(|id| config.services.get(id));
    let own = from.map(|service| service.timeouts).unwrap_or_default();
    let retry = route.retry.as_ref().or_else(|| from.and_then(|service| service.retry.as_ref()));
    let retry = retry.map_or_else(|| RetryPolicy::new(&RetryConfig::default()), RetryPolicy::new);
    (Timeouts::resolve(&config.timeouts, &own, &route.timeouts), retry)
}

/// How often, and from where it may be called.
fn entrance(
    config: &Config,
    route: &RouteConfig,
    general: &General<'_>,
    problems: &mut Vec<Problem>,
) -> Option<(Limits, Option<Addresses>)> {
    let limits = keep(limits(config, route, general), problems);
    let addresses = Addresses::build(&route.addresses, general.address_files);
    limits.zip(addresses.map_err(|found| problems.extend(below_addresses(found))).ok())
}

/// What is changed of requests and of answers, and what answers tell browsers besides.
fn headers(
    route: &RouteConfig,
    problems: &mut Vec<Problem>,
) -> Option<(HeaderEdits, HeaderEdits, Option<SecurityHeaders>)> {
    let request = keep(edits("request_headers", &route.request_headers), problems);
    let response = keep(edits("response_headers", &route.response_headers), problems);
    let security = own_security_headers(route).map_err(|found| problems.extend(found)).ok();
    Some((request?, response?, security?))
}

fn own_security_headers(route: &RouteConfig) -> Result<Option<SecurityHeaders>, Vec<Problem>> {
    let below = |(pointer, reason): Problem| (format!("/security_headers{pointer}"), reason);
    let own = route.security_headers.as_ref().map(SecurityHeaders::build).transpose();
    own.map_err(|found| found.into_iter().map(below).collect())
}

/// Which rules there are, and who is asked besides.
fn permission(
    route: &RouteConfig,
    general: &General<'_>,
    problems: &mut Vec<Problem>,
) -> Option<(Access, Option<Arc<Authoriser>>)> {
    let access = access(route, general.language).map_err(|found| problems.extend(found)).ok();
    access.zip(keep(ext_auth(route, general.authorisers), problems))
}

fn access(route: &RouteConfig, language: &Language) -> Result<Access, Vec<Problem>> {
    let place = |index: usize, key: &str| format!("/access/{index}/{key}").trim_end_matches('/').to_owned();
    let below = |errors: Vec<AccessError>| errors.into_iter().map(|(index, key, reason)| (place(index, &key), reason));
    Access::build(&route.access, language).map_err(|errors| below(errors).collect())
}

fn ext_auth(route: &RouteConfig, all: &Authorisers) -> Result<Option<Arc<Authoriser>>, Problem> {
    let unknown = |name: &String| ("/ext_auth".to_owned(), format!("ext_auth has nobody named {name:?}"));
    let find = |name: &String| all.get(name).cloned().ok_or_else(|| unknown(name));
    route.ext_auth.as_ref().map(find).transpose()
}

/// What all routes of a snapshot share.
pub(super) struct General<'s> {
    pub(super) language: &'s Language,
    pub(super) authorisers: &'s Authorisers,
    pub(super) limit: Option<Arc<Limit>>,
    pub(super) counters: &'s Counters,
    pub(super) address_files: &'s AddressFiles,
    pub(super) metrics: &'s Metrics,
}

fn limits(config: &Config, route: &RouteConfig, general: &General<'_>) -> Result<Limits, Problem> {
    let mut all: Vec<Arc<Limit>> = match &route.limits {
        None => general.limit.iter().cloned().collect(),
        Some(own) => {
            let build = |(at, own)| {
                let name = own_name(&route.id, at);
                let limit = Limit::build(&name, own, &config.limits, general.counters);
                limit.map(Arc::new).map_err(|error| (format!("/limits/{at}/{}", error.key), error.reason))
            };
            own.iter().enumerate().map(build).collect::<Result<_, _>>()?
        }
    };
    all.sort_by_key(|limit| limit.window());
    let (after, before): (Vec<_>, Vec<_>) = all.into_iter().partition(|limit| limit.needs_consumer());
    Ok(Limits { before: before.into(), after: after.into() })
}

/// Of a limit without a name. No name in a file can look like those with `#`, so that nothing counts together by chance.
fn own_name(route: &RouteId, at: usize) -> String {
    match (at, route.as_str()) {
        (0, name) if name != Limit::GENERAL => name.to_owned(),
        (at, name) => format!("{name}#{}", at + 1),
    }
}

fn rewrite(route: &RouteConfig, pattern: &Pattern) -> Result<Option<Rewrite>, Problem> {
    let rewrite = route.rewrite.as_ref().map(|rewrite| Rewrite::build(rewrite, pattern));
    rewrite.transpose().map_err(|reason| ("/rewrite".to_owned(), reason))
}

fn edits(key: &str, section: &HeadersConfig) -> Result<HeaderEdits, Problem> {
    HeaderEdits::build(section).map_err(|(pointer, reason)| (format!("/{key}{pointer}"), reason))
}

fn action(route: &RouteConfig, pattern: &Pattern, service: Option<ServiceIndex>) -> Result<Action, Problem> {
    match (service, &route.redirect, &route.respond) {
        (Some(service), None, None) => Ok(Action::Forward(service)),
        (None, Some(redirect), None) => Redirect::build(redirect, pattern)
            .map(Action::Redirect)
            .map_err(|(key, reason)| (format!("/redirect{key}"), reason)),
        (None, None, Some(respond)) => {
            respond.reply().map(Action::Respond).map_err(|(key, reason)| (format!("/respond/{key}"), reason))
        }
        _ => Err((String::new(), "a route needs exactly one of service, redirect and respond".to_owned())),
    }
}

fn own_cors(route: &RouteConfig) -> Result<OwnCors, Problem> {
    let Some(config) = &route.cors else { return Ok(OwnCors::General) };
    match Cors::build(config) {
        Ok(Some(cors)) => Ok(OwnCors::Policy(Box::new(cors))),
        Ok(None) => Ok(OwnCors::Nobody),
        Err(error) => Err((format!("/cors/{}", error.key), error.reason)),
    }
}
