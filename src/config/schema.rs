//! The file's shape, checked against the schema that editors use too.

use super::{Config, ConfigError, faults::Faults, fit::fit, tree::Tree};
use crate::types::{ListenAddress, Network};
use serde_json::{Value, json};

/// The JSON Schema of the file, generated from the types.
pub(super) fn schema() -> Value {
    let mut schema = schemars::schema_for!(Config).to_value();
    without_null(&mut schema);
    schema
}

/// Everything about `tree` that does not fit, after its texts were brought into the kind that the schema asks for.
pub(super) fn check(tree: &mut Tree) -> Vec<ConfigError> {
    let schema = schema();
    fit(tree, &schema);
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .with_format("Network", |text: &str| text.parse::<Network>().is_ok())
        .with_format("ListenAddress", |text: &str| text.parse::<ListenAddress>().is_ok())
        .build(&schema);
    match validator {
        Ok(validator) => {
            let faults = Faults { tree, schema: &schema };
            validator.iter_errors(&tree.value).flat_map(|error| faults.of(&error)).collect()
        }
        Err(error) => vec![tree.sources.error("", format!("the schema of this build is broken: {error}"))],
    }
}

/// An optional key is left out, never null; without this, errors inside optional sections lose their place.
fn without_null(rule: &mut Value) {
    match rule {
        Value::Object(map) => {
            if map.get("default") == Some(&Value::Null) {
                map.shift_remove("default");
            }
            if let Some(Value::Array(kinds)) = map.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [only] = kinds.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(mut choices)) = map.shift_remove("anyOf") {
                choices.retain(|choice| *choice != json!({ "type": "null" }));
                match choices.as_mut_slice() {
                    [Value::Object(only)] => map.append(only),
                    _ => _ = map.insert("anyOf".to_owned(), choices.into()),
                }
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(list) => list.iter_mut().for_each(without_null),
        _ => (),
    }
}
