//! What is known about names, and the questions that keep it so.

use super::resolver::{Answer, Name, Record, Resolver};
use crate::types::{Clock, Moment, Task, jittered};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, timeout},
};

/// Answers are asked for again no sooner and no later than this, whatever their time to live says.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(300);
/// The same for "nothing": nobody can be served meanwhile, and zones may say an hour.
const LATEST_OF_NOTHING: Duration = Duration::from_secs(30);
/// Longest pause after failures; the first is [`SOONEST`], and each is twice the one before.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long an answer is kept that no configuration in service names: far longer than a reload takes.
const KEPT_UNUSED: Duration = Duration::from_secs(60);
/// Addresses that one line of the log tells.
const MOST_TOLD: usize = 16;

/// The last good answer for each name, and when to ask again. Lives as long as the process; touched only in the
/// background and while members are built.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: Mutex<HashMap<Name, Known>>,
}

/// What the questions for one name brought.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Of the last good answer, empty where it was "nothing"; `None`: there was none yet.
    records: Option<Arc<[Record]>>,
    answered: Moment,
    /// Since the last good answer.
    failures_in_a_row: u32,
    failures: u64,
    /// When to ask again.
    due: Moment,
}

/// One name for the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameReport {
    /// `member.example`, or of a service `srv://_http._tcp.member.example`.
    pub name: String,
    /// Since the last good answer, "there is nothing" included; `None`: there was none yet.
    pub since_answer: Option<Duration>,
    /// Questions that nobody answered, since the name is known.
    pub failures: u64,
    /// Addresses in the last good answer; for a service, each address and port.
    pub addresses: usize,
}

impl Names {
    /// The last good answer, empty if that was "nothing"; `None`: there was none yet.
    pub(super) fn records(&self, name: &Name) -> Option<Arc<[Record]>> {
        self.known.lock().get(name)?.records.clone()
    }

    /// Whether a name was asked for and nothing is behind it: never found, or not there any more.
    pub(super) fn is_unresolvable(&self, name: &Name) -> bool {
        self.known.lock().get(name).is_some_and(Known::is_unresolvable)
    }

    /// A question for a name came back. `true`: its addresses changed, or whether it can be resolved.
    pub(super) fn answered(&self, name: &Name, answer: Answer, now: Moment) -> bool {
        let (changed, line) = {
            let mut names = self.known.lock();
            let known = names.entry(name.clone()).or_default();
            let before = known.clone();
            let line = known.take(name, answer, now);
            let changed = known.records != before.records || known.is_unresolvable() != before.is_unresolvable();
            (changed, line)
        };
        // Not under the lock: whoever reads the log may be slow.
        if let Some((level, line)) = line {
            log::log!(level, "{line}");
        }
        changed
    }

    /// Every name with how it stands.
    pub(super) fn report(&self, now: Moment) -> Vec<NameReport> {
        let names = self.known.lock();
        let report = |(name, known): (&Name, &Known)| NameReport {
            name: name.to_string(),
            since_answer: known.records.is_some().then(|| now.since(known.answered)),
            failures: known.failures,
            addresses: known.records.as_ref().map_or(0, |records| records.len()),
        };
        let mut reports: Vec<NameReport> = names.iter().map(report).collect();
        reports.sort_by(|one, other| one.name.cmp(&other.name));
        reports
    }

    /// Forget every name that is not `in_use`, but for those that were just answered: a reload resolves its names before
    /// it serves, and must find them when it does.
    pub(super) fn forget_unused(&self, in_use: &[Name], now: Moment) {
        let in_use: HashSet<&Name> = in_use.iter().collect();
        let is_new = |known: &Known| known.records.is_some() && now.since(known.answered) < KEPT_UNUSED;
        self.known.lock().retain(|name, known| in_use.contains(name) || is_new(known));
    }

    /// When to ask for a name; at once where nothing is known.
    fn due(&self, name: &Name) -> Moment {
        self.known.lock().get(name).map_or_else(Moment::default, |known| known.due)
    }

    /// Others are asked from now on: what failed is worth a question at once.
    fn ask_failing_anew(&self) {
        let mut names = self.known.lock();
        names.values_mut().filter(|known| known.failures_in_a_row > 0).for_each(|known| known.due = Moment::default());
    }
}

impl Known {
    fn is_unresolvable(&self) -> bool {
        match &self.records {
            Some(records) => records.is_empty(),
            None => self.failures_in_a_row > 0,
        }
    }

