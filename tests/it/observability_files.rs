//! conf/observability: rules, dashboard and provisioning, held against what the gateway exports and what their readers need.

use super::support::promtool;
use edgeway::observability::metrics::{Kind, names};
use regex::Regex;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

const FOLDER: &str = "conf/observability";

/// Words of PromQL that stand where a metric could.
const WORDS: &[&str] = &["and", "or", "unless", "bool", "offset"];

/// What others export: Prometheus about each target, cAdvisor about containers.
const FOREIGN: &[&str] = &["up", "container_cpu_cfs_periods_total", "container_cpu_cfs_throttled_periods_total"];

/// Labels that Prometheus adds to all of them.
const ADDED: &[&str] = &["job", "instance", "le"];

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn yaml(name: &str) -> Value {
    serde_yaml::from_str(&read(&format!("{FOLDER}/{name}"))).unwrap()
}

/// Every rule of rules/edgeway.yml.
fn rules() -> Vec<Value> {
    let file = yaml("rules/edgeway.yml");
    let groups = file["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key}: {value}"))
}

pub fn dashboard() -> Value {
    serde_json::from_str(&read(&format!("{FOLDER}/grafana/edgeway.json"))).unwrap()
}

/// Every query of the dashboard, with its variables filled in as Grafana does it for "All".
pub fn queries() -> Vec<(String, String)> {
    let filled = |expr: &str| {
        let all = Regex::new(r"\$(job|instance|route|service)\b").unwrap();
        all.replace_all(&expr.replace("$__rate_interval", "1m"), ".*").into_owned()
    };
    let dashboard = dashboard();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().into_iter().flatten();
        found.extend(targets.map(|target| (text(panel, "title").to_owned(), filled(text(target, "expr")))));
    }
    let notes = dashboard["annotations"]["list"].as_array().unwrap();
    found.extend(notes.iter().map(|note| (text(note, "name").to_owned(), filled(text(note, "expr")))));
    found
}

