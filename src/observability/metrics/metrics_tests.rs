use super::*;
use http::Method;
use std::{thread, time::Duration};

fn id(name: &str) -> RouteId {
    RouteId::from(name)
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|known| known == line), "no {line:?} in\n{text}");
}

#[test]
fn threads_and_reloads_count_into_one_sum() {
    let metrics = Metrics::new(["no_route", "rate_limited", "token_missing"]);
    let service = ServiceId::from("member");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // A new snapshot asks for the same route again.
                let route = metrics.route(&id("members"), Some(&service));
                for _ in 0..100 {
                    route.answered(&Method::GET, 200, Duration::from_micros(500));
                }
                route.answered(&Method::POST, 201, Duration::from_secs(61));
                metrics.refused(&route, "rate_limited");
            });
        }
    });
    metrics.no_route().answered(&Method::from_bytes(b"BREW").unwrap(), 404, Duration::from_millis(2));
    metrics.refused(metrics.no_route(), "no_route");
    let text = exposition(metrics.families());
    has(&text, r#"http_requests_total{method="GET",route="members",service="member",status="200"} 400"#);
    has(&text, r#"http_requests_total{method="POST",route="members",service="member",status="201"} 4"#);
    has(&text, r#"http_requests_total{method="OTHER",route="",service="",status="404"} 1"#);
    // A bound belongs to its bucket.
    has(
        &text,
        r#"http_request_duration_seconds_bucket{method="GET",route="members",service="member",le="0.0005"} 400"#,
    );
    has(&text, r#"http_request_duration_seconds_sum{method="GET",route="members",service="member"} 0.2"#);
    has(&text, r#"http_request_duration_seconds_bucket{method="POST",route="members",service="member",le="60"} 0"#);
    has(&text, r#"http_request_duration_seconds_bucket{method="POST",route="members",service="member",le="+Inf"} 4"#);
    has(&text, r#"http_request_duration_seconds_count{method="POST",route="members",service="member"} 4"#);
    has(&text, r#"rate_limit_exceeded_total{route="members"} 4"#);
    has(&text, r#"edgeway_rejections_total{code="rate_limited"} 4"#);
    has(&text, r#"edgeway_auth_failures_total{code="token_missing"} 0"#);
}

#[test]
fn attempts_are_counted_by_how_they_end() {
    let metrics = Metrics::new([]);
    let service = metrics.service(&ServiceId::from("s"));
    service.ended(Outcome::Died);
    service.retried();
    service.ended(Outcome::Answered);
    let text = exposition(metrics.families());
    has(&text, r#"edgeway_upstream_attempts_total{service="s",outcome="answered"} 1"#);
    has(&text, r#"edgeway_upstream_attempts_total{service="s",outcome="died"} 1"#);
    has(&text, r#"edgeway_upstream_attempts_total{service="s",outcome="timeout"} 0"#);
    has(&text, r#"edgeway_retries_total{service="s"} 1"#);
}

#[test]
fn a_route_that_changed_its_service_has_one_limit() {
    let metrics = Metrics::new(["rate_limited"]);
    for service in ["a", "b"] {
        let route = metrics.route(&id("r"), Some(&ServiceId::from(service)));
        metrics.refused(&route, "rate_limited");
        route.answered(&Method::GET, 429, Duration::ZERO);
    }
    let text = exposition(metrics.families());
    has(&text, r#"rate_limit_exceeded_total{route="r"} 2"#);
    has(&text, r#"http_requests_total{method="GET",route="r",service="b",status="429"} 1"#);
}

#[test]
fn only_above_a_bound_unnamed_routes_are_forgotten() {
    let metrics = Metrics::new([]);
    let named = metrics.route(&id("named"), None);
    named.answered(&Method::GET, 200, Duration::ZERO);
    metrics.route(&id("unnamed"), None).answered(&Method::GET, 200, Duration::ZERO);
    let routes = |metrics: &Metrics| metrics.routes.lock().len();
    metrics.forget_above(2);
    assert_eq!(routes(&metrics), 2);
    metrics.forget_above(1);
    assert_eq!(routes(&metrics), 1);
    assert!(Arc::ptr_eq(&named, &metrics.route(&id("named"), None)));
}

#[test]
fn every_name_is_used_once_and_follows_the_rules() {
    for (at, name) in names::all().enumerate() {
        assert!(names::all().skip(at + 1).all(|other| other.name != name.name), "{name:?} twice");
        assert_eq!(name.kind == Kind::Counter, name.name.ends_with("_total"), "{name:?}");
        assert!(name.help.ends_with('.') && !name.help.is_empty(), "{name:?}");
    }
    let sources = [
        include_str!("names/edge.rs"),
        include_str!("names/handoff.rs"),
        include_str!("names/identity.rs"),
        include_str!("names/process.rs"),
        include_str!("names/upstream.rs"),
    ];
    let written: usize = sources.iter().map(|source| source.matches("pub const ").count()).sum();
    assert_eq!(written, names::all().count(), "a name is missing in ALL");
}
