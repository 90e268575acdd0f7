//! What no section sees alone: references, duplicates, key sources, times that make no sense.
//!
//! Works on the tree and not on the types, so that it runs beside errors of shape, in the same run.

use super::{ConfigError, error::suggestion, faults::not_set, source_map::below, tree::Tree};
use crate::{
    auth::{Method, RouteAuth},
    types::Span,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Longest name of a service or route: it becomes a label of metrics and a field of every log line.
const LONGEST_NAME: usize = 64;

/// What a route can do.
const ACTIONS: [&str; 3] = ["service", "redirect", "respond"];

/// Everything that contradicts something else in the file.
pub(super) fn check(tree: &Tree) -> Vec<ConfigError> {
    let mut checker = Checker { tree, errors: Vec::new() };
    checker.services();
    checker.authorisers();
    checker.routes();
    checker.own();
    checker.times();
    super::keys::check(tree, &mut checker.errors);
    super::reach::check(tree, &mut checker.errors);
    super::sections::check(tree, &mut checker.errors);
    checker.errors
}

struct Checker<'t> {
    tree: &'t Tree,
    errors: Vec<ConfigError>,
}

impl<'t> Checker<'t> {
    fn wrong(&mut self, pointer: &str, reason: impl Into<String>) {
        self.errors.push(self.tree.sources.error(pointer, reason));
    }

    fn services(&mut self) {
        for (name, service) in section(&self.tree.value, "services") {
            let here = below("/services", name);
            self.name(&here, name);
            self.endpoints(&here, service);
            self.fallback(&here, name, service);
        }
    }

    fn authorisers(&mut self) {
        for (name, _) in section(&self.tree.value, "ext_auth") {
            self.name(&below("/ext_auth", name), name);
        }
    }

    fn ext_auth(&mut self, here: &str, route: &Map<String, Value>) {
        let Some(name) = route.get("ext_auth").and_then(Value::as_str) else { return };
        if !is_named(&self.tree.value, "ext_auth", name) {
            let known = suggestion(name, section(&self.tree.value, "ext_auth").map(|(name, _)| name.as_str()));
            self.wrong(&format!("{here}/ext_auth"), format!("ext_auth has nobody named {name:?}{known}"));
        }
    }

    fn endpoints(&mut self, here: &str, service: &Value) {
        let given = service.get("endpoints");
        if given.is_some_and(|list| list.as_array().is_some_and(Vec::is_empty)) {
            self.wrong(&format!("{here}/endpoints"), "no endpoint; write at least one address");
        } else if given.is_none() && service.is_object() && service.get("endpoints_file").is_none() {
            match self.tree.not_given.get(&format!("{here}/endpoints")) {
                Some(names) => self.wrong(&format!("{here}/endpoints"), not_set(names)),
                None => self.wrong(here, "no endpoint; add endpoints, or endpoints_file"),
            }
        }
    }

    fn fallback(&mut self, here: &str, name: &str, service: &Value) {
        let Some(fallback) = service.get("fallback").and_then(Value::as_object) else { return };
        let here = format!("{here}/fallback");
        if fallback.contains_key("service") == fallback.contains_key("respond") {
            self.wrong(&here, "answers nothing in one way; write one of service and respond");
        }
        let Some(other) = fallback.get("service").and_then(Value::as_str) else { return };
        if other == name {
            self.wrong(&format!("{here}/service"), "the service itself; name another one, or write respond");
            return;
        }
        let known = || section(&self.tree.value, "services").map(|(name, _)| name.as_str());
        if !known().any(|known| known == other) {
            let reason = format!("no service named {other:?}{}", suggestion(other, known()));
            self.wrong(&format!("{here}/service"), reason);
        }
    }

    fn routes(&mut self) {
        let mut ids = HashMap::new();
        for (index, route) in routes(&self.tree.value) {
            let here = format!("/routes/{index}");
            if let Some(id) = route["id"].as_str() {
                let place = format!("{here}/id");
                self.name(&place, id);
                if let Some(first) = ids.insert(id, index) {
                    let other = self.tree.sources.place(&format!("/routes/{first}/id"));
                    self.wrong(&place, format!("routes[{first}] at {other} is called {id:?} too; choose another name"));
                }
            }
            self.action(&here, route);
            self.access(&here, route);
            self.ext_auth(&here, route);
        }
    }

