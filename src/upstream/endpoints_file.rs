//! What stands in a file of endpoints.

use super::{EndpointConfig, WeightedConfig};
use serde_yaml::Value;
/// Most endpoints in one file.
const MOST_ENTRIES: usize = 10_000;
/// Longest file, in bytes.
const LONGEST: u64 = 4 << 20;
/// Brackets within brackets. Three are of use; the time that the parser takes grows with the square of their number.
const DEEPEST: usize = 32;

/// Read endpoints: YAML or JSON, a list or `{ endpoints: [...] }`, with entries as in `endpoints:` of a service. What
/// an address says is left to whoever uses it.
///
/// # Errors
/// The first thing that is wrong, where it stands, and what would be right.
pub(super) fn parse(text: &str) -> Result<Vec<EndpointConfig>, String> {
    let text = text.trim_start_matches('\u{feff}');
    if text.len() as u64 > LONGEST {
        return Err(too_long());
    }
    if text.trim().is_empty() {
        // Most likely somebody is just writing it.
        return Err("the file is empty; write [] for no endpoint".to_owned());
    }
    if is_too_deep(text) {
        return Err("not a list of endpoints: brackets lie too deep within each other".to_owned());
    }
    // YAML holds all of JSON but tabs.
    let value = serde_yaml::from_str::<Value>(text);
    let value = value.or_else(|error| serde_json::from_str(text).map_err(|_| format!("not YAML or JSON: {error}")))?;
    let (place, entries) = entries(value)?;
    if entries.len() > MOST_ENTRIES {
        return Err(format!("{} endpoints; keep at most {MOST_ENTRIES}", entries.len()));
    }
    let entry = |(at, value)| entry(value).map_err(|(key, reason)| format!("{place}[{at}]{key}: {reason}"));
    entries.into_iter().enumerate().map(entry).collect()
}

/// Brackets in texts count too; those of addresses are closed again.
fn is_too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(str::bytes).any(|byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => (),
        }
        depth > DEEPEST
    })
}

/// The list, and what comes before the number of an entry in its name.
fn entries(value: Value) -> Result<(&'static str, Vec<Value>), String> {
    const WRONG: &str = "not a list of endpoints; write one, or endpoints: with one";
    let map = match value {
        Value::Sequence(entries) => return Ok(("", entries)),
        Value::Mapping(map) => map,
        _ => return Err(WRONG.to_owned()),
    };
    if let Some(key) = map.keys().find(|key| key.as_str() != Some("endpoints")) {
        return Err(format!("{}: unknown key; keep endpoints alone", key.as_str().unwrap_or("?")));
    }
    match map.into_iter().next() {
        Some((_, Value::Sequence(entries))) => Ok(("endpoints", entries)),
        Some(_) => Err("endpoints: not a list; write [] for no endpoint".to_owned()),
        None => Err(WRONG.to_owned()),
    }
}

/// One entry, or the key of it that is wrong and why.
fn entry(value: Value) -> Result<EndpointConfig, (String, String)> {
    if let Value::String(address) = value {
        return Ok(EndpointConfig::Address(address));
    }
    if !value.is_mapping() {
        let right = "an address such as http://member-service:8001, or { address: …, weight: … }";
        return Err((String::new(), format!("not an endpoint; write {right}")));
    }
    let wrong = |key: &str, reason: &str| (format!(".{key}"), format!("{reason}; write {}", right(key)));
    let endpoint: WeightedConfig = serde_path_to_error::deserialize(value).map_err(|error| {
        let key = error.path().to_string();
        match right(&key) {
            // Not of one key's value: a key too many, or one that is missing.
            "" => (String::new(), error.inner().to_string()),
            _ => wrong(&key, "does not fit here"),
        }
    })?;
    // As the schema of the configuration has it.
    if endpoint.weight.get() > 1_000 {
        return Err(wrong("weight", "out of range"));
    }
    if endpoint.priority > 100 {
        return Err(wrong("priority", "out of range"));
    }
    Ok(EndpointConfig::Weighted(endpoint))
}

/// What fits for a key of an entry.
fn right(key: &str) -> &'static str {
    match key {
        "address" => "an address such as http://member-service:8001",
        "weight" => "a whole number from 1 to 1000",
        "priority" => "a whole number from 0 to 100",
        "zone" => "a name",
        _ => "",
    }
}

