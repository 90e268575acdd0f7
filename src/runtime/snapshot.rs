use super::{
    Listener, Process, Route, fixed,
    route::{General, OwnCors},
};
use crate::{
    auth::{Authenticator, Language, RouteAuth},
    config::{Config, ConfigErrors, Loaded, RouteConfig},
    cors::Cors,
    ext_auth::Authorisers,
    limits::Limit,
    observability::metrics::ServiceMetrics,
    own::{Pages, RouteDoc, ServiceState, State},
    routing::{Found, Pattern, Table, Target},
    security_headers::SecurityHeaders,
    types::{Pinned, Reply, ServiceId},
    upstream::{Common, Health, Service, ServiceConfig},
};
use http::{HeaderMap, Method};
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

/// Everything a request can ask for. Immutable; built whole or not at all.
pub struct Snapshot {
    /// Counts reloads, from 1.
    pub generation: u64,
    /// Checks callers.
    pub auth: Authenticator,
    /// Who else is asked about requests.
    pub ext_auth: Authorisers,
    /// The gateway's own pages.
    pub pages: Pages,
    /// Who may see those about the inside.
    pub own_auth: RouteAuth,
    /// Longest silence on a caller's connection within a request.
    pub idle: Duration,
    /// The file it was compiled from.
    pub config: Arc<Config>,
    /// What outlives this snapshot.
    pub process: Arc<Process>,
    listeners: Box<[Listener]>,
    cors: Option<Cors>,
    security_headers: SecurityHeaders,
    table: Table<RouteIndex>,
    routes: Box<[Route]>,
    services: Box<[Arc<Service>]>,
    /// What answers in place of each service.
    fallbacks: Box<[Option<Fallback>]>,
    /// Where the attempts of each service are counted.
    attempts: Box<[Arc<ServiceMetrics>]>,
}

/// What answers in place of a service that cannot.
#[derive(Debug)]
pub enum Fallback {
    /// Another service.
    Service(ServiceIndex),
    /// A fixed answer.
    Respond(Reply),
}

/// A route of a snapshot: its place in the file. Meaningless in any other snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteIndex(usize);

/// A service of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceIndex(usize);

/// A JSON pointer into the file, and what is wrong there.
pub(super) type Problem = (String, String);

impl Snapshot {
    /// Compile a configuration. `previous` lends what needs not be made anew; `process` what was learned.
    pub(super) fn build(
        loaded: &Loaded,
        previous: Option<&Pinned<Snapshot>>,
        process: Arc<Process>,
    ) -> Result<Self, ConfigErrors> {
        let mut problems = previous.map_or_else(Vec::new, |old| fixed::changes(&old.config, &loaded.config));
        let parts = Parts::build(&loaded.config, previous, &process, &mut problems);
        process.metrics.forget_unused();
        match parts {
            Some(parts) if problems.is_empty() => Ok(Self {
                generation: previous.map_or(1, |old| old.generation + 1),
                auth: parts.auth,
                ext_auth: parts.ext_auth,
                pages: pages(&loaded.config),
                own_auth: loaded.config.auth.accepted(loaded.config.own.auth),
                idle: parts.idle,
                attempts: parts.services.iter().map(|service| process.metrics.service(&service.id)).collect(),
                config: loaded.config.clone(),
                process,
                listeners: parts.listeners.into(),
                cors: parts.cors,
                security_headers: parts.security_headers,
                table: parts.table,
                routes: parts.routes.into(),
                services: parts.services.into(),
                fallbacks: parts.fallbacks.into(),
            }),
            _ => {
                let error = |(pointer, reason): Problem| loaded.sources.error(&pointer, reason);
                let mut errors: Vec<_> = problems.into_iter().map(error).collect();
                errors.sort_by(|a, b| a.place.cmp(&b.place));
                Err(ConfigErrors(errors))
            }
        }
    }

    /// A listener by its place in the file.
    pub fn listener(&self, index: usize) -> Option<&Listener> {
        self.listeners.get(index)
    }

