//! Server: the process. Sockets, signals, background work; wires the modules together.

mod capacity;
mod drain;
mod handoff;
mod open;
mod reload;
mod resources;
mod run_dir;
mod signals;
mod sockets;
mod supervisor;
mod threads;

use crate::{
    admin::Admin,
    auth::{self, RevocationMode},
    config::{Config, ConfigErrors, ListenerConfig, Loaded},
    connection::{self, ConnectionLimits, Door, Front, Opening, ProcessPlaces},
    observability::{AccessLog, Logger},
    proxy::{DirectProxy, Gateway, Rejection},
    runtime::{Live, Process, Snapshot},
    tls::{self, ListenerTls},
    upstream::{self, Watch},
};
use async_trait::async_trait;
use drain::Drain;
pub use handoff::{Ask, Predecessor, Said, ask as ask_to_upgrade, relaunch};
use handoff::{Handoff, Successor, prove, serve_upgrades};
use open::Opened;
use pingora::{
    apps::HttpServerOptions,
    connectors::{ConnectorOptions, http::v1::Connector},
    protocols::http::v2::server::H2Options,
    proxy::{HttpProxy, http_proxy},
    server::{RunArgs, Server, ShutdownWatch, configuration::ServerConf},
    services::{
        background::{BackgroundService, background_service},
        listening::Service,
    },
};
use reload::Reload;
pub use reload::Source;
use resources::Resources;
use run_dir::RunDir;
use signals::Signals;
pub use signals::survive_early as survive_early_signals;
use sockets::{OnSockets, Sockets};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process,
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Mutex, mpsc::channel};

/// Retries that pingora itself allows; above the 8 that `retry.attempts` can be, which decides.
const PINGORA_RETRIES: usize = 16;

/// How long a start and a reload wait for names that are new to them; late answers are found a moment later.
const NAMES: Duration = Duration::from_secs(1);

/// How often files of certificates are looked at.
const CERTIFICATES: Duration = Duration::from_secs(1);

/// pingora ends by itself what is in flight after so many seconds: ten years, the end is ours.
const NEVER: u64 = 10 * 365 * 86_400;

/// What this build is, for people.
const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), ", commit ", env!("EDGEWAY_COMMIT"));

/// How long the last lines of the access log may take at the end.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Reloads that may wait for the one under way.
const WAITING_RELOADS: usize = 16;

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file is wrong: exit 78.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// The machine would not have it: exit 1.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Run until a signal ends the process. `predecessor`: the process to take over from. `started` hears the addresses that
/// are listened on.
///
/// # Errors
/// Nothing was started, and the error says why.
pub fn run(
    loaded: Loaded,
    source: Source,
    logger: Logger,
    predecessor: Option<Predecessor>,
    started: impl FnOnce(&[String]),
) -> Result<(), StartError> {
    let (live, resources) = prepare(&loaded)?;
    // Where everything stands in the file is of no use any more.
    let Loaded { config, stamps, .. } = loaded;
    let process = live.pin().process.clone();
    let mut opened = Opened::open(&config, &process, predecessor.as_ref())?;
    let heard = signals::listen()?;
    let handoff = Handoff::new(&live, &source, heard.ask.clone(), &mut opened)?;
    let mut server = build(&config, &live, &opened.sockets, &resources);
    let (ask, asked) = channel(WAITING_RELOADS);
    let admin = Admin::new(live.clone(), logger.clone(), ask);
    let (signalled, asked, handed) = (heard.reload.clone(), Mutex::new(asked), handoff.clone());
    let reload = Reload { source, stamps, live: live.clone(), handoff: handed, logger, signalled, asked };
    server.add_service(background_service("reload", reload));
    server.add_service(background_service("drain", Drain::new(&process, &opened.run_dir, &config.server)));
    let operated = opened.admin.as_ref().map(TcpListener::local_addr).transpose()?;
    opened.admin.map(|socket| admin.serve(socket, handoff.standing())).transpose()?;
    opened.control.map(|socket| serve_upgrades(socket, handoff.clone())).transpose()?;
    match predecessor.filter(|_| opened.former.is_some()) {
        Some(predecessor) => {
            prove(front(&server, &config, &live))?;
            process.handoffs.follow(opened.former);
            Successor { predecessor, handoff: handoff.clone(), reload: heard.reload }.follow(opened.sockets.clone())?;
        }
        None => handoff.begin_alone(),
    }
    resources.tell();
    announce(&config, &opened.sockets, operated, &resources);
    started(opened.sockets.addresses());
    let (pause, asked) = (config.server.drain.pause.get(), Mutex::new(Some(heard.asked)));
    let signals = Signals { process: process.clone(), pause, handoff, asked };
    server.run(RunArgs { shutdown_signal: Box::new(signals) });
    end(&process, &opened.run_dir)
}

