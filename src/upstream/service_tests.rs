use super::*;
use crate::upstream::{
    Attempt, Caller, NoEndpoint, Tried,
    resolver::{Answer, Record},
};
use http::HeaderMap;
use serde_json::{Value, json};
use std::sync::{LazyLock, atomic::AtomicU32};

const NOTHING: HealthConfig = HealthConfig {
    probe: None,
    path: None,
    expect: None,
    contains: None,
    interval: None,
    timeout: None,
    healthy_after: None,
    unhealthy_after: None,
};

fn built(states: &States, config: Value, zone: Option<&str>) -> Result<Service, Vec<(String, String)>> {
    let common = Common { health: &NOTHING, zone };
    Service::build("s".into(), &serde_json::from_value(config).unwrap(), common, states)
}

fn service(states: &States, endpoints: &Value) -> Service {
    built(states, json!({ "endpoints": endpoints, "health": { "unhealthy_after": 1 } }), None).unwrap()
}

fn pick(service: &Service, tried: &Tried) -> Result<Attempt, NoEndpoint> {
    static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    let caller = Caller { address: [192, 0, 2, 1].into(), consumer: None, path: "/", headers: &NO_HEADERS };
    service.look_again();
    service.pick(tried, &caller, service.clock.now())
}

fn picks(service: &Service, count: usize, tried: &Tried) -> Vec<String> {
    (0..count).filter_map(|_| pick(service, tried).ok()).map(|attempt| attempt.address_text().to_owned()).collect()
}

fn found(address: &str) -> Answer {
    let record = Record { address: address.parse().unwrap(), port: None, weight: 1, priority: 0 };
    Answer::Found { records: vec![record], ttl: Duration::from_secs(60) }
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
    let first = pick(&service, &tried).unwrap();
    tried.add(&first);
    assert!(service.has_other(&tried));
    assert!(picks(&service, 3, &tried).iter().all(|one| one != first.address_text()));
    tried.add(&pick(&service, &tried).unwrap());
    assert_eq!(pick(&service, &tried).unwrap_err(), NoEndpoint::Left);
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
    states.forget_unused();
    let later = service(&states, &json!(["10.0.0.1:1"]));
    assert_eq!(later.health().status, Health::Unknown, "what nobody names is forgotten");
}

#[test]
fn a_name_has_the_addresses_of_its_last_good_answer() {
    let states = States::default();
    let service = service(&states, &json!(["http://members:8001"]));
    let name = service.names().pop().unwrap();
    let answered = |answer| states.names.answered(&name, answer, service.clock.now());
    assert_eq!(
        (pick(&service, &Tried::default()).err(), service.health().status),
        (Some(NoEndpoint::Left), Health::Unknown)
    );
    answered(Answer::Failed("timeout".to_owned()));
    service.refresh(&states);
    assert_eq!(service.health().error, Some("resolve"));
    answered(found("10.0.0.1"));
    service.refresh(&states);
    answered(Answer::Failed("timeout".to_owned()));
    service.refresh(&states);
    assert_eq!(picks(&service, 1, &Tried::default()), ["10.0.0.1:8001"], "a failure keeps it");
    answered(found("10.0.0.2"));
    service.refresh(&states);
    assert_eq!(picks(&service, 1, &Tried::default()), ["10.0.0.2:8001"], "a new answer replaces it at once");
    assert_eq!(pick(&service, &Tried::default()).unwrap().host_header().unwrap(), "members:8001");
}

#[test]
fn every_wrong_address_is_named_with_its_place() {
    let config = json!({ "endpoints": ["a", "10.0.0.1:1", { "address": "ftp://b:1" }], "health": { "path": "x" } });
    let places: Vec<String> =
        built(&States::default(), config, None).unwrap_err().into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(places, ["/endpoints/0", "/endpoints/2/address", "/health/path"]);
}

