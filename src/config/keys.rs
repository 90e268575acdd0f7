//! `auth.jwt:` has one source of keys, and it fits the algorithm.

use super::{ConfigError, faults::not_set, tree::Tree};
use crate::auth::Algorithm;
use serde_json::Value;

const HERE: &str = "/auth/jwt";
/// Keys for HS*: both sides know the same.
const SHARED: &[&str] = &["secret", "secrets", "secret_file"];
/// Keys for everything else: only the issuer can sign.
const PUBLIC: &[&str] = &["public_key", "public_key_file"];

pub(super) fn check(tree: &Tree, errors: &mut Vec<ConfigError>) {
    let Some((algorithm, fitting, unfitting)) = kinds_of_keys(tree) else { return };
    let mut wrong = |key: &str, reason: String| errors.push(tree.sources.error(&format!("{HERE}{key}"), reason));
    let words = fitting.join(", ");
    for key in unfitting.iter().filter(|key| is_given(tree, key) && !is_from_variables(tree, key)) {
        wrong(&format!("/{key}"), format!("no key for {algorithm}; it needs one of {words}"));
    }
    let given: Vec<&&str> = fitting.iter().filter(|key| is_given(tree, key)).collect();
    match given.as_slice() {
        [_] => (),
        [] => {
            let not_given = fitting.iter().find_map(|key| Some((key, tree.not_given.get(&format!("{HERE}/{key}"))?)));
            match not_given {
                Some((key, names)) => wrong(&format!("/{key}"), format!("{}: {algorithm} needs it", not_set(names))),
                None => wrong("", format!("no key for {algorithm}; add one of {words}")),
            }
        }
        [first, others @ ..] => {
            for key in others {
                wrong(&format!("/{key}"), format!("{first} is there too; keep one of {words}"));
            }
        }
    }
}

/// A key that came from a variable and that the algorithm has no use for counts as not given: the variables of both
/// kinds of algorithm stand in one file, and another file of the environment sets what it sets.
pub(super) fn forget_unused(tree: &mut Tree) {
    let Some((_, _, unfitting)) = kinds_of_keys(tree) else { return };
    let unused: Vec<&str> = unfitting.iter().copied().filter(|key| is_from_variables(tree, key)).collect();
    if let Some(jwt) = tree.value.pointer_mut(HERE).and_then(Value::as_object_mut) {
        unused.into_iter().for_each(|key| _ = jwt.remove(key));
    }
}

/// The algorithm, the keys that fit it and those that do not. `None`: there is no known algorithm.
fn kinds_of_keys(tree: &Tree) -> Option<(&str, &'static [&'static str], &'static [&'static str])> {
    let written = tree.value.pointer(HERE)?.get("algorithm")?;
    let known = serde_json::from_value::<Algorithm>(written.clone()).ok()?;
    let algorithm = written.as_str()?;
    Some(match known {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => (algorithm, SHARED, PUBLIC),
        _ => (algorithm, PUBLIC, SHARED),
    })
}

fn is_given(tree: &Tree, key: &str) -> bool {
    let value = tree.value.pointer(&format!("{HERE}/{key}"));
    value.is_some_and(|value| value.as_array().is_none_or(|list| !list.is_empty()))
}

/// Whether a variable had a part in the key, or in each entry of its list.
fn is_from_variables(tree: &Tree, key: &str) -> bool {
    let pointer = format!("{HERE}/{key}");
    let entries = tree.value.pointer(&pointer).and_then(Value::as_array).map_or(0, Vec::len);
    tree.from_variables.contains(&pointer)
        || entries > 0 && (0..entries).all(|index| tree.from_variables.contains(&format!("{pointer}/{index}")))
}