/// Everything that needs no socket.
fn prepare(loaded: &Loaded) -> Result<(Live, Resources), StartError> {
    warn(loaded);
    let resources = Resources::take(&loaded.config);
    tls::system_authorities().map_err(io::Error::other)?;
    let codes = Rejection::codes().into_keys();
    let process = Process::new(AccessLog::to_stdout()?, loaded, codes)?;
    die_with_a_service(process.clone());
    let live = Live::start(loaded, process)?;
    resolve(&live)?;
    Ok((live, resources))
}

/// The first listener's way through the gateway, without what stands before its first head.
fn front(server: &Server, config: &Config, live: &Live) -> Front<DirectProxy> {
    let head_timeout = config.listeners.first().map_or(Duration::from_secs(10), |listener| listener.head_timeout.get());
    let proxy = http_proxy(&server.configuration, Gateway::new(live.clone(), 0));
    let departure = live.pin().process.departure.clone();
    // Nobody else is there yet.
    let door = door(live, 0, &ProcessPlaces::new(1));
    let direct = direct(proxy, server, live, 0);
    Front::new(direct, head_timeout, door, Opening::Request, || None, departure)
}

/// Where a gateway with this `server.run_dir` may be asked to hand over.
pub fn upgrade_sockets(run_dir: &str) -> Vec<PathBuf> {
    run_dir::sockets(run_dir)
}

/// The last lines, then out. From within, and not by returning: the workers serve on until the process is gone.
fn end(process: &Process, run_dir: &RunDir) -> ! {
    run_dir.clean();
    process.access_log.end(LAST_LINES);
    log::logger().flush();
    process::exit(0)
}

/// One line that says what serves where; tests and scripts read it.
fn announce(config: &Config, sockets: &Sockets, operated: Option<SocketAddr>, resources: &Resources) {
    if config.own.metrics {
        log::warn!("own.metrics is on: whatever forwards to this gateway, a balancer too, publishes /metrics");
    }
    log::info!(
        "{} {} serves on {} with {} worker threads, {}",
        config.server.name,
        config.server.version,
        sockets.addresses().join(", "),
        resources.workers.count,
        operated.map_or_else(|| "no admin".to_owned(), |address| format!("admin on {address}")),
    );
}

fn build(config: &Config, live: &Live, sockets: &Sockets, resources: &Resources) -> Server {
    let mut server = empty(config, resources.workers.count);
    let places = ProcessPlaces::new(resources.capacity.connections);
    let departure = live.pin().process.departure.clone();
    for (index, listener) in config.listeners.iter().enumerate() {
        departure.begins_to_accept();
        let mut proxy = http_proxy(&server.configuration, Gateway::new(live.clone(), index));
        let (server_options, http2) = http2(listener);
        (proxy.server_options, proxy.h2_options) = (Some(server_options), Some(http2));
        let (door, head_timeout) = (door(live, index, &places), listener.head_timeout.get());
        let direct = direct(proxy, &server, live, index);
        let front = Front::new(direct, head_timeout, door, opening(listener), tls_of(live, index), departure.clone());
        let service = Service::new(format!("listener {index}"), front);
        server.add_service(OnSockets::new(service, sockets.clone(), index));
    }
    server.add_service(background_service("upstream", Upstream(live.clone())));
    server.add_service(background_service("identity", IdentityWork(live.clone())));
    server.add_service(background_service("certificates", CertificateFiles(live.clone())));
    server
}

/// With connections to services of its own, as many as pingora's proxy has.
fn direct(proxy: HttpProxy<Gateway>, server: &Server, live: &Live, index: usize) -> DirectProxy {
    let connector = Connector::new(Some(ConnectorOptions::from_server_conf(&server.configuration)));
    DirectProxy::new(proxy, live.clone(), index, connector)
}

fn opening(listener: &ListenerConfig) -> Opening {
    if listener.proxy_protocol { Opening::ProxyHeader } else { Opening::Request }
}

/// Fixed at the start, unlike the limits that each request is held to.
fn http2(listener: &ListenerConfig) -> (HttpServerOptions, H2Options) {
    let (headers, idle) = http2_limits(listener);
    connection::http2_options(headers, idle, listener.h2c)
}

/// Bytes of a head, and how long a connection may be idle.
fn http2_limits(listener: &ListenerConfig) -> (u64, Duration) {
    // RFC 9113 section 6.5.2 counts 32 bytes more for each header; there are five beside those of the caller.
    let headers = listener.max_headers_total.get() + 32 * (listener.max_headers as u64 + 5);
    (headers + listener.max_target.get(), listener.keepalive_timeout.get())
}

