//! Checking a token: remembered, and with its signature.

use criterion::Criterion;
use edgeway::auth::{AuthConfig, Authenticator, JwtConfig, MintClaims, Minter, RouteAuth};
use http::{HeaderMap, header};
use serde_json::json;
use std::{hint::black_box, path::PathBuf, time::Duration};

fn key(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token");
    for (algorithm, name) in [("HS256", None), ("RS256", Some("rsa")), ("ES256", Some("p256"))] {
        let jwt = match name {
            None => json!({ "algorithm": algorithm, "secret": "benches-0123456789-0123456789-01" }),
            Some(name) => json!({ "algorithm": algorithm, "public_key_file": key(&format!("{name}.public.pem")) }),
        };
        let parsed: JwtConfig = serde_json::from_value(jwt.clone()).unwrap();
        let private = name.map(|name| key(&format!("{name}.private.pem")));
        let claims = MintClaims {
            sub: "1004".to_owned(),
            username: Some("홍길동".to_owned()),
            role: Some("admin".to_owned()),
            permissions: vec!["members:read".to_owned(), "members:write".to_owned()],
            ttl: Duration::from_secs(3_600),
        };
        let token = Minter::build(&parsed, private.as_deref()).unwrap().mint(&claims).unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
        for (remember, how) in [(10_000, "remembered"), (0, "verified")] {
            let config: AuthConfig = serde_json::from_value(json!({ "jwt": jwt, "remember": remember })).unwrap();
            let authenticator = Authenticator::build(&config, None).unwrap();
            group.bench_function(format!("{algorithm} {how}"), |bencher| {
                bencher.iter(|| authenticator.authenticate(RouteAuth::Required, black_box(&headers)).unwrap());
            });
        }
    }
    group.finish();
}
