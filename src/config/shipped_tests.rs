//! The files in `conf/` and `.env.example` keep their word.

use super::{Config, Loaded, fit::resolve, tree::Tree};
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

const SECRET: (&str, &str) = ("JWT_SECRET_KEY", "unit-tests-0123456789-0123456789");

/// The least that the sections of the reference need: what they require and have no default for.
const LEAST: &str = "\
auth: { jwt: { algorithm: HS256, secret: \"${JWT_SECRET_KEY}\" } }
ext_auth: { example: { url: \"http://policy:9000/check\" } }
services: { example: { endpoints: [\"http://example:8080\"] } }
routes: [{ id: example, match: { path: /example/* }, service: example }]
";

/// Every variable that the gateway being replaced read, and those that came with this one.
const VARIABLES: &str = "APP_NAME VERSION DEBUG HOST PORT JWT_SECRET_KEY JWT_ALGORITHM JWT_EXPIRE_MINUTES REDIS_HOST \
    REDIS_PORT REDIS_DB REDIS_PASSWORD REDIS_MAX_CONNECTIONS AUTH_SERVICE_URL MEMBER_SERVICE_URL CUSTOMER_SERVICE_URL \
    CALENDAR_SERVICE_URL NOTICE_SERVICE_URL HONEYBOX_SERVICE_URL HEALTH_CHECK_INTERVAL HEALTH_CHECK_TIMEOUT \
    RATE_LIMIT_REQUESTS RATE_LIMIT_WINDOW REQUEST_TIMEOUT CONNECTION_TIMEOUT ENVIRONMENT HTTPX_POOL_CONNECTIONS \
    HTTPX_POOL_MAXSIZE HTTPX_TIMEOUT UVICORN_WORKERS REDIS_RETRY_ON_TIMEOUT JWT_PUBLIC_KEY_FILE RATE_LIMIT_MODE \
    RATE_LIMIT_ON_REDIS_FAILURE TRUSTED_PROXIES CORS_ALLOW_ORIGINS JWT_LEEWAY ADMIN_ADDRESS ADMIN_TOKEN RUN_DIR THREADS \
    LOG_LEVEL";

fn shipped(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn parse(text: &str, variables: &[(&str, &str)]) -> Loaded {
    let set = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Config::parse(text, "f.yaml", &set).unwrap_or_else(|errors| panic!("{errors}"))
}

fn json(loaded: &Loaded) -> Value {
    serde_json::to_value(&*loaded.config).unwrap()
}

/// `# key: value` becomes `key: value`, in place of a key of the same name that stood just there in its short form;
/// sentences stay comments.
fn with_commented_keys(text: &str) -> String {
    let uncomment = |line: &str| {
        let (indent, rest) = line.split_once("# ")?;
        let words = rest.trim_start().trim_start_matches("- ");
        let (key, _) = words.split_once(':')?;
        let is_key = indent.trim().is_empty()
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        is_key.then(|| format!("{indent}{rest}"))
    };
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let found = uncomment(line).unwrap_or_else(|| line.to_owned());
        if let Some(key) = found.strip_suffix(':')
            && let Some(short) = lines.iter().rposition(|known| !known.trim_start().starts_with('#'))
            && lines[short].strip_prefix(key).is_some_and(|rest| rest.starts_with(": "))
        {
            lines.remove(short);
        }
        lines.push(found + "\n");
    }
    lines.concat()
}

/// Keys that the schema has and `values` has not.
fn absent(schema: &Value, rule: &Value, values: &[&Value], path: &str, found: &mut Vec<String>) {
    let rule = resolve(schema, rule);
    for (key, below) in rule["properties"].as_object().into_iter().flatten() {
        let given: Vec<&Value> = values.iter().filter_map(|value| value.get(key)).collect();
        if given.is_empty() {
            found.push(format!("{path}{key}"));
        } else {
            absent(schema, below, &given, &format!("{path}{key}."), found);
        }
    }
    let entries: Vec<&Value> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
    absent_below(schema, &rule["items"], &entries, path, found);
    let named: Vec<&Value> =
        values.iter().filter_map(|value| value.as_object()).flatten().map(|(_, value)| value).collect();
    absent_below(schema, &rule["additionalProperties"], &named, path, found);
    for choice in ["anyOf", "oneOf"].iter().filter_map(|key| rule[key].as_array()).flatten() {
        absent(schema, choice, values, path, found);
    }
}

fn absent_below(schema: &Value, rule: &Value, values: &[&Value], path: &str, found: &mut Vec<String>) {
    if rule.is_object() {
        absent(schema, rule, values, path, found);
    }
}

#[test]
fn the_reference_shows_every_key() {
    let text = with_commented_keys(&shipped("conf/reference.yaml"));
    let tree = Tree::read(&text, "reference.yaml", &|_| Some("x".to_owned()), &HashMap::new());
    assert!(tree.errors.is_empty(), "{:?}", tree.errors);
    let (schema, mut found) = (Config::schema(), Vec::new());
    absent(&schema, &schema, &[&tree.value], "", &mut found);
    // Each is as `auth.jwt`, which is shown.
    found.retain(|key| !key.starts_with("auth.issuers."));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_reference_has_the_sections_in_the_order_of_the_code() {
    let schema = Config::schema();
    let wanted: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let text = shipped("conf/reference.yaml");
    let tops = text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
    let found: Vec<&str> = tops.map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(found, wanted);
}

/// Where the code has no word of its own, the one in the key's description counts.
fn differences(schema: &Value, rule: &Value, reference: &Value, default: &Value, path: &str, found: &mut Vec<String>) {
    let described = rule["description"].as_str().and_then(|text| text.rsplit_once("Default: ")).map(|(_, word)| word);
    match (reference, default) {
        (Value::Object(map), _) => {
            let rule = resolve(schema, rule);
            for (key, value) in map {
                let below = rule["properties"].get(key).unwrap_or(&rule["additionalProperties"]);
                differences(schema, below, value, &default[key], &format!("{path}.{key}"), found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                let items = &resolve(schema, rule)["items"];
                differences(schema, items, one, other, &format!("{path}[{index}]"), found);
            }
        }
        (same, other) if same == other => (),
        (said, Value::Null) => {
            let words = match said {
                Value::String(text) => text.clone(),
                Value::Array(list) => list.iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(", "),
                other => other.to_string(),
            };
            if described != Some(&format!("{words}.")) {
                found.push(format!("{path}: {said} in the reference, {described:?} in the schema"));
            }
        }
        (said, right) => found.push(format!("{path}: {said} in the reference, {right} in the code")),
    }
}

#[test]
fn the_reference_equals_the_defaults_of_the_code() {
    let reference = json(&parse(&shipped("conf/reference.yaml"), &[SECRET]));
    let (schema, mut found) = (Config::schema(), Vec::new());
    differences(&schema, &schema, &reference, &json(&parse(LEAST, &[SECRET])), "", &mut found);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_described_timeouts_are_those_of_the_code() {
    use crate::resilience::{Timeouts, TimeoutsConfig};
    let reference = parse(&shipped("conf/reference.yaml"), &[SECRET]).config.timeouts;
    let nothing = TimeoutsConfig::default();
    let resolve = |general: &TimeoutsConfig| Timeouts::resolve(general, &nothing, &nothing);
    assert_eq!(resolve(&reference), resolve(&nothing));
}

#[test]
fn every_variable_of_the_replaced_gateway_is_read_and_explained() {
    let (file, example) = (shipped("conf/edgeway.yaml"), shipped(".env.example"));
    for name in VARIABLES.split_whitespace() {
        assert!(file.contains(&format!("${{{name}:-")), "conf/edgeway.yaml does not read {name}");
        assert!(example.lines().any(|line| line.starts_with(&format!("{name}="))), ".env.example has no {name}");
    }
    let read: BTreeSet<&str> =
        file.split("${").skip(2).filter_map(|rest| rest.split_once(":-")).map(|(name, _)| name).collect();
    let known: BTreeSet<&str> = VARIABLES.split_whitespace().collect();
    assert_eq!(read.difference(&known).filter(|name| **name != "NAME").collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn the_example_of_variables_says_the_defaults() {
    let example = shipped(".env.example");
    let lines = dotenvy::from_read_iter(example.as_bytes()).map(Result::unwrap).collect::<Vec<_>>();
    let variables: Vec<(&str, &str)> = lines
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| *name != SECRET.0)
        .collect();
    let of = |variables: &[(&str, &str)]| {
        let set: Vec<_> = variables.iter().copied().chain([SECRET]).collect();
        json(&parse(&shipped("conf/edgeway.yaml"), &set))
    };
    assert_eq!(of(&variables), of(&[]));
}

#[test]
fn without_a_secret_the_shipped_file_names_variable_and_place() {
    let text = shipped("conf/edgeway.yaml");
    let line = text.lines().position(|line| line.contains("${JWT_SECRET_KEY:-}")).unwrap() + 1;
    let errors = Config::parse(&text, "f.yaml", &|_| None).unwrap_err();
    let said = format!("f.yaml:{line}:5: auth.jwt.secret: variable JWT_SECRET_KEY is not set; set it: HS256 needs it");
    assert_eq!(errors.to_string(), said);
}

#[test]
fn with_a_secret_alone_nothing_is_warned_about() {
    for name in ["conf/edgeway.yaml", "conf/minimal.yaml", "conf/reference.yaml"] {
        assert_eq!(parse(&shipped(name), &[SECRET]).warnings, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn older_names_of_variables_count_where_the_newer_are_not_set() {
    let seconds = |variables: &[(&str, &str)]| {
        let set: Vec<_> = variables.iter().copied().chain([SECRET]).collect();
        parse(&shipped("conf/edgeway.yaml"), &set).config.timeouts.request.unwrap().get().as_secs()
    };
    assert_eq!(seconds(&[]), 30);
    assert_eq!(seconds(&[("HTTPX_TIMEOUT", "7")]), 7);
    assert_eq!(seconds(&[("HTTPX_TIMEOUT", "7"), ("REQUEST_TIMEOUT", "")]), 7);
    assert_eq!(seconds(&[("HTTPX_TIMEOUT", "7"), ("REQUEST_TIMEOUT", "8")]), 8);
}