    /// Which route a target belongs to with `method`.
    pub fn find(&self, target: &Target, method: &Method, headers: &HeaderMap) -> Found<'_, RouteIndex> {
        self.table.find(target, method, headers)
    }

    /// A route that [`Snapshot::find`] found.
    pub fn route(&self, index: RouteIndex) -> Option<&Route> {
        self.routes.get(index.0)
    }

    /// The policy of a route; the general one where there is none or where it says nothing.
    pub fn cors_of(&self, route: Option<RouteIndex>) -> Option<&Cors> {
        match route.and_then(|index| self.route(index)).map(|route| &route.cors) {
            Some(OwnCors::Policy(cors)) => Some(cors),
            Some(OwnCors::Nobody) => None,
            Some(OwnCors::General) | None => self.cors.as_ref(),
        }
    }

    /// What browsers are told, by a route; the general word where there is none or where it says nothing.
    pub fn security_headers_of(&self, route: Option<RouteIndex>) -> &SecurityHeaders {
        let own = route.and_then(|index| self.route(index)?.security_headers.as_ref());
        own.unwrap_or(&self.security_headers)
    }

    /// The service of a route that forwards.
    pub fn service(&self, index: ServiceIndex) -> Option<&Arc<Service>> {
        self.services.get(index.0)
    }

    /// What answers in place of a service that cannot.
    pub fn fallback(&self, index: ServiceIndex) -> Option<&Fallback> {
        self.fallbacks.get(index.0)?.as_ref()
    }

    /// Whether any limit is counted in Redis.
    pub fn counts_in_redis(&self) -> bool {
        let limits =
            |route: &Route| route.limits.before.iter().chain(&route.limits.after).any(|limit| limit.is_shared());
        self.routes.iter().any(limits)
    }

    /// Where a service's attempts are counted.
    pub fn attempts(&self, index: ServiceIndex) -> Option<&ServiceMetrics> {
        self.attempts.get(index.0).map(|metrics| &**metrics)
    }

    /// How many routes there are.
    pub fn routes(&self) -> usize {
        self.routes.len()
    }

    /// All services, by name.
    pub fn services(&self) -> &[Arc<Service>] {
        &self.services
    }
}

impl Snapshot {
    /// What the health pages tell.
    pub fn state(&self) -> State {
        let services = self.services.iter().map(|service| (service.id.to_string(), state(service)));
        State {
            leaving: self.process.departure.is_leaving(),
            generation: self.generation,
            services: services.collect(),
        }
    }
}

fn state(service: &Service) -> ServiceState {
    let health = service.health();
    match health.status {
        Health::Unknown => ServiceState::Unknown,
        Health::Healthy => ServiceState::Healthy(health.response_time),
        Health::Unhealthy => ServiceState::Unhealthy(health.error.unwrap_or("unknown")),
    }
}

fn pages(config: &Config) -> Pages {
    let doc = |route: &RouteConfig| RouteDoc {
        id: route.id.to_string(),
        service: route.service.as_ref().map(ToString::to_string),
        path: route.r#match.path.clone(),
        methods: route.r#match.methods.clone(),
        public: route.auth.is_public(),
        roles: route
            .access
            .iter()
            .flat_map(|rule| rule.any_role.iter().chain(rule.all_roles.iter()))
            .cloned()
            .collect(),
    };
    let docs = config.own.docs.then(|| config.routes.iter().map(doc).collect());
    let pages = Pages::build(&config.server.name, &config.server.version, docs);
    if config.own.metrics { pages.with_metrics() } else { pages }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot(generation {})", self.generation)
    }
}

/// What can fail while a snapshot is built.
struct Parts {
    listeners: Vec<Listener>,
    auth: Authenticator,
    ext_auth: Authorisers,
    cors: Option<Cors>,
    security_headers: SecurityHeaders,
    idle: Duration,
    table: Table<RouteIndex>,
    routes: Vec<Route>,
    services: Vec<Arc<Service>>,
    fallbacks: Vec<Option<Fallback>>,
}

impl Parts {
    /// Every problem of every part is noted; `None` if there was one.
    fn build(
        config: &Config,
        previous: Option<&Pinned<Snapshot>>,
        process: &Process,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let listeners = listeners(config, process, problems);
        let (auth, ext_auth) = callers(config, previous, process, problems);
        let cors = Cors::build(&config.cors);
        let cors = cors.map_err(|error| problems.push((format!("/cors/{}", error.key), error.reason))).ok();
        let below = |(pointer, reason): Problem| (format!("/security_headers{pointer}"), reason);
        let security_headers = SecurityHeaders::build(&config.security_headers);
        let security_headers = security_headers.map_err(|found| problems.extend(found.into_iter().map(below))).ok();
        let services = services(config, process, problems);
        let fallbacks = config.services.iter().map(|(id, section)| fallback(config, id, section, problems)).collect();
        let general = Limit::general(&config.limits, &process.limits);
        let general = general.map_err(|error| problems.push((format!("/limits/{}", error.key), error.reason)));
        let general = General {
            limit: general.unwrap_or_default(),
            counters: &process.limits,
            address_files: &process.address_files,
            language: &Language::default(),
            authorisers: &ext_auth,
            metrics: &process.metrics,
        };
        let (table, routes) = routes(config, &general, problems);
        let idle = config.timeouts.idle.map_or(Duration::from_secs(60), |idle| idle.get());
        Some(Self {
            listeners,
            auth: auth?,
            ext_auth,
            cors: cors?,
            security_headers: security_headers?,
            idle,
            table: table?,
            routes,
            services,
            fallbacks,
        })
    }
}

