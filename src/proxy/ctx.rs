use super::{
    Rejection, admission,
    admission::Admission,
    attempt::Attempts,
    client::{Client, Connection},
};
use crate::{
    connection::Lifetime,
    cors::Cors,
    observability::{Level, Line, LongLived, RequestId, metrics::ServiceMetrics},
    routing::Target,
    runtime::{Listener, Route, ServiceIndex, Snapshot},
    types::Pinned,
    upstream::{Observed, Service, Verdict},
};
use http::{HeaderMap, HeaderValue, uri::PathAndQuery};
use pingora::{
    ErrorType,
    http::RequestHeader,
    prelude::{Error, Result},
};
use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};

/// What the gateway knows about one request. Filled in phase by phase.
pub struct RequestCtx {
    pub(super) snapshot: Pinned<Snapshot>,
    pub(super) id: RequestId,
    pub(super) client: Client,
    pub(super) found: Admission,
    /// The path that the service gets, where its route rewrites it.
    pub(super) rewritten: Option<PathAndQuery>,
    pub(super) attempts: Attempts,
    /// Bytes of the request's body that arrived, in this attempt.
    pub(super) body_bytes: u64,
    listener: usize,
    service: Option<ServiceIndex>,
    /// What its answer has made of it.
    long_lived: Option<LongLived>,
    started: Instant,
    rejection: Option<Rejection>,
    /// What pingora said about a failure, for the log.
    cause: Option<Box<str>>,
}

impl RequestCtx {
    pub(super) fn new(snapshot: Pinned<Snapshot>, listener: usize) -> Self {
        snapshot.process.in_flight.begin();
        Self {
            snapshot,
            id: RequestId::random(),
            client: Client::UNKNOWN,
            found: Admission::default(),
            rewritten: None,
            attempts: Attempts::default(),
            body_bytes: 0,
            listener,
            service: None,
            long_lived: None,
            started: Instant::now(),
            rejection: None,
            cause: None,
        }
    }

    /// The head is here: who calls, and under which name.
    pub(super) fn begin(&mut self, connection: &Connection, headers: &HeaderMap) {
        let trusted = self.listener().map_or(&[][..], |listener| &listener.trusted_proxies);
        self.client = Client::of(connection, headers, trusted);
        if self.client.trusted
            && let Some(kept) = headers.get(&super::headers::REQUEST_ID).and_then(RequestId::kept)
        {
            self.id = kept;
        }
    }

    /// Whether the listener takes requests from where this one comes.
    pub(super) fn check_address(&mut self) -> Result<(), Rejection> {
        let addresses = self.snapshot.listener(self.listener).and_then(|listener| listener.addresses.as_ref());
        admission::check_address(addresses, self.client.address, &mut self.found)
    }

    /// How long the connection of this request may be used: no longer where the process leaves.
    pub(super) fn lifetime(&self, listener: &Listener) -> Lifetime {
        let leaves = self.snapshot.process.departure.is_polite();
        let &Listener { max_connection_age: age, max_requests_per_connection: requests, .. } = listener;
        if leaves { Lifetime::OVER } else { Lifetime { age, requests } }
    }

    pub(super) fn listener(&self) -> Option<&Listener> {
        self.snapshot.listener(self.listener)
    }

    pub(super) fn route(&self) -> Option<&Route> {
        self.found.route.and_then(|index| self.snapshot.route(index))
    }

    /// The policy of the route; where there is none, the general one.
    pub(super) fn cors(&self) -> Option<&Cors> {
        self.snapshot.cors_of(self.found.route)
    }

    pub(super) fn service_index(&self) -> Option<ServiceIndex> {
        self.service
    }

    pub(super) fn set_service(&mut self, service: ServiceIndex) {
        self.service = Some(service);
    }

