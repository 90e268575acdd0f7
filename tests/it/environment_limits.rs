//! Limits and Redis of the shipped `conf/edgeway.yaml`, driven by variables alone.

use super::support::{Gateway, Redis, SECRET, Upstream, bearer};
use std::path::Path;
use tempfile::TempDir;

fn start(variables: &[(&str, &str)]) -> Gateway {
    let own = [("JWT_SECRET_KEY", SECRET), ("HOST", "127.0.0.1"), ("PORT", "0")];
    let all: Vec<(&str, &str)> = own.iter().chain(variables).copied().collect();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/edgeway.yaml");
    Gateway::start_file(TempDir::new().unwrap(), &shipped, &all)
}

#[test]
fn the_limit_its_window_and_redis_are_taken_from_variables() {
    let redis = Redis::start();
    let (port, upstream) = (redis.port.to_string(), Upstream::echo());
    let url = upstream.url();
    let gateway = start(&[
        ("RATE_LIMIT_REQUESTS", "3"),
        ("RATE_LIMIT_WINDOW", "600"),
        ("REDIS_HOST", "127.0.0.1"),
        ("REDIS_PORT", &port),
        ("REDIS_DB", "2"),
        ("MEMBER_SERVICE_URL", &url),
    ]);
    let ask = || gateway.get("/api/members/1", &[&bearer("admin")]);
    let statuses: Vec<u16> = (0..4).map(|_| ask().status).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(ask().header("ratelimit-policy"), Some("\"default\";q=3;w=600"));
    let used: String = redis.ask(&["INFO", "keyspace"]);
    assert!(used.contains("db2:keys=1,") && !used.contains("db0:"), "{used}");
}

#[test]
fn limits_can_be_counted_without_redis_and_the_admin_listener_moved() {
    let upstream = Upstream::echo();
    let url = upstream.url();
    let gateway = start(&[
        ("RATE_LIMIT_REQUESTS", "2"),
        ("RATE_LIMIT_MODE", "local"),
        ("ADMIN_ADDRESS", "127.0.0.2:0"),
        ("MEMBER_SERVICE_URL", &url),
    ]);
    let statuses: Vec<u16> = (0..3).map(|_| gateway.get("/api/members/1", &[&bearer("admin")]).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    gateway.tells(&["admin on 127.0.0.2:"]);
    assert_eq!(gateway.operate("GET", "/health", &[], "").status, 200);
}
