//! Several values where an environment variable can only hold one text.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error};
use std::{borrow::Cow, ops::Deref};

/// A YAML list, or one text with commas: `[a, b]` and `"a, b"` are the same. Empty parts are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Array(items) => items,
            serde_json::Value::String(text) => {
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Into::into).collect()
            }
            serde_json::Value::Null => Vec::new(),
            one => vec![one],
        };
        items
            .into_iter()
            .map(|item| serde_json::from_value(item).map_err(D::Error::custom))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("List_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({
            "type": ["array", "string"],
            "items": item,
            "x-expects": "a list, or one text with commas between the values"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_and_a_text_with_commas_are_the_same() {
        let of = |text: &str| serde_yaml::from_str::<List<String>>(text).unwrap().0;
        assert_eq!(of("[a, b]"), ["a", "b"]);
        assert_eq!(of("\"a, b,\""), ["a", "b"]);
        assert!(of("\"\"").is_empty());
    }
}
