use super::*;
use proptest::{collection::vec, prelude::*};
use std::{cmp::Reverse, collections::BinaryHeap};

fn settings() -> AdaptiveSettings {
    AdaptiveSettings { least: 10, most: 1_000, tolerance: 2.0, window: Duration::from_millis(100) }
}

/// A service: how long it takes at most `capacity` requests at a time, which of them it has to itself.
#[derive(Clone, Copy, Debug)]
struct Service {
    capacity: f64,
    base: f64,
    /// Latencies lie between one over this, and this, times what they should be. 1 or more.
    noise: f64,
}

/// Requests come as fast as they are let in, up to `demand` at a time.
struct Run {
    adaptive: Adaptive,
    settings: AdaptiveSettings,
    limit: u32,
    demand: u32,
    millis: f64,
    trials: usize,
    random: fastrand::Rng,
}

impl Run {
    fn new(settings: AdaptiveSettings) -> Self {
        let (limit, random) = (settings.within(0), fastrand::Rng::with_seed(7));
        Self { adaptive: Adaptive::default(), settings, limit, demand: u32::MAX, millis: 0.0, trials: 0, random }
    }

    /// The limits that were decided on in this time, but those that were only tried for a moment.
    fn seconds(&mut self, seconds: f64, service: Service) -> Vec<u32> {
        let (mut decided, end) = (Vec::new(), self.millis + seconds * 1_000.0);
        while self.millis < end {
            let in_flight = self.limit.min(self.demand);
            let slower = (f64::from(in_flight) / service.capacity).max(1.0);
            let latency = service.base * slower * service.noise.powf(self.random.f64() * 2.0 - 1.0);
            // So many in flight, and each of them for so long: that is how often one ends.
            self.millis += service.base * slower * 1_000.0 / f64::from(in_flight);
            self.sample(Sample::Answered(Duration::from_secs_f64(latency)), in_flight, &mut decided);
        }
        decided
    }

    fn sample(&mut self, sample: Sample, in_flight: u32, decided: &mut Vec<u32>) {
        let new = self.adaptive.sample(&self.settings, sample, in_flight, Moment(self.millis as u64));
        if let Some(limit) = new {
            self.limit = limit;
            match self.adaptive.trial {
                Some(_) => self.trials += 1,
                None => decided.push(limit),
            }
        }
    }
}

/// Workers that take requests one by one, in the order they come; as many come as are let in. Unlike in [`Run`], what a
/// limit does is seen late. Times in microseconds.
struct Workers {
    free: BinaryHeap<Reverse<u64>>,
    /// When they end and when they came.
    requests: BinaryHeap<Reverse<(u64, u64)>>,
}

impl Workers {
    fn let_in(&mut self, run: &mut Run, base: f64, now: u64) {
        while self.requests.len() < run.limit as usize {
            let Reverse(free) = self.free.pop().unwrap();
            // Few take long, as it is with databases.
            let took = base * 1e6 * -(1.0 - run.random.f64()).ln();
            let end = free.max(now) + took as u64;
            self.free.push(Reverse(end));
            self.requests.push(Reverse((end, now)));
        }
    }
}

/// Limits of one minute, after two, with so many workers, which need `base` seconds each on average.
fn worked(workers: u32, base: f64) -> Vec<u32> {
    let (mut run, mut decided) = (Run::new(settings()), Vec::new());
    let free = (0..workers).map(|_| Reverse(0)).collect();
    let mut workers = Workers { free, requests: BinaryHeap::new() };
    workers.let_in(&mut run, base, 0);
    while run.millis < 180_000.0 {
        let in_flight = workers.requests.len() as u32;
        let Reverse((end, came)) = workers.requests.pop().unwrap();
        run.millis = end as f64 / 1e3;
        if run.millis < 120_000.0 {
            decided.clear();
        }
        run.sample(Sample::Answered(Duration::from_micros(end - came)), in_flight, &mut decided);
        workers.let_in(&mut run, base, end);
    }
    decided
}

const STEADY: Service = Service { capacity: 100.0, base: 0.05, noise: 1.0 };
const ENDLESS: Service = Service { capacity: f64::MAX, ..STEADY };

