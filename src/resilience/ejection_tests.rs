use super::*;
use proptest::prelude::*;
use std::{sync::Barrier, thread};

/// Three failures in a row eject for 10 s, 20 s, 25 s.
const SETTINGS: EjectionSettings = EjectionSettings {
    mode: Mode::Enforce,
    after: 3,
    time: Duration::from_secs(10),
    longest: Duration::from_secs(25),
    most: 0.5,
};

/// Fails three times at `now`.
fn fail(state: &EjectionState, settings: &EjectionSettings, now: u64) -> Option<u64> {
    let failed = || state.failed(settings, Moment(now), || true);
    assert_eq!([failed(), failed()], [None, None]);
    failed().map(|time| time.as_millis() as u64)
}

#[test]
fn only_failures_in_a_row_eject() {
    let state = EjectionState::default();
    for _ in 0..10 {
        (0..2).for_each(|_| assert_eq!(state.failed(&SETTINGS, Moment(0), || panic!("asked too early")), None));
        state.succeeded();
    }
    assert_eq!(fail(&state, &SETTINGS, 5), Some(10_000));
    assert!(state.is_ejected() && !state.would_be_ejected());
    assert_eq!((state.ejected_until(), state.times()), (Some(Moment(10_005)), 1));
}

#[test]
fn an_ntp_step_changes_nothing_because_ejected_until_is_a_moment() {
    let state = EjectionState::default();
    fail(&state, &SETTINGS, 5);
    for now in [0, 5, 10_004] {
        assert!(!state.over(Moment(now)) && state.is_ejected());
    }
    assert!(state.over(Moment(10_005)) && !state.is_ejected());
    assert!(!state.over(Moment(10_005)), "it comes back once");
    assert_eq!(state.ejected_until(), None);
}

#[test]
fn whatever_its_time_it_stays_ejected_until_the_sweep_brings_it_back() {
    let state = EjectionState::default();
    fail(&state, &SETTINGS, 0);
    assert_eq!(state.failed(&SETTINGS, Moment(99_000), || panic!("it is out")), None);
    assert!(state.is_ejected());
    assert!(state.over(Moment(99_000)) && !state.is_ejected());
}

#[test]
fn failures_while_ejected_prolong_nothing_and_are_forgotten() {
    let state = EjectionState::default();
    fail(&state, &SETTINGS, 0);
    (0..20).for_each(|now| assert_eq!(state.failed(&SETTINGS, Moment(now), || true), None));
    assert_eq!(state.ejected_until(), Some(Moment(10_000)));
    assert!(state.over(Moment(10_000)));
    assert_eq!(fail(&state, &SETTINGS, 10_000), Some(20_000), "as many as before are needed");
}

#[test]
fn ejections_in_a_row_last_longer_and_each_time_span_of_being_in_forgets_one() {
    let state = EjectionState::default();
    let mut now = 0;
    for (waited, time, times) in [
        (0, 10_000, 1),
        (0, 20_000, 2),
        (9_999, 25_000, 3),
        (0, 25_000, 4),
        // Two spans: of four, two are remembered.
        (29_999, 25_000, 3),
        (20_000, 20_000, 2),
        (1_000_000, 10_000, 1),
        (10_000, 10_000, 1),
    ] {
        now += waited;
        assert_eq!(fail(&state, &SETTINGS, now), Some(time), "{waited}");
        assert_eq!(state.times(), times);
        now += time;
        assert!(state.over(Moment(now)));
    }
}

#[test]
fn where_it_may_not_be_ejected_each_further_failure_asks_again() {
    let state = EjectionState::default();
    let mut asked = 0;
    for _ in 0..7 {
        let refuse = || {
            asked += 1;
            false
        };
        assert_eq!(state.failed(&SETTINGS, Moment(0), refuse), None);
    }
    assert_eq!(asked, 5);
    assert!(!state.is_ejected());
    assert_eq!(state.failed(&SETTINGS, Moment(0), || true), Some(Duration::from_secs(10)));
    let state = EjectionState::default();
    (0..7).for_each(|_| assert_eq!(state.failed(&SETTINGS, Moment(0), || false), None));
    state.succeeded();
    assert_eq!(fail(&state, &SETTINGS, 0), Some(10_000), "a success begins the count anew");
}

#[test]
fn observing_decides_and_reports_once_and_the_balancer_sees_nothing() {
    let (state, observe) = (EjectionState::default(), EjectionSettings { mode: Mode::Observe, ..SETTINGS });
    assert_eq!(fail(&state, &observe, 0), Some(10_000));
    assert!(!state.is_ejected() && state.would_be_ejected());
    (0..20).for_each(|now| assert_eq!(state.failed(&observe, Moment(now), || true), None));
    assert_eq!(state.ejected_until(), Some(Moment(10_000)));
    assert!(state.over(Moment(10_000)) && !state.would_be_ejected());
    assert_eq!(fail(&state, &observe, 10_000), Some(20_000));
}

