//! Answers to callers of whom pingora has no session yet: written by hand, and the connection ends with them.

use super::Malformed;
use crate::observability::RequestId;
use http::StatusCode;

/// What is answered without any phase of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnAnswer {
    /// The head took longer than `head_timeout`.
    SlowHead,
    /// The head is longer than the listener allows in all.
    LongHead,
    /// Nothing that is a request.
    NoRequest,
    /// A head that could be read in two ways.
    Malformed(Malformed),
}

impl OwnAnswer {
    /// Ours in place of what pingora writes by itself (`respond_error`): the same status, and a body that says why.
    pub(super) fn in_place_of(written: &[u8], fault: Option<Malformed>) -> Option<Self> {
        match written.get(..12)? {
            b"HTTP/1.1 400" => Some(fault.map_or(Self::NoRequest, Self::Malformed)),
            _ => None,
        }
    }

    /// Head and body.
    pub(super) fn bytes(self, id: &RequestId) -> String {
        let id = id.as_str();
        let (code, status) = self.code_and_status();
        let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
        let detail = self.detail();
        let body = format!(
            r#"{{"title":"{title}","status":{status},"code":"{code}","detail":"{detail}","request_id":"{id}"}}"#
        );
        format!(
            "HTTP/1.1 {status} {title}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n\
             X-Request-ID: {id}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn code_and_status(self) -> (&'static str, u16) {
        match self {
            Self::SlowHead => ("request_timeout", 408),
            Self::LongHead => ("headers_too_large", 431),
            Self::NoRequest => ("bad_request", 400),
            Self::Malformed(fault) => fault.code_and_status(),
        }
    }

    fn detail(self) -> String {
        match self {
            Self::SlowHead => "the request's head took too long".to_owned(),
            Self::LongHead => "the headers of the request are too large".to_owned(),
            Self::NoRequest => "the request is malformed".to_owned(),
            Self::Malformed(fault) => fault.to_string(),
        }
    }
}
