//! What a service is told about its caller, in place of what the caller says.

use criterion::{BatchSize, Criterion};
use edgeway::{
    auth::{AuthConfig, Authenticator, JwtConfig, MintClaims, Minter, RouteAuth},
    proxy::{Word, speak_for},
};
use http::header;
use pingora::http::RequestHeader;
use serde_json::json;
use std::{hint::black_box, time::Duration};

/// As a browser behind a balancer sends it.
fn head(token: &str, lies: bool) -> RequestHeader {
    let mut head = RequestHeader::build("GET", b"/api/members/42", Some(16)).unwrap();
    for (name, value) in [
        ("host", "portal.example"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json"),
        ("accept-language", "ko,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("origin", "https://portal.example"),
        ("cookie", "theme=dark; session=0123456789abcdef"),
    ] {
        head.append_header(name, value).unwrap();
    }
    head.append_header(header::AUTHORIZATION, format!("Bearer {token}")).unwrap();
    if lies {
        for name in ["x-user-id", "X_User_Role", "x-forwarded-for"] {
            head.append_header(name, "evil").unwrap();
        }
    }
    head
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let jwt = json!({ "algorithm": "HS256", "secret": "benches-0123456789-0123456789-01" });
    let parsed: JwtConfig = serde_json::from_value(jwt.clone()).unwrap();
    let config: AuthConfig = serde_json::from_value(json!({ "jwt": jwt })).unwrap();
    let authenticator = Authenticator::build(&config, None).unwrap();
    let claims = MintClaims {
        sub: "1004".to_owned(),
        username: Some("홍길동".to_owned()),
        role: Some("admin".to_owned()),
        permissions: vec!["members:read".to_owned()],
        ttl: Duration::from_secs(3_600),
    };
    let token = Minter::build(&parsed, None).unwrap().mint(&claims).unwrap();
    let mut group = criterion.benchmark_group("headers");
    for (name, lies) in [("honest", false), ("lying", true)] {
        let head = head(&token, lies);
        let identity = authenticator.authenticate(RouteAuth::Required, &head.headers).unwrap();
        group.bench_function(format!("inject for an {name} caller"), |bencher| {
            let inject = |mut request: RequestHeader| {
                speak_for(&mut request, identity.as_deref(), authenticator.protected(), Word::IsNothing).unwrap();
                request
            };
            bencher.iter_batched(|| head.clone(), |request| black_box(inject(request)), BatchSize::SmallInput);
        });
    }
    group.finish();
}
