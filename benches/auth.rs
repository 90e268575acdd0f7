//! Checking a token: remembered, and with its signature.

use crate::material::{authenticator, caller, shared_secret, token};
use criterion::Criterion;
use http::{HeaderMap, header};
use serde_json::json;
use std::{hint::black_box, path::PathBuf};

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
}
