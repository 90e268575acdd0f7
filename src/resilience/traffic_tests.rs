use super::*;
use proptest::prelude::*;
use std::thread;

const EVENTS: [Event; 4] = [Event::Request, Event::Retry, Event::Success, Event::Failure];

/// What a list of everything that happened would say.
fn naive(happened: &[(Event, Moment)], from: Moment, window: u64, now: Moment) -> Sums {
    let (last, from) = (now.0 / 1_000, from.0 / 1_000);
    let covered = |at: &Moment| {
        let second = at.0 / 1_000;
        second <= last && second + window.clamp(1, 60) >= last && second >= from
    };
    let count = |event: Event| happened.iter().filter(|(other, at)| *other == event && covered(at)).count() as u64;
    let [requests, retries, successes, failures] = EVENTS.map(count);
    Sums { requests, retries, successes, failures }
}

fn requests(traffic: &Traffic, window_millis: u64, now: u64) -> u64 {
    traffic.sums(Duration::from_millis(window_millis), Moment(now)).requests
}

#[test]
fn a_window_has_its_whole_seconds_and_what_has_gone_of_this_one() {
    let traffic = Traffic::default();
    (0..20).for_each(|second| traffic.count(Event::Request, Moment(second * 1_000 + 500)));
    for (window, now, expected) in [
        (10_000, 0, 1),
        (10_000, 9_999, 10),
        (10_000, 10_000, 11),
        (10_000, 19_999, 11),
        (1_000, 19_000, 2),
        (0, 19_000, 2),
        (1_500, 19_000, 3),
        (60_000, 79_500, 1),
        (600_000, 79_500, 1),
        (60_000, 80_000, 0),
        (60_000, u64::MAX, 0),
    ] {
        assert_eq!(requests(&traffic, window, now), expected, "{window} {now}");
    }
}

#[test]
fn what_is_counted_by_a_clock_read_later_is_not_in_the_window_yet_and_costs_nothing_of_it() {
    let traffic = Traffic::default();
    (0..=64).for_each(|second| traffic.count(Event::Request, Moment(second * 1_000)));
    // The slot of the first second has the last one now; a minute back from three seconds ago all is there.
    assert_eq!(requests(&traffic, 60_000, 61_000), 61);
    assert_eq!(requests(&traffic, 60_000, 64_000), 61);
}

#[test]
fn after_idle_hours_nothing_old_comes_back() {
    let traffic = Traffic::default();
    traffic.count(Event::Request, Moment(5_000));
    // The same slot, 64 seconds times a thousand later.
    let later = 5_000 + 64_000 * 1_000;
    assert_eq!(requests(&traffic, 60_000, later), 0);
    traffic.count(Event::Retry, Moment(later));
    let expected = Sums { retries: 1, ..Sums::default() };
    assert_eq!(traffic.sums(Duration::from_secs(60), Moment(later)), expected);
    // And a clock that was read then is too late to count.
    traffic.count(Event::Retry, Moment(5_000));
    assert_eq!(traffic.sums(Duration::from_secs(60), Moment(later)), expected);
}

#[test]
fn what_ended_threads_counted_is_still_there() {
    let traffic = Traffic::default();
    for _ in 0..5 {
        thread::scope(|scope| _ = scope.spawn(|| traffic.count(Event::Success, Moment(1_000))));
    }
    assert_eq!(traffic.sums(Duration::from_secs(1), Moment(1_000)).successes, 5);
    assert_eq!(format!("{traffic:?}").split('(').next(), Some("Traffic"));
}

fn happenings() -> impl Strategy<Value = Vec<(Event, u64)>> {
    let wait = prop_oneof![6 => 0..1_500_u64, 1 => 0..70_000_u64, 1 => Just(64_000_u64), 1 => 0..100_000_000_u64];
    prop::collection::vec((prop::sample::select(&EVENTS[..]), wait), 0..200)
}

proptest! {
    #[test]
    fn sums_are_those_of_a_list_of_everything(
        happenings in happenings(), window in 0..70_u64, since in 0..70_000_u64, start in 0..200_000_u64
    ) {
        let (traffic, mut now, mut happened) = (Traffic::default(), Moment(start), Vec::new());
        for (event, wait) in happenings {
            now.0 += wait;
            traffic.count(event, now);
            happened.push((event, now));
            let length = Duration::from_secs(window);
            prop_assert_eq!(traffic.sums(length, now), naive(&happened, Moment(0), window, now));
            let from = Moment(now.0.saturating_sub(since));
            prop_assert_eq!(traffic.sums_since(from, length, now), naive(&happened, from, window, now));
            prop_assert_eq!(traffic.sums_since(now.after(Duration::from_secs(1)), length, now), Sums::default());
        }
    }

    #[test]
    fn sums_are_over_all_threads(threads in prop::collection::vec(happenings(), 1..4), window in 1..60_u64) {
        let (traffic, mut happened) = (Traffic::default(), Vec::new());
        let timed = threads.into_iter().map(|happenings| {
            let mut now = Moment(0);
            happenings.into_iter().map(|(event, wait)| { now.0 += wait % 900; (event, now) }).collect::<Vec<_>>()
        });
        let timed: Vec<_> = timed.collect();
        thread::scope(|scope| for list in &timed {
            scope.spawn(|| list.iter().for_each(|(event, at)| traffic.count(*event, *at)));
        });
        happened.extend(timed.into_iter().flatten());
        let now = happened.iter().map(|(_, at)| *at).max().unwrap_or_default();
        // Rings of all threads may have gone round; what is within a minute of the latest is not lost by any.
        prop_assert_eq!(traffic.sums(Duration::from_secs(window), now), naive(&happened, Moment(0), window, now));
    }
}
