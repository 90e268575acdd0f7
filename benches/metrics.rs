//! Counting a request, and what a scrape of many routes costs.

use criterion::Criterion;
use edgeway::{
    observability::metrics::{Metrics, exposition},
    types::RouteId,
};
use http::Method;
use std::{hint::black_box, sync::Arc, time::Duration};

pub(crate) fn bench(criterion: &mut Criterion) {
    let metrics = Metrics::new(["no_route"]);
    let route = |number: usize| metrics.route(&RouteId::from(format!("route-{number}").as_str()), None);
    let routes: Vec<Arc<_>> = (0..1000).map(route).collect();
    routes.iter().for_each(|route| route.answered(&Method::GET, 200, Duration::from_millis(2)));
    let one = route(7);
    criterion.bench_function("metrics/a request is counted", |bencher| {
        bencher.iter(|| one.answered(black_box(&Method::GET), black_box(200), black_box(Duration::from_millis(2))));
    });
    criterion.bench_function("metrics/1,000 routes are scraped", |bencher| {
        bencher.iter(|| exposition(metrics.families()));
    });
}
