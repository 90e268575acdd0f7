use super::*;
use proptest::prelude::*;
use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::{Context, Poll, Waker},
};

const NOW: Moment = Moment(1_000);

fn settings(max: u32) -> GateSettings {
    GateSettings { mode: Mode::Enforce, max: Some(max), queue: None, adaptive: None }
}

fn queued(max: u32, length: usize) -> GateSettings {
    GateSettings { queue: Some(QueueSettings { length, wait: Duration::from_secs(10) }), ..settings(max) }
}

fn adaptive(least: u32, most: u32) -> AdaptiveSettings {
    AdaptiveSettings { least, most, tolerance: 2.0, window: Duration::from_millis(100) }
}

fn is_in(gate: &Arc<Gate>, settings: &GateSettings) -> Option<Permit> {
    match gate.try_enter(settings, None, NOW) {
        Enter::In(permit) => Some(permit),
        Enter::Full => None,
    }
}

fn fill(gate: &Arc<Gate>, settings: &GateSettings) -> Vec<Permit> {
    std::iter::from_fn(|| is_in(gate, settings)).collect()
}

type Entering = Pin<Box<dyn Future<Output = Result<Permit, Overloaded>> + Send>>;

/// Somebody who enters, in line after one poll.
fn wait(gate: &Arc<Gate>, settings: &GateSettings, now: u64) -> Entering {
    let (gate, settings) = (gate.clone(), *settings);
    let mut entering: Entering = Box::pin(async move { gate.enter(&settings, None, None, Moment(now)).await });
    assert!(poll(&mut entering).is_none(), "it need not wait");
    entering
}

fn poll(entering: &mut Entering) -> Option<Result<Permit, Overloaded>> {
    match entering.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(entered) => Some(entered),
        Poll::Pending => None,
    }
}

/// Who of them is in, by place in the list.
fn who(waiting: &mut [Entering]) -> Vec<usize> {
    let polled = waiting.iter_mut().enumerate().filter_map(|(at, entering)| Some((at, poll(entering)?)));
    polled
        .map(|(at, entered)| {
            // It is not counted as ended.
            entered.unwrap().gate = None;
            at
        })
        .collect()
}

#[track_caller]
fn check(gate: &Arc<Gate>, in_flight: u32, waiting: u32) {
    let report = gate.report(NOW);
    assert_eq!((report.in_flight, report.waiting), (in_flight, waiting));
    assert_eq!(gate.line.lock().queue.len(), waiting as usize);
    assert_eq!(report.oldest_wait.is_some(), waiting > 0);
}

#[test]
fn there_are_as_many_places_as_the_lowest_limit_says() {
    for (max, also, follows, expected) in [
        (Some(3), None, None, 3),
        (Some(3), Some(2), None, 2),
        (None, Some(4), None, 4),
        (Some(0), None, None, 1),
        (Some(5), Some(0), None, 1),
        (None, None, Some(adaptive(10, 1_000)), 20),
        (None, None, Some(adaptive(30, 1_000)), 30),
        (Some(15), None, Some(adaptive(10, 1_000)), 15),
        (Some(15), Some(9), Some(adaptive(10, 12)), 9),
        (Some(15), None, Some(adaptive(10, 12)), 12),
    ] {
        let gate = Arc::default();
        let settings = GateSettings { max, adaptive: follows, ..settings(0) };
        let enter = || match Gate::try_enter(&gate, &settings, also, NOW) {
            Enter::In(permit) => Some(permit),
            Enter::Full => None,
        };
        let mut permits: Vec<Permit> = std::iter::from_fn(enter).collect();
        assert_eq!(permits.len(), expected, "{max:?} {also:?} {follows:?}");
        assert_eq!(gate.report(NOW).limit, Some(expected as u32));
        assert!(permits.iter().all(|permit| !permit.would_be_refused()));
        permits.pop();
        assert!(enter().is_some() && gate.report(NOW).in_flight == expected as u32 - 1);
    }
}

