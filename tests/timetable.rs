//! The one timetable of docs/operations.md: the numbers of code, unit, chart, task definition and compose file fit.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by panicking"
)]

use edgeway::{
    config::{Config, DrainConfig},
    types::Span,
};
use serde_json::Value;
use std::{fs, path::Path, time::Duration};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The idle time of an AWS ALB, which everything follows from.
const BALANCER_IDLE: Duration = seconds(60);
/// How often a balancer asks for health, and after how many bad answers it looks elsewhere, as docs/operations.md says.
const HEALTH_INTERVAL: Duration = seconds(5);
const UNHEALTHY_AFTER: u32 = 2;
/// The shortest keep-alive of the usual servers that keep connections: uvicorn, Node.
const SERVICE_KEEP_ALIVE: Duration = seconds(5);
/// After drain.pause and drain.deadline: for the last lines, and for a machine that is slow.
const LAST: Duration = seconds(10);
/// The longest stopTimeout on Fargate.
const LONGEST_ON_FARGATE: Duration = seconds(120);

/// Files that hold a part of the timetable and do not exist yet: take the line out when one does.
const NOT_YET: [&str; 3] = ["helm/edgeway/values.yaml", "deploy/ecs/task-definition.json", "compose.yaml"];

fn read(file: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).ok();
    assert!(text.is_some() || NOT_YET.contains(&file), "{file} is gone");
    text
}

fn configuration(file: &str) -> std::sync::Arc<Config> {
    let variables = |name: &str| (name == "JWT_SECRET_KEY").then(|| "timetable-0123456789-0123456789-01".to_owned());
    Config::parse(&read(file).unwrap(), file, &variables).unwrap_or_else(|errors| panic!("{errors}")).config
}

/// Each rule of the table, for one configuration and the shortest time after which something would kill it.
#[track_caller]
fn holds(config: &Config, kill_timer: Duration) {
    let DrainConfig { pause, deadline } = config.server.drain;
    let (pause, deadline) = (pause.get(), deadline.get());
    for listener in &config.listeners {
        assert!(listener.keepalive_timeout.get() >= BALANCER_IDLE + seconds(10), "keepalive_timeout");
    }
    for (name, service) in &config.services {
        assert!(service.idle_timeout.get() < SERVICE_KEEP_ALIVE, "idle_timeout of {name}");
    }
    assert!(pause >= HEALTH_INTERVAL * UNHEALTHY_AFTER + HEALTH_INTERVAL, "drain.pause {pause:?}");
    let of_services = config.services.values().map(|service| service.timeouts.request);
    let of_routes = config.routes.iter().map(|route| route.timeouts.request);
    let longest = of_services.chain(of_routes).chain([config.timeouts.request]).flatten().max();
    let longest = longest.unwrap_or(Span::seconds(30)).get();
    assert!(deadline >= longest + seconds(5), "drain.deadline {deadline:?}, requests {longest:?}");
    assert!(kill_timer >= pause + deadline + LAST, "{kill_timer:?} ends it before {pause:?} + {deadline:?} + {LAST:?}");
}

/// The value of a key in the unit.
fn of_unit<'t>(unit: &'t str, key: &str) -> Vec<&'t str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// Every value of `key`, at any depth.
fn all<'v>(value: &'v Value, key: &str) -> Vec<&'v Value> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(name, value)| (name == key).then_some(value).into_iter().chain(all(value, key)))
            .collect(),
        Value::Array(list) => list.iter().flat_map(|value| all(value, key)).collect(),
        _ => Vec::new(),
    }
}

/// Seconds, or a length of time as a configuration has it.
fn length(value: &Value) -> Duration {
    serde_json::from_value::<Span>(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}")).get()
}

fn unit_stops_after() -> Duration {
    let unit = read("deploy/systemd/edgeway.service").unwrap();
    let found = of_unit(&unit, "TimeoutStopSec");
    assert_eq!(found.len(), 1);
    seconds(found[0].parse().unwrap())
}

#[test]
fn the_defaults_fit_and_the_unit_waits_for_them() {
    holds(&configuration("conf/reference.yaml"), unit_stops_after());
    holds(&configuration("conf/edgeway.yaml"), unit_stops_after());
    holds(&Config::default(), unit_stops_after());
}

#[test]
fn a_number_that_does_not_fit_is_found() {
    let good = Config::default();
    let broken = |kill_timer: u64, change: &dyn Fn(&mut Config)| {
        let mut config = good.clone();
        change(&mut config);
        std::panic::catch_unwind(|| holds(&config, seconds(kill_timer))).is_err()
    };
    assert!(!broken(60, &|_| ()));
    assert!(broken(59, &|_| ()));
    assert!(broken(60, &|config| config.server.drain.pause = Span::seconds(14)));
    assert!(broken(99, &|config| config.server.drain.deadline = Span::seconds(34)));
    assert!(broken(60, &|config| config.timeouts.request = Some(Span::seconds(31))));
    assert!(broken(60, &|config| config.listeners[0].keepalive_timeout = Span::seconds(69)));
}

#[test]
fn the_task_definition_and_the_compose_file_wait_long_enough() {
    let drain = Config::default().server.drain;
    let needed = drain.pause.get() + drain.deadline.get() + LAST;
    for (file, key, most) in [
        ("deploy/ecs/task-definition.json", "stopTimeout", LONGEST_ON_FARGATE),
        ("compose.yaml", "stop_grace_period", Duration::MAX),
    ] {
        let Some(text) = read(file) else { continue };
        // JSON is YAML.
        let value: Value = serde_yaml::from_str(&text).unwrap();
        let found = all(&value, key);
        assert!(!found.is_empty(), "{file}: no {key}");
        for length in found.into_iter().map(length) {
            assert!((needed..=most).contains(&length), "{file}: {key} {length:?}, needed {needed:?}");
        }
    }
}

#[test]
fn the_chart_has_the_same_times() {
    let Some(text) = read("helm/edgeway/values.yaml") else { return };
    let values: Value = serde_yaml::from_str(&text).unwrap();
    let of_chart = |key: &str| length(&values["drain"][key]);
    let drain = Config::default().server.drain;
    assert_eq!((of_chart("pause"), of_chart("deadline")), (drain.pause.get(), drain.deadline.get()));
    let needed = drain.pause.get() + drain.deadline.get() + LAST;
    // Nothing: the chart computes it.
    for given in all(&values, "terminationGracePeriodSeconds").into_iter().filter(|value| !value.is_null()) {
        assert!(length(given) >= needed, "{given}");
    }
}

#[test]
fn the_table_of_the_documents_has_these_numbers() {
    let text = read("docs/operations.md").unwrap();
    let config = Config::default();
    let drain = config.server.drain;
    for row in [
        format!("| `keepalive_timeout` of a listener | {} |", config.listeners[0].keepalive_timeout),
        format!("| `server.drain.pause` | {} |", drain.pause),
        format!("| `server.drain.deadline` | {} |", drain.deadline),
        format!("| kill timer | {}s |", (drain.pause.get() + drain.deadline.get() + LAST).as_secs()),
    ] {
        assert!(text.contains(&row), "docs/operations.md lacks: {row}");
    }
}
