//! Normalising a target, and finding its route among 10, 1,000 and 10,000.

use criterion::Criterion;
use edgeway::routing::{Found, MatchConfig, Pattern, Table, Target};
use pingora::http::RequestHeader;
use std::hint::black_box;

fn table(routes: usize) -> Table<usize> {
    let pattern = |index: usize| {
        // As real tables are: prefixes, exact paths and templates of a few levels.
        let path = match index % 3 {
            0 => format!("/api/service-{index}/*"),
            1 => format!("/api/service-{index}/items/{{id}}"),
            _ => format!("/api/service-{index}/status"),
        };
        let config: MatchConfig = serde_json::from_value(serde_json::json!({ "path": path })).unwrap();
        (Pattern::parse(&config).unwrap(), index)
    };
    Table::build((0..routes).map(pattern)).unwrap()
}

fn head(path: &str) -> RequestHeader {
    let mut head = RequestHeader::build("GET", path.as_bytes(), None).unwrap();
    head.insert_header("host", "portal.example").unwrap();
    head
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("routing");
    for routes in [10, 1_000, 10_000] {
        let table = table(routes);
        // The last template, so that no order could favour it.
        let wanted = (0..routes).rev().find(|index| index % 3 == 1).unwrap();
        let head = head(&format!("/api/service-{wanted}/items/42"));
        let target = Target::normalise(&head).unwrap();
        assert!(matches!(table.find(&target, target.method(), &head.headers), Found::Route(found) if *found == wanted));
        group.bench_function(format!("find among {routes}"), |bencher| {
            bencher.iter(|| matches!(table.find(black_box(&target), target.method(), &head.headers), Found::Route(_)));
        });
        let lost = Target::normalise(&self::head("/api/service-x/items/42")).unwrap();
        group.bench_function(format!("miss among {routes}"), |bencher| {
            bencher.iter(|| matches!(table.find(black_box(&lost), lost.method(), &head.headers), Found::None(_)));
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
