//! What all six have in common: who asks, what a body may be, and how no is said.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequestParts, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use percent_encoding::percent_decode;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned, de::Error};
use serde_json::json;
use std::convert::Infallible;

/// Longest body, in bytes. With the limit of the stores it bounds the demo's memory: 4 x 1,000 x 4 KiB.
const LONGEST_BODY: usize = 4 * 1_024;

/// Why a request is refused: a status and a sentence, in FastAPI's form.
#[derive(Debug)]
pub(super) struct Problem(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "detail": self.1 }))).into_response()
    }
}

/// Who asks, in the gateway's words. A service behind a gateway believes them.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Identity {
    pub(super) user_id: Option<String>,
    pub(super) username: Option<String>,
    #[serde(skip)]
    pub(super) role: Option<String>,
    #[serde(skip)]
    pub(super) permissions: Vec<String>,
}

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let header = |name| text(&parts.headers, name);
        let permissions = header("x-user-permissions").unwrap_or_default();
        Ok(Self {
            user_id: header("x-user-id"),
            username: header("x-username"),
            role: header("x-user-role"),
            permissions: permissions
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }
}

/// A service: `routes`, its health, and the answers to everything else.
pub(super) fn service(routes: Router) -> Router {
    let none = || async { Problem(StatusCode::NOT_FOUND, "Not Found".to_owned()) };
    let other = || async { Problem(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed".to_owned()) };
    routes
        .route("/health", get(|| async { Json(json!({ "status": "healthy" })) }))
        .fallback(none)
        .method_not_allowed_fallback(other)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
}

/// The JSON of a body: 400 where it is none, 422 where it is another than `T`, 413 where it is too long.
pub(super) fn parse<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Problem> {
    let body = body.map_err(|rejection| Problem(rejection.status(), rejection.body_text()))?;
    serde_json::from_slice(&body).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Problem(status, error.to_string())
    })
}

/// For `#[serde(deserialize_with)]`: a text that says something.
pub(super) fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        Err(D::Error::custom("a text is empty; every required one must say something"))
    } else {
        Ok(text)
    }
}

/// A header as text. What is not ASCII, as names of people are, travels percent-encoded.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| percent_decode(value.as_bytes()).decode_utf8_lossy().into_owned())
}
