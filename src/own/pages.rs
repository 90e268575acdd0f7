use super::{
    Docs, RouteDoc, State,
    health::{self, json},
};
use crate::types::Reply;
use http::{HeaderMap, StatusCode};
use serde_json::json as object;
use std::time::SystemTime;

/// Paths of ours and everything below them; `/metrics` is the admin listener's and must not fall to a route.
const TREES: [&str; 4] = ["/health", "/docs", "/redoc", "/metrics"];

/// Paths of ours alone.
const LEAVES: [&str; 2] = ["/", "/openapi.json"];

/// All pages, as far as they can be made before somebody asks.
#[derive(Debug)]
pub struct Pages {
    name: String,
    root: Reply,
    docs: Option<Docs>,
}

impl Pages {
    /// Make what does not change until the next reload. `docs`: the routes that the documentation shows.
    pub fn build(name: &str, version: &str, docs: Option<Vec<RouteDoc>>) -> Self {
        let mut links = object!({ "health": "/health" });
        if docs.is_some() {
            links = object!({ "health": "/health", "docs": "/docs", "redoc": "/redoc", "openapi": "/openapi.json" });
        }
        let root = object!({ "name": name, "version": version, "status": "running", "links": links });
        Self {
            name: name.to_owned(),
            root: json(StatusCode::OK, &root),
            docs: docs.map(|routes| Docs::build(name, version, routes)),
        }
    }

    /// The answer, if `path` is a page of ours. `state` is only asked where the answer depends on it.
    pub fn answer(&self, path: &str, headers: &HeaderMap, state: impl FnOnce() -> State) -> Option<Reply> {
        match path {
            "/" => Some(self.root.clone()),
            "/health" | "/health/" => Some(health::health(&self.name, &state(), SystemTime::now())),
            "/health/live" | "/health/live/" => Some(health::live()),
            "/health/ready" | "/health/ready/" => Some(health::ready(&state())),
            // Most requests end here, after one look at their second byte.
            _ if path.starts_with("/docs") || path.starts_with("/redoc") || path == "/openapi.json" => {
                self.docs.as_ref()?.answer(path, headers)
            }
            _ => None,
        }
    }

    /// The page that `path` belongs to, if any: no route may take it, nor get it where there is nothing to answer.
    pub fn shadowed_by(path: &str) -> Option<&'static str> {
        let below = |tree: &&str| path.strip_prefix(*tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        TREES.into_iter().find(below).or_else(|| LEAVES.into_iter().find(|leaf| path == *leaf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_answers_on_its_path() {
        let state = || State { leaving: false, services: std::collections::BTreeMap::new() };
        for docs in [None, Some(Vec::new())] {
            let shown = docs.is_some();
            let pages = Pages::build("G", "1", docs);
            let answered = |path: &str| pages.answer(path, &HeaderMap::new(), state).is_some();
            for path in ["/", "/health", "/health/", "/health/live", "/health/live/", "/health/ready", "/health/ready/"]
            {
                assert!(answered(path), "{path}");
            }
            for path in ["/docs", "/docs/", "/docs/init.js", "/redoc", "/redoc/", "/openapi.json"] {
                assert_eq!(answered(path), shown, "{path}");
                assert!(Pages::shadowed_by(path).is_some(), "{path}");
            }
            for path in ["/health/x", "/docsy", "/docs/x", "/metrics", "/api"] {
                assert!(!answered(path), "{path}");
            }
        }
    }

    #[test]
    fn routes_cannot_take_what_is_ours() {
        for path in ["/", "/health", "/health/{x}", "/docs/*", "/openapi.json", "/metrics"] {
            assert!(Pages::shadowed_by(path).is_some(), "{path}");
        }
        for path in ["/*", "/{x}", "/healthy", "/api/health", "/openapi.json/x", "/doc"] {
            assert_eq!(Pages::shadowed_by(path), None, "{path}");
        }
    }
}
