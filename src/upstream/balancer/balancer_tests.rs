use super::*;
use proptest::prelude::*;
use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

const ALL: [Algorithm; 5] =
    [Algorithm::RoundRobin, Algorithm::LeastRequest, Algorithm::Ewma, Algorithm::ConsistentHash, Algorithm::Random];

fn members(weights: &[u32]) -> Vec<Member> {
    let name = |place: usize| ([10, 0, (place >> 8) as u8, place as u8], 8001).into();
    weights.iter().enumerate().map(|(place, weight)| Member { place, weight: *weight, name: name(place) }).collect()
}

/// A balancer with the loads of its members. Chance is the same in each test.
struct Pool {
    balancer: Balancer,
    loads: Vec<Load>,
}

impl Pool {
    fn new(algorithm: Algorithm, weights: &[u32]) -> Self {
        fastrand::seed(42);
        let loads = weights.iter().map(|_| Load::default()).collect();
        Self { balancer: Balancer::build(algorithm, &members(weights)), loads }
    }

    fn pick_for(&self, asked: Asked, accepts: impl Fn(usize) -> bool) -> Option<usize> {
        let in_flight = || self.loads.iter().map(Load::in_flight).sum();
        self.balancer.pick(asked, |place| self.loads.get(place), in_flight, accepts)
    }

    fn pick_at(&self, now: u64) -> usize {
        self.pick_for(Asked { turn: Turn::Next, key: None, now: Moment(now) }, |_| true).unwrap()
    }

    fn home(&self, key: u64) -> usize {
        self.pick_for(Asked { turn: Turn::Next, key: Some(key), now: Moment(0) }, |_| true).unwrap()
    }

    fn counts(&self, picks: usize) -> Vec<f64> {
        let mut counts = vec![0.0; self.loads.len()];
        (0..picks).for_each(|_| counts[self.pick_at(0)] += 1.0);
        counts
    }

    /// One request each millisecond until then, answered after `latency(place, begun)` milliseconds: who got each.
    fn run(&self, until: u64, latency: impl Fn(usize, u64) -> u64) -> Vec<usize> {
        // (until when, place, since when)
        let mut pending: BinaryHeap<(Reverse<u64>, usize, u64)> = BinaryHeap::new();
        let mut chosen = Vec::new();
        for now in 0..until {
            while pending.peek().is_some_and(|(Reverse(due), ..)| *due <= now) {
                let (_, place, begun) = pending.pop().unwrap();
                self.loads[place].end();
                self.loads[place].answered(Duration::from_millis(now - begun), Moment(now));
            }
            let place = self.pick_at(now);
            self.loads[place].begin();
            pending.push((Reverse(now + latency(place, now)), place, now));
            chosen.push(place);
        }
        chosen
    }
}

fn share(chosen: &[usize], place: usize) -> f64 {
    chosen.iter().filter(|one| **one == place).count() as f64 / chosen.len() as f64
}

#[test]
fn only_what_is_accepted_is_chosen() {
    // Light ones are found behind heavy ones, and that again and again.
    for (algorithm, weights) in
        ALL.into_iter().flat_map(|one| [vec![1; 3], vec![1_000, 1, 1_000], vec![10; 100]].map(|weights| (one, weights)))
    {
        let pool = Pool::new(algorithm, &weights);
        let pick = |key, accepts: &dyn Fn(usize) -> bool| {
            pool.pick_for(Asked { turn: Turn::Next, key: Some(key), now: Moment(0) }, accepts)
        };
        for key in (0..200_u64).map(|key| hash(&key.to_le_bytes())) {
            assert_eq!(pick(key, &|place| place == 1), Some(1), "{algorithm:?} {weights:?}");
            assert_ne!(pick(key, &|place| place != 1).unwrap(), 1, "{algorithm:?} {weights:?}");
            assert_eq!(pick(key, &|_| false), None, "{algorithm:?} {weights:?}");
        }
    }
}

