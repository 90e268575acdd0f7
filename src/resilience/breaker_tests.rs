use super::super::traffic::Event;
use super::*;
use proptest::prelude::*;
use std::{sync::Barrier, thread};

/// Opens after 3 failures in a row for 1 s, 2 s, 4 s, 5 s; two trials close it.
const SETTINGS: BreakerSettings = BreakerSettings {
    mode: Mode::Enforce,
    consecutive: 3,
    share: 0.0,
    least: 0,
    window: Duration::from_secs(10),
    open: Duration::from_secs(1),
    longest_open: Duration::from_secs(5),
    trials: 2,
};

/// Opens where half of at least 10 attempts in 10 s failed.
const BY_SHARE: BreakerSettings = BreakerSettings { consecutive: 0, share: 0.5, least: 10, ..SETTINGS };

/// A breaker with its traffic, as a service has them.
#[derive(Debug, Default)]
struct Service {
    state: BreakerState,
    traffic: Traffic,
}

impl Service {
    fn admit(&self, settings: &BreakerSettings, now: u64) -> Admit {
        self.state.admit(settings, Moment(now))
    }

    fn trial(&self, settings: &BreakerSettings, now: u64) -> Asked {
        let admit = self.admit(settings, now);
        assert!(matches!(admit, Admit::Trial { .. }), "{admit:?} at {now}");
        admit.asked()
    }

    fn succeeded(&self, settings: &BreakerSettings, asked: Asked, now: u64) -> Option<Change> {
        self.traffic.count(Event::Success, Moment(now));
        self.state.succeeded(settings, asked, Moment(now))
    }

    fn failed(&self, settings: &BreakerSettings, asked: Asked, now: u64) -> Option<Change> {
        self.traffic.count(Event::Failure, Moment(now));
        self.state.failed(settings, &self.traffic, asked, Moment(now))
    }

    /// Opened by three failures at `now`.
    fn opened(now: u64) -> Self {
        let service = Self::default();
        (0..2).for_each(|_| assert_eq!(service.failed(&SETTINGS, Asked::Ordinary, now), None));
        assert_eq!(service.failed(&SETTINGS, Asked::Ordinary, now), opened(Because::Consecutive, 1_000));
        service
    }
}

fn opened(because: Because, millis: u64) -> Option<Change> {
    Some(Change::Opened { because, time: Duration::from_millis(millis) })
}

fn refused(millis: u64) -> Admit {
    Admit::Refused { retry_after: Duration::from_millis(millis) }
}

#[test]
fn only_failures_in_a_row_open_it() {
    let service = Service::default();
    for _ in 0..10 {
        (0..2).for_each(|_| assert_eq!(service.failed(&SETTINGS, Asked::Ordinary, 0), None));
        assert_eq!(service.succeeded(&SETTINGS, Asked::Ordinary, 0), None);
        assert_eq!(service.admit(&SETTINGS, 0), Admit::Pass);
    }
    assert_eq!(service.state.status(Moment(0)), Status::Closed);
}

#[test]
fn an_ntp_step_changes_nothing_because_open_until_is_a_moment() {
    let service = Service::opened(500);
    for (now, left) in [(500, 1_000), (501, 999), (1_499, 1), (400, 1_100)] {
        assert_eq!(service.admit(&SETTINGS, now), refused(left));
        assert_eq!(service.state.status(Moment(now)), Status::Open { for_another: Duration::from_millis(left) });
    }
    assert_eq!(service.state.status(Moment(1_500)), Status::Open { for_another: Duration::ZERO });
    assert!(matches!(service.admit(&SETTINGS, 1_500), Admit::Trial { change: Some(Change::HalfOpened), .. }));
    assert_eq!(service.state.status(Moment(1_500)), Status::HalfOpen);
}

