use super::{
    Admin,
    answer::{not_found, whole},
    report::FormerState,
};
use crate::{runtime::Snapshot, types::Reply};
use axum::{extract::State, response::Response};
use http::Uri;
use serde_json::{Map, Value};
use std::time::SystemTime;

/// `GET /metrics`.
pub(super) async fn metrics(State(admin): State<Admin>) -> Response {
    whole(admin.live.pin().scrape())
}

/// `GET /health`, `/health/live`, `/health/ready`: as on the other listeners; `/health` tells about the process before
/// this one, too, while there is one.
pub(super) async fn health(State(admin): State<Admin>, uri: Uri) -> Response {
    let snapshot = admin.live.pin();
    match snapshot.pages.health(uri.path(), || snapshot.state()) {
        Some(mut reply) => {
            if uri.path() == "/health" {
                add_former(&mut reply, &snapshot);
            }
            whole(reply)
        }
        None => not_found().await,
    }
}

fn add_former(reply: &mut Reply, snapshot: &Snapshot) {
    let Some(former) = snapshot.process.handoffs.former() else { return };
    let Ok(mut document) = serde_json::from_slice::<Map<String, Value>>(&reply.body) else { return };
    let state = FormerState::of(former, SystemTime::now());
    document.insert("former_process".to_owned(), serde_json::to_value(state).unwrap_or_default());
    reply.body = serde_json::to_vec(&document).unwrap_or_default().into();
}
