//! One look at one endpoint.

use super::{HealthConfig, config::ProbeConfig, health::Thresholds};
use crate::types::{Span, Statuses};
use ::http::{HeaderValue, header};
use pingora::{
    ErrorType as Type,
    connectors::{TransportConnector, http},
    http::RequestHeader,
    prelude::{Error, HttpPeer, Result},
    protocols::http::client::HttpSession as Exchange,
};
use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Bytes of an answer that are searched for `contains`.
const MOST_BODY: usize = 64 * 1024;

/// Shortest time between two probes of an endpoint: more would be load, not knowledge.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// How endpoints of a service are probed: `health:`, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProbeSettings {
    pub(super) kind: ProbeConfig,
    path: Box<str>,
    expect: Box<[Statuses]>,
    contains: Option<Box<str>>,
    pub(super) interval: Duration,
    timeout: Duration,
    pub(super) thresholds: Thresholds,
}

impl ProbeSettings {
    /// What the service says, else the top level, else the defaults of the file's reference. Errors name the key.
    pub(super) fn build(general: &HealthConfig, own: &HealthConfig) -> Result<Self, (String, String)> {
        let path = own.path.as_deref().or(general.path.as_deref()).unwrap_or("/health");
        if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(("path".to_owned(), format!("{path:?} is not a path; write /health")));
        }
        let span = |own: Option<Span>, general: Option<Span>, seconds: u64| {
            own.or(general).map_or(Duration::from_secs(seconds), |span| span.get())
        };
        let interval = span(own.interval, general.interval, 30);
        if interval < SHORTEST_INTERVAL {
            return Err(("interval".to_owned(), "too short; write at least 100ms".to_owned()));
        }
        Ok(Self {
            kind: own.probe.or(general.probe).unwrap_or_default(),
            path: path.into(),
            expect: match own.expect.as_ref().or(general.expect.as_ref()) {
                Some(list) if !list.is_empty() => list.iter().cloned().collect(),
                _ => Box::new([Statuses::new(200, 299)]),
            },
            contains: own.contains.as_deref().or(general.contains.as_deref()).map(Into::into),
            interval,
            timeout: span(own.timeout, general.timeout, 5).max(Duration::from_millis(1)),
            thresholds: Thresholds {
                healthy: own.healthy_after.or(general.healthy_after).unwrap_or(1),
                unhealthy: own.unhealthy_after.or(general.unhealthy_after).unwrap_or(2),
            },
        })
    }
}

/// Makes the connections of all probes. Nothing is ever given back to it, so that every connection is new.
pub(super) struct Connectors {
    http: http::Connector,
    tcp: TransportConnector,
}

impl Default for Connectors {
    fn default() -> Self {
        Self { http: http::Connector::new(None), tcp: TransportConnector::new(None) }
    }
}

impl fmt::Debug for Connectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connectors")
    }
}

/// A way to look at one endpoint, made ready.
pub(super) struct Probe {
    peer: HttpPeer,
    /// What is asked; `None`: a connection is enough.
    request: Option<RequestHeader>,
    expect: Box<[Statuses]>,
    contains: Option<Box<str>>,
    timeout: Duration,
}

impl Probe {
    /// `None` where the settings ask for no probes. `peer`: as for requests. `host`: what the service expects as `Host`.
    pub(super) fn build(
        settings: &ProbeSettings,
        peer: &HttpPeer,
        address: SocketAddr,
        host: Option<&HeaderValue>,
    ) -> Option<Self> {
        let request = match settings.kind {
            ProbeConfig::Off => return None,
            ProbeConfig::Tcp => None,
            ProbeConfig::Http => Some(request(settings, address, host)?),
        };
        let mut peer = peer.clone();
        peer.options.connection_timeout = Some(settings.timeout);
        peer.options.read_timeout = Some(settings.timeout);
        let (expect, contains) = (settings.expect.clone(), settings.contains.clone());
        Some(Self { peer, request, expect, contains, timeout: settings.timeout })
    }

