use super::*;
use http::HeaderMap;
use serde_json::json;

fn limits(general: serde_json::Value) -> (LimitsConfig, Counters) {
    (serde_json::from_value(general).unwrap(), Counters::new(1_024))
}

#[test]
fn a_claim_of_nothing_lets_nothing_pass_by_any_algorithm() {
    for algorithm in ["sliding_window", "gcra"] {
        let (general, counters) = limits(json!({}));
        let own = json!({ "requests": 5, "requests_claim": "none", "algorithm": algorithm });
        let limit = Limit::build("l", &serde_json::from_value(own).unwrap(), &general, &counters).unwrap();
        let decision = ask(&limit, &counters, "a");
        assert_eq!((decision.limit, decision.retry), (0, Some(limit.window())));
    }
}

fn ask(limit: &Limit, counters: &Counters, consumer: &str) -> Decision {
    let headers = HeaderMap::new();
    let number = |claim: &str| match claim {
        "quota" => Some(3),
        "none" => Some(0),
        _ => None,
    };
    let asker = Asker {
        client: [192, 0, 2, 1].into(),
        consumer: Some(consumer),
        refused: false,
        headers: &headers,
        route: "r",
        number: &number,
    };
    let store = Store::build(&crate::store::RedisConfig::default()).unwrap();
    let mut answer = Box::pin(limit.admit(&asker, counters, &store));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match answer.as_mut().poll(&mut context) {
        std::task::Poll::Ready(decision) => decision.unwrap().unwrap(),
        std::task::Poll::Pending => panic!("a local limit waits for nobody"),
    }
}

fn passed(limit: &Limit, counters: &Counters, consumer: &str, tries: usize) -> usize {
    (0..tries).filter(|_| ask(limit, counters, consumer).retry.is_none()).count()
}

#[test]
fn exactly_the_limit_passes_and_others_are_not_touched() {
    let (config, counters) = limits(json!({ "requests": 100, "window": "31d" }));
    let limit = Limit::general(&config, &counters).unwrap().unwrap();
    assert_eq!(passed(&limit, &counters, "a", 250), 100);
    assert_eq!(passed(&limit, &counters, "b", 40), 40);
    let refused = ask(&limit, &counters, "a");
    assert!(refused.remaining == 0 && refused.retry.unwrap() > Duration::from_secs(60));
}

#[test]
fn a_small_limit_is_exact_from_its_first_request_on() {
    for requests in [1, 2, 3] {
        let (config, counters) = limits(json!({ "requests": requests, "window": "31d" }));
        let limit = Limit::general(&config, &counters).unwrap().unwrap();
        assert_eq!(passed(&limit, &counters, "a", 20), requests);
    }
}

#[test]
fn nobody_is_refused_for_what_others_did() {
    let (config, _) = limits(json!({ "requests": 100, "window": "31d" }));
    // Far more callers than are expected: the sketch counts too much for many of them.
    let counters = Counters::new(16_384);
    let limit = Limit::general(&config, &counters).unwrap().unwrap();
    let refused = (0..200_000).filter(|number| ask(&limit, &counters, &number.to_string()).retry.is_some()).count();
    assert_eq!(refused, 0);
}

#[test]
fn a_reload_that_changes_the_number_keeps_the_count() {
    let (config, counters) = limits(json!({ "requests": 10, "window": "31d" }));
    let before = Limit::general(&config, &counters).unwrap().unwrap();
    assert_eq!(passed(&before, &counters, "a", 8), 8);
    let (config, _) = limits(json!({ "requests": 12, "window": "31d" }));
    let after = Limit::general(&config, &counters).unwrap().unwrap();
    assert_eq!(passed(&after, &counters, "a", 20), 4);
}

#[test]
fn gcra_lets_a_burst_pass() {
    let (config, counters) = limits(json!({ "requests": 60, "window": "31d", "algorithm": "gcra", "burst": 7 }));
    let limit = Limit::general(&config, &counters).unwrap().unwrap();
    assert_eq!(passed(&limit, &counters, "a", 50), 7);
}

#[test]
fn a_claim_may_set_the_quota() {
    let (config, counters) = limits(json!({}));
    let own = serde_json::from_value(json!({ "requests": 10, "requests_claim": "quota", "window": "31d" })).unwrap();
    let limit = Limit::build("r", &own, &config, &counters).unwrap();
    assert_eq!(passed(&limit, &counters, "a", 20), 3);
    assert!(limit.needs_consumer());
    assert_eq!(limit.policy(3), "\"r\";q=3;w=2678400");
}

#[test]
fn a_full_table_leaves_the_decision_to_the_sketch() {
    let (config, _) = limits(json!({ "requests": 2, "window": "31d" }));
    let counters = Counters::new(64);
    let limit = Limit::general(&config, &counters).unwrap().unwrap();
    (0..5_000).for_each(|number| _ = ask(&limit, &counters, &number.to_string()));
    let (near, _) = counters.sizes();
    assert!(near <= 64, "{near}");
    let (config, _) = limits(json!({ "requests": 1000, "window": "31d" }));
    let generous = Limit::general(&config, &counters).unwrap().unwrap();
    assert!(passed(&generous, &counters, "late", 5_000) <= 1_000);
}

#[test]
fn what_a_limit_cannot_be_is_named_by_its_key() {
    let (config, counters) = limits(json!({}));
    for (own, key) in [
        (json!({ "requests": 1, "window": "500ms" }), "window"),
        (json!({ "requests": 1, "window": "32d" }), "window"),
        (json!({ "requests": 1, "name": "a b" }), "name"),
        (json!({ "requests": 1, "key": [] }), "key"),
    ] {
        let own = serde_json::from_value(own).unwrap();
        assert_eq!(Limit::build("r", &own, &config, &counters).map(|_| ()).unwrap_err().key, key);
    }
}
