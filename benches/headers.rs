//! What a service is told about its caller, in place of what the caller says.

use crate::material::{authenticator, browser, caller, shared_secret, token};
use criterion::{BatchSize, Criterion};
use edgeway::proxy::{Word, speak_for};
use http::HeaderMap;
use std::hint::black_box;

pub(crate) fn bench(criterion: &mut Criterion) {
    let jwt = shared_secret();
    let authenticator = authenticator(&jwt, 10_000);
    let honest = browser(&token(&jwt, None, &["members:read"]));
    let mut lying = honest.clone();
    for name in ["x-user-id", "X_User_Role", "x-forwarded-for"] {
        lying.append_header(name, "evil").unwrap();
    }
    let mut group = criterion.benchmark_group("headers");
    for (name, head) in [("honest", honest), ("lying", lying)] {
        let identity = caller(&authenticator, &head.headers);
        group.bench_function(format!("inject for an {name} caller"), |bencher| {
            let inject = |mut headers: HeaderMap| {
                speak_for(&mut headers, Some(&*identity), authenticator.protected(), Word::IsNothing);
                headers
            };
            bencher.iter_batched(|| head.headers.clone(), |headers| black_box(inject(headers)), BatchSize::SmallInput);
        });
    }
    group.finish();
}
