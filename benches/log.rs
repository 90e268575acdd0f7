//! One line of the access log, as far as a request waits for it.

use criterion::{Criterion, Throughput};
use edgeway::observability::{AccessLog, Level, Line};
use std::{
    hint::black_box,
    io,
    time::{Duration, SystemTime},
};

pub(crate) fn bench(criterion: &mut Criterion) {
    let log = AccessLog::start(io::sink()).unwrap();
    let line = Line {
        timestamp: SystemTime::now(),
        level: Level::of(200),
        service: "api-gateway",
        request_id: "req-0123456789abcdef",
        method: "GET",
        path: "/api/members/42",
        user_id: Some("1004"),
        username: Some("홍길동"),
        response_time: Duration::from_micros(15_300),
        status_code: 200,
        target_service: Some("member-service"),
        route: Some("members"),
        endpoint: Some("10.0.0.7:8001"),
        attempts: 1,
        client: [192, 0, 2, 7].into(),
        code: None,
        reason: None,
    };
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(1));
    group.bench_function("write a line", |bencher| bencher.iter(|| log.write(black_box(&line))));
    group.finish();
    log.flush(Duration::from_secs(1));
}
