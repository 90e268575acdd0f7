//! What the schema found, in words. No value is repeated that could be a secret.

use super::{
    ConfigError,
    error::suggestion,
    fit::{kinds, resolve},
    not_offered::why_not,
    source_map::below,
    tree::Tree,
};
use jsonschema::{ValidationError, error::ValidationErrorKind as Kind};
use serde_json::Value;

/// Turns errors of the schema into ours.
pub(super) struct Faults<'t> {
    pub(super) tree: &'t Tree,
    pub(super) schema: &'t Value,
}

impl Faults<'_> {
    pub(super) fn of(&self, error: &ValidationError<'_>) -> Vec<ConfigError> {
        let pointer = error.instance_path().to_string();
        let rule = self.around(error);
        match error.kind() {
            Kind::AdditionalProperties { unexpected } => {
                unexpected.iter().map(|key| self.unknown(&pointer, key, properties(rule))).collect()
            }
            Kind::Required { property } => vec![self.missing(&pointer, property.as_str().unwrap_or_default())],
            Kind::Enum { .. } => vec![self.no_such_value(&pointer, rule, error.instance())],
            Kind::OneOfNotValid { .. } if !alternatives(rule).is_empty() => {
                vec![self.no_such_value(&pointer, rule, error.instance())]
            }
            Kind::OneOfNotValid { context } => self.one_key(&pointer, rule, error.instance(), context),
            Kind::AnyOf { context } => self.one_kind(&pointer, rule, error.instance(), context),
            Kind::Type { .. } => vec![self.unfit(&pointer, error.instance(), &expected(rule))],
            Kind::MinItems { .. } | Kind::MaxItems { .. } => {
                vec![self.wrong(&pointer, "wrong number of entries", &entries(rule))]
            }
            Kind::MinLength { .. } => vec![self.wrong(&pointer, "empty", &expected(rule))],
            Kind::Minimum { .. } | Kind::Maximum { .. } => vec![self.wrong(&pointer, "out of range", &expected(rule))],
            _ => vec![self.wrong(&pointer, "not understood", &expected(rule))],
        }
    }

    fn wrong(&self, pointer: &str, what: &str, right: &str) -> ConfigError {
        self.tree.sources.error(pointer, format!("{what}; write {right}"))
    }

    fn unfit(&self, pointer: &str, found: &Value, right: &str) -> ConfigError {
        match found {
            Value::Null => self.tree.sources.error(pointer, format!("empty; take the key out, or write {right}")),
            _ => self.wrong(pointer, &format!("{} does not fit here", kind_of(found)), right),
        }
    }

    /// The rule that the broken keyword belongs to.
    fn around(&self, error: &ValidationError<'_>) -> &Value {
        let keyword = error.schema_path().to_string();
        keyword.rsplit_once('/').and_then(|(around, _)| self.schema.pointer(around)).unwrap_or(&Value::Null)
    }

    fn unknown<'a>(&self, pointer: &str, key: &str, known: impl IntoIterator<Item = &'a str>) -> ConfigError {
        let reason = match why_not(key) {
            Some(why) => format!("not offered: {why}; see the README"),
            None => format!("unknown key{}", suggestion(key, known)),
        };
        self.tree.sources.error(&below(pointer, key), reason)
    }

    fn missing(&self, pointer: &str, key: &str) -> ConfigError {
        let here = below(pointer, key);
        match self.tree.not_given.get(&here) {
            Some(names) => self.tree.sources.error(&here, not_set(names)),
            None => self.tree.sources.error(pointer, format!("key {key:?} is missing; add it")),
        }
    }

    fn no_such_value(&self, pointer: &str, rule: &Value, found: &Value) -> ConfigError {
        let Some(text) = found.as_str() else {
            return self.unfit(pointer, found, &format!("one of {}", alternatives(rule).join(", ")));
        };
        if pointer.ends_with("/mode") && text == "fast" {
            return self.tree.sources.error(pointer, "fast is not built yet; write exact or local");
        }
        // What came from a variable may have been meant for another place.
        let shown = if self.tree.is_from_variables(pointer) { String::new() } else { format!(": {text:?}") };
        self.tree.sources.error(pointer, format!("no such value{shown}{}", suggestion(text, alternatives(rule))))
    }

    /// A section of exactly one key, whichever it is.
    fn one_key(
        &self,
        pointer: &str,
        rule: &Value,
        found: &Value,
        context: &[Vec<ValidationError<'static>>],
    ) -> Vec<ConfigError> {
        let choices: Vec<&Value> = list(rule, "oneOf").map(|choice| resolve(self.schema, choice)).collect();
        let known: Vec<&str> = choices.iter().flat_map(|choice| properties(choice)).collect();
        let given: Vec<&str> = found.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        let unknown: Vec<&&str> = given.iter().filter(|key| !known.contains(key)).collect();
        match given.as_slice() {
            _ if !unknown.is_empty() => {
                unknown.into_iter().map(|key| self.unknown(pointer, key, known.iter().copied())).collect()
            }
            [only] => {
                let meant = choices.iter().zip(context).find(|(choice, _)| properties(choice).any(|key| key == *only));
                meant.into_iter().flat_map(|(_, errors)| errors).flat_map(|error| self.of(error)).collect()
            }
            [] => vec![self.unfit(pointer, found, &format!("one of the keys {}", known.join(", ")))],
            _ => vec![self.wrong(pointer, "several keys where one can be", &format!("one of {}", known.join(", ")))],
        }
    }

    /// A value of one of several kinds: speak of the kind that was written.
    fn one_kind(
        &self,
        pointer: &str,
        rule: &Value,
        found: &Value,
        context: &[Vec<ValidationError<'static>>],
    ) -> Vec<ConfigError> {
        let is_meant = |choice: &Value| kinds(resolve(self.schema, choice)).contains(&kind_name(found));
        match list(rule, "anyOf").zip(context).find(|(choice, _)| is_meant(choice)) {
            Some((_, errors)) => errors.iter().flat_map(|error| self.of(error)).collect(),
            None => vec![self.unfit(pointer, found, &expected(rule))],
        }
    }
}

/// For a key whose variables are all empty.
pub(super) fn not_set(names: &[String]) -> String {
    format!("variable {} is not set; set it", names.join(" and "))
}

fn list<'v>(rule: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    rule[key].as_array().into_iter().flatten()
}