#[test]
fn one_is_always_chosen_and_none_never() {
    for algorithm in ALL {
        let pool = Pool::new(algorithm, &[7]);
        pool.loads[0].begin();
        assert!((0..100).all(|_| pool.pick_at(0) == 0), "{algorithm:?}");
        let asked = Asked { turn: Turn::Next, key: Some(7), now: Moment(0) };
        assert_eq!(Pool::new(algorithm, &[]).pick_for(asked, |_| true), None, "{algorithm:?}");
    }
}

#[test]
fn places_are_those_of_the_members() {
    for algorithm in ALL {
        fastrand::seed(42);
        let members = [90, 17].map(|place| Member { place, weight: 1, name: ([10, 0, 0, place as u8], 1).into() });
        let balancer = Balancer::build(algorithm, &members);
        let asked = Asked { turn: Turn::Next, key: None, now: Moment(0) };
        let picks: Vec<_> = (0..50).map(|_| balancer.pick(asked, |_| None, || 0, |_| true).unwrap()).collect();
        assert!(picks.iter().all(|place| [90, 17].contains(place)), "{algorithm:?}");
        assert!(picks.contains(&90) && picks.contains(&17), "{algorithm:?}");
    }
}

#[test]
fn round_robin_is_exact_over_a_cycle_and_a_retry_uses_no_turn() {
    for weights in [&[1, 1, 1][..], &[50, 10, 10], &[1_000, 999, 1], &[10; 100]] {
        let pool = Pool::new(Algorithm::RoundRobin, weights);
        let total: u32 = weights.iter().sum();
        for (count, weight) in pool.counts(total as usize).iter().zip(weights) {
            assert_eq!(*count, f64::from(*weight), "{weights:?}");
        }
    }
    let pool = Pool::new(Algorithm::RoundRobin, &[1, 1]);
    let asked = |turn| Asked { turn, key: None, now: Moment(0) };
    let first: Vec<_> = (0..10)
        .map(|_| {
            let first = pool.pick_for(asked(Turn::Next), |_| true).unwrap();
            assert_eq!(pool.pick_for(asked(Turn::Same), |place| place != first), Some(1 - first));
            first
        })
        .collect();
    assert_eq!(share(&first, 0), 0.5);
}

#[test]
fn chance_and_idle_endpoints_go_by_weight() {
    const PICKS: usize = 100_000;
    let algorithms = [Algorithm::Random, Algorithm::LeastRequest, Algorithm::Ewma];
    for (algorithm, weights) in algorithms
        .into_iter()
        .flat_map(|one| [vec![10; 3], vec![90, 10], vec![1_000, 30, 7], (1..=100).collect()].map(|all| (one, all)))
    {
        let pool = Pool::new(algorithm, &weights);
        pool.loads.iter().for_each(|load| load.answered(Duration::from_millis(10), Moment(0)));
        let total: u32 = weights.iter().sum();
        for (count, weight) in pool.counts(PICKS).iter().zip(&weights) {
            let chance = f64::from(*weight) / f64::from(total);
            let (expected, deviation) = (PICKS as f64 * chance, (PICKS as f64 * chance * (1.0 - chance)).sqrt());
            assert!((count - expected).abs() <= 5.0 * deviation, "{algorithm:?} {weights:?}: {count} for {expected}");
        }
    }
}

#[test]
fn least_request_levels_what_is_in_flight_by_weight() {
    // (weights, requests in flight, how far from its part one may be)
    for (weights, in_flight, most) in
        [(vec![1; 2], 40, 1.0), (vec![1; 8], 400, 3.0), (vec![30, 10], 200, 3.0), (vec![90, 10, 10], 220, 3.0)]
    {
        let pool = Pool::new(Algorithm::LeastRequest, &weights);
        let mut running: Vec<usize> = Vec::new();
        for _ in 0..20_000 {
            if running.len() == in_flight {
                let place = running.swap_remove(fastrand::usize(..in_flight));
                pool.loads[place].end();
            }
            running.push(pool.pick_at(0));
            pool.loads[*running.last().unwrap()].begin();
        }
        let total: u32 = weights.iter().sum();
        for (load, weight) in pool.loads.iter().zip(&weights) {
            let expected = in_flight as f64 * f64::from(*weight) / f64::from(total);
            assert!((f64::from(load.in_flight()) - expected).abs() <= most, "{weights:?}: {load:?} for {expected}");
        }
    }
}

