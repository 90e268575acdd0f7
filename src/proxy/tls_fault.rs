use pingora::prelude::Error;

/// What is wrong with the TLS of a service. For the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// Nobody who is trusted has signed it.
    Untrusted,
    /// It has other names.
    WrongName,
    /// It has ended.
    Expired,
    /// It has not begun.
    NotYetValid,
    /// It is for something else, malformed, or revoked.
    Unusable,
    /// The service refused, or speaks no TLS.
    Handshake,
}

impl TlsFault {
    /// rustls's errors end as texts in those of pingora, which keeps no type of theirs.
    pub(super) fn meant_by(error: &Error) -> Self {
        let text = error.to_string();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if !says(&["invalid peer certificate"]) {
            return Self::Handshake;
        }
        match () {
            () if says(&["UnknownIssuer", "BadSignature", "CaUsedAsEndEntity"]) => Self::Untrusted,
            () if says(&["not valid for", "NotValidForName"]) => Self::WrongName,
            () if says(&["Expired", "expired"]) => Self::Expired,
            () if says(&["NotValidYet", "not valid yet"]) => Self::NotYetValid,
            () => Self::Unusable,
        }
    }

    /// As it stands in the log line.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Untrusted => "certificate not trusted: see tls.ca_file",
            Self::WrongName => "certificate has another name: see tls.server_name",
            Self::Expired => "certificate expired",
            Self::NotYetValid => "certificate not valid yet",
            Self::Unusable => "certificate unusable",
            Self::Handshake => "TLS handshake failed",
        }
    }
}