#[track_caller]
fn check(limits: &[u32], least: f64, most: f64) {
    let wrong = limits.iter().find(|limit| !(least..=most).contains(&f64::from(**limit)));
    assert_eq!(
        wrong,
        None,
        "not within {least} to {most}; the last ones: {:?}",
        limits.iter().rev().take(9).collect::<Vec<_>>()
    );
}

#[test]
fn it_rises_to_the_most_while_requests_do_not_grow_slower() {
    let mut run = Run::new(settings());
    run.seconds(2.0, ENDLESS);
    check(&run.seconds(10.0, ENDLESS), 1_000.0, 1_000.0);
}

#[test]
fn it_settles_at_what_the_tolerance_allows_and_stays_there() {
    let mut run = Run::new(settings());
    run.seconds(5.0, STEADY);
    // An hour: a usual latency that follows the latency of our own making would have doubled fifty times.
    check(&run.seconds(3_600.0, STEADY), 195.0, 230.0);
}

#[test]
fn it_keeps_workers_busy_and_their_queue_short() {
    for (workers, base) in [(20, 0.01), (20, 0.2), (100, 0.05), (100, 1.0), (300, 0.02), (300, 0.3)] {
        let limits = worked(workers, base);
        check(&limits, f64::from(workers), f64::from(workers) * 4.0);
    }
}

#[test]
fn a_service_that_is_too_slow_is_tried_with_few_now_and_then_and_no_other_is() {
    for (service, demand, least, most) in
        [(STEADY, u32::MAX, 30, 60), (STEADY, 150, 0, 0), (STEADY, 50, 0, 0), (ENDLESS, u32::MAX, 0, 0)]
    {
        let mut run = Run { demand, ..Run::new(settings()) };
        run.seconds(600.0, service);
        assert!((least..=most).contains(&run.trials), "{} with {demand}", run.trials);
    }
}

#[test]
fn a_limit_that_is_only_observed_learns_nothing_from_a_trial() {
    let mut run = Run::new(AdaptiveSettings { most: 200, ..settings() });
    run.seconds(10.0, ENDLESS);
    let mut decided = Vec::new();
    // Five times as many as it says are in flight, whatever it says.
    for _ in 0..1_000_000 {
        run.millis += 0.5;
        run.sample(Sample::Answered(Duration::from_millis(500)), 1_000, &mut decided);
    }
    assert!(run.trials > 5 && run.limit < 20, "{} {}", run.trials, run.limit);
}

#[test]
fn it_does_not_rise_where_it_is_not_used() {
    let mut run = Run { demand: 9, ..Run::new(settings()) };
    check(&run.seconds(60.0, ENDLESS), 20.0, 20.0);
    run.demand = 10;
    run.seconds(1.0, ENDLESS);
    assert!(run.limit > 20);
}

#[test]
fn it_falls_with_the_capacity_and_rises_with_it() {
    let mut run = Run::new(settings());
    run.seconds(5.0, STEADY);
    for (capacity, seconds) in [(10.0, 20.0), (100.0, 20.0), (300.0, 30.0), (30.0, 20.0)] {
        let service = Service { capacity, ..STEADY };
        run.seconds(seconds, service);
        check(&run.seconds(60.0, service), capacity, capacity * 4.0);
    }
}

#[test]
fn a_slow_phase_lowers_it_and_is_forgotten() {
    for (slower, seconds) in [(3.0, 2.0), (3.0, 60.0), (10.0, 5.0), (30.0, 120.0)] {
        let mut run = Run::new(settings());
        run.seconds(30.0, STEADY);
        let before = f64::from(run.limit);
        let slow = run.seconds(seconds, Service { base: STEADY.base * slower, ..STEADY });
        assert!(slow.iter().any(|limit| f64::from(*limit) < before * 0.75), "{slower} {seconds} {slow:?}");
        // At first the latency of the slow phase is the usual one, and nothing too slow.
        check(&run.seconds(90.0, STEADY), 0.0, before * 3.0);
        check(&run.seconds(30.0, STEADY), before * 0.9, before * 1.6);
    }
}

#[test]
fn a_service_that_is_slower_for_good_is_believed_after_a_while() {
    let mut run = Run::new(settings());
    run.seconds(30.0, STEADY);
    let slower = Service { base: STEADY.base * 3.0, ..STEADY };
    run.seconds(60.0, slower);
    check(&run.seconds(600.0, slower), 100.0, 300.0);
}

