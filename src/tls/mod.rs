//! TLS: which certificate a caller is shown, which certificates of callers count, and what is read from PEM files.
//!
//! A [`ListenerTls`] is one `listeners[].tls` compiled. It does the handshake on a connection that has its place already,
//! so that handshakes count in `max_connections`; what it needs to change is in the snapshot, so that a reload changes
//! it. [`Certificates`] outlives reloads: it looks at the files every second and swaps what is in them.
//!
//! A certificate is chosen by the name that the caller asks for (SNI): the exact name, then `*.suffix` for one label,
//! then the first certificate of the list, or nobody with `unknown_name: refuse`.
//!
//! ```yaml
//! services: { member: { endpoints: ["https://10.0.0.7:8443"], tls: { server_name: member.example } } }
//! ```

mod certificate;
mod config;
mod files;
mod listener;
mod pem;

pub use certificate::Described;
pub use config::{
    CertificateConfig, ClientCertificatesConfig, ClientMode, ListenerTlsConfig, MinVersion, ServiceTlsConfig,
    UnknownName,
};
pub use files::{CertificateReport, Certificates};
pub use listener::{HandshakeError, ListenerTls};
pub use pem::{Identity, authorities, identity, system_authorities};