#[test]
fn without_a_limit_requests_are_only_counted() {
    let gate = Arc::default();
    let permits: Vec<Permit> =
        (0..1_000).filter_map(|_| is_in(&gate, &GateSettings { max: None, ..settings(0) })).collect();
    let expected = GateReport { in_flight: 1_000, limit: None, waiting: 0, oldest_wait: None };
    assert_eq!(gate.report(NOW), expected);
    drop(permits);
    check(&gate, 0, 0);
}

#[test]
fn a_limit_that_is_only_observed_lets_all_in_and_tells_whom_it_would_not() {
    let (gate, settings) = (Arc::default(), GateSettings { mode: Mode::Observe, ..queued(2, 1) });
    let mut permits = Vec::new();
    for over in [false, false, true, true] {
        permits.push(is_in(&gate, &settings).unwrap());
        assert_eq!(permits.last().map(Permit::would_be_refused), Some(over));
    }
    assert_eq!((gate.report(NOW).in_flight, gate.report(NOW).limit), (4, Some(2)));
    permits.truncate(1);
    assert!(!is_in(&gate, &settings).unwrap().would_be_refused());
}

#[test]
fn the_count_is_right_whatever_the_mode_was_when_they_came() {
    let gate = Arc::default();
    let with = |mode| GateSettings { mode, ..settings(2) };
    let mut permits: Vec<Permit> = [Mode::Off, Mode::Observe, Mode::Enforce, Mode::Off, Mode::Observe, Mode::Observe]
        .into_iter()
        .map(|mode| is_in(&gate, &with(mode)).unwrap())
        .collect();
    check(&gate, 4, 0);
    assert!(is_in(&gate, &with(Mode::Enforce)).is_none());
    for (left, in_flight) in [(5, 3), (4, 2), (3, 2), (2, 1), (1, 0), (0, 0)] {
        permits.truncate(left);
        check(&gate, in_flight, 0);
    }
    assert_eq!(fill(&gate, &with(Mode::Enforce)).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_and_in_none_that_has_no_room_nobody_waits() {
    let gate: Arc<Gate> = Arc::default();
    let _permits = fill(&gate, &settings(1));
    let now = Instant::now();
    let no_wait = QueueSettings { length: 9, wait: Duration::ZERO };
    for (settings, until, expected) in [
        (settings(1), None, Overloaded::Full),
        (queued(1, 0), None, Overloaded::QueueFull),
        (GateSettings { queue: Some(no_wait), ..settings(1) }, None, Overloaded::Waited),
        (queued(1, 9), Some(now), Overloaded::Waited),
    ] {
        assert_eq!(gate.enter(&settings, None, until, NOW).await.err(), Some(expected));
        check(&gate, 1, 0);
    }
    assert_eq!(Instant::now(), now);
}

#[tokio::test(start_paused = true)]
async fn one_waits_as_long_as_the_queue_allows_and_at_most_as_long_as_the_request_may() {
    let gate: Arc<Gate> = Arc::default();
    let _permits = fill(&gate, &settings(1));
    for (until, expected) in [(None, 10_000), (Some(3_000), 3_000), (Some(20_000), 10_000)] {
        let began = Instant::now();
        let until = until.map(|millis| began + Duration::from_millis(millis));
        assert_eq!(gate.enter(&queued(1, 5), None, until, NOW).await.err(), Some(Overloaded::Waited));
        assert_eq!(began.elapsed().as_millis(), expected);
        check(&gate, 1, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn places_are_handed_over_in_the_order_of_the_queue() {
    for (waiters, last, expected) in [(4, 0, [0, 1, 2, 3]), (4, 5_001, [3, 2, 1, 0]), (8, 0, [7, 6, 5, 4])] {
        let (gate, settings) = (Arc::default(), queued(1, 9));
        let mut permits = fill(&gate, &settings);
        // The last one tells the time.
        let mut waiting: Vec<Entering> =
            (0..waiters).map(|at| wait(&gate, &settings, if at + 1 < waiters { 0 } else { last })).collect();
        for expected in expected {
            permits.clear();
            let polled = waiting.iter_mut().map(poll).enumerate();
            let mut entered: Vec<(usize, Permit)> =
                polled.filter_map(|(at, entered)| Some((at, entered?.unwrap()))).collect();
            assert_eq!(entered.len(), 1);
            let (at, permit) = entered.remove(0);
            assert_eq!(at, expected, "{waiters} {last}");
            permits.push(permit);
            // A future that is ready must not be asked again.
            waiting[at] = Box::pin(std::future::pending());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_who_comes_goes_before_one_who_waits() {
    let (gate, settings) = (Arc::default(), queued(1, 9));
    let permits = fill(&gate, &settings);
    let mut waiting = wait(&gate, &settings, 0);
    drop(permits);
    assert!(is_in(&gate, &settings).is_none());
    check(&gate, 1, 0);
    assert!(poll(&mut waiting).unwrap().is_ok());
    check(&gate, 0, 0);
}

#[tokio::test(start_paused = true)]
async fn when_the_queue_is_full_the_oldest_is_thrown_out() {
    let (gate, settings) = (Arc::default(), queued(1, 2));
    let _permits = fill(&gate, &settings);
    let mut waiting: Vec<Entering> = (0..3).map(|_| wait(&gate, &settings, 0)).collect();
    check(&gate, 1, 2);
    assert_eq!(poll(&mut waiting[0]).unwrap().err(), Some(Overloaded::ThrownOut));
    assert!(poll(&mut waiting[1]).is_none() && poll(&mut waiting[2]).is_none());
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_takes_no_room_and_no_place() {
    let (gate, settings) = (Arc::default(), queued(1, 3));
    let permits = fill(&gate, &settings);
    let mut waiting: Vec<Entering> = (0..3).map(|_| wait(&gate, &settings, 0)).collect();
    drop(waiting.remove(1));
    check(&gate, 1, 2);
    // Its turn has come, and it does not know yet.
    drop(permits);
    check(&gate, 1, 1);
    drop(waiting.remove(1));
    check(&gate, 1, 0);
    assert!(poll(&mut waiting[0]).unwrap().is_ok());
    check(&gate, 0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_nobody_takes_goes_to_the_next() {
    let gate: Arc<Gate> = Arc::default();
    let permits = fill(&gate, &settings(1));
    // Between the moment that a receiver is dropped and the one that its ticket is given back.
    for _ in 0..3 {
        let mut line = gate.line.lock();
        gate.places.fetch_add(Places::WAITER, Relaxed);
        line.queue.push(oneshot::channel().0, 9, NOW).unwrap();
    }
    let mut waiting = wait(&gate, &queued(1, 9), 0);
    drop(permits);
    check(&gate, 1, 0);
    assert!(poll(&mut waiting).unwrap().is_ok());
    check(&gate, 0, 0);
}

/// What happens after the limit has risen.
type Happens = fn(&Arc<Gate>, &GateSettings, &mut Vec<Permit>);

#[tokio::test(start_paused = true)]
async fn when_the_limit_has_risen_whoever_waits_is_let_in_at_the_next_event() {
    let tries: Happens = |gate, settings, permits| permits.extend(is_in(gate, settings));
    let enters: Happens = |gate, settings, permits| {
        let (gate, settings) = (gate.clone(), *settings);
        let mut entering: Entering = Box::pin(async move { gate.enter(&settings, None, None, NOW).await });
        permits.extend(poll(&mut entering).map(Result::unwrap));
    };
    let with = |mode, max| GateSettings { mode, ..queued(max, 9) };
    for (happens, changed, expected, in_flight) in [
        (tries, with(Mode::Enforce, 4), vec![0, 1], 4),
        (tries, with(Mode::Enforce, 9), vec![0, 1, 2], 6),
        (enters, with(Mode::Enforce, 9), vec![0, 1, 2], 6),
        (tries, GateSettings { queue: None, ..with(Mode::Enforce, 4) }, vec![0, 1], 4),
        (tries, GateSettings { max: None, ..with(Mode::Enforce, 0) }, vec![0, 1, 2], 6),
        (tries, with(Mode::Observe, 2), vec![0, 1, 2], 6),
        (tries, with(Mode::Off, 2), vec![0, 1, 2], 5),
    ] {
        let (gate, settings) = (Arc::default(), queued(2, 9));
        let mut permits = fill(&gate, &settings);
        let mut waiting: Vec<Entering> = (0..3).map(|_| wait(&gate, &settings, 0)).collect();
        happens(&gate, &changed, &mut permits);
        check(&gate, in_flight, 3 - expected.len() as u32);
        assert_eq!(who(&mut waiting), expected, "{changed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_latency_allows_more_whoever_waits_is_let_in() {
    let (gate, follows) = (Arc::default(), Some(adaptive(10, 1_000)));
    let settings = GateSettings { max: None, adaptive: follows, ..queued(0, 99) };
    let _permits = fill(&gate, &settings);
    let mut waiting: Vec<Entering> = (0..40).map(|_| wait(&gate, &settings, 0)).collect();
    check(&gate, 20, 40);
    let sampled = |sample, millis| gate.sampled(&settings, sample, Moment(millis));
    (0..10).for_each(|at| sampled(Sample::Answered(Duration::from_millis(5)), at));
    let locked = gate.learned.lock();
    sampled(Sample::Answered(Duration::from_millis(5)), 500);
    drop(locked);
    check(&gate, 20, 40);
    sampled(Sample::Answered(Duration::from_millis(5)), 501);
    assert_eq!((who(&mut waiting), gate.report(NOW).limit), ((0..10).collect(), Some(30)));
    check(&gate, 30, 30);
}

#[tokio::test(start_paused = true)]
async fn a_lowered_limit_cuts_nobody_and_lets_nobody_in_until_it_holds() {
    let (gate, settings) = (Arc::default(), queued(4, 9));
    let mut permits = fill(&gate, &settings);
    let mut waiting = wait(&gate, &settings, 0);
    assert!(is_in(&gate, &queued(2, 9)).is_none());
    for left in [3, 2] {
        permits.pop();
        check(&gate, left, 1);
        assert!(poll(&mut waiting).is_none());
    }
    permits.pop();
    check(&gate, 2, 0);
    assert!(poll(&mut waiting).unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_on_waiting_where_the_queue_is_taken_away() {
    let (gate, settings) = (Arc::default(), queued(1, 9));
    let permits = fill(&gate, &settings);
    let mut waiting: Vec<Entering> = (0..2).map(|_| wait(&gate, &settings, 0)).collect();
    let without = GateSettings { queue: None, ..settings };
    assert_eq!(gate.enter(&without, None, None, NOW).await.err(), Some(Overloaded::Full));
    check(&gate, 1, 2);
    drop(permits);
    let permit = poll(&mut waiting[0]).unwrap().unwrap();
    check(&gate, 1, 1);
    drop(permit);
    assert!(poll(&mut waiting[1]).unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_report_tells_how_long_the_oldest_waits() {
    let (gate, settings) = (Arc::default(), queued(1, 9));
    let _permits = fill(&gate, &settings);
    let oldest = wait(&gate, &settings, 400);
    let _other = wait(&gate, &settings, 900);
    let report = |waiting, millis| GateReport {
        in_flight: 1,
        limit: Some(1),
        waiting,
        oldest_wait: Some(Duration::from_millis(millis)),
    };
    assert_eq!(gate.report(NOW), report(2, 600));
    drop(oldest);
    assert_eq!(gate.report(NOW), report(1, 100));
}

#[test]
fn a_future_that_does_not_wait_is_small() {
    let (gate, settings) = (Arc::default(), queued(1, 9));
    let entering = Gate::enter(&gate, &settings, None, None, NOW);
    assert!(size_of_val(&entering) <= 256, "{}", size_of_val(&entering));
}

/// Threads that enter, stay for a moment or hang up. As many are in as the limit allows, and none is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_place_is_lost_and_none_taken_twice_among_threads() {
    for (max, queue) in [(1, None), (3, None), (1, Some(4)), (3, Some(4)), (3, Some(100)), (7, Some(2))] {
        let (gate, inside, entered): (Arc<Gate>, _, _) =
            (Arc::default(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let queue = queue.map(|length| QueueSettings { length, wait: Duration::from_micros(300) });
        let settings = GateSettings { queue, ..settings(max) };
        let one = |seed: u64| {
            let (gate, inside, entered) = (gate.clone(), inside.clone(), entered.clone());
            async move {
                let mut random = fastrand::Rng::with_seed(seed);
                for now in 0..3_000 {
                    let entering = gate.enter(&settings, None, None, Moment(now));
                    // Now and then the caller is gone before the turn has come.
                    let longest = Duration::from_micros(if random.u8(..4) == 0 { 50 } else { 100_000 });
                    let Ok(Ok(permit)) = tokio::time::timeout(longest, entering).await else { continue };
                    assert!(inside.fetch_add(1, SeqCst) < max as usize, "too many are in");
                    entered.fetch_add(1, SeqCst);
                    if random.bool() {
                        tokio::task::yield_now().await;
                    }
                    inside.fetch_sub(1, SeqCst);
                    drop(permit);
                }
            }
        };
        let tasks: Vec<_> = (0..8).map(|seed| tokio::spawn(one(seed))).collect();
        for task in tasks {
            task.await.unwrap();
        }
        check(&gate, 0, 0);
        assert!(entered.load(SeqCst) > 1_000, "{}", entered.load(SeqCst));
        assert_eq!(fill(&gate, &settings).len(), max as usize);
    }
}

/// The same, with tasks that are aborted from outside, a limit that changes, and modes that do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_left_of_tasks_that_are_aborted() {
    let gate: Arc<Gate> = Arc::default();
    let mut random = fastrand::Rng::with_seed(1);
    let mut tasks = Vec::new();
    for round in 0..20_000 {
        let gate = gate.clone();
        let mode = *random.choice(&[Mode::Enforce, Mode::Enforce, Mode::Enforce, Mode::Observe, Mode::Off]).unwrap();
        let settings = GateSettings { mode, ..queued(random.u32(1..5), random.usize(1..20)) };
        tasks.push(tokio::spawn(async move {
            let _permit = gate.enter(&settings, None, None, Moment(round)).await;
            tokio::task::yield_now().await;
        }));
        if random.u8(..3) == 0 {
            tasks.swap_remove(random.usize(..tasks.len())).abort();
        }
        if tasks.len() > 40 {
            _ = tasks.remove(0).await;
        }
    }
    for task in tasks {
        _ = task.await;
    }
    // Those who were aborted may still be on their way.
    while gate.report(NOW).in_flight > 0 {
        tokio::task::yield_now().await;
    }
    check(&gate, 0, 0);
    assert_eq!(fill(&gate, &settings(3)).len(), 3);
}

/// Threads that hang up in the very moment that a place is handed to them.
#[tokio::test]
async fn who_hangs_up_while_a_place_comes_leaves_it_to_the_next() {
    let (gate, inside): (Arc<Gate>, _) = (Arc::default(), AtomicUsize::new(0));
    let (runtime, settings) = (tokio::runtime::Handle::current(), queued(2, 6));
    let one = |seed: u64| {
        let _runtime = runtime.enter();
        let mut random = fastrand::Rng::with_seed(seed);
        for now in 0..10_000 {
            let (gate, mut polls) = (gate.clone(), random.u32(1..50));
            let mut entering: Entering = Box::pin(async move { gate.enter(&settings, None, None, Moment(now)).await });
            let entered = std::iter::from_fn(|| {
                polls = polls.checked_sub(1)?;
                std::hint::spin_loop();
                Some(poll(&mut entering))
            });
            if let Some(Ok(permit)) = entered.flatten().next() {
                assert!(inside.fetch_add(1, SeqCst) < 2, "too many are in");
                (0..random.u32(..50)).for_each(|_| std::hint::spin_loop());
                inside.fetch_sub(1, SeqCst);
                drop(permit);
            }
        }
    };
    let one = &one;
    std::thread::scope(|scope| (0..8).for_each(|seed| _ = scope.spawn(move || one(seed))));
    check(&gate, 0, 0);
    assert_eq!(fill(&gate, &settings).len(), 2);
}

#[derive(Clone, Debug)]
enum Step {
    Enter,
    Try,
    Poll(usize),
    HangUp(usize),
    End(usize),
    Advance(u64),
    Change(Mode, u32, Option<usize>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mode = prop_oneof![6 => Just(Mode::Enforce), 1 => Just(Mode::Observe), 1 => Just(Mode::Off)];
    let step = prop_oneof![
        6 => Just(Step::Enter),
        2 => Just(Step::Try),
        4 => any::<usize>().prop_map(Step::Poll),
        2 => any::<usize>().prop_map(Step::HangUp),
        4 => any::<usize>().prop_map(Step::End),
        1 => (0u64..7_000).prop_map(Step::Advance),
        1 => (mode, 0u32..5, prop::option::of(0usize..6)).prop_map(|(mode, max, queue)| Step::Change(mode, max, queue)),
    ];
    prop::collection::vec(step, 0..200)
}

/// Everybody who was let in or waits, and what they are let in by.
struct World {
    gate: Arc<Gate>,
    settings: GateSettings,
    permits: Vec<Permit>,
    waiting: Vec<Entering>,
    now: u64,
}

impl World {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Try => self.permits.extend(match self.gate.try_enter(&self.settings, None, Moment(self.now)) {
                Enter::In(permit) => Some(permit),
                Enter::Full => None,
            }),
            Step::Enter => {
                let (gate, settings, now) = (self.gate.clone(), self.settings, Moment(self.now));
                self.waiting.push(Box::pin(async move { gate.enter(&settings, None, None, now).await }));
                self.poll(self.waiting.len() - 1);
            }
            Step::Poll(at) if !self.waiting.is_empty() => self.poll(at % self.waiting.len()),
            Step::HangUp(at) if !self.waiting.is_empty() => {
                _ = self.waiting.swap_remove(at % self.waiting.len());
            }
            Step::End(at) if !self.permits.is_empty() => drop(self.permits.swap_remove(at % self.permits.len())),
            Step::Poll(_) | Step::HangUp(_) | Step::End(_) => (),
            Step::Advance(millis) => {
                tokio::time::advance(Duration::from_millis(millis)).await;
                self.now += millis;
            }
            Step::Change(mode, max, length) => {
                let queue = length.map(|length| QueueSettings { length, wait: Duration::from_secs(10) });
                self.settings = GateSettings { mode, queue, ..settings(max) };
            }
        }
    }

    fn poll(&mut self, at: usize) {
        if let Some(entered) = poll(&mut self.waiting[at]) {
            drop(self.waiting.swap_remove(at));
            self.permits.extend(entered);
        }
    }

    /// Whatever happened: each place that is taken is held by somebody, and nobody waits for nothing.
    fn check(&self) {
        let report = self.gate.report(Moment(self.now));
        let held = self.permits.iter().filter(|permit| permit.gate.is_some()).count();
        let (in_flight, waiting) = (report.in_flight as usize, report.waiting as usize);
        assert!((held..=held + self.waiting.len()).contains(&in_flight), "{report:?} {held}");
        assert!(in_flight - held + waiting <= self.waiting.len(), "{report:?} {held} {}", self.waiting.len());
        assert_eq!(self.gate.line.lock().queue.len(), waiting);
        assert!(waiting == 0 || in_flight > 0, "{report:?}: nobody would ever let them in");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_all_places_are_free_at_the_end(steps in steps(), hang_up in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (permits, waiting) = (Vec::new(), Vec::new());
            let mut world = World { gate: Arc::default(), settings: queued(2, 3), permits, waiting, now: 0 };
            for step in steps {
                world.step(step).await;
                world.check();
            }
            if hang_up {
                world.waiting.clear();
            }
            while !world.permits.is_empty() || !world.waiting.is_empty() {
                let before = (world.permits.len(), world.waiting.len());
                world.permits.pop();
                for at in (0..world.waiting.len()).rev() {
                    world.poll(at);
                }
                assert_ne!((world.permits.len(), world.waiting.len()), before, "they wait for nobody");
                world.check();
            }
            check(&world.gate, 0, 0);
            assert_eq!(fill(&world.gate, &settings(3)).len(), 3);
        });
    }
}