/// Who checks callers, and who is asked about them besides.
fn callers(
    config: &Config,
    previous: Option<&Pinned<Snapshot>>,
    process: &Process,
    problems: &mut Vec<Problem>,
) -> (Option<Authenticator>, Authorisers) {
    let auth = Authenticator::build(&config.auth, previous.map(|old| &old.auth), &process.revocations);
    let auth =
        auth.map_err(|errors| problems.extend(errors.into_iter().map(|error| (error.pointer, error.reason)))).ok();
    let ext_auth = Authorisers::build(&config.ext_auth, previous.map(|old| &old.ext_auth));
    let below = |(pointer, reason): Problem| (format!("/ext_auth{pointer}"), reason);
    (auth, ext_auth.map_err(|errors| problems.extend(errors.into_iter().map(below))).unwrap_or_default())
}

fn listeners(config: &Config, process: &Process, problems: &mut Vec<Problem>) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        let below = |(pointer, reason): Problem| (format!("/listeners/{index}{pointer}"), reason);
        match Listener::build(listener, &process.address_files, &process.certificates) {
            Ok(listener) => listeners.push(listener),
            Err(found) => problems.extend(found.into_iter().map(below)),
        }
    }
    listeners
}

fn services(config: &Config, process: &Process, problems: &mut Vec<Problem>) -> Vec<Arc<Service>> {
    let mut services = Vec::new();
    let common = Common { health: &config.health, zone: config.server.zone.as_deref() };
    for (id, section) in &config.services {
        match Service::build(id.clone(), section, common, &process.upstream) {
            Ok(service) => services.push(Arc::new(service)),
            Err(found) => {
                let below = found.into_iter().map(|(pointer, reason)| (format!("/services/{id}{pointer}"), reason));
                problems.extend(below);
            }
        }
    }
    services
}

fn fallback(config: &Config, id: &ServiceId, section: &ServiceConfig, problems: &mut Vec<Problem>) -> Option<Fallback> {
    let fallback = section.fallback.as_ref()?;
    let here = |key: &str| format!("/services/{id}/fallback{key}");
    match (&fallback.service, &fallback.respond) {
        (Some(other), None) => {
            let place = config.services.keys().position(|known| known == other).filter(|_| other != id);
            if place.is_none() {
                problems.push((here("/service"), format!("no other service named {:?}", other.as_str())));
            }
            place.map(|place| Fallback::Service(ServiceIndex(place)))
        }
        (None, Some(respond)) => {
            let reply =
                respond.reply().map_err(|(key, reason)| problems.push((here(&format!("/respond/{key}")), reason)));
            reply.ok().map(Fallback::Respond)
        }
        _ => {
            problems.push((here(""), "needs exactly one of service and respond".to_owned()));
            None
        }
    }
}

fn routes(
    config: &Config,
    general: &General<'_>,
    problems: &mut Vec<Problem>,
) -> (Option<Table<RouteIndex>>, Vec<Route>) {
    let (mut routes, mut patterns) = (Vec::new(), Vec::new());
    let places: HashMap<&ServiceId, usize> = config.services.keys().zip(0..).collect();
    for (index, route) in config.routes.iter().enumerate() {
        let below = |pointer: &str| format!("/routes/{index}{pointer}");
        let pattern = match Pattern::parse(&route.r#match) {
            Ok(pattern) => pattern,
            Err(error) => {
                problems.push((below(&format!("/match/{}", error.key)), error.reason));
                continue;
            }
        };
        if let Some(page) = Pages::shadowed_by(&pattern.path()) {
            problems.push((below("/match/path"), format!("{page} is the gateway's own; choose another path")));
        }
        let service = route.service.as_ref().and_then(|id| places.get(id).copied());
        match Route::build(config, route, &pattern, service.map(ServiceIndex), general) {
            Ok(route) => routes.push(route),
            Err(found) => problems.extend(found.into_iter().map(|(pointer, reason)| (below(&pointer), reason))),
        }
        patterns.push((pattern, RouteIndex(index)));
    }
    let name = |index: RouteIndex| config.routes.get(index.0).map_or("?", |route| route.id.as_str());
    let table = Table::build(patterns).map_err(|conflicts| {
        problems.extend(conflicts.into_iter().map(|conflict| {
            let reason = format!(
                "never reached, because route {} takes the same requests; remove or change one",
                name(conflict.first)
            );
            (format!("/routes/{}/match", conflict.second.0), reason)
        }));
    });
    (table.ok(), routes)
}