fn too_long() -> String {
    format!("longer than {} MiB; keep fewer endpoints in it", LONGEST >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(endpoints: &[EndpointConfig]) -> String {
        let one = |endpoint: &EndpointConfig| match endpoint {
            EndpointConfig::Address(address) => address.clone(),
            EndpointConfig::Weighted(one) => {
                format!("{}*{}/{}{}", one.address, one.weight, one.priority, one.zone.as_deref().unwrap_or(""))
            }
        };
        endpoints.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_list_is_read_in_every_form() {
        for (text, wanted) in [
            ("- a:1\n- { address: \"b:2\", weight: 3 }\n", "a:1 b:2*3/0"),
            ("endpoints:\n  - a:1\n", "a:1"),
            ("[\"a:1\", {\"address\": \"b:2\", \"priority\": 100, \"zone\": \"eu\"}]", "a:1 b:2*1/100eu"),
            ("{\n\t\"endpoints\": [\n\t\t\"a:1\"\n\t]\n}\n", "a:1"),
            ("\u{feff}# a comment\n---\n- a:1\n", "a:1"),
            ("[]", ""),
            ("endpoints: []", ""),
        ] {
            assert_eq!(shown(&parse(text).unwrap()), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, wanted) in [
            ("", "the file is empty; write [] for no endpoint"),
            ("  \n", "the file is empty; write [] for no endpoint"),
            ("- a:1\n- [b\n", "not YAML or JSON: did not find expected ',' or ']' at line 3 column 1"),
            ("a:1", "not a list of endpoints; write one, or endpoints: with one"),
            ("{}", "not a list of endpoints; write one, or endpoints: with one"),
            ("endpoints: a:1", "endpoints: not a list; write [] for no endpoint"),
            ("endpoints: []\nservice: x\n", "service: unknown key; keep endpoints alone"),
            ("endpoints: []\nendpoints: []\n", "not YAML or JSON: duplicate entry with key \"endpoints\""),
            ("[a, 7]", "[1]: not an endpoint; write an address such as http://member-service:8001, or { address: …"),
            ("[{ weight: 2 }]", "[0]: missing field `address`"),
            ("[{ address: 7 }]", "[0].address: does not fit here; write an address such as http://member-service:8001"),
            ("[{ address: a, weight: 0 }]", "[0].weight: does not fit here; write a whole number from 1 to 1000"),
            ("[{ address: a, weight: 1.5 }]", "[0].weight: does not fit here; write a whole number from 1 to 1000"),
            ("[{ address: a, weight: 1001 }]", "[0].weight: out of range; write a whole number from 1 to 1000"),
            ("endpoints: [a, b, { address: a, priority: 101 }]", "endpoints[2].priority: out of range; write a whole"),
            ("[{ address: a, priority: -1 }]", "[0].priority: does not fit here; write a whole number from 0 to 100"),
            ("[{ address: a, wieght: 2 }]", "[0]: unknown field `wieght`, expected one of `address`, `weight`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn the_size_of_a_file_is_bounded() {
        assert_eq!(parse(&"- a:1\n".repeat(MOST_ENTRIES)).unwrap().len(), MOST_ENTRIES);
        assert_eq!(parse(&"- a:1\n".repeat(10_001)).unwrap_err(), "10001 endpoints; keep at most 10000");
        let long = format!("# {}\n[]", "x".repeat(4 << 20));
        assert_eq!(parse(&long).unwrap_err(), "longer than 4 MiB; keep fewer endpoints in it");
        // Each line repeats the ones above: a few of them would be millions of entries.
        let line = |at: usize| format!("- &a{at} [{}]\n", format!("*a{}, ", at - 1).repeat(10));
        let bomb: String = std::iter::once("- &a0 [a]\n".to_owned()).chain((1..20).map(line)).collect();
        assert!(parse(&bomb).unwrap_err().starts_with("not YAML or JSON: "), "repetition is bounded");
        for bracket in ["[", "{a: ", "- ["] {
            let error = parse(&bracket.repeat(100_000)).unwrap_err();
            assert!(error.ends_with("brackets lie too deep within each other"), "{bracket}: {error}");
        }
        assert!(parse(&"- ".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_ends_in_a_panic(text in "[-\\[\\]{}a:,1 \n\t\"&*!#|>%@]{0,60}") {
            _ = parse(&text);
        }
    }
}
