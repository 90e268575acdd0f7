//! Services that speak TLS.

use crate::support::{Authority, Files, Gateway, Wanted, within_patience};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

const ROUTES: &str = "routes: [{ id: r, match: { path: /* }, service: s, auth: public }]\n";

/// A service that speaks TLS and answers with the name it was asked for and whether it was shown a certificate.
struct Secure {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Secure {
    fn start(files: &Files) -> Self {
        Self::start_with(files, None)
    }

    /// `callers`: whose certificates it asks for.
    fn start_with(files: &Files, callers: Option<&Authority>) -> Self {
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = match callers {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(authority.ca()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![CertificateDer::from_pem_file(&files.cert).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Self { address: listener.local_addr().unwrap(), ended: Arc::default() };
        let ended = service.ended.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(SeqCst) {
                    return;
                }
                let config = config.clone();
                thread::spawn(move || serve(stream, config));
            }
        });
        service
    }

    fn sections(&self, host: &str, tls: &str) -> String {
        let port = self.address.port();
        let health = "health: { interval: 100ms, timeout: 5s }, breaker: { mode: off }, ejection: { mode: off }";
        format!("services: {{ s: {{ endpoints: [\"https://{host}:{port}\"], {health}{tls} }} }}\n{ROUTES}")
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.ended.store(true, SeqCst);
        _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>) {
    let Ok(connection) = ServerConnection::new(config) else { return };
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if !stream.read_line(&mut line).is_ok_and(|read| read > 0) {
                return;
            }
        }
        let connection = &stream.get_ref().conn;
        let text = format!("{} {}", connection.server_name().unwrap_or("-"), connection.peer_certificates().is_some());
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        if stream.get_mut().write_all(answer.as_bytes()).and_then(|()| stream.get_mut().flush()).is_err() {
            return;
        }
    }
}

/// What the gateway answers, and what its log says is wrong.
fn outcome(gateway: &Gateway) -> (u16, String) {
    let answer = gateway.get("/x", &[]);
    if answer.status == 200 {
        return (200, answer.body);
    }
    let line = gateway.log_line(answer.header("x-request-id").unwrap());
    (answer.status, format!("{}: {}", answer.code(), line["reason"].as_str().unwrap_or_default()))
}

#[test]
fn a_service_is_trusted_for_its_authority_its_name_and_its_time() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let right = authority.issue("right", &Wanted::of("s", &["localhost", "s.example"]));
    let old = authority.issue("old", &Wanted { ends: 2001, ..Wanted::of("s", &["localhost"]) });
    let with = |ca: &Authority, more: &str| format!(", tls: {{ ca_file: {}{more} }}", ca.ca().display());
    let untrusted = (502, "upstream_tls: certificate not trusted: see tls.ca_file".to_owned());
    let misnamed = (502, "upstream_tls: certificate has another name: see tls.server_name".to_owned());
    let expired = (502, "upstream_tls: certificate expired".to_owned());
    for (files, host, tls, wanted) in [
        (&right, "localhost", with(&authority, ""), (200, "localhost false".to_owned())),
        (&right, "127.0.0.1", with(&authority, ", server_name: s.example"), (200, "s.example false".to_owned())),
        (&right, "localhost", with(&authority, ", server_name: other.example"), misnamed.clone()),
        (&right, "127.0.0.1", with(&authority, ", server_name: 127.0.0.1"), misnamed),
        (&right, "localhost", with(&stranger, ""), untrusted.clone()),
        // The system's authorities do not know it either.
        (&right, "localhost", String::new(), untrusted),
        (&old, "localhost", with(&authority, ""), expired),
        (&old, "127.0.0.1", ", tls: { verify: false }".to_owned(), (200, "- false".to_owned())),
    ] {
        let service = Secure::start(files);
        let gateway = Gateway::start(&service.sections(host, &tls));
        assert_eq!(outcome(&gateway), wanted, "{host} {tls}");
        // Probes trust nobody else.
        let health = if wanted.0 == 200 { 1.0 } else { 0.0 };
        let seen = || gateway.metric(r#"service_health_status{service="s"}"#);
        assert!(within_patience(|| seen() == Some(health)), "{host} {tls}: {:?}", seen());
    }
}