#[test]
fn ewma_leaves_a_slow_one_alone_until_it_is_quick_again() {
    for count in [2, 3, 10] {
        let pool = Pool::new(Algorithm::Ewma, &vec![10; count]);
        let slow = |place, now| if place == 1 && (20_000..60_000).contains(&now) { 200 } else { 10 };
        let chosen = pool.run(180_000, slow);
        let equal = 1.0 / count as f64;
        let of = |from, to| share(&chosen[from..to], 1) / equal;
        assert!((0.8..1.2).contains(&of(5_000, 20_000)), "{count}: {}", of(5_000, 20_000));
        assert!(of(21_000, 60_000) < 0.1, "{count}: {}", of(21_000, 60_000));
        assert!(chosen[40_000..60_000].contains(&1), "{count}: it must be asked some time");
        assert!((0.8..1.2).contains(&of(150_000, 180_000)), "{count}: {}", of(150_000, 180_000));
    }
}

#[test]
fn ewma_keeps_to_the_weights_though_no_two_latencies_are_the_same() {
    let pool = Pool::new(Algorithm::Ewma, &[90, 10]);
    let chosen = pool.run(100_000, |_, now| 8 + hash(&now.to_le_bytes()) % 5);
    let light = share(&chosen, 1);
    assert!((0.05..0.15).contains(&light), "{light}");
}

#[test]
fn ewma_tries_an_unknown_one_with_one_request() {
    let pool = Pool::new(Algorithm::Ewma, &[10; 3]);
    (0..2).for_each(|known| pool.loads[known].answered(Duration::from_millis(10), Moment(0)));
    let mut in_flight = 0;
    for _ in 0..1_000 {
        let place = pool.pick_at(0);
        pool.loads[place].begin();
        in_flight += u32::from(place == 2);
    }
    assert_eq!((in_flight, pool.loads[2].in_flight()), (1, 1));
}

#[test]
fn shares_of_keys_are_those_of_the_weights() {
    let odd: Vec<u32> = (0..100).map(|place| place * 37 % 9 + 1).collect();
    for weights in [vec![1; 3], vec![10; 10], vec![50, 30, 1], odd, vec![1; 1_000]] {
        let pool = Pool::new(Algorithm::ConsistentHash, &weights);
        let keys = 65_537_u64;
        let mut counts = vec![0.0; weights.len()];
        // Every slot once.
        (0..keys).for_each(|key| counts[pool.home(key)] += 1.0);
        let total: u32 = weights.iter().sum();
        for (count, weight) in counts.iter().zip(&weights) {
            let expected = keys as f64 * f64::from(*weight) / f64::from(total);
            assert!((count / expected - 1.0_f64).abs() <= 0.1, "{count} for {expected}");
        }
    }
}

#[test]
fn few_keys_move_when_one_leaves_and_all_return_with_it() {
    let asked = |key: u64| Asked { turn: Turn::Next, key: Some(hash(&key.to_le_bytes())), now: Moment(0) };
    let homes = |members: &[Member]| {
        let balancer = Balancer::build(Algorithm::ConsistentHash, members);
        (0..20_000).map(|key| balancer.pick(asked(key), |_| None, || 0, |_| true).unwrap()).collect::<Vec<_>>()
    };
    for (count, weight) in [(3, None), (10, None), (100, None), (1_000, None), (10, Some(30)), (100, Some(30))] {
        let mut members = members(&vec![10; count]);
        members[count / 2].weight = weight.unwrap_or(10);
        let before = homes(&members);
        let (gone, part) = (members.remove(count / 2), share(&before, count / 2));
        let after = homes(&members);
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count() as f64 / 20_000.0;
        assert!(moved <= part + 0.05, "{count}: {moved}");
        assert_eq!(share(&after, count / 2), 0.0);
        // In another order, as a file or a name server may have it.
        members.insert(0, gone);
        assert!(homes(&members) == before, "{count}");
    }
}

