//! What a reload has changed, in words for the log.

use crate::config::Config;
use serde_json::{Map, Value};

/// Most lines: whoever changes more knows without reading them all.
const MOST: usize = 50;

/// One line for each route and service that came, went or changed, and one for each other section. Secrets are masked in
/// what is compared, so that a new secret alone shows nowhere but in `auth`'s own line, if at all.
pub fn changes(old: &Config, new: &Config) -> Vec<String> {
    let (Some(old), Some(new)) = (sections(old), sections(new)) else { return Vec::new() };
    let mut lines = entries("route", &by_id(&old), &by_id(&new));
    let services =
        |all: &Map<String, Value>| all.get("services").and_then(Value::as_object).cloned().unwrap_or_default();
    lines.extend(entries("service", &services(&old), &services(&new)));
    let others = new.iter().filter(|(key, _)| !["routes", "services"].contains(&key.as_str()));
    let changed =
        others.filter_map(|(key, after)| Some((key, old.get(key)?, after)).filter(|(_, old, _)| *old != after));
    lines.extend(changed.map(|(key, before, after)| format!("{key} changed: {}", keys(before, after))));
    if lines.len() > MOST {
        let more = lines.len() - MOST;
        lines.truncate(MOST);
        lines.push(format!("and {more} changes more"));
    }
    lines
}

fn sections(config: &Config) -> Option<Map<String, Value>> {
    match serde_json::to_value(config).ok()? {
        Value::Object(all) => Some(all),
        _ => None,
    }
}

fn by_id(all: &Map<String, Value>) -> Map<String, Value> {
    let named = |route: &Value| Some((route.get("id")?.as_str()?.to_owned(), route.clone()));
    all.get("routes").and_then(Value::as_array).into_iter().flatten().filter_map(named).collect()
}

fn entries(word: &str, old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<String> {
    let came = new.iter().filter_map(|(name, after)| match old.get(name) {
        None => Some(format!("{word} {name} is new")),
        Some(before) if before != after => Some(format!("{word} {name} changed: {}", keys(before, after))),
        Some(_) => None,
    });
    let went = old.keys().filter(|name| !new.contains_key(*name)).map(|name| format!("{word} {name} is gone"));
    came.chain(went).collect()
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