#[test]
fn half_open_lets_trials_through_and_as_many_successes_close_it() {
    let service = Service::opened(0);
    let first = service.trial(&SETTINGS, 1_000);
    let second = service.admit(&SETTINGS, 1_000);
    assert!(matches!(second, Admit::Trial { change: None, .. }), "it half-opens once");
    assert_eq!(service.admit(&SETTINGS, 1_000), refused(1_000));
    assert_eq!(service.succeeded(&SETTINGS, first, 1_010), None);
    let third = service.trial(&SETTINGS, 1_020);
    assert_eq!(service.admit(&SETTINGS, 1_020), refused(1_000));
    assert_eq!(service.succeeded(&SETTINGS, second.asked(), 1_030), Some(Change::Closed));
    assert_eq!(service.admit(&SETTINGS, 1_030), Admit::Pass);
    // What is left of the trials says nothing about a closed breaker.
    (0..5).for_each(|_| assert_eq!(service.failed(&SETTINGS, third, 1_040), None));
}

#[test]
fn each_failed_trial_opens_it_for_twice_as_long_up_to_the_longest_and_closing_forgets_that() {
    let (service, mut now) = (Service::opened(0), 1_000);
    for millis in [2_000, 4_000, 5_000, 5_000] {
        let asked = service.trial(&SETTINGS, now);
        assert_eq!(service.failed(&SETTINGS, asked, now), opened(Because::Trial, millis));
        assert_eq!(service.admit(&SETTINGS, now + millis - 1), refused(1));
        now += millis;
    }
    for expected in [None, Some(Change::Closed)] {
        let asked = service.trial(&SETTINGS, now);
        assert_eq!(service.succeeded(&SETTINGS, asked, now), expected);
    }
    (0..2).for_each(|_| assert_eq!(service.failed(&SETTINGS, Asked::Ordinary, now), None));
    assert_eq!(service.failed(&SETTINGS, Asked::Ordinary, now), opened(Because::Consecutive, 1_000));
}

#[test]
fn results_of_requests_from_before_the_opening_change_nothing() {
    let service = Service::opened(0);
    for now in [1, 999] {
        (0..5).for_each(|_| assert_eq!(service.failed(&SETTINGS, Asked::Ordinary, now), None));
        (0..5).for_each(|_| assert_eq!(service.succeeded(&SETTINGS, Asked::Ordinary, now), None));
    }
    assert_eq!(service.admit(&SETTINGS, 999), refused(1), "it is open no longer and no shorter");
    let trial = service.trial(&SETTINGS, 1_000);
    (0..5).for_each(|_| assert_eq!(service.failed(&SETTINGS, Asked::Ordinary, 1_001), None));
    (0..5).for_each(|_| assert_eq!(service.succeeded(&SETTINGS, Asked::Ordinary, 1_001), None));
    assert_eq!(service.state.status(Moment(1_001)), Status::HalfOpen);
    assert_eq!(service.succeeded(&SETTINGS, trial, 1_002), None);
}

#[test]
fn a_trial_counts_in_its_own_half_open_time_and_holds_its_place_beyond_it() {
    let service = Service::opened(0);
    let (first, late) = (service.trial(&SETTINGS, 1_000), service.trial(&SETTINGS, 1_000));
    assert_eq!(service.failed(&SETTINGS, first, 1_000), opened(Because::Trial, 2_000));
    let again = service.trial(&SETTINGS, 3_000);
    assert_eq!(service.admit(&SETTINGS, 3_000), refused(1_000), "the late one is under way still");
    assert_eq!(service.failed(&SETTINGS, late, 3_001), None);
    let next = service.trial(&SETTINGS, 3_002);
    assert_eq!(service.succeeded(&SETTINGS, again, 3_003), None);
    assert_eq!(service.succeeded(&SETTINGS, next, 3_003), Some(Change::Closed));
}

#[test]
fn a_trial_that_ends_without_result_gives_its_place_to_the_next() {
    let service = Service::opened(0);
    let (first, _) = (service.trial(&SETTINGS, 1_000), service.trial(&SETTINGS, 1_000));
    assert_eq!(service.admit(&SETTINGS, 1_000), refused(1_000));
    service.state.gave_back(Asked::Ordinary);
    assert_eq!(service.admit(&SETTINGS, 1_000), refused(1_000), "an ordinary request has no place");
    service.state.gave_back(first);
    service.trial(&SETTINGS, 1_000);
    assert_eq!(service.admit(&SETTINGS, 1_000), refused(1_000));
}

