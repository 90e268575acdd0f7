//! How `https://` endpoints of a service are spoken to.

use super::address::Written;
use crate::{
    tls::{self, ServiceTlsConfig},
    types::ServiceId,
};
use pingora::{
    protocols::tls::CaType,
    upstreams::peer::HttpPeer,
    utils::tls::{CertKey, WrappedX509, parse_x509},
};
use rustls::pki_types::{CertificateDer, ServerName};
use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    sync::Arc,
};

/// `tls:` of a service, compiled.
pub(super) struct UpstreamTls {
    server_name: Option<Box<str>>,
    verify: bool,
    /// `None`: the system's.
    ca: Option<Arc<CaType>>,
    identity: Option<Arc<CertKey>>,
    /// Tells connections of other trust apart: pingora's pools know neither service nor authorities.
    group: u64,
}

impl UpstreamTls {
    /// Compile one section; problems have a JSON pointer below the service.
    pub(super) fn build(id: &ServiceId, config: Option<&ServiceTlsConfig>) -> Result<Self, Vec<(String, String)>> {
        let general = ServiceTlsConfig::default();
        let config = config.unwrap_or(&general);
        let mut problems = Vec::new();
        let mut wrong = |key: &str, reason: String| problems.push((format!("/tls/{key}"), reason));
        let ca = config.ca_file.as_deref().map(tls::authorities).transpose();
        let ca = ca.map_err(|reason| wrong("ca_file", reason)).ok().flatten().map(|(_, found)| found);
        let identity = match (&config.client_cert_file, &config.client_key_file) {
            (Some(cert), Some(key)) => tls::identity(cert, key)
                .map_err(|(of, reason)| wrong(if of.0 { "client_key_file" } else { "client_cert_file" }, reason))
                .ok(),
            (None, None) => None,
            (given, _) => {
                let [there, missing] = ["client_cert_file", "client_key_file"];
                let (there, missing) = if given.is_some() { (there, missing) } else { (missing, there) };
                wrong(there, format!("useless alone; add {missing}"));
                None
            }
        };
        if config.server_name.as_deref().is_some_and(is_no_name) {
            wrong("server_name", "not a name; write member.example, without a port".to_owned());
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let key = |one: &tls::Identity| (raw(&one.chain), one.key.secret_der().to_vec());
        let (ca, identity) = (ca.map(|found| raw(&found)), identity.as_ref().map(key));
        let mut group = DefaultHasher::new();
        (id, config, &ca, &identity).hash(&mut group);
        Ok(Self {
            server_name: config.server_name.as_deref().map(Into::into),
            verify: config.verify,
            ca: ca.map(|found| found.into_iter().map(|one| WrappedX509::new(one, parse_x509)).collect()),
            identity: identity.map(|(chain, key)| Arc::new(CertKey::new(chain, key))),
            // 0 is what connections without TLS have.
            group: group.finish() | 1,
        })
    }

    /// What `endpoints` and `tls:` say against each other, below the service.
    pub(super) fn contradictions(
        config: Option<&ServiceTlsConfig>,
        written: &[Written],
        has_file: bool,
    ) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if config.is_some() && !has_file && !written.iter().any(|entry| entry.address.tls) {
            found.push(("/tls".to_owned(), "no endpoint speaks it; write https:// before their addresses".to_owned()));
        }
        let named = config.is_some_and(|config| config.server_name.is_some() || !config.verify);
        for (at, entry) in written.iter().enumerate().filter(|(_, entry)| entry.address.tls && !named) {
            let reason = if entry.address.fixed.is_some() {
                "an address has no name that the certificate could have; add tls.server_name to the service"
            } else if is_no_name(&entry.address.host) {
                "not a name that a certificate can have; add tls.server_name to the service"
            } else {
                continue;
            };
            found.push((format!("/endpoints/{at}"), reason.to_owned()));
        }
        found
    }

    /// Where to connect, and how. Never an empty name: pingora would take that for leave not to look at the certificate.
    pub(super) fn peer(&self, address: SocketAddr, host: &str) -> HttpPeer {
        let name = self.server_name.as_deref().unwrap_or(host).trim_end_matches('.');
        let name = if name.is_empty() { address.ip().to_string() } else { name.to_owned() };
        let mut peer = HttpPeer::new(address, true, name);
        peer.options.verify_cert = self.verify;
        peer.options.verify_hostname = self.verify;
        peer.options.ca = self.ca.clone();
        peer.client_cert_key = self.identity.clone();
        peer.group_key = self.group;
        peer
    }
}

/// pingora would ask for `a-b.example` where the name is `a_b.example`, and believe whoever has that.
fn is_no_name(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    first.contains('_') || ServerName::try_from(name).is_err()
}

fn raw(chain: &[CertificateDer<'_>]) -> Vec<Vec<u8>> {
    chain.iter().map(|one| one.to_vec()).collect()
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpstreamTls(verify {})", self.verify)
    }
}
