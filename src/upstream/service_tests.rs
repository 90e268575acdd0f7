use super::*;
use serde_json::{Value, json};
use std::time::Instant;

fn service(states: &States, endpoints: &Value) -> Service {
    let config = json!({ "endpoints": endpoints, "health": { "unhealthy_after": 1 } });
    Service::build("s".into(), &serde_json::from_value(config).unwrap(), &HealthConfig::default(), states).unwrap()
}

fn picks(service: &Service, count: usize, tried: &Tried) -> Vec<String> {
    (0..count).filter_map(|_| service.pick(tried).ok()).map(|attempt| attempt.address_text().to_owned()).collect()
}

fn ill(service: &Service, index: usize) {
    let members = service.members();
    members.endpoints[index].state.health.probed(Err("connect"), service.probe.thresholds, Instant::now());
}

#[test]
fn weights_are_spread_evenly_over_a_cycle() {
    let service =
        service(&States::default(), &json!([{ "address": "10.0.0.1:1", "weight": 4 }, "10.0.0.2:1", "10.0.0.3:1"]));
    let mut cycle = picks(&service, 12, &Tried::default());
    assert!(!cycle.windows(4).any(|four| four.iter().all(|one| *one == four[0])), "{cycle:?}");
    cycle.sort();
    assert_eq!(cycle.iter().filter(|one| **one == "10.0.0.1:1").count(), 8);
}

#[test]
fn what_was_tried_is_not_picked_again() {
    let service = service(&States::default(), &json!(["10.0.0.1:1", "10.0.0.2:1"]));
    let mut tried = Tried::default();
    let first = service.pick(&tried).unwrap();
    tried.add(&first);
    assert!(service.has_other(&tried));
    assert!(picks(&service, 3, &tried).iter().all(|one| one != first.address_text()));
    tried.add(&service.pick(&tried).unwrap());
    assert_eq!(service.pick(&tried).unwrap_err(), NoEndpoint);
    assert!(!service.has_other(&tried));
}

#[test]
fn the_ill_are_left_alone_while_somebody_is_well() {
    let states = States::default();
    let service = service(&states, &json!(["10.0.0.1:1", "10.0.0.2:1"]));
    ill(&service, 0);
    assert_eq!(picks(&service, 2, &Tried::default()), ["10.0.0.2:1", "10.0.0.2:1"]);
    ill(&service, 1);
    assert_eq!(picks(&service, 4, &Tried::default()).len(), 4, "probes may be wrong: better to ask than to refuse");
    assert_eq!(
        service.health(),
        ServiceHealth { status: Health::Unhealthy, response_time: None, error: Some("connect") }
    );
}

#[test]
fn a_reload_changes_settings_and_keeps_what_is_known() {
    let states = States::default();
    let before = service(&states, &json!(["10.0.0.1:1", "10.0.0.2:1"]));
    ill(&before, 0);
    let after = service(&states, &json!([{ "address": "10.0.0.1:1", "weight": 9 }, "10.0.0.2:1", "10.0.0.3:1"]));
    assert!(!picks(&after, 11, &Tried::default()).contains(&"10.0.0.1:1".to_owned()));
    drop((before, after));
    states.forget_unused(&[]);
    let later = service(&states, &json!(["10.0.0.1:1"]));
    assert_eq!(later.health().status, Health::Unknown, "what nobody names is forgotten");
}

#[test]
fn a_name_has_the_addresses_of_its_last_good_answer() {
    let states = States::default();
    let service = service(&states, &json!(["http://members:8001"]));
    let name = service.names().next().unwrap().clone();
    assert_eq!((service.pick(&Tried::default()).err(), service.health().status), (Some(NoEndpoint), Health::Unknown));
    states.answered(name.clone(), None);
    service.refresh(&states);
    assert_eq!(service.health().error, Some("resolve"));
    states.answered(name.clone(), Some(vec!["10.0.0.1:8001".parse().unwrap()]));
    service.refresh(&states);
    states.answered(name.clone(), None);
    service.refresh(&states);
    assert_eq!(picks(&service, 1, &Tried::default()), ["10.0.0.1:8001"], "a failure keeps it");
    states.answered(name, Some(vec!["10.0.0.2:8001".parse().unwrap()]));
    service.refresh(&states);
    assert_eq!(picks(&service, 1, &Tried::default()), ["10.0.0.2:8001"], "a new answer replaces it at once");
    assert_eq!(service.pick(&Tried::default()).unwrap().host_header().unwrap(), "members:8001");
}

#[test]
fn every_wrong_address_is_named_with_its_place() {
    let config = json!({ "endpoints": ["a", "10.0.0.1:1", { "address": "ftp://b:1" }], "health": { "path": "x" } });
    let built = Service::build(
        "s".into(),
        &serde_json::from_value(config).unwrap(),
        &HealthConfig::default(),
        &States::default(),
    );
    let places: Vec<String> = built.unwrap_err().into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(places, ["/endpoints/0", "/endpoints/2/address", "/health/path"]);
}
