use super::*;
use crate::{
    types::{List, Span},
    upstream::{
        DnsConfig, DnsServer,
        resolver::dns::{Dns, Failure},
    },
};
use proptest::prelude::*;
use std::net::IpAddr;

fn name(text: &str) -> Name {
    Name::Host(text.into())
}

fn addresses(text: &str) -> Vec<IpAddr> {
    text.split_whitespace().map(|address| address.parse().unwrap()).collect()
}

fn found(text: &str, seconds: u64) -> Answer {
    let record = |address| Record { address, port: None, weight: 1, priority: 0 };
    Answer::Found { records: addresses(text).into_iter().map(record).collect(), ttl: Duration::from_secs(seconds) }
}

fn nothing(seconds: u64) -> Answer {
    Answer::Nothing { ttl: Duration::from_secs(seconds) }
}

fn failed() -> Answer {
    Answer::Failed("10.0.0.10:53 answers SERVFAIL".to_owned())
}

/// What is known of `member`, as a text.
fn known(names: &Names) -> String {
    match names.records(&name("member")) {
        None => "unknown".to_owned(),
        Some(records) => told(&records),
    }
}

#[test]
fn answers_replace_each_other_and_failures_replace_nothing() {
    let names = Names::default();
    assert!(!names.is_unresolvable(&name("member")), "not asked yet");
    for (at, (answer, changed, wanted, unresolvable)) in [
        (failed(), true, "unknown", true),
        (failed(), false, "unknown", true),
        (found("10.0.0.7 10.0.0.8", 5), true, "10.0.0.7, 10.0.0.8", false),
        (found("10.0.0.7 10.0.0.8", 60), false, "10.0.0.7, 10.0.0.8", false),
        (failed(), false, "10.0.0.7, 10.0.0.8", false),
        (found("10.0.0.8", 5), true, "10.0.0.8", false),
        (nothing(5), true, "", true),
        (failed(), false, "", true),
        (nothing(5), false, "", true),
        (found("10.0.0.9", 5), true, "10.0.0.9", false),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(names.answered(&name("member"), answer, Moment(at as u64)), changed, "{at}");
        assert_eq!(known(&names), wanted, "{at}");
        assert_eq!(names.is_unresolvable(&name("member")), unresolvable, "{at}");
    }
}

#[test]
fn each_change_is_told_once() {
    let mut state = Known::default();
    let many: String = (0..20).map(|at| format!("10.0.1.{at} ")).collect();
    let shown: Vec<String> = (0..16).map(|at| format!("10.0.1.{at}")).collect();
    let cannot = "member cannot be resolved: 10.0.0.10:53 answers SERVFAIL";
    for (answer, wanted) in [
        (failed(), Some(format!("WARN {cannot}; it is asked for again and again"))),
        (failed(), None),
        (found("10.0.0.7", 5), Some("INFO member is 10.0.0.7".to_owned())),
        (found("10.0.0.7", 9), None),
        (failed(), Some(format!("WARN {cannot}; the last answer is kept"))),
        (failed(), None),
        (found("10.0.0.7", 5), Some("INFO member can be resolved again; nothing has changed".to_owned())),
        (found("10.0.0.8 fd00::8", 5), Some("INFO member is 10.0.0.8, fd00::8 (was 10.0.0.7)".to_owned())),
        (nothing(5), Some("WARN member has no address (was 10.0.0.8, fd00::8)".to_owned())),
        (nothing(5), None),
        (found(&many, 5), Some(format!("INFO member is {} and 4 more", shown.join(", ")))),
        (nothing(5), Some(format!("WARN member has no address (was {} and 4 more)", shown.join(", ")))),
    ] {
        let line = state.take(&name("member"), answer.clone(), Moment(0));
        assert_eq!(line.map(|(level, line)| format!("{level} {line}")), wanted, "{answer:?}");
    }
}

#[test]
fn a_service_is_told_with_its_ports() {
    let record =
        |address: &str, port| Record { address: address.parse().unwrap(), port: Some(port), weight: 1, priority: 0 };
    assert_eq!(told(&[record("10.0.0.7", 80), record("fd00::7", 81)]), "10.0.0.7:80, [fd00::7]:81");
}

/// Whether the next question is due after `seconds`, or up to a tenth earlier.
#[track_caller]
fn is_due_after(names: &Names, now: Moment, seconds: u64) {
    let wait = names.due(&name("member")).since(now);
    let most = Duration::from_secs(seconds);
    assert!((most.mul_f64(0.9) - Duration::from_millis(1)..=most).contains(&wait), "{wait:?} for {seconds} s");
}

#[test]
fn the_time_to_live_says_when_to_ask_again() {
    let names = Names::default();
    assert_eq!(names.due(&name("member")), Moment(0), "at once");
    let now = Moment(1_000_000);
    for (answer, seconds) in [
        (found("10.0.0.7", 0), 1),
        (found("10.0.0.7", 30), 30),
        (found("10.0.0.7", 86_400), 300),
        (nothing(0), 1),
        (nothing(10), 10),
        (nothing(3_600), 30),
    ] {
        names.answered(&name("member"), answer, now);
        is_due_after(&names, now, seconds);
    }
}

