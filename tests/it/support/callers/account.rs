//! What callers saw, and what may be said about it afterwards.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// Of `BOUND` requests on kept connections one may have to be sent again (RFC 9112 section 9.3.1).
const BOUND: usize = 10_000;
/// Of so many, one may be opened on an HTTP/2 connection in the moment in which it leaves.
const NOT_TAKEN: usize = 500;

/// What all callers of a test share.
#[derive(Clone)]
pub struct Common {
    pub begun: Instant,
    stopped: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    heard: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    /// When a process was killed.
    killed: Arc<Mutex<Vec<Duration>>>,
    /// Requests that ended with it.
    cut: Arc<Mutex<Vec<String>>>,
}

/// A request that breaks off so long after a process was killed may have been its own, and one that was answered so long
/// before may lack its line: it is written within 100 ms.
pub const KILLED: Duration = Duration::from_secs(2);

impl Common {
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            stopped: Arc::default(),
            answered: Arc::default(),
            heard: Arc::default(),
            failures: Arc::default(),
            killed: Arc::default(),
            cut: Arc::default(),
        }
    }

    /// A process that serves is about to be killed: what it has under way is cut, and nothing can change that.
    pub fn kills(&self) {
        self.killed.lock().unwrap().push(self.begun.elapsed());
    }

    /// Whether something at `at` may be the killed process's.
    fn is_near_a_kill(&self, at: Duration) -> bool {
        self.killed.lock().unwrap().iter().any(|killed| killed.abs_diff(at) < KILLED)
    }

    /// Requests that were cut with a process that was killed.
    pub fn cut(&self) -> Vec<String> {
        self.cut.lock().unwrap().clone()
    }

    /// Whether a caller may begin another request.
    pub fn goes_on(&self) -> bool {
        !self.stopped.load(SeqCst)
    }

    pub fn stop(&self) {
        self.stopped.store(true, SeqCst);
    }

    pub fn answered(&self) -> usize {
        self.answered.load(SeqCst)
    }

    /// A message came back, or an event came.
    pub fn hears(&self) {
        self.heard.fetch_add(1, SeqCst);
    }

    pub fn heard(&self) -> usize {
        self.heard.load(SeqCst)
    }

    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }

    /// Between two requests; ends early with the test.
    pub fn pause(&self, length: Duration) {
        let until = Instant::now() + length;
        while self.goes_on() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}

/// What one caller saw.
pub struct Account {
    pub common: Common,
    kind: &'static str,
    name: String,
    made: usize,
    /// Ids of requests with a whole answer, and when it came.
    answered: Vec<(String, Duration)>,
    /// Requests on connections that had served before.
    pub reused: usize,
    /// Connections that were seen to be closed before they were used again.
    pub closed_idle: usize,
    /// Requests that were sent again.
    pub retried: usize,
    /// Streams of HTTP/2 that a leaving connection has not taken: it says so, and they count as never sent (RFC 9113
    /// sections 6.8 and 8.7). A stream that is opened in the moment in which GOAWAY arrives is one.
    pub not_taken: usize,
    /// Answers after which the connection was not to be used again; streams that were asked to go elsewhere.
    pub sent_away: usize,
}

impl Account {
    pub fn new(common: Common, kind: &'static str, number: usize) -> Self {
        Self {
            common,
            kind,
            name: format!("{kind}-{number}"),
            made: 0,
            answered: Vec::new(),
            reused: 0,
            closed_idle: 0,
            retried: 0,
            not_taken: 0,
            sent_away: 0,
        }
    }

    /// A number that no other request has.
    pub fn next_id(&mut self) -> String {
        self.made += 1;
        format!("called-{}-{}", self.name, self.made)
    }

    pub fn answered(&mut self, id: String) {
        self.answered.push((id, self.common.begun.elapsed()));
        self.common.answered.fetch_add(1, SeqCst);
    }

    /// A request has to be sent again, because its connection closed without a byte of an answer.
    pub fn sends_again(&mut self) {
        let is_cut = self.common.is_near_a_kill(self.common.begun.elapsed());
        self.retried += usize::from(!is_cut);
    }

    /// An HTTP/2 connection that leaves has said that it has not looked at a stream.
    pub fn is_not_taken(&mut self) {
        let is_cut = self.common.is_near_a_kill(self.common.begun.elapsed());
        self.not_taken += usize::from(!is_cut);
    }

    pub fn failed(&self, id: &str, why: impl fmt::Display) {
        let at = self.common.begun.elapsed();
        let list = if self.common.is_near_a_kill(at) { &self.common.cut } else { &self.common.failures };
        list.lock().unwrap().push(format!("{at:.2?} {id}: {why}"));
        // What has failed fails again at once.
        self.common.pause(Duration::from_millis(100));
    }
}

