use super::{
    reply::{Identity, Problem, parse, text},
    store::{Full, MOST, Store, Stored},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        Path, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::{HeaderMap, StatusCode, Uri, header::LOCATION},
    response::IntoResponse,
    routing::{any, get},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::sync::Arc;

/// What a service keeps. Its routes follow from that.
pub(super) trait Record: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Where the list is.
    const PATH: &'static str;
    /// What one is called.
    const NOUN: &'static str;

    /// What is there at the start.
    fn samples() -> Vec<Self>;
}

type Shared<T> = State<Arc<Store<T>>>;
type Id = Result<Path<u64>, PathRejection>;
type Body = Result<Bytes, BytesRejection>;

/// List, create; get, put and delete by id.
pub(super) fn router<T: Record>() -> Router {
    Router::new()
        .route(T::PATH, get(list::<T>).post(create::<T>))
        .route(&format!("{}/", T::PATH), any(without_slash))
        .route(&format!("{}/{{id}}", T::PATH), get(read::<T>).put(replace::<T>).delete(remove::<T>))
        .with_state(Arc::new(Store::new(T::samples())))
}

async fn list<T: Record>(State(store): Shared<T>) -> Json<Value> {
    let items = store.all();
    Json(json!({ "total": items.len(), "items": items }))
}

async fn create<T: Record>(
    State(store): Shared<T>,
    author: Identity,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let stored = store.create(parse::<T>(body)?, author).map_err(|Full| {
        let detail = format!("the demo keeps at most {MOST} records; delete a {} first", T::NOUN);
        Problem(StatusCode::CONFLICT, detail)
    })?;
    Ok((StatusCode::CREATED, [(LOCATION, format!("{}/{}", T::PATH, stored.id))], Json(stored)))
}

async fn read<T: Record>(State(store): Shared<T>, id: Id) -> Result<Json<Stored<T>>, Problem> {
    let id = number(id)?;
    store.get(id).map(Json).ok_or_else(|| none::<T>(id))
}

async fn replace<T: Record>(
    State(store): Shared<T>,
    id: Id,
    author: Identity,
    body: Body,
) -> Result<Json<Stored<T>>, Problem> {
    let id = number(id)?;
    store.replace(id, parse(body)?, author).map(Json).ok_or_else(|| none::<T>(id))
}

async fn remove<T: Record>(State(store): Shared<T>, id: Id) -> Result<StatusCode, Problem> {
    let id = number(id)?;
    store.remove(id).map(|_| StatusCode::NO_CONTENT).ok_or_else(|| none::<T>(id))
}

/// As FastAPI does it: with this service's own address, which a caller of the gateway must not see.
async fn without_slash(uri: Uri, headers: HeaderMap) -> impl IntoResponse {
    let host = text(&headers, "host").unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = format!("http://{host}{}{query}", uri.path().trim_end_matches('/'));
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)])
}

fn number(id: Id) -> Result<u64, Problem> {
    let wrong = |_| Problem(StatusCode::UNPROCESSABLE_ENTITY, "the id is not a number".to_owned());
    id.map(|Path(id)| id).map_err(wrong)
}

fn none<T: Record>(id: u64) -> Problem {
    Problem(StatusCode::NOT_FOUND, format!("no {} has the id {id}", T::NOUN))
}
