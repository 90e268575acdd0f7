//! How an answer becomes one of axum's.

use crate::types::Reply;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// A document that is true for this moment only.
pub(super) fn document(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    whole(Reply::new(status, "application/json", body))
}

/// `application/problem+json` (RFC 9457), as on the other listeners.
#[derive(Serialize)]
struct Problem<'a, E> {
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<E>,
}

/// A refusal.
pub(super) fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    problem_with_errors(status, code, detail, None::<()>)
}

/// A refusal with a list of what is wrong.
pub(super) fn problem_with_errors(
    status: StatusCode,
    code: &str,
    detail: &str,
    errors: Option<impl Serialize>,
) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = serde_json::to_vec(&Problem { title, status: status.as_u16(), code, detail, errors });
    whole(Reply::new(status, "application/problem+json", body.unwrap_or_default()))
}

pub(super) async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "no_route", "nothing is found at this path; docs/admin.md lists all")
}

pub(super) async fn not_allowed() -> Response {
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "the method is not allowed here; Allow says which are",
    )
}

/// An answer that the gateway gives on its other listeners too.
pub(super) fn whole(reply: Reply) -> Response {
    let mut response = (reply.status, Body::from(reply.body)).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    headers.extend(reply.headers);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