#[test]
fn after_failures_the_pause_doubles() {
    let names = Names::default();
    for round in 0..2 {
        let now = Moment(1_000_000 * (round + 1));
        for seconds in [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30] {
            names.answered(&name("member"), failed(), now);
            is_due_after(&names, now, seconds);
        }
        names.answered(&name("member"), found("10.0.0.7", 60), now);
        is_due_after(&names, now, 60);
    }
}

#[test]
fn the_report_tells_how_every_name_stands() {
    let names = Names::default();
    names.answered(&name("member"), found("10.0.0.7 10.0.0.8", 5), Moment(1_000));
    names.answered(&name("member"), failed(), Moment(6_000));
    names.answered(&name("member"), failed(), Moment(7_000));
    names.answered(&name("gone"), nothing(5), Moment(8_000));
    names.answered(&name("dark"), failed(), Moment(9_000));
    let shown: Vec<String> = names
        .report(Moment(10_000))
        .into_iter()
        .map(|one| {
            format!(
                "{} {:?} {} {}",
                one.name,
                one.since_answer.map(|since| since.as_secs()),
                one.failures,
                one.addresses
            )
        })
        .collect();
    assert_eq!(shown, ["dark None 1 0", "gone Some(2) 0 0", "member Some(9) 2 2"]);
    names.forget_unused(&[name("gone")], Moment(10_000));
    let known = |names: &Names| names.report(Moment(0)).into_iter().map(|one| one.name).collect::<Vec<_>>();
    assert_eq!(known(&names), ["gone", "member"], "an answer may be waited for by a reload");
    names.forget_unused(&[name("gone")], Moment(70_000));
    assert_eq!(known(&names), ["gone"]);
}

#[test]
fn a_host_and_a_service_of_one_name_are_two_names() {
    let names = Names::default();
    names.answered(&name("member"), found("10.0.0.7", 5), Moment(0));
    let service = Name::Service("member".into());
    assert!(names.records(&service).is_none());
    names.answered(&service, nothing(5), Moment(0));
    let shown: Vec<String> = names.report(Moment(0)).into_iter().map(|one| one.name).collect();
    assert_eq!(shown, ["member", "srv://member"]);
}

proptest! {
    #[test]
    fn whatever_comes_the_last_good_answer_is_what_is_known(kinds in prop::collection::vec(0..4_u8, 1..40)) {
        let names = Names::default();
        let (mut good, mut now) = (None, Moment(0));
        for kind in kinds {
            now = now.after(Duration::from_secs(1));
            let (answer, brought) = match kind {
                0 => (failed(), None),
                1 => (nothing(5), Some("")),
                2 => (found("10.0.0.7", 5), Some("10.0.0.7")),
                _ => (found("10.0.0.8", 5), Some("10.0.0.8")),
            };
            let before = (known(&names), names.is_unresolvable(&name("member")));
            let changed = names.answered(&name("member"), answer, now);
            good = brought.or(good);
            prop_assert_eq!(known(&names), good.unwrap_or("unknown"));
            prop_assert_eq!(names.is_unresolvable(&name("member")), good.is_none_or(str::is_empty));
            prop_assert_eq!(changed, before != (known(&names), names.is_unresolvable(&name("member"))));
            let wait = names.due(&name("member")).since(now);
            prop_assert!((Duration::from_millis(899)..=LATEST).contains(&wait), "{:?}", wait);
        }
    }
}

/// All that [`Asking`] needs.
struct Rig {
    dns: Dns,
    asking: Asking,
    resolver: Arc<Resolver>,
    names: Arc<Names>,
    changed: Arc<Notify>,
    clock: Clock,
}

impl Rig {
    fn start() -> Self {
        let dns = Dns::start();
        let resolver = resolver(&dns, 5_000);
        let (names, changed) = (Arc::default(), Arc::default());
        Self { dns, asking: Asking::default(), resolver, names, changed, clock: Clock::start() }
    }

    fn keep(&mut self, wanted: &[&str]) {
        let wanted = wanted.iter().map(|text| name(text));
        self.asking.keep(wanted, &self.resolver, &self.names, &self.changed, self.clock);
    }

    #[track_caller]
    fn knows(&self, wanted: &str) -> impl Future<Output = ()> {
        let names = self.names.clone();
        within_patience(wanted.to_owned(), move |wanted| known(&names) == *wanted)
    }
}

fn resolver(dns: &Dns, milliseconds: u64) -> Arc<Resolver> {
    let servers = List(vec![DnsServer(dns.address)]);
    let config = DnsConfig { servers, search: false, timeout: Span::milliseconds(milliseconds) };
    Arc::new(Resolver::build(&config).unwrap())
}