#[test]
fn what_contradicts_itself_is_named_with_its_place() {
    for (section, place) in [
        (json!({ "breaker": { "open": "5s", "longest_open": "1s" } }), "/breaker/longest_open"),
        (json!({ "breaker": { "window": "2m" } }), "/breaker/window"),
        (json!({ "ejection": { "time": "10m" } }), "/ejection/longest"),
        (json!({ "concurrency": { "queue": {} } }), "/concurrency/queue"),
        (json!({ "concurrency": { "adaptive": { "least": 20, "most": 10 } } }), "/concurrency/adaptive/most"),
        (json!({ "retry": { "backoff": "1s" } }), "/retry/longest_backoff"),
        (json!({ "balancer": "consistent_hash", "hash_on": [] }), "/hash_on"),
        (json!({ "sticky": { "cookie": "a b", "secret": "x" } }), "/sticky/cookie"),
    ] {
        let mut config = section.clone();
        config["endpoints"] = json!(["10.0.0.1:1"]);
        let problems = built(&States::default(), config, None).unwrap_err();
        assert_eq!(problems.iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>(), [place], "{section}");
    }
}

#[test]
fn the_lowest_priority_with_somebody_well_is_asked() {
    let of = |address: &str, priority: u8| json!({ "address": address, "priority": priority });
    let service = service(&States::default(), &json!([of("10.0.0.1:1", 1), of("10.0.0.2:1", 1), of("10.0.0.3:1", 2)]));
    let asked = |tried: &Tried| picks(&service, 20, tried).into_iter().collect::<HashSet<_>>();
    assert_eq!(asked(&Tried::default()).len(), 2);
    ill(&service, 0);
    assert_eq!(asked(&Tried::default()), HashSet::from(["10.0.0.2:1".to_owned()]));
    let mut tried = Tried::default();
    tried.add(&pick(&service, &tried).unwrap());
    assert_eq!(
        asked(&tried),
        HashSet::from(["10.0.0.3:1".to_owned()]),
        "a retry goes to the stand-by before an ill one"
    );
    ill(&service, 1);
    assert_eq!(asked(&Tried::default()), HashSet::from(["10.0.0.3:1".to_owned()]));
    ill(&service, 2);
    assert_eq!(asked(&Tried::default()).len(), 3, "where nobody is well anybody is asked");
}

#[test]
fn the_own_zone_goes_first_while_half_of_it_is_well() {
    let of = |address: &str, zone: &str| json!({ "address": address, "zone": zone });
    let endpoints = json!([of("10.0.0.1:1", "a"), of("10.0.0.2:1", "a"), of("10.0.0.3:1", "a"), of("10.0.1.1:1", "b")]);
    let config = json!({ "endpoints": endpoints, "health": { "unhealthy_after": 1 } });
    let service = built(&States::default(), config.clone(), Some("a")).unwrap();
    let asked = || picks(&service, 40, &Tried::default()).into_iter().collect::<HashSet<_>>().len();
    assert_eq!(asked(), 3);
    ill(&service, 0);
    assert_eq!(asked(), 2);
    ill(&service, 1);
    assert_eq!(asked(), 2, "one of its own, and the other zone's");
    assert!(picks(&service, 40, &Tried::default()).contains(&"10.0.1.1:1".to_owned()));
    let elsewhere = built(&States::default(), config, Some("c")).unwrap();
    assert_eq!(picks(&elsewhere, 40, &Tried::default()).into_iter().collect::<HashSet<_>>().len(), 4);
}

#[test]
fn below_the_panic_threshold_the_ill_are_asked_too() {
    let config = json!({
        "endpoints": ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1"],
        "health": { "unhealthy_after": 1 }, "panic_threshold": "50%"
    });
    let service = built(&States::default(), config, None).unwrap();
    let asked = || picks(&service, 40, &Tried::default()).into_iter().collect::<HashSet<_>>().len();
    for (index, expected) in [(0, 3), (1, 2), (2, 4)] {
        ill(&service, index);
        assert_eq!(asked(), expected, "{index}");
    }
}

