//! Pinning the snapshot, as every request does; and compiling one, as every reload does.

use criterion::Criterion;
use edgeway::{
    config::Config,
    observability::AccessLog,
    runtime::{Live, Process},
};
use std::{fmt::Write, io};

fn text(routes: usize) -> String {
    let mut text = "auth: { jwt: { algorithm: HS256, secret: benches-0123456789-0123456789-01 } }\n\
                    services: { s: { endpoints: [\"127.0.0.1:1\"] } }\nroutes:\n"
        .to_owned();
    for index in 0..routes {
        writeln!(text, "  - {{ id: r{index}, match: {{ path: /api/service-{index}/* }}, service: s }}").unwrap();
    }
    text
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot");
    group.sample_size(10);
    for routes in [10, 10_000] {
        let text = text(routes);
        let loaded = Config::parse(&text, "bench.yaml", &|_| None).unwrap();
        let process = Process::new(AccessLog::start(io::sink()).unwrap(), &loaded, []).unwrap();
        let live = Live::start(&loaded, process).unwrap();
        group.bench_function(format!("pin with {routes} routes"), |bencher| bencher.iter(|| live.pin().generation));
        group.bench_function(format!("read {routes} routes"), |bencher| {
            bencher.iter(|| Config::parse(&text, "bench.yaml", &|_| None).unwrap());
        });
        group.bench_function(format!("compile {routes} routes"), |bencher| {
            bencher.iter(|| live.reload(&loaded, |_| ()).unwrap());
        });
    }
    group.finish();
}