/// Looks again and again, because answers come when they come.
async fn within_patience(wanted: String, mut done: impl FnMut(&String) -> bool) {
    for _ in 0..4_000 {
        if done(&wanted) {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("not within 20 s: {wanted}");
}

#[tokio::test]
async fn a_name_is_asked_for_again_when_its_time_to_live_is_over() {
    let mut rig = Rig::start();
    rig.dns.set_a("member", &addresses("10.0.0.7"), 1);
    rig.keep(&["member"]);
    rig.changed.notified().await;
    assert_eq!(known(&rig.names), "10.0.0.7");
    rig.dns.set_a("member", &addresses("10.0.0.8 10.0.0.9"), 1);
    rig.changed.notified().await;
    assert_eq!(known(&rig.names), "10.0.0.8, 10.0.0.9");
    // And not sooner: a question of each kind at the start, and one after each second.
    let seconds = rig.clock.now().0 as usize / 900;
    assert!(seconds >= 1 && rig.dns.asked("member") <= 2 + 2 * seconds, "{} in {seconds}", rig.dns.asked("member"));
}

#[tokio::test]
async fn a_failure_keeps_the_last_answer_and_nothing_empties_it() {
    let mut rig = Rig::start();
    rig.dns.set_a("member", &addresses("10.0.0.7"), 1);
    rig.keep(&["member"]);
    rig.knows("10.0.0.7").await;
    for failure in [Failure::ServFail, Failure::Refused] {
        rig.dns.fail(failure);
        let failures = || rig.names.report(rig.clock.now())[0].failures;
        let before = failures();
        within_patience("a failure".to_owned(), |_| failures() > before).await;
        assert_eq!(known(&rig.names), "10.0.0.7");
        assert!(!rig.names.is_unresolvable(&name("member")));
    }
    rig.dns.fail(Failure::None);
    rig.dns.remove("member");
    rig.knows("").await;
    assert!(rig.names.is_unresolvable(&name("member")));
    rig.dns.set_a("member", &addresses("10.0.0.9"), 60);
    rig.knows("10.0.0.9").await;
}

#[tokio::test]
async fn one_question_for_a_name_is_in_flight_at_a_time() {
    let mut rig = Rig::start();
    rig.dns.set_a("member", &addresses("10.0.0.7"), 0);
    rig.dns.delay(Duration::from_millis(200));
    for _ in 0..5 {
        rig.keep(&["member", "member"]);
        tokio::task::yield_now().await;
    }
    within_patience("three questions".to_owned(), |_| rig.dns.asked("member") >= 6).await;
    assert_eq!(rig.dns.most_open("member"), 1, "of each kind");
}

#[tokio::test]
async fn a_name_that_is_not_wanted_any_more_is_not_asked_for() {
    let mut rig = Rig::start();
    rig.dns.set_a("member", &addresses("10.0.0.7"), 1);
    rig.dns.set_a("other", &addresses("10.0.0.8"), 1);
    rig.keep(&["member", "other"]);
    rig.knows("10.0.0.7").await;
    rig.keep(&["other"]);
    let before = (rig.dns.asked("member"), rig.dns.asked("other"));
    within_patience("two more of the other".to_owned(), |_| rig.dns.asked("other") >= before.1 + 4).await;
    assert_eq!(rig.dns.asked("member"), before.0);
    drop(rig.asking);
}

#[tokio::test]
async fn another_resolver_asks_at_once_for_what_failed_and_in_time_for_the_rest() {
    let mut rig = Rig::start();
    rig.dns.set_a("member", &addresses("10.0.0.7"), 60);
    rig.keep(&["member"]);
    rig.knows("10.0.0.7").await;
    // As if many had failed: the next would be half a minute away.
    (0..10).for_each(|_| _ = rig.names.answered(&name("other"), failed(), rig.clock.now()));
    rig.resolver = resolver(&rig.dns, 5_000);
    rig.dns.set_a("other", &addresses("10.0.0.8"), 60);
    rig.keep(&["member", "other"]);
    within_patience("the other".to_owned(), |_| rig.names.records(&name("other")).is_some()).await;
    assert_eq!(rig.dns.asked("member"), 2, "its time was not over");
}

#[tokio::test]
async fn at_the_start_all_names_are_asked_for_at_once_and_for_a_limited_time() {
    let rig = Rig::start();
    let wanted: Vec<Name> =
        (0..300).map(|at| name(&format!("n{at}"))).chain([name("member"), name("member")]).collect();
    for name in &wanted {
        rig.dns.set_a(&name.to_string(), &addresses("10.0.0.7"), 60);
    }
    let patience = Duration::from_secs(20);
    resolve_once(wanted.clone(), &rig.resolver, &rig.names, rig.clock, patience).await;
    assert!(wanted.iter().all(|name| rig.names.records(name).is_some()));
    let asked = rig.dns.questions().len();
    assert_eq!(rig.dns.asked("member"), 2, "once of each kind");
    rig.dns.fail(Failure::Silent);
    let since = rig.clock.now();
    let wanted = wanted.into_iter().chain([name("late")]).collect();
    resolve_once(wanted, &rig.resolver, &rig.names, rig.clock, Duration::from_millis(100)).await;
    assert!(rig.clock.now().since(since) < Duration::from_secs(5), "not as long as the question takes");
    let questions = rig.dns.questions().split_off(asked);
    assert!(questions.iter().all(|question| question.ends_with(" late")), "what is known is not: {questions:?}");
    assert!(!rig.names.is_unresolvable(&name("late")), "nobody has said anything yet");
}