/// The limits of the current snapshot, so that a reload changes them for whoever comes next.
fn door(live: &Live, index: usize, places: &Arc<ProcessPlaces>) -> Door {
    let counters = live.pin().process.connections.clone();
    let live = live.clone();
    Door::new(counters, places.clone(), move |peer| {
        let snapshot = live.pin();
        // A listener of this process is in every snapshot: a reload may not take it away.
        let Some(listener) = snapshot.listener(index) else {
            return ConnectionLimits { in_all: u32::MAX, per_address: None, largest_head: 0, idle: Duration::ZERO };
        };
        let counted = peer.is_some_and(|peer| !listener.trusts(peer));
        let per_address = counted.then_some(listener.max_connections_per_address);
        let idle = Duration::from_secs(listener.keepalive_seconds);
        ConnectionLimits { in_all: listener.max_connections, per_address, largest_head: listener.largest_head(), idle }
    })
}

/// That of the current snapshot.
fn tls_of(live: &Live, index: usize) -> impl Fn() -> Option<Arc<ListenerTls>> + Send + Sync + 'static {
    let live = live.clone();
    move || live.pin().listener(index).and_then(|listener| listener.tls.clone())
}

/// Without this, the first requests would find services without endpoints.
fn resolve(live: &Live) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let snapshot = live.pin();
    let Snapshot { config, process, .. } = &*snapshot;
    let names = upstream::prepare(snapshot.services(), &config.dns, &process.upstream, NAMES);
    let revocation = &config.auth.revocation;
    let revoked = async {
        if revocation.mode == RevocationMode::Shared {
            auth::read_revocations(&process.revocations, &process.store, revocation.most, NAMES).await;
        }
    };
    runtime.block_on(async { tokio::join!(names, auth::prepare(&snapshot.auth, NAMES), revoked) });
    // A question under way blocks a thread for as long as it likes.
    runtime.shutdown_background();
    Ok(())
}

fn empty(config: &Config, workers: usize) -> Server {
    let conf = ServerConf {
        threads: workers,
        // One runtime per thread: measured cheaper than stealing (performance notes, 4).
        work_stealing: false,
        max_retries: PINGORA_RETRIES,
        // Per thread here, in all in the file.
        upstream_keepalive_pool_size: config.server.upstream_idle_connections.div_ceil(workers).max(1),
        // `drain` ends the process, as soon as nothing is in flight.
        grace_period_seconds: Some(NEVER),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    // Not `Server::new` and then assigning: parts of the server read what the constructor was given.
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    server
}

/// Said once, and not again with every reload of the same file.
fn warn(loaded: &Loaded) {
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
}

/// pingora starts services in tasks of their own: one that panics would leave a process that serves nothing.
fn die_with_a_service(gateway: Arc<Process>) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        gateway.panics.add();
        // Threads do not tell: requests run on the same ones, and one of theirs must not end the others.
        if panic.location().is_some_and(|place| place.file().ends_with("services/listening.rs")) {
            process::exit(1);
        }
    }));
}

/// Keeps what is known about endpoints up to date, and lists of addresses.
struct Upstream(Live);

#[async_trait]
impl BackgroundService for Upstream {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let process = self.0.pin().process.clone();
        if self.0.pin().counts_in_redis() {
            process.store.greet().await;
        }
        let services = || self.0.pin().services().to_vec();
        let dns = || self.0.pin().config.dns.clone();
        tokio::select! {
            () = process.address_files.watch() => (),
            () = Watch::default().run(services, dns, &process.upstream, self.0.changes()) => (),
            _ = shutdown.changed() => (),
        }
    }
}

/// Keeps keys of issuers new, and shares revocations.
struct IdentityWork(Live);

#[async_trait]
impl BackgroundService for IdentityWork {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let process = self.0.pin().process.clone();
        let sources = || self.0.pin().auth.sources().cloned().collect();
        let most = || {
            let snapshot = self.0.pin();
            let settings = &snapshot.config.auth.revocation;
            (settings.mode == RevocationMode::Shared).then_some(settings.most)
        };
        tokio::select! {
            () = auth::keep_keys(sources, self.0.changes()) => (),
            () = auth::share_revocations(process.revocations.clone(), &process.store, most) => (),
            _ = shutdown.changed() => (),
        }
    }
}

/// Looks at the files of certificates.
struct CertificateFiles(Live);

#[async_trait]
impl BackgroundService for CertificateFiles {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let process = self.0.pin().process.clone();
        loop {
            tokio::select! {
                () = tokio::time::sleep(CERTIFICATES) => (),
                _ = shutdown.changed() => return,
            }
            let process = process.clone();
            // A file system may take its time.
            _ = tokio::task::spawn_blocking(move || process.certificates.look()).await;
        }
    }
}
