//! `auth.jwt:` and each of `auth.issuers:` have one source of keys, and it fits the algorithm.

use super::{ConfigError, faults::not_set, source_map::below, tree::Tree};
use crate::{auth::Algorithm, types::List};
use serde_json::Value;

/// Keys for HS*: both sides know the same.
const SHARED: &[&str] = &["secret", "secrets", "secret_file"];
/// Keys for everything else: only the issuer can sign.
const PUBLIC: &[&str] = &["public_key", "public_key_file", "jwks_file", "jwks_url"];

pub(super) fn check(tree: &Tree, errors: &mut Vec<ConfigError>) {
    places(tree).iter().for_each(|here| check_one(tree, here, errors));
}

/// Where issuers stand in the file.
pub(super) fn places(tree: &Tree) -> Vec<String> {
    let more = tree.value.pointer("/auth/issuers").and_then(Value::as_object).into_iter().flatten();
    let one = tree.value.pointer("/auth/jwt").map(|_| "/auth/jwt".to_owned());
    one.into_iter().chain(more.map(|(name, _)| below("/auth/issuers", name))).collect()
}

fn check_one(tree: &Tree, here: &str, errors: &mut Vec<ConfigError>) {
    let Some((algorithm, fitting, unfitting)) = kinds_of_keys(tree, here) else { return };
    let mut wrong = |key: &str, reason: String| errors.push(tree.sources.error(&format!("{here}{key}"), reason));
    let words = fitting.join(", ");
    for key in unfitting.iter().filter(|key| is_given(tree, here, key) && !is_from_variables(tree, here, key)) {
        wrong(&format!("/{key}"), format!("no key for {algorithm}; it needs one of {words}"));
    }
    let given: Vec<&&str> = fitting.iter().filter(|key| is_given(tree, here, key)).collect();
    match given.as_slice() {
        [_] => (),
        [] => {
            let not_given = fitting.iter().find_map(|key| Some((key, tree.not_given.get(&format!("{here}/{key}"))?)));
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
    for here in places(tree) {
        let Some((_, _, unfitting)) = kinds_of_keys(tree, &here) else { continue };
        let unused: Vec<&str> = unfitting.iter().copied().filter(|key| is_from_variables(tree, &here, key)).collect();
        if let Some(jwt) = tree.value.pointer_mut(&here).and_then(Value::as_object_mut) {
            unused.into_iter().for_each(|key| _ = jwt.remove(key));
        }
    }
}

/// The algorithm, the keys that fit it and those that do not. `None`: there is no known algorithm.
fn kinds_of_keys(tree: &Tree, here: &str) -> Option<(String, &'static [&'static str], &'static [&'static str])> {
    let written = tree.value.pointer(here)?.get("algorithm")?;
    let all = serde_json::from_value::<List<Algorithm>>(written.clone()).ok()?;
    let known = *all.first()?;
    let algorithm = format!("{known:?}");
    Some(match known {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => (algorithm, SHARED, PUBLIC),
        _ => (algorithm, PUBLIC, SHARED),
    })
}

fn is_given(tree: &Tree, here: &str, key: &str) -> bool {
    let value = tree.value.pointer(&format!("{here}/{key}"));
    value.is_some_and(|value| value.as_array().is_none_or(|list| !list.is_empty()))
}

/// Whether a variable had a part in the key, or in each entry of its list.
fn is_from_variables(tree: &Tree, here: &str, key: &str) -> bool {
    let pointer = format!("{here}/{key}");
    let entries = tree.value.pointer(&pointer).and_then(Value::as_array).map_or(0, Vec::len);
    tree.from_variables.contains(&pointer)
        || entries > 0 && (0..entries).all(|index| tree.from_variables.contains(&format!("{pointer}/{index}")))
}
