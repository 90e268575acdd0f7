use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

/// The list, newest first, and its head.
pub(super) fn router() -> Router {
    Router::new()
        .route("/api/feeds", get(|| async { Json(json!({ "total": entries().len(), "items": entries() })) }))
        .route("/api/feeds/latest", get(|| async { Json(entries().into_iter().next()) }))
}

fn entries() -> Vec<Value> {
    vec![
        json!({ "id": 3, "title": "꿀단지 업데이트", "source": "honeybox", "published_at": "2025-01-03T09:00:00Z" }),
        json!({ "id": 2, "title": "One door for six services", "source": "blog", "published_at": "2025-01-02T09:00:00Z" }),
        json!({ "id": 1, "title": "새해 인사", "source": "portal", "published_at": "2025-01-01T00:00:00Z" }),
    ]
}
