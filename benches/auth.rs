//! Checking a token, remembered and with its signature, and the rules of a route.

use crate::material::{authenticator, caller, shared_secret, token};
use criterion::Criterion;
use edgeway::auth::{Access, AccessConfig, Facts, Language};
use http::{HeaderMap, Method, header};
use serde_json::json;
use std::{
    hint::black_box,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

fn key(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token");
    for (algorithm, name) in [("HS256", None), ("RS256", Some("rsa")), ("ES256", Some("p256"))] {
        let jwt = match name {
            None => shared_secret(),
            Some(name) => json!({ "algorithm": algorithm, "public_key_file": key(&format!("{name}.public.pem")) }),
        };
        let private = name.map(|name| key(&format!("{name}.private.pem")));
        let token = token(&jwt, private.as_deref(), &["members:read", "members:write"]);
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
        for (remember, how) in [(10_000, "remembered"), (0, "verified")] {
            let authenticator = authenticator(&jwt, remember);
            group.bench_function(format!("{algorithm} {how}"), |bencher| {
                bencher.iter(|| caller(&authenticator, black_box(&headers)));
            });
        }
    }
    group.finish();
    rules(criterion);
}

/// Rules of a route, for a caller who is known.
fn rules(criterion: &mut Criterion) {
    let authenticator = authenticator(&shared_secret(), 10);
    let token = token(&shared_secret(), None, &["members:read", "members:write"]);
    let mut headers = HeaderMap::from_iter([(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
    let identity = caller(&authenticator, &headers);
    headers.insert("x-tenant", "north".parse().unwrap());
    let facts = Facts {
        method: &Method::GET,
        path: "/api/members/42",
        host: "portal.example",
        scheme: "https",
        query: Some("page=2"),
        headers: &headers,
        is_hidden: &|name| authenticator.protected().is_protected(name),
        is_doubtful: &|_| false,
        client: [192, 0, 2, 7].into(),
        route: "members",
        service: Some("member"),
        now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
    };
    let mut group = criterion.benchmark_group("access");
    for (name, rule) in [
        ("any_role", json!({ "any_role": ["admin"] })),
        ("allow_if: a role", json!({ "allow_if": "'admin' in consumer.roles" })),
        (
            "allow_if: typical",
            json!({ "allow_if": "request.method in ['GET', 'HEAD'] || (request.headers['x-tenant'] == claims.tenant \
                && consumer.permissions.exists(one, one.startsWith('members:')))" }),
        ),
        (
            "allow_if: permissions and a header",
            json!({ "allow_if": "request.headers['x-tenant'] == 'north' \
                && consumer.permissions.exists(one, one.startsWith('members:')) && now - claims.exp < 3600" }),
        ),
    ] {
        let rule: AccessConfig = serde_json::from_value(rule).unwrap();
        let access = Access::build(&[rule], &Language::default()).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| access.check(Some(&*identity), black_box(&facts)).unwrap());
        });
    }
    group.finish();
}
