//! Who a caller's certificate speaks for.

/// A certificate that a caller has proven to hold, checked against the listener's authorities by the TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its subject as RFC 4514 writes it: `CN=billing,O=Example`.
    pub subject: Box<str>,
    /// The most specific common name of the subject, if there is one.
    pub common_name: Option<Box<str>>,
    /// Names of its subject alternative names: DNS names, e-mail addresses and URIs, as texts.
    pub names: Box<[Box<str>]>,
    /// SHA-256 of the whole certificate in DER.
    pub sha256: [u8; 32],
    /// When it ends, in seconds since 1970.
    pub expires: u64,
}
