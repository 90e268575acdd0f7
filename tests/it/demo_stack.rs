//! What compose.yaml starts, process by process: Redis, the demo's services, a gateway, Prometheus. After some traffic
//! and some mishaps every query of the dashboard has an answer. None is left out: [`more`] arranges what the shipped file
//! alone would leave empty (certificates, keys, revocations, authorisers, limits of concurrency, names, observed checks).

use super::{
    observability_files::queries,
    support::{
        Answer, Authority, Gateway, Key, KeyServer, Prometheus, Redis, Upstream, Wanted, closed_port, set,
        within_patience,
    },
};
use std::{fs, path::Path};
use tempfile::TempDir;

/// What `edgeway demo` signs with.
pub const DEMO_SECRET: &str = "demo-secret-demo-secret-demo-secret-32";

/// Beside conf/edgeway.yaml, in the same folder: something of everything that the dashboard shows only where it is used.
fn more(keys: &KeyServer, policy: &Upstream, named: &Upstream, certificate: &str) -> String {
    format!(
        r#"
listeners:
  - {{ address: "127.0.0.1:0", tls: {{ certificates: [{certificate}] }} }}
auth:
  issuers: {{ partner: {{ algorithm: ES256, issuer: partner, jwks_url: "{keys}" }} }}
  revocation: {{ mode: shared }}
ext_auth:
  policy: {{ url: "{policy}/" }}
services:
  named:
    endpoints: ["http://localhost:{port}"]
    balancer: least_request
    concurrency: {{ max: 100 }}
  # Nobody is there: its breaker opens, and its endpoint would be ejected.
  gone:
    endpoints: ["127.0.0.1:{nobody}"]
    breaker: {{ consecutive: 3, open: 200ms, longest_open: 1s }}
    ejection: {{ mode: observe }}
routes:
  - {{ id: named, match: {{ path: /named/* }}, service: named, ext_auth: policy }}
  - {{ id: gone, match: {{ path: /gone/* }}, service: gone, auth: public, limits: [] }}
  - id: watched
    match: {{ path: /watched }}
    respond: {{ body: hi }}
    auth: public
    addresses: {{ mode: observe, deny: [127.0.0.0/8] }}
    limits: [{{ key: address, requests: 2, window: 60s, mode: exact }}]
"#,
        keys = keys.url(),
        policy = policy.url(),
        port = named.address.port(),
        nobody = closed_port(),
    )
}

/// The addresses of the demo's services, under the variables of conf/edgeway.yaml.
pub fn addresses(demo: &Gateway) -> Vec<(String, String)> {
    let services = demo.operate("GET", "/api/v1/endpoints", &[], "").json()["services"].clone();
    let of = |service: &serde_json::Value| {
        let variable = format!("{}_SERVICE_URL", service["service"].as_str().unwrap().to_uppercase());
        (variable, format!("http://{}", service["endpoints"][0]["address"].as_str().unwrap()))
    };
    services.as_array().unwrap().iter().map(of).collect()
}

/// conf/edgeway.yaml as it is shipped, [`more`] beside it, and the variables that compose.yaml would set.
fn start(demo: &Gateway, redis: &Redis, more: &str) -> Gateway {
    let folder = TempDir::new().unwrap();
    let conf = folder.path().join("conf");
    fs::create_dir(&conf).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/edgeway.yaml");
    fs::copy(shipped, conf.join("10-edgeway.yaml")).unwrap();
    fs::write(conf.join("20-more.yaml"), more).unwrap();
    let (services, port) = (addresses(demo), redis.port.to_string());
    assert_eq!(services.len(), 6, "{services:?}");
    let mut variables: Vec<(&str, &str)> = services.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    variables.extend([("HOST", "127.0.0.1"), ("PORT", "0"), ("JWT_SECRET_KEY", DEMO_SECRET)]);
    variables.extend([("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &port), ("HEALTH_CHECK_INTERVAL", "1")]);
    // Each round of traffic comes from one user.
    variables.push(("RATE_LIMIT_REQUESTS", "100000"));
    Gateway::start_file(folder, &conf, &variables)
}

/// As the README's tour has it.
fn log_in(gateway: &Gateway) -> String {
    let credentials = r#"{"username":"kim","password":"kim"}"#;
    let answer = gateway.request("POST", "/api/auth/login", &["Content-Type: application/json"], credentials);
    let json = answer.json();
    format!("Authorization: Bearer {}", json["access_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")))
}

/// A few of everything: what is answered, refused, limited and broken.
fn traffic(gateway: &Gateway, token: &str) {
    for path in ["/api/members", "/api/notices", "/api/customers", "/api/calendar/events", "/api/feeds", "/named/1"] {
        assert_eq!(gateway.get(path, &[token]).status, 200, "{path}");
    }
    assert_eq!(gateway.get("/api/members", &["Authorization: Bearer nonsense"]).status, 401);
    assert_eq!(gateway.get("/gone/1", &[]).status, 503);
    assert!([200, 429].contains(&gateway.get("/watched", &[]).status));
}

#[test]
fn every_query_of_the_dashboard_is_answered_by_a_gateway_at_work() {
    let (redis, demo) = (Redis::start(), Gateway::demo());
    let keys = KeyServer::start(set(&[&Key::new("k")]));
    let (policy, named) = (Upstream::start(|_| Answer::Text(String::new())), Upstream::echo());
    let authority = Authority::new();
    let certificate = authority.issue("portal", &Wanted::of("portal", &["portal.example"])).section();
    let gateway = start(&demo, &redis, &more(&keys, &policy, &named, &certificate));
    let prometheus = Prometheus::start(gateway.admin);
    let token = log_in(&gateway);

    let mut open = queries();
    let answered = (0..3).any(|_| {
        within_patience(|| {
            traffic(&gateway, &token);
            // The dashboard marks reloads.
            assert_eq!(gateway.operate("POST", "/api/v1/reload", &[], "").status, 200);
            // A value that is no number (nothing by nothing) is an empty panel too.
            open.retain(|(_, query)| !prometheus.ask(query).iter().any(|value| !value.is_nan()));
            open.is_empty()
        })
    });
    let list: Vec<String> = open.iter().map(|(title, query)| format!("{title}: {query}")).collect();
    assert!(answered, "{} queries have no answer:\n{}\n{}", list.len(), list.join("\n"), gateway.metrics());

    // The rules are evaluated too, and none of them is broken.
    let groups = || prometheus.get("/api/v1/rules")["groups"].as_array().cloned().unwrap_or_default();
    let rules = || groups().iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect::<Vec<_>>();
    let well = || rules().iter().filter(|rule| rule["health"] == "ok").count();
    assert!(within_patience(|| well() > 25 && well() == rules().len()), "{:#?}", rules());
    // This service is gone from the start.
    let pending = |name: &str| rules().iter().any(|rule| rule["name"] == name && rule["state"] != "inactive");
    assert!(within_patience(|| pending("EdgewayServiceDown")), "{:#?}", rules());
}
