//! The TLS of one listener.

use super::{
    Certificates, ClientCertificatesConfig, ClientMode, ListenerTlsConfig, MinVersion, UnknownName, certificate,
    files::{Loaded, Pair},
    pem,
};
use crate::types::unix_seconds;
use async_trait::async_trait;
use pingora::{
    listeners::{
        TlsAccept,
        tls::{Acceptor, TlsSettings},
    },
    protocols::{
        l4::stream::Stream,
        tls::{TlsRef, TlsStream},
    },
};
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use std::{any::Any, collections::HashMap, fmt, sync::Arc, time::Duration};

/// `tls:` of a listener, compiled.
pub struct ListenerTls {
    acceptor: Acceptor,
}

/// Why there is no connection. The text is rustls's and names nothing of the caller's.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It took too long.
    #[error("the handshake took longer than head_timeout")]
    Late,
    /// What the caller speaks, wants or shows does not do.
    #[error("{0}")]
    Failed(String),
}

impl ListenerTls {
    /// Compile one section. Files are read through `certificates`.
    ///
    /// # Errors
    /// Everything that is wrong, each with a JSON pointer below the section.
    pub fn build(config: &ListenerTlsConfig, certificates: &Certificates) -> Result<Self, Vec<(String, String)>> {
        let mut problems = Vec::new();
        let pairs = pairs(config, certificates, &mut problems);
        let verifier = config.client_certificates.as_ref().map(verifier).transpose();
        let verifier = verifier
            .map_err(|reason| problems.push(("/client_certificates/ca_file".to_owned(), reason)))
            .ok()
            .flatten();
        if !problems.is_empty() {
            return Err(problems);
        }
        let resolver = Arc::new(Resolver { pairs, unknown: config.unknown_name });
        let acceptor = acceptor(config, resolver, verifier);
        acceptor.map(|acceptor| Self { acceptor }).map_err(|reason| vec![(String::new(), reason)])
    }

    /// What is allowed and unwise: certificates that have ended. Each with a JSON pointer below the section.
    pub fn warnings(config: &ListenerTlsConfig) -> Vec<(String, String)> {
        let now = unix_seconds();
        let certificates = Certificates::default();
        let expired = |(at, pair): (usize, _)| {
            let pair = certificates.open(pair).ok()?;
            let ended = pair.current().described.expires < now;
            ended.then(|| (format!("/certificates/{at}/cert_file"), "has expired; callers refuse it".to_owned()))
        };
        config.certificates.iter().enumerate().filter_map(expired).collect()
    }

    /// Make a secure connection of `stream`, within `patience`.
    ///
    /// # Errors
    /// There is none.
    pub async fn accept(&self, stream: Stream, patience: Duration) -> Result<TlsStream<Stream>, HandshakeError> {
        let handshake = tokio::time::timeout(patience, self.acceptor.tls_handshake(stream)).await;
        handshake.map_err(|_| HandshakeError::Late)?.map_err(|error| HandshakeError::Failed(error.to_string()))
    }
}

fn pairs(
    config: &ListenerTlsConfig,
    certificates: &Certificates,
    problems: &mut Vec<(String, String)>,
) -> Box<[Arc<Pair>]> {
    let (mut pairs, mut known) = (Vec::new(), HashMap::new());
    for (at, pair) in config.certificates.iter().enumerate() {
        match certificates.open(pair) {
            Ok(pair) => {
                for name in &pair.current().described.names {
                    if let Some(first) = known.insert(name.clone(), at).filter(|first| *first != at) {
                        let reason = format!("{name} is in certificates[{first}] too; keep one of them");
                        problems.push((format!("/certificates/{at}/cert_file"), reason));
                    }
                }
                pairs.push(pair);
            }
            Err((key, reason)) => problems.push((format!("/certificates/{at}/{key}"), reason)),
        }
    }
    if config.certificates.is_empty() {
        problems.push(("/certificates".to_owned(), "no certificate; write at least one".to_owned()));
    }
    pairs.into()
}

fn verifier(config: &ClientCertificatesConfig) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let (roots, _) = pem::authorities(&config.ca_file)?;
    let provider = Arc::new(ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match config.mode {
        ClientMode::Required => builder,
        ClientMode::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| error.to_string())
}

/// pingora's own settings know neither versions nor session tickets; what it does around the handshake is wanted.
fn acceptor(
    config: &ListenerTlsConfig,
    resolver: Arc<Resolver>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Acceptor, String> {
    let versions = match config.min_version {
        MinVersion::Tls12 => &[&TLS13, &TLS12][..],
        MinVersion::Tls13 => &[&TLS13][..],
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(versions).map_err(|error| error.to_string())?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_cert_resolver(resolver.clone());
    let http1 = b"http/1.1".to_vec();
    server.alpn_protocols = if config.http2 { vec![b"h2".to_vec(), http1] } else { vec![http1] };
    let mut settings = TlsSettings::with_callbacks(Box::new(Callers)).map_err(|error| error.to_string())?;
    settings.set_cert_resolver(resolver);
    let mut acceptor = settings.build();
    acceptor.acceptor = Acceptor::from_server_config(Arc::new(server)).acceptor;
    Ok(acceptor)
}

/// Reads the caller's certificate once per connection.
struct Callers;

#[async_trait]
impl TlsAccept for Callers {
    async fn handshake_complete_callback(&self, tls: &TlsRef) -> Option<Arc<dyn Any + Send + Sync>> {
        let certificate = certificate::of_caller(tls.peer_certificate_der()?)?;
        // Two of them: pingora lends what is in the outer one, and requests keep the inner one.
        Some(Arc::new(Arc::new(certificate)))
    }
}

/// Chooses by name. Few certificates, and a handshake costs a thousand comparisons: no index that could be out of date.
#[derive(Debug)]
struct Resolver {
    pairs: Box<[Arc<Pair>]>,
    unknown: UnknownName,
}

impl Resolver {
    fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.unwrap_or_default();
        let with = |matches: &dyn Fn(&str) -> bool| {
            let has = |loaded: &Loaded| loaded.described.names.iter().any(|known| matches(known));
            self.pairs.iter().find_map(|pair| Some(pair.current()).filter(|now| has(now)).map(|now| now.key.clone()))
        };
        let exact = |known: &str| known.eq_ignore_ascii_case(name);
        // RFC 9525 section 6.3: the asterisk stands for one label.
        let rest = name.split_once('.').map(|(_, rest)| rest);
        let wild = |known: &str| {
            rest.is_some_and(|rest| known.strip_prefix("*.").is_some_and(|known| known.eq_ignore_ascii_case(rest)))
        };
        with(&exact).or_else(|| with(&wild)).or_else(|| match self.unknown {
            UnknownName::Default => self.pairs.first().map(|pair| pair.current().key.clone()),
            UnknownName::Refuse => None,
        })
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name())
    }
}

impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListenerTls")
    }
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
