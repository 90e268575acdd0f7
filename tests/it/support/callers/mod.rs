//! Callers of every kind, who go on until they are told to stop and then say whether anything went wrong: the verdict
//! on whatever is done to a gateway meanwhile.
//!
//! Nothing is sent twice behind the test's back. An idempotent request on a kept connection that closed without a byte
//! of the answer may be sent once more (RFC 9112 section 9.3.1), and what HTTP/2 says it has not looked at (RFC 9113
//! section 8.7); both are counted.

mod account;
mod http2;
mod requests;
mod service;
mod streams;
mod wire;

use account::{Account, Common, Verdict};
use requests::Caller;
pub use service::StandIn;
use std::{io, net::SocketAddr, sync::Arc, thread, time::Duration};
use wire::Wire;

/// Callers who keep a connection and pause for longer than the polite phase.
const SLEEPY: &str = "sleepy";

/// How many of each kind.
#[derive(Clone, Copy, Default)]
pub struct Crowd {
    /// GETs on a kept connection, pausing for at most 50 ms.
    pub kept: usize,
    /// The same, and now and then a pause that is longer than the polite phase.
    pub sleepy: usize,
    /// A new connection for each GET.
    pub fresh: usize,
    /// HTTP/2.
    pub http2: usize,
    /// Bodies of some 250 KB.
    pub uploads: usize,
    pub websockets: usize,
    pub events: usize,
    /// New TLS connections, two GETs on each.
    pub tls: usize,
}

/// Where they call.
#[derive(Clone)]
pub struct Place {
    pub plain: SocketAddr,
    /// Of the listener with TLS, and what its callers trust.
    pub tls: Option<(SocketAddr, Arc<rustls::ClientConfig>)>,
    /// Longer than anybody is asked politely to leave.
    pub sleep: Duration,
    /// Between two messages of a WebSocket.
    pub between_messages: Duration,
}

impl Crowd {
    /// Most requests that are under way at once.
    pub fn most_at_once(&self) -> usize {
        let each = [self.kept, self.sleepy, self.fresh, self.uploads, self.websockets, self.events, self.tls];
        each.iter().sum::<usize>() + http2::STREAMS * self.http2
    }
}

/// Callers at work.
pub struct Callers {
    common: Common,
    crowd: Crowd,
    threads: Vec<thread::JoinHandle<Account>>,
}

impl Callers {
    pub fn start(crowd: Crowd, place: &Place) -> Self {
        let mut callers = Self { common: Common::new(), crowd, threads: Vec::new() };
        let (plain, between) = (place.plain, place.between_messages);
        let connect = move || Wire::plain(plain);
        callers.spawn(crowd.kept, "kept", move |common, kind, number| {
            let mut random = fastrand::Rng::with_seed(number as u64);
            Caller::new(&common, kind, number, connect).gets(move || Duration::from_millis(random.u64(0..50)))
        });
        let sleep = place.sleep;
        callers.spawn(crowd.sleepy, SLEEPY, move |common, kind, number| {
            let mut random = fastrand::Rng::with_seed(number as u64);
            let pause = move || if random.u8(..) < 16 { sleep } else { Duration::from_millis(random.u64(0..50)) };
            Caller::new(&common, kind, number, connect).gets(pause)
        });
        callers.spawn(crowd.fresh, "fresh", move |common, kind, number| {
            let mut random = fastrand::Rng::with_seed(number as u64);
            Caller::new(&common, kind, number, connect).gets_anew(1, move || Duration::from_millis(random.u64(0..20)))
        });
        callers.spawn(crowd.uploads, "uploads", move |common, kind, number| {
            Caller::new(&common, kind, number, connect).uploads(fastrand::Rng::with_seed(number as u64))
        });
        callers.spawn(crowd.http2, "http2", move |common, kind, number| http2::calls(&common, kind, number, plain));
        callers.spawn(crowd.websockets, "websockets", move |common, kind, number| {
            streams::websocket(&common, kind, number, plain, between)
        });
        callers
            .spawn(crowd.events, "events", move |common, kind, number| streams::events(&common, kind, number, plain));
        if let Some((address, config)) = place.tls.clone() {
            callers.spawn(crowd.tls, "tls", move |common, kind, number| {
                let mut random = fastrand::Rng::with_seed(number as u64);
                let connect = || Wire::tls(address, config.clone(), "a.example");
                let pause = move || Duration::from_millis(random.u64(0..50));
                Caller::new(&common, kind, number, connect).gets_anew(2, pause)
            });
        }
        callers
    }

    fn spawn<C>(&mut self, count: usize, kind: &'static str, call: C)
    where
        C: Fn(Common, &'static str, usize) -> Account + Clone + Send + 'static,
    {
        for number in 0..count {
            let (call, common) = (call.clone(), self.common.clone());
            self.threads.push(thread::spawn(move || call(common, kind, number)));
        }
    }

    /// So far nobody failed; `doing` says what was done meanwhile.
    #[track_caller]
    pub fn are_content(&self, doing: &str) {
        let failures = self.common.failures();
        let at = self.common.begun.elapsed();
        println!("{at:>9.2?} {doing}: {} answered so far, {} failed", self.common.answered(), failures.len());
        assert!(failures.is_empty(), "{doing}: {} requests failed:\n{}", failures.len(), failures.join("\n"));
    }

    /// `kill` kills a process that serves. What it has under way is cut, once, and everything else goes on.
    #[track_caller]
    pub fn bear(&self, kill: impl FnOnce()) {
        let before = self.common.cut().len();
        self.common.kills();
        kill();
        // Beyond the time in which anything is forgiven.
        self.common.pause(2 * account::KILLED);
        let cut = self.common.cut().split_off(before);
        println!("{} requests were cut with the killed process", cut.len());
        assert!(cut.len() <= self.crowd.most_at_once(), "more than it had under way:\n{}", cut.join("\n"));
        self.hear(50);
    }

    /// Until `count` more requests were answered.
    #[track_caller]
    pub fn hear(&self, count: usize) {
        self.hear_more(count, Common::answered);
    }

    /// Until `count` more messages or events came.
    #[track_caller]
    pub fn hear_streams(&self, count: usize) {
        self.hear_more(count, Common::heard);
    }

    /// As long as it takes, if only something comes.
    #[track_caller]
    fn hear_more(&self, count: usize, so_far: fn(&Common) -> usize) {
        let wanted = so_far(&self.common) + count;
        while so_far(&self.common) < wanted && self.common.failures().is_empty() {
            let before = so_far(&self.common);
            assert!(super::within_patience(|| so_far(&self.common) > before), "the callers hear nothing any more");
        }
    }

    /// Nobody begins another request; those under way end. What came of it all.
    pub fn stop(mut self) -> Verdict {
        self.common.stop();
        let accounts = self.threads.drain(..).map(|thread| thread.join().unwrap()).collect();
        Verdict::of(&self.common, accounts)
    }
}

impl Drop for Callers {
    /// A test that failed waits for nobody.
    fn drop(&mut self) {
        self.common.stop();
    }
}

/// Plain TLS that trusts one authority.
pub fn trusting(authority: &super::Authority) -> io::Result<Arc<rustls::ClientConfig>> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let text = std::fs::read(authority.ca())?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&text).map_err(io::Error::other)?).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(Arc::new(config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth()))
}