#[test]
fn trials_nobody_hears_of_again_are_lost_after_a_minute() {
    let service = Service::opened(0);
    let lost = [1_000, 2_000].map(|now| service.trial(&SETTINGS, now));
    assert_eq!(service.admit(&SETTINGS, 61_999), refused(1_000));
    let (first, second) = (service.trial(&SETTINGS, 62_000), service.trial(&SETTINGS, 62_000));
    // If they come after all, they neither free a place of others nor decide.
    lost.into_iter().for_each(|asked| assert_eq!(service.failed(&SETTINGS, asked, 62_001), None));
    assert_eq!(service.admit(&SETTINGS, 62_001), refused(1_000));
    assert_eq!(service.succeeded(&SETTINGS, first, 62_002), None);
    assert_eq!(service.succeeded(&SETTINGS, second, 62_002), Some(Change::Closed));
}

#[test]
fn a_share_of_failures_opens_it_once_enough_attempts_have_ended() {
    for (share, least, successes, failures, expected) in [
        (0.5, 10, 5, 4, false),
        (0.5, 10, 6, 4, false),
        (0.5, 10, 5, 5, true),
        (0.5, 11, 5, 5, false),
        (0.07, 1, 93, 7, true),
        (0.07, 1, 94, 7, false),
        (1.0, 0, 0, 1, true),
        (1.0, 0, 1, 50, false),
        (0.0, 0, 0, 50, false),
    ] {
        let (service, settings) = (Service::default(), BreakerSettings { share, least, ..BY_SHARE });
        (0..successes).for_each(|_| assert_eq!(service.succeeded(&settings, Asked::Ordinary, 100), None));
        let changes: Vec<_> = (0..failures).map(|_| service.failed(&settings, Asked::Ordinary, 100)).collect();
        let because = if expected { opened(Because::Share, 1_000) } else { None };
        assert_eq!(changes.last(), Some(&because), "{share} {least} {successes} {failures}");
    }
}

#[test]
fn after_closing_only_what_happened_since_counts_for_the_share() {
    let settings = BreakerSettings { trials: 1, open: Duration::from_millis(100), ..BY_SHARE };
    let service = Service::default();
    (0..9).for_each(|_| assert_eq!(service.failed(&settings, Asked::Ordinary, 100), None));
    assert_eq!(service.failed(&settings, Asked::Ordinary, 100), opened(Because::Share, 100));
    let trial = service.trial(&settings, 200);
    assert_eq!(service.succeeded(&settings, trial, 300), Some(Change::Closed));
    (0..20).for_each(|_| assert_eq!(service.failed(&settings, Asked::Ordinary, 999), None, "the second of closing"));
    (0..9).for_each(|_| assert_eq!(service.failed(&settings, Asked::Ordinary, 1_000), None));
    assert_eq!(service.failed(&settings, Asked::Ordinary, 1_000), opened(Because::Share, 100));
}

#[test]
fn an_operator_closes_it_and_nothing_of_before_opens_it_again() {
    let service = Service::opened(0);
    assert_eq!(service.state.reset(Moment(10)), Some(Change::Closed));
    assert_eq!(service.state.reset(Moment(10)), None);
    assert_eq!(service.admit(&SETTINGS, 10), Admit::Pass);
    (0..2).for_each(|_| assert_eq!(service.failed(&SETTINGS, Asked::Ordinary, 10), None));
    service.state.reset(Moment(11));
    (0..2).for_each(|_| assert_eq!(service.failed(&SETTINGS, Asked::Ordinary, 11), None));
    let by_share = BreakerSettings { least: 1, ..BY_SHARE };
    assert_eq!(service.failed(&by_share, Asked::Ordinary, 999), None);
    assert_eq!(service.failed(&by_share, Asked::Ordinary, 1_000), opened(Because::Share, 1_000));
}

#[test]
fn observing_goes_through_the_same_states_while_everything_passes() {
    let settings = BreakerSettings { mode: Mode::Observe, ..SETTINGS };
    let service = Service::default();
    let mut changes = Vec::new();
    // A service that is down for six seconds, and a request every 100 ms; refused ones pass all the same.
    for now in (0..20_000).step_by(100) {
        let admit = service.admit(&settings, now);
        if let Admit::Trial { change, .. } = admit {
            changes.extend(change.map(|change| (now, change.to_string())));
        }
        let end = if now < 6_000 { Service::failed } else { Service::succeeded };
        changes.extend(end(&service, &settings, admit.asked(), now).map(|change| (now, change.to_string())));
    }
    let expected = [
        (200, "open for 1s, too many failures in a row"),
        (1_200, "half-open, trying again"),
        (1_200, "open for 2s, a trial failed"),
        (3_200, "half-open, trying again"),
        (3_200, "open for 4s, a trial failed"),
        (7_200, "half-open, trying again"),
        (7_300, "closed"),
    ];
    assert_eq!(changes, expected.map(|(at, text)| (at, text.to_owned())));
}

