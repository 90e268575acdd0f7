//! Certificates and keys as they stand in files.

use rustls::{
    RootCertStore,
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use std::{fmt, fs};

/// Larger files are no certificates. In bytes.
const LARGEST: u64 = 1024 * 1024;

/// A certificate, those that vouch for it, and its key.
pub struct Identity {
    /// The certificate itself, then the intermediate ones.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
    /// Both, ready for handshakes.
    pub certified: CertifiedKey,
}

/// Read a certificate and its key. Errors say which of the two files is wrong: `true` for the key's.
///
/// # Errors
/// A file cannot be read, holds nothing of the kind, or the two do not belong together.
pub fn identity(cert_file: &str, key_file: &str) -> Result<Identity, (IsKey, String)> {
    let chain = certificates(cert_file).map_err(|reason| (IsKey(false), reason))?;
    let of_key = |reason: String| (IsKey(true), reason);
    let key = read(key_file).map_err(of_key)?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| of_key("holds no private key in PEM; write one that is not encrypted".to_owned()))?;
    let signing = any_supported_type(&key).map_err(|_| of_key("a kind of key that TLS does not know".to_owned()))?;
    let certified = CertifiedKey::new(chain.clone(), signing);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(Identity { chain, key, certified })
        }
        Err(_) => Err(of_key(format!("does not belong to the certificate in {cert_file}"))),
    }
}

/// Which of two files is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsKey(pub bool);

/// The authorities in a file, as they are trusted.
///
/// # Errors
/// The file cannot be read, or one of them is none.
pub fn authorities(ca_file: &str) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), String> {
    let found = certificates(ca_file)?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        roots.add(certificate.clone()).map_err(|_| "holds a certificate that cannot be trusted".to_owned())?;
    }
    Ok((roots, found))
}

/// How many authorities the system has. None is fine, where nobody needs them.
///
/// # Errors
/// `SSL_CERT_FILE`, `SSL_CERT_DIR` or the system's own files cannot be read. pingora would panic at them.
pub fn system_authorities() -> Result<usize, String> {
    let mut roots = RootCertStore::empty();
    let loaded = pingora::tls::load_platform_certs_incl_env_into_store(&mut roots);
    let why = |error: Box<pingora::Error>| error.cause.as_ref().map_or_else(|| error.to_string(), ToString::to_string);
    loaded.map(|()| roots.len()).map_err(|error| {
        format!("the system's authorities: {}; mend SSL_CERT_FILE and SSL_CERT_DIR, or unset them", why(error))
    })
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    let found = found.ok_or_else(|| "holds no certificate in PEM".to_owned())?;
    // Later code, pingora's too, takes for granted that they can be parsed.
    let sound = |der: &CertificateDer<'_>| x509_parser::parse_x509_certificate(der).is_ok();
    found.iter().all(sound).then_some(found).ok_or_else(|| "holds a certificate that is malformed".to_owned())
}

fn read(file: &str) -> Result<Vec<u8>, String> {
    let size = fs::metadata(file).map_err(|error| format!("{file} cannot be read: {error}"))?.len();
    if size > LARGEST {
        return Err(format!("{file} is larger than 1 MiB, which no certificate is"));
    }
    fs::read(file).map_err(|error| format!("{file} cannot be read: {error}"))
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates)", self.chain.len())
    }
}
