//! Brings texts into the kind that the schema asks for: the target decides, a variable's content never does.

use super::{
    source_map::below,
    tree::{Tree, number},
};
use serde_json::Value;
use std::collections::HashSet;

/// Make numbers and truth values of texts that came from variables, lists of texts with commas, and small letters where
/// `x-any-case` allows capitals.
pub(super) fn fit(tree: &mut Tree, schema: &Value) {
    let fitter = Fitter { schema, from_variables: &tree.from_variables };
    fitter.visit(schema, &mut tree.value, "");
}

/// The rule that `rule` refers to, or itself.
pub(super) fn resolve<'s>(schema: &'s Value, rule: &'s Value) -> &'s Value {
    let target = rule["$ref"].as_str().and_then(|reference| schema.pointer(reference.strip_prefix('#')?));
    target.unwrap_or(rule)
}

/// The kinds of value that a rule allows.
pub(super) fn kinds(rule: &Value) -> Vec<&str> {
    match &rule["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

struct Fitter<'t> {
    schema: &'t Value,
    from_variables: &'t HashSet<String>,
}

impl Fitter<'_> {
    fn visit(&self, rule: &Value, value: &mut Value, pointer: &str) {
        let rule = resolve(self.schema, rule);
        if let Some(fitted) = value.as_str().and_then(|text| self.text(rule, text, pointer)) {
            *value = fitted;
        }
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let rule = rule["properties"].get(key).unwrap_or(&rule["additionalProperties"]);
                    self.visit(rule, value, &below(pointer, key));
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter_mut().enumerate() {
                    self.visit(&rule["items"], value, &format!("{pointer}/{index}"));
                }
            }
            _ => (),
        }
        for choice in ["anyOf", "oneOf"].into_iter().filter_map(|key| rule[key].as_array()).flatten() {
            self.visit(choice, value, pointer);
        }
    }

    fn text(&self, rule: &Value, text: &str, pointer: &str) -> Option<Value> {
        let kinds = kinds(rule);
        if kinds.contains(&"string") {
            let parts = || text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Value::from);
            return match rule["x-any-case"].as_bool() {
                Some(true) => Some(text.to_ascii_lowercase().into()),
                _ => kinds.contains(&"array").then(|| parts().collect()),
            };
        }
        if !self.from_variables.contains(pointer) {
            return None;
        }
        let text = text.trim();
        match kinds.as_slice() {
            ["boolean"] => truth(text).map(Value::from),
            ["integer" | "number"] => number(text),
            _ => None,
        }
    }
}

/// The words of the replaced gateway's settings, which were Python's.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}
