//! One line of the access log, as far as a request waits for it.

use crate::material::line;
use criterion::{Criterion, Throughput};
use edgeway::observability::AccessLog;
use std::{hint::black_box, io, time::Duration};

pub(crate) fn bench(criterion: &mut Criterion) {
    let log = AccessLog::start(io::sink()).unwrap();
    let line = line();
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(1));
    group.bench_function("write a line", |bencher| bencher.iter(|| log.write(black_box(&line))));
    group.finish();
    log.flush(Duration::from_secs(1));
}
