//! What a reload has changed, in words for the log.

use crate::{
    config::{Config, RouteConfig},
    upstream::ServiceConfig,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Most lines: whoever changes more knows without reading them all.
const MOST: usize = 50;

/// One line for each route and service that came, went or changed, and one for each other section. Secrets are masked in
/// what is compared, so that a new secret alone shows nowhere but in `auth`'s own line, if at all.
pub fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = entries("route", &routes(old), &routes(new));
    lines.extend(entries("service", &services(old), &services(new)));
    lines.extend(others(old, new));
    if lines.len() > MOST {
        let more = lines.len() - MOST;
        lines.truncate(MOST);
        lines.push(format!("and {more} changes more"));
    }
    lines
}

fn routes(config: &Config) -> Vec<(&str, &RouteConfig)> {
    config.routes.iter().map(|route| (route.id.as_str(), route)).collect()
}

fn services(config: &Config) -> Vec<(&str, &ServiceConfig)> {
    config.services.iter().map(|(id, service)| (id.as_str(), service)).collect()
}

/// What came, changed and went. Compared as text, one after the other: all of them as values at once took 30 KiB a route
/// and half of the time of a reload (measured with 10,000).
fn entries<T: Serialize>(word: &str, old: &[(&str, &T)], new: &[(&str, &T)]) -> Vec<String> {
    let before: HashMap<&str, &T> = old.iter().copied().collect();
    let mut texts = (Vec::new(), Vec::new());
    let mut lines = Vec::new();
    for (name, after) in new {
        match before.get(name) {
            None => lines.push(format!("{word} {name} is new")),
            Some(before) if is_same(*before, *after, &mut texts) => (),
            Some(before) => lines.push(format!("{word} {name} changed: {}", keys(&value(before), &value(after)))),
        }
    }
    let kept: HashMap<&str, &T> = new.iter().copied().collect();
    let went = old.iter().filter(|(name, _)| !kept.contains_key(name));
    lines.extend(went.map(|(name, _)| format!("{word} {name} is gone")));
    lines
}

/// `texts` are only there to be used again. What cannot be written counts as changed.
fn is_same<T: Serialize>(before: &T, after: &T, texts: &mut (Vec<u8>, Vec<u8>)) -> bool {
    texts.0.clear();
    texts.1.clear();
    let written = serde_json::to_writer(&mut texts.0, before).and(serde_json::to_writer(&mut texts.1, after));
    written.is_ok() && texts.0 == texts.1
}

/// Every section but those two.
fn others(old: &Config, new: &Config) -> Vec<String> {
    let (old, new) = (without_entries(old), without_entries(new));
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return Vec::new() };
    let changed = new.iter().filter_map(|(key, after)| Some((key, old.get(key)?, after)));
    let changed = changed.filter(|(_, before, after)| before != after);
    changed.map(|(key, before, after)| format!("{key} changed: {}", keys(before, after))).collect()
}

/// Without routes and services. Every key is named: to clone the whole and empty it would clone 10,000 routes.
fn without_entries(config: &Config) -> Value {
    value(&Config {
        server: config.server.clone(),
        listeners: config.listeners.clone(),
        log: config.log.clone(),
        admin: config.admin.clone(),
        redis: config.redis.clone(),
        own: config.own.clone(),
        auth: config.auth.clone(),
        ext_auth: config.ext_auth.clone(),
        cors: config.cors.clone(),
        security_headers: config.security_headers.clone(),
        limits: config.limits.clone(),
        max_body: config.max_body,
        timeouts: config.timeouts,
        health: config.health.clone(),
        dns: config.dns.clone(),
        services: BTreeMap::new(),
        routes: Vec::new(),
    })
}

fn value(part: &impl Serialize) -> Value {
    serde_json::to_value(part).unwrap_or_default()
}

/// The keys in which two sections differ; never their values.
fn keys(before: &Value, after: &Value) -> String {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else { return "its value".to_owned() };
    let all = after.keys().chain(before.keys().filter(|key| !after.contains_key(*key)));
    let differ: Vec<&str> = all.filter(|key| before.get(*key) != after.get(*key)).map(String::as_str).collect();
    differ.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn each_change_is_a_line_without_values() {
        let old = config(
            "services: { a: { endpoints: [\"http://a:1\"] }, b: { endpoints: [\"http://b:1\"] } }\n\
             auth: { jwt: { algorithm: HS256, secret: one } }\n\
             routes: [{ id: x, match: { path: /x }, service: a }, { id: y, match: { path: /y }, service: b }]",
        );
        let new = config(
            "services: { a: { endpoints: [\"http://a:2\"] }, c: { endpoints: [\"http://c:1\"] } }\n\
             auth: { jwt: { algorithm: HS256, secret: two, leeway: 5s } }\n\
             max_body: 1MiB\n\
             routes: [{ id: x, match: { path: /x }, service: c, auth: public }, { id: z, match: { path: /z }, service: a }]",
        );
        let lines = changes(&old, &new);
        assert_eq!(
            lines,
            [
                "route x changed: service, auth",
                "route z is new",
                "route y is gone",
                "service a changed: endpoints",
                "service c is new",
                "service b is gone",
                "auth changed: jwt",
                "max_body changed: its value"
            ]
        );
        assert!(changes(&old, &old).is_empty());
    }

    #[test]
    fn many_changes_are_summed_up() {
        let routes = |method: &str| {
            let one = |number: usize| {
                format!(
                    "{{ id: r{number}, match: {{ path: /r{number}, methods: [{method}] }}, respond: {{ body: a }} }}"
                )
            };
            config(&format!("routes: [{}]", (0..60).map(one).collect::<Vec<_>>().join(", ")))
        };
        let lines = changes(&routes("GET"), &routes("PUT"));
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (51, Some("and 10 changes more")));
    }
}
