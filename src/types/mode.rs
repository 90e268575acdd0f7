use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `mode:` of a check: whether it acts, only says what it would do, or rests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It acts.
    #[default]
    Enforce,
    /// It decides and reports as if it acted; no request notices.
    Observe,
    /// It neither acts nor keeps count.
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_written_as_one_word() {
        for (text, mode) in [("enforce", Mode::Enforce), ("observe", Mode::Observe), ("off", Mode::Off)] {
            assert_eq!(serde_yaml::from_str::<Mode>(text).unwrap(), mode);
            assert_eq!(serde_json::to_value(mode).unwrap(), text);
        }
        assert_eq!(Mode::default(), Mode::Enforce);
    }
}