#[test]
fn switched_off_it_lets_everything_pass_and_learns_nothing() {
    let off = BreakerSettings { mode: Mode::Off, ..SETTINGS };
    let service = Service::default();
    (0..10).for_each(|_| assert_eq!(service.failed(&off, Asked::Ordinary, 0), None));
    assert_eq!(service.admit(&SETTINGS, 0), Admit::Pass);
    assert_eq!(service.failed(&SETTINGS, Asked::Ordinary, 0), None);
    // Nor that a row of failures has ended.
    assert_eq!(service.failed(&SETTINGS, Asked::Ordinary, 0), None);
    assert_eq!(service.succeeded(&off, Asked::Ordinary, 0), None);
    assert_eq!(service.failed(&SETTINGS, Asked::Ordinary, 0), opened(Because::Consecutive, 1_000));
    let service = Service::opened(0);
    assert_eq!(service.admit(&off, 0), Admit::Pass);
    // A trial that began before it was switched off decides nothing, but its place is free when it is on again.
    let (first, second) = (service.trial(&SETTINGS, 1_000), service.trial(&SETTINGS, 1_000));
    assert_eq!(service.succeeded(&off, first, 1_001), None);
    assert_eq!(service.failed(&off, second, 1_001), None);
    (0..2).for_each(|_| _ = service.trial(&SETTINGS, 1_002));
}

#[test]
fn settings_without_sense_neither_panic_nor_refuse_for_ever() {
    let settings = BreakerSettings {
        consecutive: 1,
        open: Duration::ZERO,
        longest_open: Duration::ZERO,
        trials: 0,
        share: f64::NAN,
        window: Duration::MAX,
        ..SETTINGS
    };
    let service = Service::default();
    assert_eq!(service.failed(&settings, Asked::Ordinary, 0), opened(Because::Consecutive, 1));
    let trial = service.trial(&settings, 1);
    assert_eq!(service.succeeded(&settings, trial, 1), Some(Change::Closed));
}

/// How many of the answers of four threads, which begin together, are as they should.
fn meet(act: impl Fn() -> bool + Sync) -> usize {
    let together = Barrier::new(4);
    let act = || {
        together.wait();
        (0..20).filter(|_| act()).count()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(act)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn threads_that_ask_at_once_get_no_more_trials_than_there_are() {
    for _ in 0..100 {
        let service = Service::opened(0);
        assert_eq!(meet(|| matches!(service.admit(&SETTINGS, 1_000), Admit::Trial { .. })), 2);
    }
}

#[test]
fn threads_whose_failures_meet_open_it_once() {
    for _ in 0..300 {
        let service = Service::default();
        assert_eq!(meet(|| service.failed(&SETTINGS, Asked::Ordinary, 0).is_some()), 1);
    }
}

fn is_refused(admit: Admit) -> bool {
    matches!(admit, Admit::Refused { .. })
}

/// What may happen next. The results are those of any request under way, however old.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Ask,
    Succeed(prop::sample::Index),
    Fail(prop::sample::Index),
    Leave(prop::sample::Index),
    Reset,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        30 => prop_oneof![4 => 0..300_u64, 3 => 0..3_000_u64, 1 => 0..100_000_u64].prop_map(Step::Wait),
        60 => Just(Step::Ask),
        25 => index().prop_map(Step::Succeed),
        40 => index().prop_map(Step::Fail),
        8 => index().prop_map(Step::Leave),
        1 => Just(Step::Reset),
    ];
    prop::collection::vec(step, 0..300)
}

