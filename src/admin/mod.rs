//! Admin: the operator's listener. What runs, how it is, and a few things that may be changed while it runs.
//!
//! `/metrics`, `/health/*` and `/api/v1/*`, on a thread of its own: a scrape holds up no request, and a gateway whose
//! workers are all busy can still be asked why. Refuses with `application/problem+json`: 401 without the token, 403
//! what a browser sends on behalf of some page, 404, 405, 413, 422 a configuration with mistakes.
//!
//! ```yaml
//! admin: { address: "127.0.0.1:9901" }
//! ```

mod guard;

mod api;
mod pages;
mod report;
mod revocations;

mod answer;
mod config;
mod listener;

pub use config::AdminConfig;

use crate::{
    observability::Logger,
    runtime::{Live, ReloadAsked},
    types::Standing,
};
use axum::{Router, extract::DefaultBodyLimit, middleware::from_fn_with_state, routing};
use listener::{Listener, Peer};
use std::{fmt, io, net::TcpListener, thread};
use tokio::{
    runtime::Builder,
    sync::{mpsc::Sender, watch},
};

/// Largest body of a request: all that is sent here is a few words.
const LARGEST_BODY: usize = 16 * 1024;

/// What the operator's listener sees and changes.
#[derive(Clone)]
pub struct Admin {
    live: Live,
    logger: Logger,
    reload: Sender<ReloadAsked>,
    /// Only this machine can connect.
    local: bool,
    standing: Option<watch::Receiver<Standing>>,
}

impl Admin {
    /// Look at `live`; change the level of `logger`; ask `reload` for new configurations.
    pub fn new(live: Live, logger: Logger, reload: Sender<ReloadAsked>) -> Self {
        Self { live, logger, reload, local: true, standing: None }
    }

    /// Answer on `socket` from a thread of its own until the process ends; new connections only while this process
    /// is the gateway by its `standing`, because another one may listen there too.
    ///
    /// # Errors
    /// The machine has no thread or no descriptor left.
    pub fn serve(mut self, socket: TcpListener, standing: watch::Receiver<Standing>) -> io::Result<()> {
        self.standing = Some(standing.clone());
        self.local = socket.local_addr()?.ip().is_loopback();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            Listener::new(tokio::net::TcpListener::from_std(socket)?, standing)?
        };
        let service = self.router().into_make_service_with_connect_info::<Peer>();
        let serve = move || {
            if let Err(error) = runtime.block_on(async { axum::serve(listener, service).await }) {
                log::error!("the admin listener ended: {error}");
            }
        };
        thread::Builder::new().name("admin".to_owned()).spawn(serve).map(drop)
    }

    fn router(self) -> Router {
        Router::new()
            .route("/metrics", routing::get(pages::metrics))
            .route("/health", routing::get(pages::health))
            .route("/health/live", routing::get(pages::health))
            .route("/health/ready", routing::get(pages::health))
            .route("/api/v1/state", routing::get(api::state))
            .route("/api/v1/endpoints", routing::get(api::endpoints))
            .route("/api/v1/reload", routing::post(api::reload))
            .route("/api/v1/log-level", routing::put(api::log_level))
            .route("/api/v1/revocations", routing::get(revocations::report).post(revocations::revoke))
            .fallback(answer::not_found)
            .method_not_allowed_fallback(answer::not_allowed)
            .layer(from_fn_with_state(self.clone(), guard::guard))
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .with_state(self)
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Admin({:?})", self.live)
    }
}
