use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `tls:` of a listener: callers speak HTTPS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerTlsConfig {
    /// What callers are shown, chosen by the name they ask for; the first where they ask for none. 1 to 100.
    #[schemars(length(min = 1, max = 100))]
    pub certificates: Vec<CertificateConfig>,
    /// Oldest version that is spoken: "1.2" or "1.3". Default: "1.2".
    #[serde(default)]
    pub min_version: MinVersion,
    /// What callers get who ask for a name that no certificate has. Default: default.
    #[serde(default)]
    pub unknown_name: UnknownName,
    /// Whether HTTP/2 is offered (ALPN `h2`). Default: true.
    #[serde(default = "yes")]
    pub http2: bool,
    /// Whether callers show certificates too. Default: they are not asked.
    #[serde(default)]
    pub client_certificates: Option<ClientCertificatesConfig>,
}

/// One certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// File in PEM: the certificate, then the intermediate ones. Looked at every second.
    pub cert_file: String,
    /// File in PEM with its private key: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key_file: String,
}

/// `min_version:` of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum MinVersion {
    /// TLS 1.2 and 1.3.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3 alone.
    #[serde(rename = "1.3")]
    Tls13,
}

/// `unknown_name:` of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownName {
    /// The first certificate.
    #[default]
    Default,
    /// No handshake; neither do those get one who ask for no name.
    Refuse,
}

/// `client_certificates:` of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificatesConfig {
    /// Whether a caller without one is refused. Default: required.
    #[serde(default)]
    pub mode: ClientMode,
    /// File in PEM with the authorities whose certificates count. Read at the start and with each reload.
    pub ca_file: String,
}

/// `mode:` of client certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientMode {
    /// No connection without one.
    #[default]
    Required,
    /// A caller may have none; one that does not count is refused all the same.
    Optional,
}

/// `tls:` of a service: how its `https://` endpoints are spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceTlsConfig {
    /// File in PEM with the authorities that are trusted. Default: those of the system.
    pub ca_file: Option<String>,
    /// Name that is asked for and that the certificate must have. Default: the host of the endpoint.
    pub server_name: Option<String>,
    /// Whether the certificate is checked at all. `false` is refused in production. Default: true.
    pub verify: bool,
    /// File in PEM with the certificate that the gateway shows, with its intermediate ones. Default: none.
    pub client_cert_file: Option<String>,
    /// File in PEM with its private key. Default: none.
    pub client_key_file: Option<String>,
}

impl Default for ServiceTlsConfig {
    fn default() -> Self {
        Self { ca_file: None, server_name: None, verify: true, client_cert_file: None, client_key_file: None }
    }
}

fn yes() -> bool {
    true
}
