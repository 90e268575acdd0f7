use super::*;
use crate::{tls::CertificateConfig, types::ClientCertificate};
use pingora::protocols::Ssl;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{fs, net::TcpStream, path::Path};
use tempfile::TempDir;
use tokio::net::TcpListener;

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// An authority, a certificate of `localhost` and one of a caller, in files.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    for name in ["localhost", "caller"] {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        fs::write(folder.path().join(name).with_extension("pem"), certificate.pem()).unwrap();
        fs::write(folder.path().join(name).with_extension("key"), key.serialize_pem()).unwrap();
    }
    folder
}

fn section(folder: &Path, mode: ClientMode) -> ListenerTlsConfig {
    ListenerTlsConfig {
        certificates: vec![CertificateConfig {
            cert_file: path(folder, "localhost.pem"),
            key_file: path(folder, "localhost.key"),
        }],
        min_version: MinVersion::Tls12,
        unknown_name: UnknownName::Default,
        http2: true,
        client_certificates: Some(ClientCertificatesConfig { mode, ca_file: path(folder, "ca.pem") }),
    }
}

/// A client that shows the caller's certificate, or none.
fn client(folder: &Path, shows: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    Arc::new(match shows {
        false => builder.with_no_client_auth(),
        true => {
            let chain = vec![CertificateDer::from_pem_file(folder.join("caller.pem")).unwrap()];
            let key = PrivateKeyDer::from_pem_file(folder.join("caller.key")).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

#[tokio::test]
async fn the_callers_certificate_is_kept_with_its_connection_when_it_is_resumed_too() {
    let folder = folder();
    let tls = ListenerTls::build(&section(folder.path(), ClientMode::Optional), &Certificates::default()).unwrap();
    for (shows, wanted) in [(true, Some("CN=caller")), (false, None)] {
        let config = client(folder.path(), shows);
        for turn in 0..2 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (address, config) = (listener.local_addr().unwrap(), config.clone());
            let caller = std::thread::spawn(move || {
                use std::io::{Read, Write};
                let stream = TcpStream::connect(address).unwrap();
                let connection = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream);
                stream.write_all(b"x").unwrap();
                // Tickets come with the first bytes.
                _ = stream.read(&mut [0; 1]);
            });
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = tls.accept(stream.into(), Duration::from_secs(20)).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"y").await.unwrap();
            tokio::io::AsyncWriteExt::flush(&mut stream).await.unwrap();
            let digest = stream.get_ssl_digest().unwrap();
            let kept = digest.extension.get::<Arc<ClientCertificate>>();
            assert_eq!(kept.map(|kept| &*kept.subject), wanted, "{turn}");
            caller.join().unwrap();
        }
    }
}

#[tokio::test]
async fn who_says_nothing_is_late() {
    let folder = folder();
    let tls = ListenerTls::build(&section(folder.path(), ClientMode::Required), &Certificates::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let late = tls.accept(stream.into(), Duration::from_millis(50)).await;
    assert!(matches!(late, Err(HandshakeError::Late)));
}