    fn name(&mut self, pointer: &str, name: &str) {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_allowed) {
            let reason = format!("not a name; use letters, digits, -, _ and ., up to {LONGEST_NAME}");
            self.wrong(pointer, reason);
        }
    }

    fn action(&mut self, here: &str, route: &Map<String, Value>) {
        let given: Vec<&str> = ACTIONS.into_iter().filter(|key| route.contains_key(*key)).collect();
        match given.as_slice() {
            ["service"] => {
                let Some(service) = route["service"].as_str() else { return };
                if !is_named(&self.tree.value, "services", service) {
                    let known = || section(&self.tree.value, "services").map(|(name, _)| name.as_str());
                    let reason = format!("no service named {service:?}{}", suggestion(service, known()));
                    self.wrong(&format!("{here}/service"), reason);
                }
            }
            [_] => (),
            [] => match self.tree.not_given.get(&format!("{here}/service")) {
                Some(names) => self.wrong(&format!("{here}/service"), not_set(names)),
                // A key that was meant to be one of them is named where it stands.
                None if route.keys().any(|key| is_nearly_an_action(key)) => (),
                None => self.wrong(here, "does nothing; add one of service, redirect and respond"),
            },
            [first, second, ..] => {
                let reason = format!("{first} is there too; keep one of service, redirect and respond");
                self.wrong(&format!("{here}/{second}"), reason);
            }
        }
    }

    fn access(&mut self, here: &str, route: &Map<String, Value>) {
        let auth = route.get("auth").cloned().unwrap_or_else(|| "required".into());
        // What is no such value is the schema's business.
        let Ok(auth) = serde_json::from_value::<RouteAuth>(auth) else { return };
        let is_public = auth.is_public();
        if is_public && route.get("access").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty()) {
            self.wrong(&format!("{here}/access"), "a public route knows no caller; remove access, or auth: public");
        }
        let missing: Vec<Method> = auth.named().filter(|method| !self.offers(*method)).collect();
        for method in missing {
            let (word, section) = (method.word(), section_of(method));
            self.wrong(&format!("{here}/auth"), format!("{word} needs auth.{section}, which is not there; add it"));
        }
        if !is_public && !Method::ALL.into_iter().any(|method| self.offers(method)) {
            self.wrong(here, "needs a token, and there is no auth.jwt to check it; add auth.jwt, or auth: public here");
        }
        let revokes = self.tree.value.pointer("/auth/revocation/mode").is_some_and(|mode| mode != "off");
        let wants = route.get("revoke_token").is_some_and(|revoke| revoke == true);
        if wants && !(auth.accepts(Method::Jwt) && self.offers(Method::Jwt)) {
            self.wrong(
                &format!("{here}/revoke_token"),
                "there is no token to revoke: the route takes none; let auth take jwt",
            );
        }
        if wants && !revokes {
            self.wrong(
                &format!("{here}/revoke_token"),
                "nothing can be revoked; set auth.revocation.mode to shared or local",
            );
        }
    }

    /// Whether the file has a section that makes callers known so.
    fn offers(&self, method: Method) -> bool {
        let there = |key: &str| {
            let section = self.tree.value.pointer(&format!("/auth/{key}"));
            section.is_some_and(|section| {
                !section.is_null()
                    && section.as_array().is_none_or(|list| !list.is_empty())
                    && (key != "issuers" || section.as_object().is_some_and(|map| !map.is_empty()))
            })
        };
        there(section_of(method)) || method == Method::Jwt && there("issuers")
    }

    fn own(&mut self) {
        let asked = self.tree.value.pointer("/own/auth").cloned();
        let Some(auth) = asked.and_then(|auth| serde_json::from_value::<RouteAuth>(auth).ok()) else { return };
        let missing: Vec<Method> = auth.named().filter(|method| !self.offers(*method)).collect();
        for method in missing {
            let (word, section) = (method.word(), section_of(method));
            self.wrong("/own/auth", format!("{word} needs auth.{section}, which is not there; add it"));
        }
        if !auth.is_public() && !Method::ALL.into_iter().any(|method| self.offers(method)) {
            self.wrong(
                "/own/auth",
                "needs somebody, and nothing in auth says who it is; add auth.basic, or write public",
            );
        }
    }

    fn times(&mut self) {
        for here in super::keys::places(self.tree) {
            self.time(&format!("{here}/leeway"), 0, 300_000, "at most 5m");
            self.time(&format!("{here}/jwks_refresh"), 10_000, 86_400_000, "10s to 1d");
            self.time(&format!("{here}/jwks_cooldown"), 1_000, u128::MAX, "at least 1s");
            self.time(&format!("{here}/jwks_timeout"), 100, 30_000, "100ms to 30s");
        }
        self.time("/auth/alb/leeway", 0, 300_000, "at most 5m");
        self.time("/auth/revocation/keep", 60_000, 366 * 86_400_000, "1m to 366d");
        self.health("/health");
        self.timeouts("/timeouts");
        for (name, _) in section(&self.tree.value, "services") {
            let here = below("/services", name);
            self.health(&format!("{here}/health"));
            self.timeouts(&format!("{here}/timeouts"));
        }
        for (index, _) in routes(&self.tree.value) {
            self.timeouts(&format!("/routes/{index}/timeouts"));
        }
        let listeners = self.tree.value.pointer("/listeners").and_then(Value::as_array).map_or(0, Vec::len);
        for index in 0..listeners {
            self.time(&format!("/listeners/{index}/keepalive_timeout"), 1_000, u128::MAX, "at least 1s");
            self.time(&format!("/listeners/{index}/max_connection_age"), 1_000, u128::MAX, "at least 1s");
            self.time(&format!("/listeners/{index}/head_timeout"), 1, u128::MAX, "more than 0s");
        }
    }

    fn health(&mut self, here: &str) {
        self.time(&format!("{here}/interval"), 100, u128::MAX, "at least 100ms");
        self.time(&format!("{here}/timeout"), 1, u128::MAX, "more than 0s");
    }

    fn timeouts(&mut self, here: &str) {
        for key in ["connect", "attempt", "request", "idle", "total", "max_stream_age"] {
            self.time(&format!("{here}/{key}"), 1, u128::MAX, "more than 0s");
        }
    }

    /// `least` and `most` in milliseconds. What is no time at all is the schema's business.
    fn time(&mut self, pointer: &str, least: u128, most: u128, right: &str) {
        let value = self.tree.value.pointer(pointer);
        let span = value.and_then(|value| Span::deserialize(value).ok());
        if span.is_some_and(|span| !(least..=most).contains(&span.get().as_millis())) {
            self.wrong(pointer, format!("out of range; write {right}"));
        }
    }
}

/// The section of `auth:` that makes callers known so.
fn section_of(method: Method) -> &'static str {
    match method {
        Method::Jwt => "jwt",
        Method::ApiKey => "api_keys",
        Method::Basic => "basic",
        Method::ClientCertificate => "client_certificates",
        Method::Alb => "alb",
    }
}

fn is_nearly_an_action(key: &str) -> bool {
    ACTIONS.iter().any(|action| strsim::levenshtein(key, action) <= 2)
}

/// The entries of a map at the top level.
fn section<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    value[key].as_object().into_iter().flatten()
}

/// Whether a map at the top level has this entry.
fn is_named(value: &Value, key: &str, name: &str) -> bool {
    value.get(key).is_some_and(|section| section.get(name).is_some())
}

/// The routes that are maps, with their places in the list.
pub(super) fn routes(value: &Value) -> impl Iterator<Item = (usize, &Map<String, Value>)> {
    let list = value["routes"].as_array().into_iter().flatten().enumerate();
    list.filter_map(|(index, route)| Some((index, route.as_object()?)))
}