#[test]
fn it_falls_by_a_tenth_per_window_while_requests_are_dropped() {
    let mut run = Run::new(settings());
    let mut decided = Vec::new();
    for millis in 0..303 {
        run.millis = f64::from(millis);
        run.sample(Sample::Dropped, 20, &mut decided);
    }
    assert_eq!(decided, [18, 16, 14]);
    for (dropped, falls) in [(1, false), (3, true)] {
        decided.clear();
        run.millis += 1_000.0;
        let before = run.limit;
        for sample in 0..20 {
            run.millis += 5.3;
            let one =
                if sample >= 20 - dropped { Sample::Dropped } else { Sample::Answered(Duration::from_millis(50)) };
            run.sample(one, 20, &mut decided);
        }
        assert_eq!((decided.len(), run.limit < before), (1, falls), "{dropped} of 20: {before} {decided:?}");
    }
}

#[test]
fn a_decision_needs_time_and_samples() {
    for (samples, apart, expected) in [(9, 1_000, 0), (10, 1_000, 1), (100, 1, 0), (102, 1, 1), (40, 10, 3)] {
        let mut run = Run::new(settings());
        let mut decided = Vec::new();
        for _ in 0..samples {
            run.sample(Sample::Answered(Duration::from_millis(5)), 20, &mut decided);
            run.millis += f64::from(apart);
        }
        assert_eq!(decided.len(), expected, "{samples} samples, {apart} ms apart");
    }
}

#[test]
fn settings_that_change_move_it_at_the_next_decision() {
    let mut run = Run::new(settings());
    run.seconds(10.0, ENDLESS);
    run.settings.most = 50;
    run.seconds(1.0, ENDLESS);
    check(&run.seconds(1.0, ENDLESS), 50.0, 50.0);
    run.settings = AdaptiveSettings { least: 200, most: 300, ..run.settings };
    run.seconds(1.0, ENDLESS);
    check(&run.seconds(1.0, ENDLESS), 200.0, 300.0);
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn any_settings() -> impl Strategy<Value = AdaptiveSettings> {
    let numbers = (any::<u32>(), any::<u32>(), 0.0f64..20.0, 0u64..10_000);
    numbers.prop_map(|(least, most, tolerance, window)| AdaptiveSettings {
        least: least.min(most),
        most: most.max(least),
        tolerance,
        window: Duration::from_millis(window),
    })
}

fn any_sample() -> impl Strategy<Value = (Sample, u32, u64)> {
    let took = any::<u64>().prop_map(|nanos| Sample::Answered(Duration::from_nanos(nanos)));
    (prop_oneof![9 => took, 1 => Just(Sample::Dropped)], any::<u32>(), 0u64..100)
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn it_is_always_within_its_bounds(
        parts in vec((any_settings(), vec(any_sample(), 0..100)), 1..6)
    ) {
        let (mut adaptive, mut now) = (Adaptive::default(), 0);
        for (settings, samples) in parts {
            for (sample, in_flight, millis) in samples {
                now += millis;
                if let Some(limit) = adaptive.sample(&settings, sample, in_flight, Moment(now)) {
                    prop_assert!(limit >= settings.least.max(1) && limit <= settings.most.max(1), "{limit}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn it_settles_between_the_capacity_and_four_times_as_much(
        capacity in 20.0f64..400.0,
        base in 0.005f64..0.4,
        noise in 1.0f64..3.0,
    ) {
        let mut run = Run::new(AdaptiveSettings { most: 5_000, ..settings() });
        let service = Service { capacity, base, noise };
        run.seconds(60.0, service);
        let limits = run.seconds(120.0, service);
        let within = |limit: &&u32| (capacity..=capacity * 4.0).contains(&f64::from(**limit));
        prop_assert_eq!(limits.iter().find(|limit| !within(limit)), None, "{:?}", limits.last());
    }

    #[test]
    fn it_recovers_after_a_slow_phase(slower in 2.5f64..50.0, seconds in 1.0f64..60.0, noise in 1.0f64..2.0) {
        let mut run = Run::new(settings());
        let service = Service { noise, ..STEADY };
        run.seconds(30.0, service);
        run.seconds(seconds, Service { base: service.base * slower, ..service });
        run.seconds(60.0, service);
        let limits = run.seconds(30.0, service);
        prop_assert!(limits.iter().all(|limit| (100..=400).contains(limit)), "{limits:?}");
    }
}