#[test]
fn a_cookie_keeps_a_caller_until_its_endpoint_is_ill() {
    let config = json!({
        "endpoints": ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"], "health": { "unhealthy_after": 1 },
        "sticky": { "cookie": "at", "secret": "a secret" }
    });
    let service = built(&States::default(), config, None).unwrap();
    let choose = |cookie: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.extend(cookie.map(|cookie| (http::header::COOKIE, cookie.parse().unwrap())));
        let caller = Caller { address: [192, 0, 2, 1].into(), consumer: None, path: "/", headers: &headers };
        service.look_again();
        let attempt = service.pick(&Tried::default(), &caller, service.clock.now()).unwrap();
        (attempt.address_text().to_owned(), attempt.ticket(&caller).map(|value| value.to_str().unwrap().to_owned()))
    };
    let (first, cookie) = choose(None);
    let cookie = cookie.unwrap().split(';').next().unwrap().to_owned();
    for _ in 0..6 {
        assert_eq!(choose(Some(&cookie)), (first.clone(), None), "known: no new cookie");
    }
    assert!(choose(Some("at=made-up")).1.is_some());
    let index = service.members().endpoints.iter().position(|endpoint| *endpoint.text == *first).unwrap();
    ill(&service, index);
    let (second, renewed) = choose(Some(&cookie));
    assert!(second != first && renewed.is_some_and(|renewed| !renewed.starts_with(&cookie)));
}

#[test]
fn a_limit_for_each_endpoint_sends_requests_elsewhere_and_then_away() {
    let config = json!({ "endpoints": ["10.0.0.1:1", "10.0.0.2:1"], "concurrency": { "per_endpoint": 1 } });
    let service = built(&States::default(), config, None).unwrap();
    let (one, other) = (pick(&service, &Tried::default()).unwrap(), pick(&service, &Tried::default()).unwrap());
    assert_ne!(one.address_text(), other.address_text());
    assert_eq!(pick(&service, &Tried::default()).unwrap_err(), NoEndpoint::Free);
    let freed = one.address_text().to_owned();
    drop(one);
    assert_eq!(pick(&service, &Tried::default()).unwrap().address_text(), freed);
}

#[test]
fn reloads_and_new_answers_change_nothing_that_was_learned_of_whoever_stays() {
    let states = States::default();
    let config = json!({
        "endpoints": ["10.0.0.1:1", "10.0.0.2:1", "http://members:8001"], "balancer": "ewma",
        "health": { "probe": "off" }, "ejection": { "after": 1, "time": "1h", "longest": "2h", "most": "100%" },
        "breaker": { "consecutive": 2, "open": "1h", "longest_open": "1h" },
    });
    let build = || built(&states, config.clone(), None).unwrap();
    let first = build();
    let name = first.names().pop().unwrap();
    let answer = |last: u8| {
        states.names.answered(&name, found(&format!("10.1.0.{last}")), first.clock.now());
    };
    answer(1);
    first.refresh(&states);
    // One in flight, one ejected, a breaker that is open, and a latency.
    let held = pick(&first, &Tried::default()).unwrap();
    let now = first.clock.now();
    for _ in 0..2 {
        let attempt = pick(&first, &Tried::default()).unwrap();
        first.header_came(&attempt, Duration::from_millis(70), now);
        let (leave, _) = first.leave(now).unwrap();
        first.ended(&attempt, leave, crate::upstream::Verdict::Failed, now);
    }
    let learned = |service: &Service| {
        let of =
            |one: crate::upstream::EndpointReport| (one.address, one.ejected_for.is_some(), one.in_flight, one.latency);
        let stay = |one: &crate::upstream::EndpointReport| one.address.to_string().starts_with("10.0.");
        service.report().into_iter().filter(stay).map(of).collect::<Vec<_>>()
    };
    let before = learned(&first);
    assert!(before.iter().any(|one| one.1) && before.iter().any(|one| one.3.is_some()), "{before:?}");
    // Requests come and go meanwhile, on the service that is current; none of them is in flight at the end.
    let (serves, done) = (parking_lot::Mutex::new(Arc::new(build())), AtomicBool::new(false));
    let requests = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let current = serves.lock().clone();
                    drop(pick(&current, &Tried::default()));
                    requests.fetch_add(1, Relaxed);
                }
            });
        }
        for turn in 0..100 {
            answer(turn + 2);
            let current = serves.lock().clone();
            current.refresh(&states);
            let found = format!("10.1.0.{}:8001", turn + 2);
            assert!(current.report().iter().any(|one| one.address.to_string() == found));
            *serves.lock() = Arc::new(build());
            states.forget_unused();
            assert!(serves.lock().leave(current.clock.now()).is_err(), "the breaker is open");
        }
        done.store(true, Relaxed);
    });
    assert!(requests.load(Relaxed) > 100);
    assert_eq!(learned(&serves.lock()), before);
    drop(held);
    assert!(learned(&serves.lock()).iter().all(|one| one.2 == Some(0)));
}
