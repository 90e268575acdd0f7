//! The process's own sections: `server:` and `listeners:`. Changing them needs a new process.

use crate::{
    addresses::AddressesConfig,
    tls::ListenerTlsConfig,
    types::{List, ListenAddress, Network, Size, Span},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `server:`: the process.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Shown by `GET /` and `GET /health`. Default: Edgeway.
    pub name: String,
    /// Version of the installation, shown by `GET /` and the documentation pages. Default: 1.0.0.
    pub version: String,
    /// `production` refuses sample secrets, HS secrets under 32 bytes and `debug`; elsewhere they are warned about.
    /// Default: development.
    pub environment: String,
    /// Raises the log level to debug, and nothing else. Default: false.
    pub debug: bool,
    /// Worker threads. 0: `default_threads`. Default: 0.
    #[schemars(range(max = 1_024))]
    pub threads: u16,
    /// Worker threads where `threads` is 0. 0: as many as the CPU limit of this process allows. Default: 0.
    #[schemars(range(max = 1_024))]
    pub default_threads: u16,
    /// Most connections of callers at a time, over all listeners; what comes on top is closed at once. Needs a restart.
    /// 0: as many as file descriptors allow, half of those that are not in reserve. Default: 0.
    #[schemars(range(max = 10_000_000))]
    pub max_connections: u32,
    /// Where this instance is: endpoints of the same zone go first. Default: not set.
    pub zone: Option<String>,
    /// Folder for the pid file and the upgrade socket. Where it cannot be written, a folder of the user's own in the
    /// temp folder is taken; where neither can, the gateway runs without them and says so. Default: /run/edgeway.
    pub run_dir: String,
    /// Idle connections to services that are kept in all; once for requests without a body, and once for the others. Default: 100.
    #[schemars(range(max = 100_000))]
    pub upstream_idle_connections: usize,
    /// Accepted without effect, because pingora keeps one idle pool for all endpoints. Default: not set.
    pub upstream_idle_connections_per_host: Option<u32>,
    /// Whether a change of the configuration file is a reload, once it has stood for a second. Default: true.
    pub reload_on_change: bool,
    /// What happens between SIGTERM and the end.
    pub drain: DrainConfig,
    /// What happens when a new process takes over: `edgeway upgrade`, SIGQUIT.
    pub handoff: HandoffConfig,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            name: "Edgeway".to_owned(),
            version: "1.0.0".to_owned(),
            environment: "development".to_owned(),
            debug: false,
            threads: 0,
            default_threads: 0,
            max_connections: 0,
            zone: None,
            run_dir: "/run/edgeway".to_owned(),
            upstream_idle_connections: 100,
            upstream_idle_connections_per_host: None,
            reload_on_change: true,
            drain: DrainConfig::default(),
            handoff: HandoffConfig::default(),
        }
    }
}

impl ServerConfig {
    /// Whether samples and weak secrets are refused instead of warned about.
    pub fn is_production(&self) -> bool {
        self.environment.eq_ignore_ascii_case("production")
    }
}

/// `server.drain:`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DrainConfig {
    /// After SIGTERM: how long requests are still accepted, each answer closing its connection and `/health/ready`
    /// saying 503, so that balancers and callers go elsewhere. Default: 15s.
    pub pause: Span,
    /// After the pause: longest time for requests in flight to end. The process leaves as soon as there are none.
    /// At least the longest `timeouts.request` + 5s. Default: 35s.
    pub deadline: Span,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self { pause: Span::seconds(15), deadline: Span::seconds(35) }
    }
}

/// `server.handoff:`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HandoffConfig {
    /// Longest time from the start of the new process until it serves. Default: 30s.
    pub ready: Span,
    /// How long both serve before the new process is the gateway: when it dies or answers worse than the old one
    /// meanwhile, the old one stays. `edgeway upgrade --watch` says otherwise for once. Default: 10s.
    pub watch: Span,
    /// How long the old process then still accepts, each of its answers closing its connection. Default: the longest
    /// `keepalive_timeout` + 5s, in which every idle connection is used once more or closed.
    pub linger: Option<Span>,
    /// How long the old process, which accepts no more then, lets WebSockets and streams go on. Default: 1h.
    pub streams: Span,
}