    /// How long the endpoint took to answer well, or why it did not. Each probe has a connection of its own: an old one
    /// would hide that no new one comes about.
    pub(super) async fn run(&self, connectors: &Connectors) -> Result<Duration, &'static str> {
        let begun = Instant::now();
        // pingora's own limits are per read; this one is for all of it.
        match tokio::time::timeout(self.timeout, self.look(connectors)).await {
            Err(_) => Err("timeout"),
            Ok(Err(error)) => Err(reason(&error)),
            Ok(Ok(())) => Ok(begun.elapsed()),
        }
    }

    async fn look(&self, connectors: &Connectors) -> Result<()> {
        let Some(request) = &self.request else {
            return connectors.tcp.new_stream(&self.peer).await.map(drop);
        };
        let (mut exchange, _) = connectors.http.get_http_session(&self.peer).await?;
        exchange.set_read_timeout(Some(self.timeout));
        exchange.write_request_header(Box::new(request.clone())).await?;
        exchange.finish_request_body().await?;
        exchange.read_response_header().await?;
        let status = exchange.response_header().map_or(0, |response| response.status.as_u16());
        if !self.expect.iter().any(|statuses| statuses.contains(status)) {
            return Err(Error::new(Type::CustomCode("status", status)));
        }
        match &self.contains {
            Some(text) => find(text, &mut exchange).await,
            None => Ok(()),
        }
    }
}

/// Read the body until it holds `text`.
async fn find(text: &str, exchange: &mut Exchange) -> Result<()> {
    let mut body = Vec::new();
    while body.len() < MOST_BODY
        && let Some(piece) = exchange.read_response_body().await?
    {
        body.extend_from_slice(&piece);
        if memchr::memmem::find(&body, text.as_bytes()).is_some() {
            return Ok(());
        }
    }
    Err(Error::new(Type::Custom("content")))
}

fn request(settings: &ProbeSettings, address: SocketAddr, host: Option<&HeaderValue>) -> Option<RequestHeader> {
    let host = host.and_then(|host| host.to_str().ok()).map_or_else(|| address.to_string(), str::to_owned);
    let mut request = RequestHeader::build("GET", settings.path.as_bytes(), None).ok()?;
    request.insert_header(header::HOST, host).ok()?;
    request.insert_header(header::USER_AGENT, "edgeway-probe").ok()?;
    request.insert_header(header::CONNECTION, "close").ok()?;
    Some(request)
}

fn reason(error: &Error) -> &'static str {
    match error.etype() {
        Type::CustomCode(..) => "status",
        Type::Custom(_) => "content",
        Type::ConnectTimedout | Type::ReadTimedout | Type::WriteTimedout => "timeout",
        Type::ConnectRefused | Type::ConnectNoRoute | Type::ConnectError | Type::SocketError | Type::BindError => {
            "connect"
        }
        Type::TLSHandshakeFailure | Type::InvalidCert => "tls",
        Type::ConnectionClosed | Type::ReadError | Type::WriteError => "closed",
        _ => "answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_goes_before_the_file_and_mistakes_are_named() {
        let of = |text: &str| serde_yaml::from_str::<HealthConfig>(text).unwrap();
        let settings = ProbeSettings::build(&of("{ path: /a, interval: 1s, expect: [204] }"), &of("{ path: /b }"));
        let settings = settings.unwrap();
        assert_eq!((&*settings.path, settings.interval.as_secs(), settings.timeout.as_secs()), ("/b", 1, 5));
        assert_eq!(*settings.expect, [Statuses::new(204, 204)]);
        for (text, key) in [("{ path: a }", "path"), ("{ interval: 10ms }", "interval")] {
            assert_eq!(ProbeSettings::build(&of("{}"), &of(text)).unwrap_err().0, key, "{text}");
        }
    }
}