prop_compose! {
    fn settings()(
        mode in prop::sample::select(&[Mode::Enforce, Mode::Observe][..]), consecutive in 0..5_u32,
        share in prop::sample::select(&[0.0, 0.3, 0.5, 1.0][..]), least in 0..8_u32, window in 1..15_u64,
        open in 1..2_000_u64, longer in 0..20_000_u64, trials in 1..5_u32,
    ) -> BreakerSettings {
        BreakerSettings {
            mode, consecutive, share, least, trials, window: Duration::from_secs(window),
            open: Duration::from_millis(open), longest_open: Duration::from_millis(open + longer),
        }
    }
}

/// The breaker as a list of everything that happened would describe it.
#[derive(Debug)]
struct Model {
    settings: BreakerSettings,
    status: Status,
    until: Moment,
    last_open: Duration,
    /// Ordinary failures in a row.
    row: u32,
    since: u64,
    ended: Vec<(u64, bool)>,
    round: u32,
    successes: u32,
    /// Requests under way: as what they passed, in which round they were trials, and whether they hold a place.
    under_way: Vec<(Asked, Option<u32>, bool)>,
    last_trial: Moment,
}

impl Model {
    fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            status: Status::Closed,
            until: Moment(0),
            last_open: Duration::ZERO,
            row: 0,
            since: 0,
            ended: Vec::new(),
            round: 0,
            successes: 0,
            under_way: Vec::new(),
            last_trial: Moment(0),
        }
    }

    fn held(&self) -> usize {
        self.under_way.iter().filter(|(.., held)| *held).count()
    }

    fn asked(&mut self, admit: Admit, now: Moment) -> Result<(), TestCaseError> {
        match self.status {
            Status::Closed => prop_assert_eq!(admit, Admit::Pass, "closed never refuses"),
            Status::Open { .. } if now < self.until => {
                prop_assert_eq!(admit, Admit::Refused { retry_after: self.until.since(now) });
            }
            _ => return self.asked_for_trial(admit, now),
        }
        if admit == Admit::Pass || self.settings.mode == Mode::Observe {
            self.under_way.push((admit.asked(), None, false));
        }
        Ok(())
    }

    fn asked_for_trial(&mut self, admit: Admit, now: Moment) -> Result<(), TestCaseError> {
        let lost_after = self.settings.longest_open.max(LOST);
        if self.held() >= self.settings.trials as usize && now.since(self.last_trial) >= lost_after {
            self.under_way.iter_mut().for_each(|(.., held)| *held = false);
            self.round += 1;
        }
        if self.held() >= self.settings.trials as usize {
            prop_assert_eq!(admit, Admit::Refused { retry_after: Duration::from_secs(1) });
            if self.settings.mode == Mode::Observe {
                self.under_way.push((admit.asked(), None, false));
            }
            return Ok(());
        }
        let expected = (self.status != Status::HalfOpen).then_some(Change::HalfOpened);
        prop_assert!(matches!(admit, Admit::Trial { change, .. } if change == expected), "{:?}", admit);
        if expected.is_some() {
            self.status = Status::HalfOpen;
            self.round += 1;
            self.successes = 0;
        }
        self.last_trial = now;
        self.under_way.push((admit.asked(), Some(self.round), true));
        prop_assert!(self.held() <= self.settings.trials as usize, "never more trials at a time");
        Ok(())
    }

    fn succeeded(&mut self, round: Option<u32>, now: Moment) -> Option<Change> {
        self.ended.push((now.0 / 1_000, true));
        if round.is_none() {
            self.row = 0;
        }
        if self.status != Status::HalfOpen || round != Some(self.round) {
            return None;
        }
        self.successes += 1;
        (self.successes == self.settings.trials).then(|| self.close(now))
    }

    fn failed(&mut self, round: Option<u32>, now: Moment) -> Option<Change> {
        self.ended.push((now.0 / 1_000, false));
        match (self.status, round) {
            (Status::HalfOpen, Some(round)) if round == self.round => {
                let time = (self.last_open * 2).min(self.settings.longest_open);
                Some(self.open(Because::Trial, time, now))
            }
            (Status::Closed, None) => {
                self.row += 1;
                let by_row = self.settings.consecutive > 0 && self.row >= self.settings.consecutive;
                let because = if by_row { Because::Consecutive } else { Because::Share };
                (by_row || self.is_over(now)).then(|| self.open(because, self.settings.open, now))
            }
            _ => None,
        }
    }

    fn is_over(&self, now: Moment) -> bool {
        let first = (now.0 / 1_000).saturating_sub(self.settings.window.as_secs()).max(self.since);
        let seen: Vec<bool> = self.ended.iter().filter(|(at, _)| *at >= first).map(|(_, good)| *good).collect();
        let failed = seen.iter().filter(|good| !**good).count();
        let enough = seen.len() >= self.settings.least as usize && !seen.is_empty();
        self.settings.share > 0.0 && enough && failed as f64 / seen.len() as f64 >= self.settings.share
    }

    fn open(&mut self, because: Because, time: Duration, now: Moment) -> Change {
        (self.status, self.last_open, self.until) = (Status::Open { for_another: time }, time, now.after(time));
        Change::Opened { because, time }
    }

    fn close(&mut self, now: Moment) -> Change {
        (self.status, self.row, self.since) = (Status::Closed, 0, now.0 / 1_000 + 1);
        Change::Closed
    }
}

