//! A folder of files as one tree.

use super::{ConfigError, SourceMap, source_map::below, tree::Tree};
use serde_json::Value;
use std::collections::HashMap;

/// Lists that go on from file to file; every other key belongs to one file.
const CONCATENATED: [&str; 2] = ["/listeners", "/routes"];

/// How long those lists are so far.
pub(super) fn begun(tree: &Tree) -> HashMap<&'static str, usize> {
    let length = |pointer: &str| tree.value.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len);
    CONCATENATED.map(|pointer| (pointer, length(pointer))).into()
}

/// Take in a file that was read with [`begun`].
pub(super) fn absorb(tree: &mut Tree, other: Tree) {
    tree.errors.extend(other.errors);
    merge(&mut tree.value, other.value, "", (&tree.sources, &other.sources), &mut tree.errors);
    tree.sources.absorb(other.sources);
    tree.from_variables.extend(other.from_variables);
    tree.not_given.extend(other.not_given);
    tree.broken |= other.broken;
}

fn merge(
    into: &mut Value,
    from: Value,
    pointer: &str,
    sources: (&SourceMap, &SourceMap),
    errors: &mut Vec<ConfigError>,
) {
    match (into, from) {
        (_, Value::Null) if pointer.is_empty() => (),
        (into @ Value::Null, from) if pointer.is_empty() => *into = from,
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match into.get_mut(&key) {
                    Some(known) => merge(known, value, &below(pointer, &key), sources, errors),
                    None => _ = into.insert(key, value),
                }
            }
        }
        (Value::Array(into), Value::Array(from)) if CONCATENATED.contains(&pointer) => into.extend(from),
        _ => {
            let reason = format!("given at {} too; keep one", sources.0.place(pointer));
            errors.push(sources.1.error(pointer, reason));
        }
    }
}