/// Every name that a query takes values from.
fn metrics_in(query: &str) -> BTreeSet<String> {
    let mut rest = query.to_owned();
    for aside in
        [r#""[^"]*""#, r"\{[^}]*\}", r"\[[^\]]*\]", r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)"]
    {
        rest = Regex::new(aside).unwrap().replace_all(&rest, " ").into_owned();
    }
    let name = Regex::new(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*\s*\(?").unwrap();
    let found = name.find_iter(&rest).map(|found| found.as_str().trim());
    found.filter(|name| !name.ends_with('(') && !WORDS.contains(name)).map(str::to_owned).collect()
}

/// Every label that a query selects by, with its metric.
fn labels_in(query: &str) -> Vec<(String, String)> {
    let selector = Regex::new(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}").unwrap();
    let label = Regex::new(r#"([a-z_]+)\s*(?:=~|!=|!~|=)\s*""#).unwrap();
    let mut found = Vec::new();
    for one in selector.captures_iter(query) {
        found.extend(label.captures_iter(&one[2]).map(|label| (one[1].to_owned(), label[1].to_owned())));
    }
    found
}

/// Every series that a scrape may hold, with its labels.
fn exported() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut found = BTreeMap::new();
    for one in names::all() {
        let labels: BTreeSet<&str> = one.labels.iter().copied().collect();
        let series: &[&str] = if one.kind == Kind::Histogram { &["_bucket", "_count", "_sum"] } else { &[""] };
        found.extend(series.iter().map(|end| (format!("{}{end}", one.name), labels.clone())));
    }
    found
}

#[test]
fn a_query_is_taken_apart_as_it_is_meant() {
    let query =
        r#"sum by (job, le) (rate(a_bucket{x="up", job=~"$job"}[5m])) / on (job) c:d offset 5m and e > 14.4 * 0.001"#;
    assert_eq!(metrics_in(query), ["a_bucket", "c:d", "e"].map(str::to_owned).into());
    assert_eq!(labels_in(query), [("a_bucket", "x"), ("a_bucket", "job")].map(|(a, b)| (a.to_owned(), b.to_owned())));
}

#[test]
fn rules_and_dashboard_ask_for_nothing_that_is_not_exported() {
    let (exported, rules) = (exported(), rules());
    let recorded: BTreeSet<&str> = rules.iter().filter_map(|rule| rule["record"].as_str()).collect();
    let mut all: Vec<(String, String)> = queries();
    all.extend(rules.iter().map(|rule| {
        let name = rule["alert"].as_str().or(rule["record"].as_str()).unwrap();
        (name.to_owned(), text(rule, "expr").to_owned())
    }));
    assert!(all.len() > 90, "only {} queries were found", all.len());
    let mut wrong = Vec::new();
    for (place, query) in &all {
        for name in metrics_in(query) {
            if !exported.contains_key(&name) && !recorded.contains(&*name) && !FOREIGN.contains(&&*name) {
                wrong.push(format!("{place}: no metric {name}"));
            }
        }
        for (name, label) in labels_in(query) {
            let known = |labels: &BTreeSet<&str>| labels.contains(&*label) || ADDED.contains(&&*label);
            if exported.get(&name).is_some_and(|labels| !known(labels)) {
                wrong.push(format!("{place}: {name} has no label {label}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// As renderers of Markdown make links of headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let slug = |heading: &str| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect::<String>()
    };
    page.lines().filter(|line| line.starts_with('#')).map(|line| slug(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn every_alert_says_what_is_wrong_and_where_to_read_what_to_do() {
    let anchors = anchors(&read("docs/runbook.md"));
    let alerts: Vec<Value> = rules().into_iter().filter(|rule| rule["alert"].is_string()).collect();
    assert!(alerts.len() > 20, "{}", alerts.len());
    for alert in &alerts {
        let (name, notes) = (text(alert, "alert"), &alert["annotations"]);
        assert!(["page", "ticket"].contains(&text(&alert["labels"], "severity")), "{name}");
        assert!(!text(notes, "summary").is_empty() && !text(notes, "description").is_empty(), "{name}");
        let anchor = text(notes, "runbook_url").strip_prefix("docs/runbook.md#");
        let anchor = anchor.unwrap_or_else(|| panic!("{name}: its runbook_url is elsewhere"));
        assert!(anchors.contains(anchor), "{name}: docs/runbook.md has no heading {anchor}");
    }
    // And no heading of an alert that is gone.
    let page = read("docs/runbook.md");
    let told: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let known: BTreeSet<&str> = alerts.iter().map(|alert| text(alert, "alert")).collect();
    assert_eq!(told.into_iter().filter(|heading| heading.starts_with("Edgeway")).collect::<BTreeSet<_>>(), known);
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let cases = yaml("rules/edgeway_test.yml");
    let mut fired = BTreeSet::new();
    let mut silent = 0;
    let name = Regex::new(r#"alertname="(\w+)""#).unwrap();
    for case in cases["tests"].as_array().unwrap() {
        for check in case["promql_expr_test"].as_array().into_iter().flatten() {
            let samples = check["exp_samples"].as_array().unwrap();
            silent += usize::from(samples.is_empty());
            fired.extend(samples.iter().map(|sample| name.captures(text(sample, "labels")).unwrap()[1].to_owned()));
        }
    }
    let known: BTreeSet<String> = rules().iter().filter_map(|rule| Some(rule["alert"].as_str()?.to_owned())).collect();
    assert_eq!(fired, known);
    assert!(silent >= known.len(), "{silent} moments without an alert");
}

#[test]
fn promtool_is_content_with_rules_their_tests_and_the_configuration() {
    for arguments in [
        &["check", "rules", "--lint=all", "--lint-fatal", "conf/observability/rules/edgeway.yml"][..],
        &["check", "config", "--lint=all", "--lint-fatal", "conf/observability/prometheus.yml"],
        &["test", "rules", "conf/observability/rules/edgeway_test.yml"],
    ] {
        let said = promtool(arguments, "").unwrap_or_else(|said| panic!("promtool {arguments:?}\n{said}"));
        assert!(said.contains("SUCCESS"), "promtool {arguments:?}\n{said}");
    }
}

#[test]
fn every_query_of_the_dashboard_is_promql() {
    let rule = |(number, (_, query)): (usize, &(String, String))| serde_json::json!({ "record": format!("query:{number}"), "expr": query });
    let queries = queries();
    let rules: Vec<Value> = queries.iter().enumerate().map(rule).collect();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("queries.yml");
    let check = |rules: &[Value]| {
        let whole = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
        fs::write(&file, serde_yaml::to_string(&whole).unwrap()).unwrap();
        promtool(&["check", "rules", file.to_str().unwrap()], "")
    };
    check(&rules).unwrap_or_else(|said| panic!("{said}"));
    // It would have been told.
    assert!(check(&[serde_json::json!({ "record": "broken", "expr": "sum(" })]).is_err());
}

#[test]
fn the_dashboard_fits_into_any_grafana() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 36), "{}", dashboard["schemaVersion"]);
    assert!(dashboard["__inputs"].is_array() && dashboard["id"].is_null());
    let source = &dashboard["templating"]["list"][0];
    assert_eq!((text(source, "name"), text(source, "type")), ("datasource", "datasource"));
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels {
        assert!(panel["id"].is_null(), "{panel}");
        for target in panel["targets"].as_array().into_iter().flatten().chain([panel]) {
            assert!(panel["type"] == "row" || target["datasource"]["uid"] == "${datasource}", "{panel}");
        }
    }
    // One beside the other, and none upon another.
    let place = |panel: &Value| ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
    for (number, one) in panels.iter().enumerate() {
        let [x, y, w, h] = place(one);
        assert!(x + w <= 24, "{one}");
        for other in &panels[number + 1..] {
            let [left, top, wide, high] = place(other);
            let apart = x + w <= left || left + wide <= x || y + h <= top || top + high <= y;
            assert!(apart, "{} lies upon {}", text(one, "title"), text(other, "title"));
        }
    }
}

#[test]
fn provisioning_names_the_source_and_a_folder() {
    let source = &yaml("grafana/provisioning/datasources/prometheus.yml")["datasources"][0];
    assert_eq!((text(source, "type"), text(source, "url")), ("prometheus", "http://prometheus:9090"));
    let interval = &yaml("prometheus.yml")["global"]["scrape_interval"];
    assert_eq!(&source["jsonData"]["timeInterval"], interval);
    let provider = &yaml("grafana/provisioning/dashboards/edgeway.yml")["providers"][0];
    assert_eq!(text(&provider["options"], "path"), "/var/lib/grafana/dashboards");
}

/// The codes of docs/errors.md whose status is 500 or above; that page is held against the code by another test.
fn faults() -> BTreeSet<String> {
    let row = Regex::new(r"(?m)^\| `(\w+)` \| 5\d\d \|").unwrap();
    row.captures_iter(&read("docs/errors.md")).map(|row| row[1].to_owned()).collect()
}

#[test]
fn the_objective_counts_every_refusal_of_500_and_above_and_no_other() {
    let list = Regex::new(r#"edgeway_rejections_total\{[^}]*code=~"([^"]+)"\}"#).unwrap();
    let faults = faults();
    assert!(faults.len() > 10, "{faults:?}");
    let mut windows = BTreeSet::new();
    let objective = rules().into_iter().filter(|rule| rule["record"].is_string());
    for rule in objective {
        let query = text(&rule, "expr");
        let codes: BTreeSet<String> = list.captures(query).unwrap()[1].split('|').map(str::to_owned).collect();
        assert_eq!(codes, faults, "{rule}");
        let window = text(&rule, "record").strip_prefix("job:edgeway_errors:ratio_rate").unwrap().to_owned();
        assert_eq!(query.matches(&format!("[{window}]")).count(), 2, "{rule}");
        windows.insert(window);
    }
    assert_eq!(windows, ["5m", "30m", "1h", "6h", "3d"].map(str::to_owned).into());
    let mut stats = 0;
    for (title, query) in queries() {
        if let Some(codes) = list.captures(&query) {
            stats += 1;
            assert_eq!(codes[1].split('|').map(str::to_owned).collect::<BTreeSet<_>>(), faults, "{title}");
        }
    }
    assert_eq!(stats, 1);
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn every_file_of_the_folder_can_be_read_by_a_machine() {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER), &mut found);
    assert!(found.len() >= 6, "{found:?}");
    for path in found {
        let content = fs::read_to_string(&path).unwrap();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => drop(serde_json::from_str::<Value>(&content).unwrap()),
            Some("yml") => drop(serde_yaml::from_str::<Value>(&content).unwrap()),
            _ => panic!("{}: what is this?", path.display()),
        }
    }
}