/// What came of all callers.
pub struct Verdict {
    pub failures: Vec<String>,
    kinds: BTreeMap<&'static str, Sum>,
    /// Requests with a whole answer, and whether a process was killed then.
    answered: Vec<(String, bool)>,
    /// Requests that were cut with a process that was killed.
    cut: usize,
}

#[derive(Default)]
struct Sum {
    callers: usize,
    answered: usize,
    reused: usize,
    closed_idle: usize,
    retried: usize,
    not_taken: usize,
    sent_away: usize,
}

impl Verdict {
    pub fn of(common: &Common, accounts: Vec<Account>) -> Self {
        let mut verdict =
            Self { failures: common.failures(), kinds: BTreeMap::new(), answered: Vec::new(), cut: common.cut().len() };
        for account in accounts {
            let sum = verdict.kinds.entry(account.kind).or_default();
            sum.callers += 1;
            sum.answered += account.answered.len();
            sum.reused += account.reused;
            sum.closed_idle += account.closed_idle;
            sum.retried += account.retried;
            sum.not_taken += account.not_taken;
            sum.sent_away += account.sent_away;
            let answered = account.answered.into_iter();
            verdict.answered.extend(answered.map(|(id, at)| (id, common.is_near_a_kill(at))));
        }
        verdict
    }

    /// How many callers of this kind were asked to go elsewhere, or came to the end of a stream.
    pub fn sent_away(&self, kind: &str) -> usize {
        self.kinds.get(kind).map_or(0, |sum| sum.sent_away)
    }

    /// Nobody failed; whoever calls often enough to hear that it should leave had hardly anything to send again; and
    /// each kind of caller was there.
    #[track_caller]
    pub fn is_clean(&self) {
        println!("{self}");
        let failed = self.failures.len();
        assert!(failed == 0, "{failed} requests failed:\n{}", self.failures.join("\n"));
        for (kind, sum) in &self.kinds {
            assert!(sum.answered > 0, "{kind} got no answer at all");
        }
        // Who sleeps for longer than the polite phase cannot hear it.
        let brisk = || self.kinds.iter().filter(|(kind, _)| **kind != super::SLEEPY).map(|(_, sum)| sum);
        let (retried, of): (usize, usize) = (brisk().map(|sum| sum.retried).sum(), brisk().map(|sum| sum.reused).sum());
        assert!(retried * BOUND <= of, "{retried} of {of} requests on kept connections had to be sent again");
        let not_taken: usize = brisk().map(|sum| sum.not_taken).sum();
        assert!(
            not_taken * NOT_TAKEN <= of,
            "{not_taken} of {of} streams were opened on connections that were leaving"
        );
    }

    /// Every answered request stands in the access log once, whichever process answered it.
    #[track_caller]
    pub fn is_logged(&self, access_log: &str) {
        let mut lines: HashMap<&str, usize> = HashMap::new();
        for line in access_log.lines() {
            let id = line.split_once(r#""request_id":"called-"#).and_then(|(_, rest)| rest.split_once('"'));
            if let Some((id, _)) = id {
                *lines.entry(id).or_default() += 1;
            }
        }
        let count = |id: &String| lines.get(id.trim_start_matches("called-")).copied().unwrap_or(0);
        let is_odd = |(id, killed): &&(String, bool)| count(id) != 1 && !(*killed && count(id) == 0);
        let odd: Vec<_> = self.answered.iter().filter(is_odd).collect();
        let told: Vec<_> = odd.iter().take(20).map(|(id, _)| format!("{id}: {} lines", count(id))).collect();
        assert!(odd.is_empty(), "{} answered requests are not in the log once:\n{}", odd.len(), told.join("\n"));
        let lost = self.answered.iter().filter(|(id, _)| count(id) == 0).count();
        let all = self.answered.len();
        println!("each of {all} answered requests has one line in the access log, but for {lost} of killed processes");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} failed, {} were cut with a killed process", self.failures.len(), self.cut)?;
        writeln!(f, "callers              answered  on kept ones  found closed  sent again  not taken  sent away")?;
        for (kind, sum) in &self.kinds {
            let Sum { callers, answered, reused, closed_idle, retried, not_taken, sent_away } = sum;
            let name = format!("{callers} {kind}");
            write!(f, "{name:<20} {answered:>8} {reused:>13} {closed_idle:>13}")?;
            writeln!(f, " {retried:>11} {not_taken:>10} {sent_away:>10}")?;
        }
        Ok(())
    }
}