#[test]
fn keys_have_the_same_home_in_every_version() {
    let pool = Pool::new(Algorithm::ConsistentHash, &[10, 10, 20, 5]);
    let homes: Vec<usize> = (0..20).map(|key| pool.home(hash(format!("user-{key}").as_bytes()))).collect();
    assert_eq!(homes, [0, 2, 0, 0, 2, 2, 2, 1, 2, 2, 2, 1, 2, 3, 3, 0, 3, 1, 1, 1]);
}

#[test]
fn hashes_are_those_of_the_specification() {
    for (text, expected) in [("", 0x2d06_8005_38d3_94c2), ("a", 0xe6c6_32b6_1e96_4e1f), ("abc", 0x78af_5f94_892f_3950)]
    {
        assert_eq!(hash(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn a_key_that_everybody_asks_for_spills_over() {
    for weights in [vec![10; 3], vec![10; 100], vec![1_000, 1, 1]] {
        let pool = Pool::new(Algorithm::ConsistentHash, &weights);
        let (home, total) = (pool.home(7), weights.iter().sum::<u32>());
        for _ in 0..2_000 {
            pool.loads[pool.home(7)].begin();
        }
        for (load, weight) in pool.loads.iter().zip(&weights) {
            let bound = (1.25 * 2_000.0 * f64::from(*weight) / f64::from(total)).ceil();
            assert!(f64::from(load.in_flight()) <= bound.max(1.0), "{weights:?}: {load:?} over {bound}");
        }
        (0..pool.loads[home].in_flight()).for_each(|_| pool.loads[home].end());
        assert_eq!(pool.home(7), home, "it is free again");
    }
}

#[test]
fn where_all_are_full_a_key_stays_at_home() {
    let pool = Pool::new(Algorithm::ConsistentHash, &[1; 3]);
    let home = pool.home(7);
    pool.loads.iter().for_each(|load| (0..10).for_each(|_| load.begin()));
    // A sum that is too small, as after an endpoint was taken out: 10 are more than 1.25 × 13 / 3.
    let asked = Asked { turn: Turn::Next, key: Some(7), now: Moment(0) };
    let picked = pool.balancer.pick(asked, |place| pool.loads.get(place), || 12, |_| true);
    assert_eq!(picked, Some(home));
}

proptest! {
    // Few: each fills a table of 65,537 slots.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn somebody_is_chosen_where_somebody_is_accepted(
        of in prop::collection::vec((0_u32..=100, any::<bool>(), 0_u32..5, 0_u64..50), 0..40),
        key in any::<Option<u64>>(),
        now in 0_u64..100_000,
    ) {
        let weights: Vec<u32> = of.iter().map(|(weight, ..)| *weight).collect();
        for algorithm in ALL {
            let pool = Pool::new(algorithm, &weights);
            for (load, (_, _, in_flight, latency)) in pool.loads.iter().zip(&of) {
                (0..*in_flight).for_each(|_| load.begin());
                if *latency > 0 {
                    load.answered(Duration::from_millis(*latency), Moment(now / 2));
                }
            }
            let accepts = |place: usize| of[place].1;
            let chosen = pool.pick_for(Asked { turn: Turn::Next, key, now: Moment(now) }, accepts);
            prop_assert_eq!(chosen.is_some(), of.iter().any(|(_, accepted, ..)| *accepted));
            prop_assert!(chosen.is_none_or(accepts));
        }
    }
}