fn step(step: &Step, service: &Service, model: &mut Model, now: &mut Moment) -> Result<(), TestCaseError> {
    let settings = model.settings;
    let one = |model: &mut Model, index: &prop::sample::Index| {
        let any = !model.under_way.is_empty();
        any.then(|| model.under_way.swap_remove(index.index(model.under_way.len())))
    };
    match step {
        Step::Wait(millis) => now.0 += millis,
        Step::Ask => model.asked(service.admit(&settings, now.0), *now)?,
        Step::Succeed(index) => {
            if let Some((asked, round, _)) = one(model, index) {
                prop_assert_eq!(service.succeeded(&settings, asked, now.0), model.succeeded(round, *now));
            }
        }
        Step::Fail(index) => {
            if let Some((asked, round, _)) = one(model, index) {
                prop_assert_eq!(service.failed(&settings, asked, now.0), model.failed(round, *now));
            }
        }
        Step::Leave(index) => {
            if let Some((asked, ..)) = one(model, index) {
                service.state.gave_back(asked);
            }
        }
        Step::Reset => {
            let expected = (model.status != Status::Closed).then_some(Change::Closed);
            model.close(*now);
            prop_assert_eq!(service.state.reset(*now), expected);
        }
    }
    let expected = match model.status {
        Status::Open { .. } => Status::Open { for_another: model.until.since(*now) },
        other => other,
    };
    prop_assert_eq!(service.state.status(*now), expected);
    Ok(())
}

proptest! {
    #[test]
    fn whatever_happens_in_whatever_order_it_does_what_a_list_of_everything_says(
        steps in steps(), settings in settings(), start in 0..5_000_u64
    ) {
        let (service, mut model, mut now) = (Service::default(), Model::new(settings), Moment(start));
        for one in &steps {
            step(one, &service, &mut model, &mut now)?;
        }
    }

    #[test]
    fn from_any_state_a_row_of_good_trials_closes_it_though_all_others_are_lost(
        steps in steps(), settings in settings()
    ) {
        let (service, mut model, mut now) = (Service::default(), Model::new(settings), Moment(0));
        for one in &steps {
            step(one, &service, &mut model, &mut now)?;
        }
        now = now.after(settings.longest_open.max(LOST));
        for _ in 0..settings.trials {
            let admit = service.admit(&settings, now.0);
            prop_assert!(!is_refused(admit), "{:?}", admit);
            service.succeeded(&settings, admit.asked(), now.0);
        }
        prop_assert_eq!(service.state.status(now), Status::Closed);
        prop_assert_eq!(service.admit(&settings, now.0), Admit::Pass);
    }

    #[test]
    fn from_any_state_in_which_every_trial_ends_the_longest_open_time_is_enough(
        steps in steps(), settings in settings()
    ) {
        let (service, mut model, mut now) = (Service::default(), Model::new(settings), Moment(0));
        for one in &steps {
            step(one, &service, &mut model, &mut now)?;
        }
        model.under_way.iter().for_each(|(asked, ..)| service.state.gave_back(*asked));
        now = now.after(settings.longest_open);
        for _ in 0..settings.trials {
            let admit = service.admit(&settings, now.0);
            prop_assert!(!is_refused(admit), "{:?}", admit);
            service.succeeded(&settings, admit.asked(), now.0);
        }
        prop_assert_eq!(service.state.status(now), Status::Closed);
    }
}
