use super::handoff::{Passed, Role};
use crate::{config::ListenerConfig, types::ListenAddress};
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::{
    apps::ServerApp,
    listeners::{L4BufferSettings, ListenerConfig as Endpoint, TcpSocketOptions},
    protocols::l4::ext::TcpKeepalive,
    server::{Fds, ListenFds, ShutdownWatch},
    services::listening::Service,
};
use std::{
    io,
    net::{TcpListener, ToSocketAddrs},
    os::fd::{IntoRawFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// When a caller whose machine or network is gone is noticed: asked after a minute of silence, then every 10 s, given
/// up after 6 questions. Idle connections end earlier; this is for requests under way, tunnels and streams.
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    count: 6,
    user_timeout: Duration::ZERO,
};

/// The listening sockets by address. Ours before pingora's: a port in use is one clear error here, and 30 s of retries
/// and a panic there.
#[derive(Clone)]
pub(super) struct Sockets {
    fds: ListenFds,
    addresses: Arc<[String]>,
    /// Listeners whose accept loop has begun.
    begun: Arc<AtomicUsize>,
}

impl Sockets {
    /// Take every address that was passed, and bind every other now, or name the one that cannot be had. `kept` gets a
    /// copy of each, for the next process.
    pub(super) fn open(listeners: &[ListenerConfig], passed: &mut Passed, kept: &mut Kept) -> io::Result<Self> {
        let mut fds = Fds::new();
        let mut addresses = Vec::new();
        for listener in listeners {
            let socket = open(Role::Listener, &listener.address, passed, kept)?;
            let address = socket.local_addr()?.to_string();
            fds.add(address.clone(), socket.into_raw_fd());
            addresses.push(address);
        }
        Ok(Self { fds: Arc::new(Mutex::new(fds)), addresses: addresses.into(), begun: Arc::default() })
    }

    /// Whether every listener accepts.
    pub(super) fn accept(&self) -> bool {
        self.begun.load(Relaxed) == self.addresses.len()
    }

    /// What is listened on, in the order of the file; with real ports where the file says 0.
    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }
}

/// Sockets of this process, to be passed to the next one.
pub(super) type Kept = Vec<(Role, String, OwnedFd)>;

/// The socket of one address: as it was passed, else a new one.
pub(super) fn open(
    role: Role,
    address: &ListenAddress,
    passed: &mut Passed,
    kept: &mut Kept,
) -> io::Result<TcpListener> {
    let text = address.to_string();
    let found = passed.take(role, &text).or_else(|| passed.take_at(role, address));
    let socket = match found {
        Some(socket) => TcpListener::from(socket),
        None => bind(address)?,
    };
    kept.push((role, text, socket.try_clone()?.into()));
    Ok(socket)
}

/// Listen on one address, or say in one line why that cannot be.
fn bind(address: &ListenAddress) -> io::Result<TcpListener> {
    let wanted = address.to_string();
    let bound = || {
        let all: Vec<_> = wanted.to_socket_addrs()?.collect();
        let socket = TcpListener::bind(all.as_slice())?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    bound().map_err(|error: io::Error| io::Error::new(error.kind(), explain(&wanted, &error)))
}

fn explain(address: &str, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "; another process listens there: stop it, or choose another port",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a capability: choose 8080",
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has this address: use 0.0.0.0",
        _ => "",
    };
    format!("cannot listen on {address}: {error}{advice}")
}

/// A service that listens on our sockets instead of those pingora would open.
pub(super) struct OnSockets<A> {
    service: Service<A>,
    sockets: Sockets,
}

impl<A> OnSockets<A> {
    /// `service` accepts on the socket of listener `index`.
    pub(super) fn new(mut service: Service<A>, sockets: Sockets, index: usize) -> Self
    where
        A: ServerApp + Send + Sync + 'static,
    {
        if let Some(address) = sockets.addresses.get(index) {
            let mut options = TcpSocketOptions::default();
            options.tcp_keepalive = Some(KEEP_ALIVE);
            service.add_listener(Endpoint::tcp(address.as_str()).tcp_socket_options(options).l4_buffer(buffers()));
        }
        Self { service, sockets }
    }
}

/// No read buffer: pingora reads heads and bodies into buffers of its own anyway, and 64 KiB for each idle connection
/// is most of its memory. The write buffer stays: it joins a small body to its head.
fn buffers() -> L4BufferSettings {
    L4BufferSettings::default().read(0)
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> pingora::services::Service for OnSockets<A> {
    async fn start_service(&mut self, _: Option<ListenFds>, shutdown: ShutdownWatch, listeners_per_fd: usize) {
        self.sockets.begun.fetch_add(1, Relaxed);
        self.service.start_service(Some(self.sockets.fds.clone()), shutdown, listeners_per_fd).await;
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads()
    }
}