#[test]
fn the_gateway_shows_a_certificate_of_its_own() {
    let authority = Authority::new();
    let server = authority.issue("server", &Wanted::of("s", &["localhost"]));
    let client = authority.issue("client", &Wanted::of("gateway", &["gateway.example"]));
    let service = Secure::start_with(&server, Some(&authority));
    let ca = format!("ca_file: {}", authority.ca().display());
    let shown = format!("client_cert_file: {}, client_key_file: {}", client.cert.display(), client.key.display());
    let gateway = Gateway::start(&service.sections("localhost", &format!(", tls: {{ {ca}, {shown} }}")));
    assert_eq!(outcome(&gateway), (200, "localhost true".to_owned()));
    let gateway = Gateway::start(&service.sections("localhost", &format!(", tls: {{ {ca} }}")));
    assert_eq!(gateway.get("/x", &[]).status, 502);
}

#[test]
fn a_reload_changes_whom_a_kept_connection_is_trusted_with() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = authority.issue("server", &Wanted::of("s", &["localhost"]));
    let service = Secure::start(&server);
    let with = |ca: &Authority| service.sections("localhost", &format!(", tls: {{ ca_file: {} }}", ca.ca().display()));
    let gateway = Gateway::start(&with(&authority));
    (0..4).for_each(|_| assert_eq!(outcome(&gateway).0, 200));
    gateway.rewrite(&with(&stranger));
    assert!(gateway.reload());
    assert_eq!(outcome(&gateway).0, 502);
    gateway.rewrite(&with(&authority));
    assert!(gateway.reload());
    assert_eq!(outcome(&gateway).0, 200);
}

#[test]
fn authorities_that_cannot_be_read_are_a_clear_error_and_none_are_fine() {
    let authority = Authority::new();
    let server = authority.issue("server", &Wanted::of("s", &["localhost"]));
    let service = Secure::start(&server);
    let nothing = authority.path("nothing");
    std::fs::create_dir(&nothing).unwrap();
    let trusted = format!(", tls: {{ ca_file: {} }}", authority.ca().display());
    for (tls, status) in [("", 502), (trusted.as_str(), 200)] {
        let variables = [("SSL_CERT_DIR", nothing.to_str().unwrap())];
        let gateway = Gateway::start_with(&service.sections("localhost", tls), &variables);
        assert_eq!(outcome(&gateway).0, status, "{tls}");
    }
    let folder = tempfile::TempDir::new().unwrap();
    let mut demo = crate::support::edgeway(folder.path());
    demo.args(["demo", "--listen", "127.0.0.1:0"]).env("SSL_CERT_FILE", "/nowhere/ca.pem");
    let said = demo.output().unwrap();
    let stderr = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("/nowhere/ca.pem") && stderr.contains("mend SSL_CERT_FILE"), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn what_contradicts_itself_is_told_with_its_place() {
    let authority = Authority::new();
    let server = authority.issue("server", &Wanted::of("s", &["localhost"]));
    let cert = server.cert.display();
    let key = |key: &str, value: &str| format!(", tls: {{ {key}: {value} }}");
    for (endpoint, tls, wanted) in [
        ("https://127.0.0.1:1", String::new(), "endpoints[0]: an address has no name that the certificate could have"),
        ("http://localhost:1", key("verify", "true"), "tls: no endpoint speaks it"),
        ("https://localhost:1", key("ca_file", "/nowhere/ca.pem"), "tls.ca_file: /nowhere/ca.pem cannot be read"),
        ("https://localhost:1", key("ca_file", &server.key.display().to_string()), "tls.ca_file: holds no certificate"),
        ("https://localhost:1", key("client_cert_file", &cert.to_string()), "client_cert_file: useless alone"),
        ("https://localhost:1", key("server_name", "\"a b\""), "tls.server_name: not a name"),
        ("https://localhost:1", key("verify", "false"), "tls.verify: anybody on the way can pretend"),
    ] {
        let said = crate::tls::checked(&format!("services: {{ s: {{ endpoints: [\"{endpoint}\"]{tls} }} }}\n{ROUTES}"));
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
    let off = "services: { s: { endpoints: [\"https://localhost:1\"], tls: { verify: false } } }\n";
    let said = crate::tls::checked(&format!("server: {{ environment: production }}\n{off}{ROUTES}"));
    assert!(said.contains("error") && said.contains("tls.verify"), "{said}");
}
