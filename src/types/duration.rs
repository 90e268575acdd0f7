//! A length of time as operators write it.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

/// Units by suffix, in milliseconds; the longest suffix first, so that `ms` is not read as `m` and an `s`.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// `250ms`, `10s`, `5m`, `1h`, `30d`; a plain number means seconds. Whole milliseconds, up to 366 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

/// The longest span that can be written: nothing in a gateway waits for a year.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

impl Span {
    /// `seconds` as a span.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// `milliseconds` as a span.
    pub const fn milliseconds(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// As the standard library has it.
    pub const fn get(self) -> Duration {
        self.0
    }
}

/// What is wrong with a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a length of time; write 250ms, 10s, 5m, 1h or 1d (a plain number means seconds)")]
pub struct SpanError;

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let text = text.trim();
        let unit = UNITS.iter().find_map(|(suffix, millis)| text.strip_suffix(suffix).map(|number| (number, *millis)));
        let (number, millis) = unit.unwrap_or((text, 1_000));
        let number: f64 = number.trim().parse().map_err(|_| SpanError)?;
        Self::checked(number * millis as f64 / 1_000.0)
    }
}

impl Span {
    fn checked(seconds: f64) -> Result<Self, SpanError> {
        let rounded = (seconds * 1_000.0).round() / 1_000.0;
        let span = Duration::try_from_secs_f64(rounded).map_err(|_| SpanError)?;
        if span > LONGEST { Err(SpanError) } else { Ok(Self(Duration::from_millis(span.as_millis() as u64))) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis() as u64;
        match millis % 1_000 {
            0 => write!(f, "{}s", millis / 1_000),
            _ => write!(f, "{millis}ms"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        match Written::deserialize(deserializer).map_err(|_| D::Error::custom(SpanError))? {
            Written::Number(seconds) => Self::checked(seconds),
            Written::Text(text) => text.parse(),
        }
        .map_err(D::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "minimum": 0,
            "maximum": LONGEST.as_secs(),
            "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$",
            "x-expects": "a length of time such as 250ms, 10s, 5m, 1h or 1d (a plain number means seconds)"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_and_a_plain_number_of_seconds_are_read() {
        for (text, millis) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("30", 30_000),
            ("0.5", 500),
        ] {
            assert_eq!(text.parse::<Span>(), Ok(Span::milliseconds(millis)), "{text}");
        }
        for text in ["", "s", "-1", "1e400", "10 seconds", "1y", "400d", "NaN"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError), "{text}");
        }
    }
}
