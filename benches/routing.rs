//! Normalising a target, and finding its route among 10, 1,000 and 10,000.

use crate::material::{head, last_template, table};
use criterion::Criterion;
use edgeway::routing::{Found, Target};
use std::hint::black_box;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("routing");
    for routes in [10, 1_000, 10_000] {
        let table = table(routes);
        let wanted = last_template(routes);
        let found = head(&format!("/api/service-{wanted}/items/42"));
        let target = Target::normalise(&found).unwrap();
        assert!(matches!(table.find(&target, target.method(), &found.headers), Found::Route(at) if *at == wanted));
        group.bench_function(format!("find among {routes}"), |bencher| {
            bencher.iter(|| matches!(table.find(black_box(&target), target.method(), &found.headers), Found::Route(_)));
        });
        let lost = Target::normalise(&head("/api/service-x/items/42")).unwrap();
        group.bench_function(format!("miss among {routes}"), |bencher| {
            bencher.iter(|| matches!(table.find(black_box(&lost), lost.method(), &found.headers), Found::None(_)));
        });
    }
    for (name, path) in [("normal", "/api/members/42?page=3"), ("not normal", "/api//members/%7e/../42?page=3")] {
        let head = head(path);
        group.bench_function(format!("normalise what is {name}"), |bencher| {
            bencher.iter(|| Target::normalise(black_box(&head)).unwrap());
        });
    }
    group.finish();
}
