use super::{
    Admin,
    answer::{not_found, whole},
};
use axum::{extract::State, response::Response};
use http::Uri;

/// `GET /metrics`.
pub(super) async fn metrics(State(admin): State<Admin>) -> Response {
    whole(admin.live.pin().scrape())
}

/// `GET /health`, `/health/live`, `/health/ready`: as on the other listeners.
pub(super) async fn health(State(admin): State<Admin>, uri: Uri) -> Response {
    let snapshot = admin.live.pin();
    match snapshot.pages.health(uri.path(), || snapshot.state()) {
        Some(reply) => whole(reply),
        None => not_found().await,
    }
}