    /// When its head was there.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn service(&self) -> Option<&Service> {
        self.service.and_then(|index| self.snapshot.service(index)).map(|service| &**service)
    }

    /// Where the attempts at the service are counted.
    pub(super) fn attempt_metrics(&self) -> Option<&ServiceMetrics> {
        self.service.and_then(|index| self.snapshot.attempts(index))
    }

    /// The request may go to this service, perhaps under another path.
    pub(super) fn forward_to(&mut self, service: ServiceIndex, target: &Target) -> Result<(), Rejection> {
        self.service = Some(service);
        let Some(route) = self.route() else { return Err(Rejection::Internal) };
        if let Some(rewrite) = &route.rewrite {
            self.rewritten = Some(rewrite.apply(target)?);
        }
        Ok(())
    }

    /// The `Host` that the service gets, unless it gets the caller's.
    pub(super) fn upstream_host(&self) -> Option<HeaderValue> {
        self.attempts.current.as_ref().and_then(|attempt| attempt.host_header()).cloned()
    }

    /// It lasts from here on as long as its two ends like.
    pub(super) fn becomes(&mut self, kind: LongLived) {
        if self.long_lived.replace(kind).is_none() {
            self.snapshot.process.in_flight.becomes(kind);
        }
    }

    /// Keep why, and end the phase. `fail_to_proxy` finds it here: no downcast, no cloning.
    pub(super) fn refuse(&mut self, rejection: Rejection) -> Box<Error> {
        self.rejection = Some(rejection);
        Error::new(ErrorType::new("refused"))
    }

    /// The refusal behind `error`: ours if a phase refused, else what pingora's error means.
    pub(super) fn rejection(&mut self, error: &Error) -> &Rejection {
        // Written down for the operator: the caller is not told. Never pingora's whole text: of an answer that it cannot
        // read it repeats the head, cookies and all.
        self.cause.get_or_insert_with(|| format!("{}: {}", error.esource().as_str(), error.etype().as_str()).into());
        self.rejection.get_or_insert_with(|| Rejection::meant_by(error))
    }

    /// A retry makes good what was refused before.
    pub(super) fn forgive(&mut self) {
        self.rejection = None;
    }

    pub(super) fn is_refused(&self) -> bool {
        self.rejection.is_some()
    }

    /// The refusal so far.
    pub(super) fn refused(&self) -> Option<&Rejection> {
        self.rejection.as_ref()
    }

    /// What the log says beyond the code.
    fn reason(&self) -> Option<&str> {
        let known = self.rejection.as_ref().and_then(Rejection::reason);
        self.found.nearest.as_deref().or(known).or(self.cause.as_deref())
    }

    /// The request is over: one line of the access log, where there is one, and one more in the metrics.
    pub(super) fn ended(&mut self, head: &RequestHeader, status: u16) {
        self.last_byte_sent();
        let took = self.started.elapsed();
        if self.snapshot.config.log.access {
            self.log(head, status, took);
        }
        let metrics = &self.snapshot.process.metrics;
        let route = self.route().map_or(metrics.no_route(), |route| &route.metrics);
        route.answered(&head.method, status, took);
        if let Some(rejection) = &self.rejection {
            metrics.refused(route, rejection.code());
        }
        if let Some(code) = self.found.observed {
            metrics.observed(code);
        }
    }

    fn log(&self, head: &RequestHeader, status: u16, took: Duration) {
        let identity = self.found.identity.as_deref();
        let raw = String::from_utf8_lossy(head.raw_path());
        self.snapshot.process.access_log.write(&Line {
            timestamp: SystemTime::now(),
            level: Level::of(status),
            service: "api-gateway",
            request_id: self.id.as_str(),
            method: head.method.as_str(),
            path: raw.split('?').next().unwrap_or_default(),
            user_id: identity.and_then(|identity| identity.id()),
            username: identity.and_then(|identity| identity.username()),
            response_time: took,
            status_code: status,
            target_service: self.service().map(Service::log_name),
            route: self.route().map(|route| route.id.as_str()),
            endpoint: self.attempts.current.as_ref().map(|attempt| attempt.address_text()),
            attempts: self.attempts.made,
            client: self.client.address,
            code: self.rejection.as_ref().map(Rejection::code),
            reason: self.reason(),
            observed: self.found.observed.or(self.attempts.observed.map(Observed::word)),
        });
    }

    /// What was not told to be a failure was none.
    fn last_byte_sent(&mut self) {
        if self.attempts.answered
            && let Some(status) = self.attempts.status
        {
            self.tell(Verdict::Answered(status.as_u16()));
        }
    }

    /// The service's body limit struck or not, counted as it arrives.
    pub(super) fn count_body(&mut self, bytes: usize) -> Result<()> {
        self.body_bytes += bytes as u64;
        match self.route() {
            Some(route) if self.body_bytes > route.max_body => Err(self.refuse(Rejection::BodyTooLarge)),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for RequestCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestCtx({} from {})", self.id.as_str(), self.client.address)
    }
}

/// By `Drop`, because `logging` is not called when a task is cut.
impl Drop for RequestCtx {
    fn drop(&mut self) {
        let in_flight = &self.snapshot.process.in_flight;
        if let Some(kind) = self.long_lived {
            in_flight.long_lived_end(kind);
        }
        in_flight.end();
    }
}
