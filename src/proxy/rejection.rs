//! Every way the gateway says no, and the one place that says it.

use super::{http2, tls_fault::TlsFault};
use crate::{
    addresses::AddressDenied,
    auth::{AuthError, Forbidden, RouteAuth},
    connection::Malformed,
    ext_auth::{Refused as NotAuthorised, Unavailable},
    limits::Refused,
    observability::RequestId,
    resilience::Overloaded,
    routing::TargetError,
    types::Reply,
    upstream::{CircuitOpen, NoEndpoint},
};
use http::{HeaderValue, Method, StatusCode, header};
use pingora::{ErrorSource, ErrorType as Type, prelude::Error};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// A refusal. `Display` is for the caller and carries nothing the caller should not know.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The request target or the `Host` cannot be read in one way only.
    #[error(transparent)]
    BadTarget(#[from] TargetError),
    /// Its framing or its lines can be read in two ways.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// What pingora refused to read or forward.
    #[error("the request is malformed")]
    BadRequest,
    /// A method in small letters, or with other characters.
    #[error("the method is not one; methods are written in capitals")]
    BadMethod,
    /// Longer than `max_target`.
    #[error("the request target is too long")]
    TargetTooLong,
    /// More than `max_headers`.
    #[error("the request has too many headers")]
    TooManyHeaders,
    /// Above `max_header` or `max_headers_total`.
    #[error("the headers of the request are too large")]
    HeadersTooLarge,
    /// From an address that may not call.
    #[error(transparent)]
    AddressDenied(#[from] AddressDenied),
    /// Nothing in the table.
    #[error("nothing is found at this path")]
    NoRoute,
    /// The path exists, for these methods only.
    #[error("the method is not allowed here")]
    MethodNotAllowed(Vec<Method>),
    /// No token, or none that counts.
    #[error("{0}")]
    Unauthenticated(AuthError, RouteAuth),
    /// A token, and not enough.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// Somebody else says no, or nothing.
    #[error(transparent)]
    NotAuthorised(#[from] NotAuthorised),
    /// Called too often, or nobody could count.
    #[error(transparent)]
    Limited(#[from] Refused),
    /// Above `max_body`.
    #[error("the body of the request is too large")]
    BodyTooLarge,
    /// The caller took too long.
    #[error("the request took too long")]
    RequestTimeout,
    /// No endpoint that has not been asked.
    #[error("the service is not available")]
    NoEndpoint(#[from] NoEndpoint),
    /// Its breaker is open.
    #[error("the service is not available")]
    CircuitOpen(#[from] CircuitOpen),
    /// Over its concurrency limit.
    #[error("the service is busy")]
    Overloaded(#[from] Overloaded),
    /// No connection came about.
    #[error("the service is not available")]
    ConnectFailed,
    /// The service's answer was none, or was cut.
    #[error("the service gave an unusable answer")]
    BadGateway,
    /// The service's certificate does not do, or no handshake came about.
    #[error("the service cannot be trusted")]
    UpstreamTls(TlsFault),
    /// The service took too long.
    #[error("the service took too long")]
    UpstreamTimeout(TimeoutKind),
    /// The caller left before the answer was complete.
    #[error("the caller closed the connection")]
    ClientGone,
    /// A fault of the gateway's own.
    #[error("the gateway failed; its log says why under this request_id")]
    Internal,
}

/// Which of the timeouts of the file struck. For the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutKind {
    /// `timeouts.connect`.
    Connect,
    /// `timeouts.attempt`.
    Attempt,
    /// `timeouts.request`.
    Request,
    /// `timeouts.idle`.
    Idle,
    /// `timeouts.total`.
    Total,
    /// `timeouts.max_stream_age`.
    Stream,
}

impl TimeoutKind {
    /// As it stands in the log line.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Connect => "timeouts.connect struck",
            Self::Attempt => "timeouts.attempt struck",
            Self::Request => "timeouts.request struck",
            Self::Idle => "timeouts.idle struck",
            Self::Total => "timeouts.total struck",
            Self::Stream => "timeouts.max_stream_age struck",
        }
    }
}

/// `application/problem+json` (RFC 9457); the front end reads `detail`.
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    request_id: &'a str,
}

impl Rejection {
    /// A stable name: metric label, log field, `code` in the body. docs/errors.md lists all.
    pub fn code(&self) -> &'static str {
        self.code_and_status().0
    }

    /// Every code with its status. docs/errors.md lists all.
    pub fn codes() -> BTreeMap<&'static str, u16> {
        let plain = [
            Self::BadRequest,
            Self::BadMethod,
            Self::TargetTooLong,
            Self::TooManyHeaders,
            Self::HeadersTooLarge,
            Self::AddressDenied(AddressDenied),
            Self::NoRoute,
            Self::MethodNotAllowed(Vec::new()),
            Self::Limited(Refused::OverLimit(Duration::ZERO)),
            Self::Limited(Refused::Unavailable),
            Self::NotAuthorised(NotAuthorised::Denied(Box::new(Reply::empty(StatusCode::FORBIDDEN)))),
            Self::NotAuthorised(NotAuthorised::Unavailable(Unavailable::Resting)),
            Self::BodyTooLarge,
            Self::RequestTimeout,
            Self::NoEndpoint(NoEndpoint::Left),
            Self::CircuitOpen(CircuitOpen { retry_after: Duration::ZERO }),
            Self::Overloaded(Overloaded::Full),
            Self::ConnectFailed,
            Self::BadGateway,
            Self::UpstreamTls(TlsFault::Handshake),
            Self::UpstreamTimeout(TimeoutKind::Request),
            Self::ClientGone,
            Self::Internal,
        ];
        let targets = TargetError::ALL.map(Self::BadTarget);
        let tokens = AuthError::ALL.map(|error| Self::Unauthenticated(error, RouteAuth::REQUIRED));
        let malformed = Malformed::ALL.map(Self::Malformed);
        let rules = Forbidden::all().map(Self::Forbidden);
        let all = plain.into_iter().chain(targets).chain(tokens).chain(malformed).chain(rules);
        all.map(|rejection| rejection.code_and_status()).collect()
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code_and_status().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn code_and_status(&self) -> (&'static str, u16) {
        match self {
            Self::BadTarget(error) => (target_code(error), 400),
            Self::Malformed(fault) => fault.code_and_status(),
            Self::BadRequest => ("bad_request", 400),
            Self::BadMethod => ("bad_method", 400),
            Self::TargetTooLong => ("target_too_long", 414),
            Self::TooManyHeaders => ("too_many_headers", 431),
            Self::HeadersTooLarge => ("headers_too_large", 431),
            Self::AddressDenied(_) => ("address_denied", 403),
            Self::NoRoute => ("no_route", 404),
            Self::MethodNotAllowed(_) => ("method_not_allowed", 405),
            Self::Unauthenticated(error, _) if error.is_ours() => (error.code(), 503),
            Self::Unauthenticated(error, _) => (error.code(), 401),
            Self::Forbidden(error) => (error.code(), 403),
            Self::NotAuthorised(NotAuthorised::Denied(reply)) => ("ext_auth_denied", reply.status.as_u16()),
            Self::NotAuthorised(NotAuthorised::Unavailable(_)) => ("ext_auth_unavailable", 503),
            Self::Limited(Refused::OverLimit(_)) => ("rate_limited", 429),
            Self::Limited(Refused::Unavailable) => ("limiter_unavailable", 503),
            Self::BodyTooLarge => ("body_too_large", 413),
            Self::RequestTimeout => ("request_timeout", 408),
            Self::NoEndpoint(NoEndpoint::Left) => ("no_endpoint", 503),
            Self::CircuitOpen(_) => ("circuit_open", 503),
            Self::Overloaded(_) | Self::NoEndpoint(NoEndpoint::Free) => ("overloaded", 503),
            Self::ConnectFailed => ("connect_failed", 503),
            Self::BadGateway => ("bad_gateway", 502),
            Self::UpstreamTls(_) => ("upstream_tls", 502),
            Self::UpstreamTimeout(_) => ("upstream_timeout", 504),
            Self::ClientGone => ("client_gone", 499),
            Self::Internal => ("internal", 500),
        }
    }

    /// What an error of pingora's means to the caller.
    pub(super) fn meant_by(error: &Error) -> Self {
        use ErrorSource::{Downstream, Upstream};
        match (error.esource(), error.etype()) {
            (Downstream, Type::ReadTimedout | Type::WriteTimedout) => Self::RequestTimeout,
            (Downstream, Type::ReadError) if http2::is_malformed(error) => Self::Malformed(Malformed::Length),
            // How pingora learns that a stream of HTTP/2 was taken back.
            (Downstream, Type::H2Error) => Self::ClientGone,
            (Downstream, Type::ConnectionClosed | Type::ReadError | Type::WriteError) => Self::ClientGone,
            (Downstream, _) => Self::BadRequest,
            (_, Type::ConnectTimedout | Type::TLSHandshakeTimedout) => Self::UpstreamTimeout(TimeoutKind::Connect),
            (_, Type::TLSHandshakeFailure | Type::InvalidCert) => Self::UpstreamTls(TlsFault::meant_by(error)),
            (_, Type::ReadTimedout | Type::WriteTimedout) => Self::UpstreamTimeout(TimeoutKind::Idle),
            (_, Type::ConnectRefused | Type::ConnectNoRoute | Type::ConnectError | Type::SocketError) => {
                Self::ConnectFailed
            }
            (Upstream, _) => Self::BadGateway,
            // pingora gives a head it will not forward (`Connection: host`) no source, only a status.
            (_, Type::HTTPStatus(400) | Type::InvalidHTTPHeader) => Self::BadRequest,
            _ => Self::Internal,
        }
    }

    /// Whether nothing was sent, because the service cannot take it: another one may.
    pub(super) fn is_unavailable(&self) -> bool {
        matches!(self, Self::NoEndpoint(_) | Self::CircuitOpen(_) | Self::Overloaded(_))
    }

    /// Whether the service failed to answer, in whatever way.
    pub(super) fn is_failure_of_service(&self) -> bool {
        self.is_unavailable()
            || matches!(self, Self::ConnectFailed | Self::BadGateway | Self::UpstreamTls(_) | Self::UpstreamTimeout(_))
    }

    /// When to come back, in whole seconds, at least one.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::CircuitOpen(CircuitOpen { retry_after }) => {
                Some((retry_after.as_millis() as u64).div_ceil(1_000).max(1))
            }
            Self::Overloaded(_) | Self::NoEndpoint(NoEndpoint::Free) => Some(1),
            _ => None,
        }
    }

    /// What the log line says beyond the code.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::UpstreamTimeout(kind) => Some(kind.reason()),
            Self::UpstreamTls(fault) => Some(fault.reason()),
            Self::Forbidden(error) => Some(error.reason()),
            Self::NotAuthorised(NotAuthorised::Unavailable(why)) => Some(why.reason()),
            Self::Malformed(fault) => Some(fault.reason()),
            Self::Overloaded(why) => Some(why.reason()),
            Self::NoEndpoint(NoEndpoint::Free) => Some("every endpoint has as many requests as it may have"),
            _ => None,
        }
    }

    /// The answer.
    pub(super) fn reply(&self, id: &RequestId) -> Reply {
        if let Self::NotAuthorised(NotAuthorised::Denied(reply)) = self {
            return (**reply).clone();
        }
        let status = self.status();
        let problem = Problem {
            title: status.canonical_reason().unwrap_or("Client Closed Request"),
            status: status.as_u16(),
            code: self.code(),
            detail: &self.to_string(),
            request_id: id.as_str(),
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let reply = Reply::new(status, "application/problem+json", body);
        match self {
            Self::Unauthenticated(error, _) if error.is_ours() => {
                reply.header(header::RETRY_AFTER, HeaderValue::from(1))
            }
            Self::Unauthenticated(error, asked) => error.www_authenticate(*asked).fold(reply, |reply, challenge| {
                reply.header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
            }),
            Self::MethodNotAllowed(methods) => reply.header(header::ALLOW, allow(methods)),
            _ => match self.retry_after() {
                Some(seconds) => reply.header(header::RETRY_AFTER, HeaderValue::from(seconds)),
                None => reply,
            },
        }
    }
}

fn target_code(error: &TargetError) -> &'static str {
    match error {
        TargetError::Form => "bad_target",
        TargetError::Encoding => "bad_encoding",
        TargetError::Character => "bad_character",
        TargetError::EncodedSlash => "encoded_slash",
        TargetError::Ambiguous => "ambiguous_path",
        TargetError::Host => "bad_host",
    }
}

fn allow(methods: &[Method]) -> HeaderValue {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_left_out_of_the_list() {
        let source = include_str!("rejection.rs").split("#[cfg(test)]").next().unwrap();
        let known: Vec<_> = Rejection::codes().into_keys().collect();
        let arms = source.lines().filter(|line| line.contains("=> (\""));
        let written: Vec<_> = arms.map(|line| line.split('"').nth(1).unwrap()).collect();
        assert!(written.len() > 10 && written.iter().all(|code| known.contains(code)), "{written:?}");
        let mut once = known.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), known.len(), "two refusals have the same code");
    }
}
