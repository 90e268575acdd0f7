//! Demo: six small services in this process, so that the gateway can be tried with nothing else installed.
//!
//! [`Services::bind`] comes first, because the configuration names their ports; [`Services::serve`] second, because the
//! auth service signs with the key of that configuration. Everything is kept in memory, and no caller can make it grow
//! without bounds: records, refresh tokens and bodies are limited.

mod auth;
mod collections;
mod feeds;

mod crud;
mod reply;
mod store;

pub use auth::{Claims, Mint};
use axum::Router;
use std::{
    future::IntoFuture,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    thread,
    time::Duration,
};
use tokio::{runtime::Builder, task::JoinSet};

/// A service of the demo, as the gateway's configuration sees it.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name in the configuration.
    pub name: &'static str,
    /// The variable of the configuration that holds its address.
    pub variable: &'static str,
    /// Where it is: `http://`, the address that was bound, and its port.
    pub url: String,
}

/// The six, with their ports taken: callers can connect, and are answered once they are served.
#[derive(Debug)]
pub struct Services(Vec<(Kind, Service, TcpListener)>);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Auth,
    Member,
    Customer,
    Calendar,
    Notice,
    Honeybox,
}

/// With the ports that the defaults of `conf/edgeway.yaml` name.
const ALL: [(Kind, &str, &str, u16); 6] = [
    (Kind::Auth, "auth", "AUTH_SERVICE_URL", 8010),
    (Kind::Member, "member", "MEMBER_SERVICE_URL", 8001),
    (Kind::Customer, "customer", "CUSTOMER_SERVICE_URL", 8002),
    (Kind::Calendar, "calendar", "CALENDAR_SERVICE_URL", 8003),
    (Kind::Notice, "notice", "NOTICE_SERVICE_URL", 8004),
    (Kind::Honeybox, "honeybox", "HONEYBOX_SERVICE_URL", 8000),
];

impl Services {
    /// Take a free port of the loopback interface for each.
    ///
    /// # Errors
    /// The machine has no free port.
    pub fn bind() -> io::Result<Self> {
        Self::bind_each(|_| (Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Take the usual port of each on `address`: those that the defaults of `conf/edgeway.yaml` name.
    ///
    /// # Errors
    /// One of them is in use, or the address is not this machine's.
    pub fn bind_usual(address: IpAddr) -> io::Result<Self> {
        Self::bind_each(|port| (address, port).into())
    }

    fn bind_each(place: impl Fn(u16) -> SocketAddr) -> io::Result<Self> {
        let bind = |(kind, name, variable, port)| {
            let place = place(port);
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("{name}: cannot listen on {place}: {error}"));
            let socket = TcpListener::bind(place).map_err(named)?;
            socket.set_nonblocking(true)?;
            let url = format!("http://{}", socket.local_addr()?);
            Ok((kind, Service { name, variable, url }, socket))
        };
        ALL.into_iter().map(bind).collect::<io::Result<_>>().map(Self)
    }

    /// What the configuration needs to know of them.
    pub fn list(&self) -> impl Iterator<Item = &Service> {
        self.0.iter().map(|(_, service, _)| service)
    }

    /// The address of the service that `variable` of the configuration stands for.
    pub fn variable(&self, variable: &str) -> Option<String> {
        self.list().find(|service| service.variable == variable).map(|service| service.url.clone())
    }

    /// Answer from a thread of their own until the process ends. `mint` signs tokens, which are valid for `lifetime`.
    ///
    /// # Errors
    /// The machine has no thread or no descriptor left.
    pub fn serve(self, mint: &Mint, lifetime: Duration) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut serving = JoinSet::new();
        for (kind, _, socket) in self.0 {
            let _inside = runtime.enter();
            let socket = tokio::net::TcpListener::from_std(socket)?;
            let service = axum::serve(socket, kind.router(mint, lifetime));
            serving.spawn_on(service.into_future(), runtime.handle());
        }
        let serve = move || {
            runtime.block_on(serving.join_all());
        };
        thread::Builder::new().name("demo".to_owned()).spawn(serve).map(drop)
    }
}

impl Kind {
    fn router(self, mint: &Mint, lifetime: Duration) -> Router {
        reply::service(match self {
            Self::Auth => auth::router(mint.clone(), lifetime),
            Self::Member => crud::router::<collections::Member>(),
            Self::Customer => crud::router::<collections::Customer>(),
            Self::Calendar => crud::router::<collections::Event>(),
            Self::Notice => crud::router::<collections::Notice>(),
            Self::Honeybox => feeds::router(),
        })
    }
}

#[cfg(test)]
mod services_tests;
