use super::{
    Admin,
    answer::{document, problem, problem_with_errors},
    guard::Author,
    report,
};
use crate::{
    config::ConfigError,
    observability::LogLevel,
    runtime::{ReloadAsked, ReloadError},
};
use axum::{
    body::Bytes,
    extract::{Extension, State, rejection::BytesRejection},
    response::Response,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use tokio::sync::oneshot;

/// `GET /api/v1/state`.
pub(super) async fn state(State(admin): State<Admin>) -> Response {
    document(StatusCode::OK, &report::state(&admin.live.pin(), admin.logger.level()))
}

/// `GET /api/v1/endpoints`.
pub(super) async fn endpoints(State(admin): State<Admin>) -> Response {
    let services = report::services(&admin.live.pin(), Instant::now());
    document(StatusCode::OK, &serde_json::json!({ "services": services }))
}

/// `POST /api/v1/reload`: what SIGHUP does, and what came of it.
pub(super) async fn reload(State(admin): State<Admin>, Extension(author): Extension<Author>) -> Response {
    // A caller who does not wait for the answer gets the line in the log all the same.
    let outcome = tokio::spawn(reloaded(admin, author)).await;
    match outcome {
        Ok(Some(Ok(generation))) => document(StatusCode::OK, &serde_json::json!({ "generation": generation })),
        Ok(Some(Err(error))) => refused(&error),
        Ok(None) => problem(StatusCode::SERVICE_UNAVAILABLE, "leaving", "the gateway is about to end; nothing changed"),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the gateway failed; its log says why"),
    }
}

/// `None`: nobody is there any more to do it.
async fn reloaded(admin: Admin, author: Author) -> Option<Result<u64, ReloadError>> {
    let before = admin.live.pin().generation;
    log::info!("reload asked for by {author}; generation {before} serves");
    let (done, outcome) = oneshot::channel();
    admin.reload.send(ReloadAsked { done }).await.ok()?;
    let outcome = outcome.await.ok()?;
    match &outcome {
        Ok(after) => log::info!("reload by {author}: generation {before} before, {after} after"),
        Err(_) => log::info!("reload by {author}: refused, generation {} serves on", admin.live.pin().generation),
    }
    Some(outcome)
}

/// One error of a file, in pieces for programs and whole for people.
#[derive(Serialize)]
struct Wrong<'a> {
    /// File, line and column.
    place: String,
    path: &'a str,
    reason: &'a str,
}

impl<'a> From<&'a ConfigError> for Wrong<'a> {
    fn from(error: &'a ConfigError) -> Self {
        Self { place: error.place.to_string(), path: &error.path, reason: &error.reason }
    }
}

fn refused(error: &ReloadError) -> Response {
    match error {
        ReloadError::Config(errors) => {
            let all: Vec<_> = errors.0.iter().map(Wrong::from).collect();
            problem_with_errors(StatusCode::UNPROCESSABLE_ENTITY, "config_invalid", &errors.to_string(), Some(all))
        }
        ReloadError::Internal(reason) => problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", reason),
    }
}

/// The body of `PUT /api/v1/log-level`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedLevel {
    level: LogLevel,
}

/// `PUT /api/v1/log-level`: until the next reload, which takes the file's again.
pub(super) async fn log_level(
    State(admin): State<Admin>,
    Extension(author): Extension<Author>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return problem(rejection.status(), "bad_request", &rejection.body_text()),
    };
    let Ok(WantedLevel { level }) = serde_json::from_slice(&body) else {
        let detail = r#"not a level; send {"level": "debug"}, or error, warn, info or trace"#;
        return problem(StatusCode::BAD_REQUEST, "bad_request", detail);
    };
    let before = admin.logger.level();
    admin.logger.set_level(level);
    log::info!("log level by {author}: {before} before, {level} after");
    document(StatusCode::OK, &serde_json::json!({ "before": before, "level": level }))
}