fn properties(rule: &Value) -> impl Iterator<Item = &str> {
    rule["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str())
}

/// The words that may stand there, where there is a closed set of them.
fn alternatives(rule: &Value) -> Vec<&str> {
    let described = list(rule, "oneOf").flat_map(|choice| match &choice["enum"] {
        Value::Array(names) => names.iter().collect(),
        _ => vec![&choice["const"]],
    });
    described.chain(list(rule, "enum")).filter_map(Value::as_str).collect()
}

/// What would be right.
fn expected(rule: &Value) -> String {
    if let Some(hint) = rule["x-expects"].as_str() {
        return hint.to_owned();
    }
    match kinds(rule).as_slice() {
        ["integer"] => format!("a whole number{}", range(rule)),
        ["number"] => format!("a number{}", range(rule)),
        ["boolean"] => "true or false".to_owned(),
        ["string"] => "a text (a number or true in quotes)".to_owned(),
        ["array"] => "a list: - one, - two".to_owned(),
        ["object"] => match properties(rule).collect::<Vec<_>>().as_slice() {
            [] => "keys with values".to_owned(),
            keys => format!("keys with values, of {}", keys.join(", ")),
        },
        _ => "a value of the kind that conf/reference.yaml shows".to_owned(),
    }
}

fn range(rule: &Value) -> String {
    match (rule["minimum"].as_f64(), rule["maximum"].as_f64()) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" of at least {least}"),
        (None, Some(most)) => format!(" of at most {most}"),
        (None, None) => String::new(),
    }
}

fn entries(rule: &Value) -> String {
    match (rule["minItems"].as_u64(), rule["maxItems"].as_u64()) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (None, Some(most)) => format!("at most {most}"),
        (least, None) => format!("at least {}", least.unwrap_or(0)),
    }
}

fn kind_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "an empty value",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "this number",
        Value::String(_) => "this text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a section with keys",
    }
}
