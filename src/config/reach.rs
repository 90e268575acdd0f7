//! Routes that can never match, and routes that others hide.

use super::{ConfigError, check::routes, tree::Tree};
use crate::routing::{MatchConfig, Pattern, Table};
use serde_json::Value;

pub(super) fn check(tree: &Tree, errors: &mut Vec<ConfigError>) {
    let mut patterns = Vec::new();
    for (index, route) in routes(&tree.value) {
        // What has not the shape of a match is the schema's business.
        let matching = route.get("match").cloned().and_then(|value| serde_json::from_value::<MatchConfig>(value).ok());
        match matching.as_ref().map(Pattern::parse) {
            Some(Ok(pattern)) => patterns.push((pattern, index)),
            Some(Err(error)) => {
                errors.push(tree.sources.error(&format!("/routes/{index}/match/{}", error.key), error.reason));
            }
            None => (),
        }
    }
    for conflict in Table::build(patterns).err().into_iter().flatten() {
        let other = name(tree, conflict.first);
        let reason = format!("never reached, because route {other} takes the same requests; remove or change one");
        errors.push(tree.sources.error(&format!("/routes/{}/match", conflict.second), reason));
    }
}

/// As its `id:` says, or where it stands.
fn name(tree: &Tree, index: usize) -> String {
    let id = tree.value.pointer(&format!("/routes/{index}/id")).and_then(Value::as_str);
    id.map_or_else(|| format!("routes[{index}]"), ToOwned::to_owned)
}
