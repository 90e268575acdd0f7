use super::{
    Docs, RouteDoc, State,
    health::{self, json},
};
use crate::types::Reply;
use http::{HeaderMap, StatusCode};
use serde_json::json as object;
use std::time::SystemTime;

/// Paths of ours and everything below them; `/metrics` must not fall to a route where it is the admin listener's alone.
const TREES: [&str; 4] = ["/health", "/docs", "/redoc", "/metrics"];

/// Paths of ours alone.
const LEAVES: [&str; 2] = ["/", "/openapi.json"];

/// What a page of ours is.
#[derive(Debug)]
pub enum Page {
    /// Ready to be sent.
    Ready(Reply),
    /// The metrics: whoever serves them gathers them first, on a thread that serves nobody else.
    Metrics,
}

/// All pages, as far as they can be made before somebody asks.
#[derive(Debug)]
pub struct Pages {
    name: String,
    root: Reply,
    docs: Option<Docs>,
    metrics: bool,
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
            metrics: false,
        }
    }

    /// The same pages and `/metrics`.
    pub fn with_metrics(self) -> Self {
        Self { metrics: true, ..self }
    }

    /// The answer, if `path` is a page of ours. `state` is only asked where the answer depends on it.
    pub fn answer(&self, path: &str, headers: &HeaderMap, state: impl FnOnce() -> State) -> Option<Page> {
        match path {
            "/" => Some(Page::Ready(self.root.clone())),
            "/metrics" | "/metrics/" => self.metrics.then_some(Page::Metrics),
            // Most requests end here, after one look at their second byte.
            _ if path.starts_with("/docs") || path.starts_with("/redoc") || path == "/openapi.json" => {
                self.docs.as_ref()?.answer(path, headers).map(Page::Ready)
            }
            _ => self.health(path, state).map(Page::Ready),
        }
    }

    /// The answer, if `path` is one of the health pages.
    pub fn health(&self, path: &str, state: impl FnOnce() -> State) -> Option<Reply> {
        match path {
            "/health" | "/health/" => Some(health::health(&self.name, &state(), SystemTime::now())),
            "/health/live" | "/health/live/" => Some(health::live()),
            "/health/ready" | "/health/ready/" => Some(health::ready(&state())),
            _ => None,
        }
    }

    /// Whether the page at `path` tells about the inside: what `own.auth` guards.
    pub fn is_inside(path: &str) -> bool {
        Self::shadowed_by(path).is_some_and(|page| page != "/" && !page.starts_with("/health"))
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
        let state = || State { leaving: false, generation: 1, services: std::collections::BTreeMap::new() };
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
            let page = pages.with_metrics().answer("/metrics", &HeaderMap::new(), state);
            assert!(matches!(page, Some(Page::Metrics)));
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
