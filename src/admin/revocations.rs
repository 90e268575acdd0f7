//! Tokens that operators end before their time.

use super::{
    Admin,
    answer::{document, problem},
    guard::Author,
};
use crate::{
    auth::{Revocation, RevocationError},
    runtime::Snapshot,
    types::unix_seconds,
};
use axum::{
    body::Bytes,
    extract::{Extension, State, rejection::BytesRejection},
    response::Response,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

/// The body of `POST /api/v1/revocations`: exactly one of `token`, `jti` and `user`. Times in seconds since 1970.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The token itself.
    token: Option<String>,
    /// Its name.
    jti: Option<String>,
    /// Whose tokens.
    user: Option<String>,
    /// Up to when they were issued; default: now.
    before: Option<u64>,
    /// When the last of them ends by itself; default: `auth.revocation.keep` from now on.
    until: Option<u64>,
}

/// `GET /api/v1/revocations`.
pub(super) async fn report(State(admin): State<Admin>) -> Response {
    let snapshot = admin.live.pin();
    let report = snapshot.process.revocations.report();
    document(
        StatusCode::OK,
        &json!({
            "mode": snapshot.config.auth.revocation.mode,
            "tokens": report.tokens,
            "users": report.users,
            "waiting_for_redis": report.waiting,
            "last_read_from_redis_ms": report.agreed,
        }),
    )
}

/// `POST /api/v1/revocations`.
pub(super) async fn revoke(
    State(admin): State<Admin>,
    Extension(author): Extension<Author>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return problem(rejection.status(), "bad_request", &rejection.body_text()),
    };
    let snapshot = admin.live.pin();
    let (revocation, what) = match read(&body, &snapshot) {
        Ok(read) => read,
        Err(detail) => return problem(StatusCode::BAD_REQUEST, "bad_request", detail),
    };
    let settings = &snapshot.config.auth.revocation;
    match snapshot.process.revocations.revoke(settings, &revocation) {
        Ok(()) => {
            // The id of a user is no secret of theirs; that of a token is not told.
            log::info!("revoked by {author}: {what}");
            document(StatusCode::OK, &json!({ "revoked": what, "mode": settings.mode }))
        }
        Err(RevocationError::Full) => {
            problem(StatusCode::INSUFFICIENT_STORAGE, "revocations_full", &RevocationError::Full.to_string())
        }
        Err(error) => problem(StatusCode::CONFLICT, "revocation_refused", &error.to_string()),
    }
}

/// What is revoked, and in words.
fn read(body: &[u8], snapshot: &Snapshot) -> Result<(Revocation, String), &'static str> {
    const RIGHT: &str = r#"send one of {"token": "eyJ..."}, {"jti": "..."} and {"user": "1004"}; "until" and "before" are seconds since 1970"#;
    let wanted: Wanted = serde_json::from_slice(body).map_err(|_| RIGHT)?;
    let now = unix_seconds();
    let kept = now.saturating_add(snapshot.config.auth.revocation.keep.get().as_secs());
    let until = wanted.until.unwrap_or(kept).saturating_mul(1_000);
    if until <= now.saturating_mul(1_000) {
        return Err("\"until\" is over already: nothing would be revoked");
    }
    match (wanted.token, wanted.jti, wanted.user) {
        (Some(token), None, None) if wanted.before.is_none() => {
            let revocation = snapshot.auth.revocation_of(token.trim()).ok_or("that is no token with an \"exp\"")?;
            Ok((revocation, "one token".to_owned()))
        }
        (None, Some(jti), None) if wanted.before.is_none() => {
            Ok((Revocation::Token { id: jti.into(), until }, "one token".to_owned()))
        }
        (None, None, Some(user)) => {
            let what = format!("all tokens of user {user:?} so far");
            Ok((Revocation::User { id: user.into(), before: wanted.before.unwrap_or(now), until }, what))
        }
        _ => Err(RIGHT),
    }
}