    /// Take an answer over, and say what is worth a line in the log.
    fn take(&mut self, name: &Name, answer: Answer, now: Moment) -> Option<(log::Level, String)> {
        let (records, ttl) = match answer {
            Answer::Found { records, ttl } => (records, ttl.min(LATEST)),
            Answer::Nothing { ttl } => (Vec::new(), ttl.min(LATEST_OF_NOTHING)),
            Answer::Failed(reason) => return self.fail(name, &reason, now),
        };
        let had_failed = std::mem::take(&mut self.failures_in_a_row) > 0;
        self.answered = now;
        self.due = now.after(jittered(ttl.max(SOONEST)));
        let before = self.records.clone();
        if before.as_deref() == Some(&*records) {
            let line = format!("{name} can be resolved again; nothing has changed");
            return had_failed.then_some((log::Level::Info, line));
        }
        let was = before.filter(|before| !before.is_empty());
        let was = was.map(|before| format!(" (was {})", told(&before))).unwrap_or_default();
        let line = match records.is_empty() {
            true => (log::Level::Warn, format!("{name} has no address{was}")),
            false => (log::Level::Info, format!("{name} is {}{was}", told(&records))),
        };
        self.records = Some(records.into());
        Some(line)
    }

    fn fail(&mut self, name: &Name, reason: &str, now: Moment) -> Option<(log::Level, String)> {
        let pause = SOONEST.saturating_mul(1 << self.failures_in_a_row.min(8)).min(LONGEST_PAUSE);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.failures = self.failures.saturating_add(1);
        self.due = now.after(jittered(pause));
        let then = match &self.records {
            Some(_) => "the last answer is kept",
            None => "it is asked for again and again",
        };
        let line = format!("{name} cannot be resolved: {reason}; {then}");
        // The first in a row: the others say nothing new.
        (self.failures_in_a_row == 1).then_some((log::Level::Warn, line))
    }
}

/// `10.0.0.7, 10.0.0.8:8001`, the first of many.
fn told(records: &[Record]) -> String {
    let mut text = String::new();
    for record in records.iter().take(MOST_TOLD) {
        let separator = if text.is_empty() { "" } else { ", " };
        _ = match record.port {
            Some(port) => write!(text, "{separator}{}", std::net::SocketAddr::new(record.address, port)),
            None => write!(text, "{separator}{}", record.address),
        };
    }
    if let Some(more) = records.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        _ = write!(text, " and {more} more");
    }
    text
}

/// The questions that are asked again and again: one task for each name, so never two at once for one name.
#[derive(Debug, Default)]
pub(super) struct Asking {
    resolver: Option<Arc<Resolver>>,
    tasks: HashMap<Name, Task>,
}

impl Asking {
    /// Ask for these names from now on, and for no others; `changed` is told of every change. With another resolver
    /// than before, all tasks begin anew: those whose names failed at once, the others when it is their time.
    pub(super) fn keep(
        &mut self,
        wanted: impl IntoIterator<Item = Name>,
        resolver: &Arc<Resolver>,
        names: &Arc<Names>,
        changed: &Arc<Notify>,
        clock: Clock,
    ) {
        if self.resolver.as_ref().is_none_or(|known| !Arc::ptr_eq(known, resolver)) {
            self.tasks.clear();
            names.ask_failing_anew();
            self.resolver = Some(resolver.clone());
        }
        let mut tasks = HashMap::new();
        for name in wanted {
            // One that has ended has met a fault of ours: it must not be the end of the name.
            let running = self.tasks.remove(&name).filter(|running| !running.has_ended());
            tasks.entry(name.clone()).or_insert_with(|| {
                let (resolver, names, changed) = (resolver.clone(), names.clone(), changed.clone());
                running.unwrap_or_else(|| Task::spawn(ask_for_ever(name, resolver, names, changed, clock)))
            });
        }
        // What is left in the old ones is dropped, and stops.
        self.tasks = tasks;
    }
}

async fn ask_for_ever(name: Name, resolver: Arc<Resolver>, names: Arc<Names>, changed: Arc<Notify>, clock: Clock) {
    loop {
        // A reload is no reason to ask more often.
        sleep(names.due(&name).since(clock.now())).await;
        let answer = resolver.ask(&name).await;
        if names.answered(&name, answer, clock.now()) {
            changed.notify_one();
        }
    }
}

/// Ask once for each name without a good answer, all at once and for at most `patience`: else the first requests would
/// find nobody.
pub(super) async fn resolve_once(
    wanted: Vec<Name>,
    resolver: &Arc<Resolver>,
    names: &Arc<Names>,
    clock: Clock,
    patience: Duration,
) {
    let mut asked = JoinSet::new();
    for name in wanted.into_iter().collect::<HashSet<_>>() {
        if names.records(&name).is_none() {
            let (resolver, names) = (resolver.clone(), names.clone());
            asked.spawn(async move {
                let answer = resolver.ask(&name).await;
                names.answered(&name, answer, clock.now());
            });
        }
    }
    // What is late is found by the tasks, a moment later.
    _ = timeout(patience, async { while asked.join_next().await.is_some() {} }).await;
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
