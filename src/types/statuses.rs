//! Status codes as operators write them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{borrow::Cow, fmt, ops::RangeInclusive, str::FromStr};

/// `204`, or a range: `200-299`. From 100 to 599.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(RangeInclusive<u16>);

impl Statuses {
    /// From `first` to `last`.
    pub const fn new(first: u16, last: u16) -> Self {
        Self(first..=last)
    }

    /// Whether `status` is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.contains(&status)
    }
}

/// Statuses, to be asked by each request: one look at one bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusSet([u64; 8]);

impl StatusSet {
    /// All of `statuses`.
    pub fn new<'s>(statuses: impl IntoIterator<Item = &'s Statuses>) -> Self {
        let mut set = Self::default();
        for status in statuses.into_iter().flat_map(|statuses| statuses.0.clone()) {
            let (word, bit) = Self::place(status);
            if let Some(word) = set.0.get_mut(word) {
                *word |= bit;
            }
        }
        set
    }

    /// Whether `status` is one of them.
    pub fn contains(&self, status: u16) -> bool {
        let (word, bit) = Self::place(status);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// 100 to 599 are 500 bits.
    fn place(status: u16) -> (usize, u64) {
        let at = usize::from(status.wrapping_sub(100));
        (at / 64, 1 << (at % 64))
    }
}

/// What is wrong with a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a status; write 204 or 200-299")]
pub struct StatusesError;

impl FromStr for Statuses {
    type Err = StatusesError;

    fn from_str(text: &str) -> Result<Self, StatusesError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.trim().parse::<u16>().map_err(|_| StatusesError);
        let (first, last) = (number(first)?, number(last)?);
        if 100 <= first && first <= last && last <= 599 { Ok(Self(first..=last)) } else { Err(StatusesError) }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.start(), self.0.end()) {
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u16),
            Text(String),
        }
        match Written::deserialize(deserializer).map_err(|_| D::Error::custom(StatusesError))? {
            Written::Number(status) => status.to_string().parse(),
            Written::Text(text) => text.parse(),
        }
        .map_err(D::Error::custom)
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "minimum": 100,
            "maximum": 599,
            "pattern": r"^\s*[1-5]\d\d\s*(-\s*[1-5]\d\d\s*)?$",
            "x-expects": "a status such as 204, or a range such as 200-299"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_codes_and_ranges_are_read_and_shown_alike() {
        for text in ["204", "200-299", "404"] {
            assert_eq!(text.parse::<Statuses>().unwrap().to_string(), text);
        }
        assert_eq!(serde_yaml::from_str::<Statuses>("204").unwrap(), Statuses::new(204, 204));
        for text in ["", "2xx", "299-200", "99", "600", "200-"] {
            assert!(text.parse::<Statuses>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_set_holds_what_it_was_given_and_nothing_else() {
        let set = StatusSet::new(&[Statuses::new(100, 100), Statuses::new(502, 504), Statuses::new(599, 599)]);
        let held: Vec<u16> = (0..=999).filter(|status| set.contains(*status)).collect();
        assert_eq!(held, [100, 502, 503, 504, 599]);
    }
}