impl Default for HandoffConfig {
    fn default() -> Self {
        Self { ready: Span::seconds(30), watch: Span::seconds(10), linger: None, streams: Span::seconds(3_600) }
    }
}

/// One entry of `listeners:`: an address that callers connect to.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerConfig {
    /// Address and port. Default: 0.0.0.0:8080.
    pub address: ListenAddress,
    /// Most connections at a time; what comes on top is closed at once. A connection and its request to a service need
    /// a file descriptor each. 1 to 1000000. Default: 10000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: u32,
    /// Most connections of one IPv4 address or one IPv6 /64 at a time; `trusted_proxies` are exempt. 1 to 1000000.
    /// Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections_per_address: u32,
    /// How long an idle connection of a caller is kept. Longer than the balancer's own idle time (ALB: 60 s), or it
    /// sends requests into connections that are just being closed. Also the longest wait for a first request. At least 1s.
    /// Default: 75s.
    pub keepalive_timeout: Span,
    /// Age from which on a connection ends with its next answer (`Connection: close`, GOAWAY); an idle one ends at
    /// `keepalive_timeout` alone. A certificate of a caller is believed as long as the connection lives. At least 1s.
    /// Default: none.
    pub max_connection_age: Option<Span>,
    /// Requests after which a connection ends in the same way. 1 to 4294967295. Default: none.
    #[schemars(range(min = 1))]
    pub max_requests_per_connection: Option<u32>,
    /// Longest time from the first to the last byte of a request's head; then 408. Also the longest TLS handshake.
    /// Default: 10s.
    pub head_timeout: Span,
    /// Whether HTTP/2 is spoken with callers who begin with it (by prior knowledge, as a balancer does); HTTP/1.1 is spoken
    /// on the same port. Changing it needs a handoff. Default: true.
    pub h2c: bool,
    /// Callers speak HTTPS. Default: plain HTTP.
    pub tls: Option<ListenerTlsConfig>,
    /// Balancers in front of the gateway, as addresses or ranges: their `X-Forwarded-*` and `X-Request-ID` are
    /// believed. A list, or one text with commas. Default: none.
    pub trusted_proxies: List<Network>,
    /// Whether every connection begins with a PROXY protocol header, version 1 or 2, as a balancer of TCP writes it. Only
    /// `trusted_proxies` may connect then; what begins otherwise is closed. Changing it needs a handoff. Default: false.
    pub proxy_protocol: bool,
    /// Whether services get `Forwarded` (RFC 7239) too, with what trusted proxies said under it. Default: false.
    pub forwarded: bool,
    /// From where callers may call; asked for everything on this listener, `/health` too.
    pub addresses: AddressesConfig,
    /// Most headers of a request; then 431. 1 to 256 (more are not read). Default: 100.
    #[schemars(range(min = 1, max = 256))]
    pub max_headers: usize,
    /// Longest single header line; then 431. Default: 16KiB.
    pub max_header: Size,
    /// All headers together; then 431. At most 1MiB. Default: 64KiB.
    pub max_headers_total: Size,
    /// Longest request target (path and query); then 414. Default: 16KiB.
    pub max_target: Size,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            address: ListenAddress { host: "0.0.0.0".to_owned(), port: 8080 },
            max_connections: 10_000,
            max_connections_per_address: 1_000,
            keepalive_timeout: Span::seconds(75),
            max_connection_age: None,
            max_requests_per_connection: None,
            head_timeout: Span::seconds(10),
            h2c: true,
            tls: None,
            trusted_proxies: List::default(),
            proxy_protocol: false,
            forwarded: false,
            addresses: AddressesConfig::default(),
            max_headers: 100,
            max_header: Size::kib(16),
            max_headers_total: Size::kib(64),
            max_target: Size::kib(16),
        }
    }
}
