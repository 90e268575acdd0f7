//! A number of bytes as operators write it.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{borrow::Cow, fmt, str::FromStr};

/// Units by suffix, in bytes. Powers of 1024: sizes here bound memory.
const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// `16KiB`, `10MiB`, `1GiB`; a plain number means bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// `bytes` as a size.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// `kibibytes` × 1024 bytes.
    pub const fn kib(kibibytes: u64) -> Self {
        Self(kibibytes << 10)
    }

    /// `mebibytes` × 1024 × 1024 bytes.
    pub const fn mib(mebibytes: u64) -> Self {
        Self(mebibytes << 20)
    }

    /// In bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What is wrong with a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a size; write 16KiB, 10MiB or 1GiB (a plain number means bytes)")]
pub struct SizeError;

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let unit = UNITS.iter().find_map(|(suffix, bytes)| text.strip_suffix(suffix).map(|number| (number, *bytes)));
        let (number, bytes) = unit.unwrap_or((text, 1));
        let number: u64 = number.trim().parse().map_err(|_| SizeError)?;
        number.checked_mul(bytes).map(Self).ok_or(SizeError)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = UNITS[..3].iter().rev().find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes));
        match fits {
            Some((suffix, bytes)) => write!(f, "{}{suffix}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer).map_err(|_| D::Error::custom(SizeError))? {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "minimum": 0,
            "pattern": r"^\s*\d+\s*(B|KiB|MiB|GiB)?\s*$",
            "x-expects": "a size such as 16KiB, 10MiB or 1GiB (a plain number means bytes)"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown_in_the_same_units() {
        for (text, bytes) in [("16KiB", 16 << 10), ("10MiB", 10 << 20), ("1GiB", 1 << 30), ("1500", 1500), ("0", 0)] {
            assert_eq!(text.parse::<Size>(), Ok(Size(bytes)), "{text}");
            assert_eq!(Size(bytes).to_string(), text);
        }
        for text in ["", "KiB", "-1", "1kb", "99999999999999GiB"] {
            assert_eq!(text.parse::<Size>(), Err(SizeError), "{text}");
        }
    }
}