#[test]
fn switched_off_or_after_no_failures_nobody_is_ejected() {
    for settings in [EjectionSettings { mode: Mode::Off, ..SETTINGS }, EjectionSettings { after: 0, ..SETTINGS }] {
        let state = EjectionState::default();
        (0..50).for_each(|_| assert_eq!(state.failed(&settings, Moment(0), || true), None));
        assert_eq!(state.failed(&SETTINGS, Moment(0), || panic!("they were counted")), None);
    }
}

#[test]
fn a_reset_brings_it_back_at_once_and_forgets_all() {
    let state = EjectionState::default();
    assert!(!state.reset(Moment(0)));
    for _ in 0..3 {
        assert_eq!(fail(&state, &SETTINGS, 0), Some(10_000));
        assert!(state.reset(Moment(1)) && !state.is_ejected());
        assert_eq!(state.times(), 0);
    }
}

#[test]
fn a_share_of_endpoints_may_be_ejected_and_never_all() {
    for (endpoints, most, expected) in [
        (0, 1.0, 0),
        (1, 1.0, 0),
        (2, 1.0, 1),
        (2, 0.5, 1),
        (2, 0.49, 0),
        (3, 0.5, 1),
        (3, 0.0, 0),
        (10, 0.3, 3),
        (100, 0.29, 29),
        (100, 1.0, 99),
        (10, 7.0, 9),
        (10, -1.0, 0),
        (10, f64::NAN, 0),
    ] {
        assert_eq!(most_ejected(endpoints, most), expected, "{endpoints} {most}");
    }
}

#[test]
fn settings_without_sense_neither_panic_nor_eject_for_ever() {
    let settings = EjectionSettings { time: Duration::ZERO, longest: Duration::ZERO, ..SETTINGS };
    let state = EjectionState::default();
    assert_eq!(fail(&state, &settings, 0), Some(1));
    assert!(state.over(Moment(1)));
    let settings = EjectionSettings { time: Duration::from_nanos(1), ..settings };
    assert_eq!(fail(&state, &settings, 1), Some(1));
}

#[test]
fn threads_whose_failures_meet_eject_it_once() {
    for _ in 0..300 {
        let (state, together) = (EjectionState::default(), Barrier::new(4));
        let fail = || {
            together.wait();
            (0..20).filter(|_| state.failed(&SETTINGS, Moment(0), || true).is_some()).count()
        };
        let ejections: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(fail)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((ejections, state.times()), (1, 1));
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Fail { may: bool },
    Succeed,
    Wait(u64),
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => prop::bool::weighted(0.8).prop_map(|may| Step::Fail { may }),
        1 => Just(Step::Succeed),
        4 => prop_oneof![3 => 0..2_000_u64, 1 => 0..60_000_u64].prop_map(Step::Wait),
        3 => Just(Step::Sweep),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    #[test]
    fn it_is_ejected_by_failures_in_a_row_alone_and_for_longer_each_time(
        steps in steps(), after in 1..5_u32, time in 1..5_000_u64, longer in 0..20_000_u64,
        mode in prop::sample::select(&[Mode::Enforce, Mode::Observe][..]),
    ) {
        let (time, longest) = (Duration::from_millis(time), Duration::from_millis(time + longer));
        let (state, settings) = (EjectionState::default(), EjectionSettings { mode, after, time, longest, most: 1.0 });
        let (mut now, mut row, mut until) = (Moment(0), 0, None::<Moment>);
        let (mut times, mut back, mut last) = (0_u64, Moment(0), Duration::ZERO);
        for step in steps {
            match step {
                Step::Wait(millis) => now.0 += millis,
                Step::Succeed => {
                    state.succeeded();
                    row = 0;
                }
                Step::Sweep => {
                    let over = until.is_some_and(|until| until <= now);
                    prop_assert_eq!(state.over(now), over);
                    if over {
                        (until, row, back) = (None, 0, now);
                    }
                }
                Step::Fail { may } => {
                    let mut asked = false;
                    let found = state.failed(&settings, now, || { asked = true; may });
                    row += u32::from(until.is_none());
                    prop_assert_eq!(asked, until.is_none() && row >= after);
                    prop_assert_eq!(found.is_some(), asked && may);
                    if let Some(found) = found {
                        let forgotten = now.since(back).as_millis() as u64 / time.as_millis() as u64;
                        times = times.saturating_sub(forgotten) + 1;
                        prop_assert_eq!(found, (time * times as u32).min(longest));
                        prop_assert!((time..=longest).contains(&found));
                        prop_assert!(forgotten > 0 || found >= last, "in a row it grows");
                        (until, last) = (Some(now.after(found)), found);
                    }
                }
            }
            prop_assert_eq!(state.ejected_until(), until);
            prop_assert_eq!(state.is_ejected(), until.is_some() && mode == Mode::Enforce);
            prop_assert_eq!(state.would_be_ejected(), until.is_some() && mode == Mode::Observe);
        }
    }

    #[test]
    fn one_of_several_endpoints_always_stays_in(endpoints in 1..200_usize, most in 0.0..1.5) {
        let found = most_ejected(endpoints, most);
        prop_assert!(found < endpoints);
        prop_assert!(found as f64 <= endpoints as f64 * most + 1e-6);
        prop_assert!(most >= 1.0 || found as f64 > endpoints as f64 * most - 1.0 - 1e-6);
    }
}
