//! Certificates in files that change.

use super::{CertificateConfig, Described, certificate::describe, pem};
use crate::files::Stamp;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::sign::CertifiedKey;
use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Looks in a row that find a pair wrong before that is told: whoever replaces two files does it one after the other.
const PATIENCE: u8 = 2;

/// Every pair of files that a listener names. Outlives reloads.
#[derive(Default)]
pub struct Certificates {
    pairs: Mutex<HashMap<CertificateConfig, Arc<Pair>>>,
    failures: AtomicU64,
}

/// A certificate as metrics and operators see it.
#[derive(Clone, Debug)]
pub struct CertificateReport {
    /// Its first name; its file where it has none.
    pub name: Box<str>,
    /// What it says.
    pub described: Described,
}

/// Two files, and what was good in them last.
pub(super) struct Pair {
    config: CertificateConfig,
    current: ArcSwap<Loaded>,
    watched: Mutex<Watched>,
}

/// A certificate that can be shown.
pub(super) struct Loaded {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) described: Described,
}

struct Watched {
    seen: [Option<Stamp>; 2],
    failed: u8,
}

impl Certificates {
    /// The pair of files, read now if nobody named it before.
    pub(super) fn open(&self, config: &CertificateConfig) -> Result<Arc<Pair>, (&'static str, String)> {
        let known = self.pairs.lock().get(config).cloned();
        if let Some(pair) = known {
            pair.look(&self.failures);
            return Ok(pair);
        }
        let seen = stamps(config);
        let loaded = read(config)?;
        let watched = Mutex::new(Watched { seen, failed: 0 });
        let pair = Arc::new(Pair { config: config.clone(), current: ArcSwap::from_pointee(loaded), watched });
        self.pairs.lock().insert(config.clone(), pair.clone());
        Ok(pair)
    }

    /// Look at all files, take over what has changed, and say so on stderr. Blocks as long as the file system does.
    pub fn look(&self) {
        let pairs: Vec<Arc<Pair>> = {
            let mut pairs = self.pairs.lock();
            // Those that no snapshot names any more are forgotten.
            pairs.retain(|_, pair| Arc::strong_count(pair) > 1);
            pairs.values().cloned().collect()
        };
        pairs.iter().for_each(|pair| pair.look(&self.failures));
    }

    /// How often files changed to something that cannot be used.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// What is shown now, by name; of two with the same name the one that ends first.
    pub fn report(&self) -> Vec<CertificateReport> {
        let mut found: Vec<_> = self.pairs.lock().values().map(|pair| pair.report()).collect();
        found.sort_by(|a, b| (&a.name, a.described.expires).cmp(&(&b.name, b.described.expires)));
        found.dedup_by(|a, b| a.name == b.name);
        found
    }
}

impl Pair {
    pub(super) fn current(&self) -> arc_swap::Guard<Arc<Loaded>> {
        self.current.load()
    }

    fn report(&self) -> CertificateReport {
        let described = self.current().described.clone();
        let name = described.names.first().cloned().unwrap_or_else(|| self.config.cert_file.as_str().into());
        CertificateReport { name, described }
    }

    fn look(&self, failures: &AtomicU64) {
        let mut watched = self.watched.lock();
        // Before they are read: what changes meanwhile is seen at the next look.
        let now = stamps(&self.config);
        if now == watched.seen {
            return;
        }
        let file = &self.config.cert_file;
        match read(&self.config) {
            Ok(loaded) => {
                log::info!("{file}: a new certificate is shown; {}", until(loaded.described.expires));
                self.current.store(Arc::new(loaded));
                *watched = Watched { seen: now, failed: 0 };
            }
            Err((_, reason)) => {
                watched.failed += 1;
                if watched.failed >= PATIENCE {
                    failures.fetch_add(1, Relaxed);
                    log::error!("{file}: {reason}; the certificate that was known is shown on");
                    *watched = Watched { seen: now, failed: 0 };
                }
            }
        }
    }
}

fn until(expires: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(expires);
    format!("it ends {}", humantime::format_rfc3339_seconds(at))
}

/// Errors name the key of the section.
fn read(config: &CertificateConfig) -> Result<Loaded, (&'static str, String)> {
    let identity = pem::identity(&config.cert_file, &config.key_file);
    let identity = identity.map_err(|(key, reason)| (if key.0 { "key_file" } else { "cert_file" }, reason))?;
    let described = identity.chain.first().and_then(|leaf| describe(leaf));
    let described = described.ok_or_else(|| ("cert_file", "holds a certificate that is malformed".to_owned()))?;
    Ok(Loaded { key: Arc::new(identity.certified), described })
}

fn stamps(config: &CertificateConfig) -> [Option<Stamp>; 2] {
    [&config.cert_file, &config.key_file].map(|file| Stamp::of(Path::new(file)).ok())
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({})", self.pairs.lock().len())
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pair({})", self.config.cert_file)
    }
}
