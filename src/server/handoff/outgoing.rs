//! The old process's side.

use super::{
    Ask, Handoff, Told,
    channel::{Channel, Heard},
    launch::{self, Started},
    linger,
    message::{Message, Numbers, VERSION},
    watched,
};
use crate::{
    auth::RevocationEntry, config::HandoffConfig, runtime::HandoffResult, server::signals::Asked, types::Standing,
};
use std::{
    fmt,
    path::Path,
    process,
    sync::atomic::Ordering::Relaxed,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::UnboundedSender;

/// How often one looks up from waiting: a drain may be asked for, or a second be over.
const LOOK: Duration = Duration::from_millis(100);
/// How often the old process says what it still has.
const SECOND: Duration = Duration::from_secs(1);
/// A new process that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a new process that has not served anybody may take to leave.
const LEAVE: Duration = Duration::from_secs(2);
/// Why there is no handoff after all.
const LEAVES: &str = "this process is asked to leave";
/// Revocations in one message: their ids have 512 bytes at most.
const REVOCATIONS: usize = 100;

/// The whole of it, from the check to the end of this process. Returns where this process stays.
pub(super) fn hand_over(handoff: &Handoff, ask: &Ask, told: &UnboundedSender<Told>) {
    let mut outgoing = match Outgoing::start(handoff, ask, told) {
        Ok(outgoing) => outgoing,
        Err(reason) => return failed(handoff, told, &reason),
    };
    match outgoing.until_taken() {
        Ok(()) => {
            let pid = outgoing.pid();
            let left = humantime::format_duration(outgoing.linger);
            let text = format!("process {pid} is the gateway; this one, {}, accepts for {left} more", process::id());
            log::info!("handoff 7/8: {text}");
            _ = told.send(Told::Done(text));
            outgoing.linger();
        }
        Err(reason) => {
            if !outgoing.gone {
                outgoing.end(&reason);
            }
            failed(handoff, told, &reason);
        }
    }
}

fn failed(handoff: &Handoff, told: &UnboundedSender<Told>, reason: &str) {
    handoff.process.handoffs.ended(HandoffResult::Failed);
    log::error!("handoff failed, this process serves on: {reason}");
    _ = told.send(Told::Failed(reason.to_owned()));
}

struct Outgoing<'h> {
    handoff: &'h Handoff,
    told: &'h UnboundedSender<Told>,
    channel: Channel,
    started: Started,
    times: HandoffConfig,
    watch: Duration,
    linger: Duration,
    /// It may be serving already, and must have time for that.
    serves: bool,
    /// It has let go of the channel: it is over, and its number may be another's.
    gone: bool,
    /// Of the revocations that it was told.
    revocations: u64,
}

impl<'h> Outgoing<'h> {
    /// Steps 1 and 2.
    fn start(handoff: &'h Handoff, ask: &Ask, told: &'h UnboundedSender<Told>) -> Result<Self, String> {
        let config = handoff.live.pin().config.clone();
        let times = config.server.handoff;
        let binary: &Path = ask.binary.as_deref().unwrap_or(&handoff.binary);
        let arguments = launch::arguments(&handoff.source, ask.config.as_deref());
        let version = launch::check(binary, &arguments)?;
        step(told, 1, format_args!("{} is {version}, and the configuration is right", binary.display()));
        if handoff.state.aborted.load(Relaxed) {
            return Err(LEAVES.to_owned());
        }
        let (channel, theirs) = Channel::pair().map_err(|error| error.to_string())?;
        // Before it starts: whatever becomes of this process, that one has them, and no caller in their queues is lost.
        let passed = pass(handoff, &channel)?;
        // From here on two processes could come back where this one dies.
        handoff.tell_former(&Message::Settled);
        let started = launch::start(binary, &arguments, theirs)?;
        step(told, 2, format_args!("started it with {passed} sockets"));
        let watch = ask.watch_ms.map_or(times.watch.get(), Duration::from_millis);
        let linger = linger(&config);
        Ok(Self { handoff, told, channel, started, times, watch, linger, serves: false, gone: false, revocations: 0 })
    }

    fn pid(&self) -> u32 {
        self.started.pid.unwrap_or_default()
    }

    /// Steps 3 to 7.
    fn until_taken(&mut self) -> Result<(), String> {
        let ready_by = Instant::now() + self.times.ready.get();
        self.hello(ready_by)?;
        let revoked = self.tell_all()?;
        step(self.told, 4, format_args!("it has all sockets, and {revoked} revocations"));
        self.ready(ready_by)?;
        let both = humantime::format_duration(self.watch);
        step(self.told, 5, format_args!("it has answered itself and accepts; both serve for {both}"));
        self.watch()?;
        step(self.told, 6, format_args!("it does no worse than this process"));
        self.take()
    }

    /// Step 3: everything but the sockets is built.
    fn hello(&mut self, by: Instant) -> Result<(), String> {
        loop {
            match self.hear(by, "has not built its configuration")? {
                Message::Launched { pid } => self.started.pid = Some(pid),
                Message::Hello { version, pid, build } if version == VERSION => {
                    self.started.pid = Some(pid);
                    step(self.told, 3, format_args!("process {pid} ({build}) has built everything"));
                    return Ok(());
                }
                Message::Hello { version, .. } => {
                    return Err(format!(
                        "it speaks version {version} of the handoff and this process {VERSION}: restart instead"
                    ));
                }
                other => return Err(unexpected(&other)),
            }
        }
    }

    /// Step 4: what it cannot know. How much that is.
    fn tell_all(&mut self) -> Result<usize, String> {
        let revoked = self.revocations()?;
        let started = self.handoff.process.started.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let started_ms = u64::try_from(started.as_millis()).unwrap_or_default();
        self.tell(&Message::Passed { pid: process::id(), started_ms })?;
        Ok(revoked)
    }

    /// All that this process knows: not every mode keeps them in Redis.
    fn revocations(&mut self) -> Result<usize, String> {
        // Before: what comes meanwhile is told again.
        self.revocations = self.handoff.process.revocations.version();
        let all: Vec<RevocationEntry> = self.handoff.process.revocations.export();
        all.chunks(REVOCATIONS).try_for_each(|some| self.tell(&Message::Revoked { entries: some.to_vec() }))?;
        Ok(all.len())
    }

    /// Step 5: it accepts.
    fn ready(&mut self, by: Instant) -> Result<(), String> {
        match self.hear(by, "is not ready")? {
            Message::Ready => {
                self.serves = true;
                Ok(())
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Step 6: both serve.
    fn watch(&mut self) -> Result<(), String> {
        let (until, old_then) = (Instant::now() + self.watch, self.handoff.numbers());
        let (mut heard, mut reports) = (Instant::now(), 0);
        // However short the time, nobody is taken who has not said how it goes.
        while Instant::now() < until || reports == 0 {
            self.tell_news()?;
            match self.look(Instant::now() + LOOK)? {
                Some(Message::Report(new)) => {
                    (heard, reports) = (Instant::now(), reports + 1);
                    self.judge(old_then, new)?;
                }
                Some(other) => return Err(unexpected(&other)),
                None if heard.elapsed() > SILENCE => return Err(format!("no word from it for {SILENCE:?}")),
                None => (),
            }
        }
        Ok(())
    }

    /// What has changed here while both serve.
    fn tell_news(&mut self) -> Result<(), String> {
        if self.handoff.state.reloaded.swap(false, Relaxed) {
            self.tell(&Message::Reload)?;
        }
        if self.handoff.process.revocations.version() != self.revocations {
            self.revocations()?;
        }
        Ok(())
    }

    fn judge(&self, old_then: Numbers, new: Numbers) -> Result<(), String> {
        let life = self.handoff.numbers();
        watched::fault(life, life.since(old_then), new).map_or(Ok(()), Err)
    }

    /// Step 7: from here on operators and systemd talk to the new process.
    fn take(&mut self) -> Result<(), String> {
        // Nobody changes anything here any more that it would not hear of.
        self.handoff.standing.send_replace(Standing::Waiting);
        let taken = self.tell_news().and_then(|()| self.tell(&Message::Take)).and_then(|()| self.taken());
        if let Err(reason) = taken {
            // It may have got as far as the pid file, and must not come to itself later.
            self.end(&reason);
            self.handoff.become_gateway();
            return Err(reason);
        }
        self.handoff.supervisor.main_pid(self.pid());
        self.handoff.process.departure.hand_over();
        Ok(())
    }

    fn taken(&mut self) -> Result<(), String> {
        let by = Instant::now() + SILENCE;
        // Whatever this process is asked meanwhile: it is decided over there.
        while Instant::now() < by {
            match self.channel.hear(LOOK) {
                Ok(Heard::Message(Message::Taken, _)) => return Ok(()),
                Ok(Heard::Message(Message::Failed { reason }, _)) => return Err(format!("it says: {reason}")),
                Ok(Heard::Gone) => {
                    self.gone = true;
                    return Err(self.started.why_gone());
                }
                _ => (),
            }
        }
        Err("it has not taken over in time".to_owned())
    }

    /// Still accepting, until every idle connection has been used once more or closed; then step 8. Comes back where the
    /// new process dies: this one is the gateway again.
    fn linger(&mut self) {
        let until = Instant::now() + self.linger;
        let (mut leaves, mut back) = (false, true);
        let mut told = Instant::now();
        loop {
            let aborted = self.handoff.state.aborted.load(Relaxed);
            if !leaves && (aborted || Instant::now() >= until) {
                leaves = true;
                self.leave(aborted);
            }
            if told.elapsed() >= SECOND {
                told = Instant::now();
                _ = self.tell(&self.lingering());
            }
            match self.channel.hear(LOOK) {
                // A third process takes over, and is the gateway whatever becomes of the second.
                Ok(Heard::Message(Message::Settled, _)) => back = false,
                Ok(Heard::Message(Message::Goodbye, _)) => {
                    log::info!("process {} is asked to end, and so this one does", self.pid());
                    back = false;
                    _ = self.handoff.signals.blocking_send(Asked::Drain);
                }
                Ok(Heard::Message(Message::Revoked { entries }, _)) => self.learn(entries),
                Ok(Heard::Gone) if leaves && back => {
                    // Too late to come back: the accept loops have ended. Nobody serves until a supervisor starts
                    // another one, which this one must not hold up.
                    log::error!("process {} is gone while this one leaves", self.pid());
                    return self.handoff.process.departure.leave();
                }
                Ok(Heard::Gone) if back => return self.take_back(),
                Ok(Heard::Gone) if leaves => return,
                Ok(Heard::Gone) => self.alone(),
                Ok(Heard::Message(..) | Heard::Silence) | Err(_) => _ = self.started.look(),
            }
        }
    }

    /// The second process is gone, and a third one is the gateway: nothing to say, and nobody to hear it.
    fn alone(&mut self) {
        if !self.gone {
            self.gone = true;
            log::info!("process {} is gone, and another one is the gateway", self.pid());
        }
        thread::sleep(LOOK);
    }

    /// Step 8, unless somebody has asked this process to end anyway.
    fn leave(&self, aborted: bool) {
        _ = self.tell(&Message::Leaving);
        self.handoff.state.settled.store(true, Relaxed);
        if !aborted {
            log::info!("handoff 8/8: accepting no more; leaving as soon as nothing is in flight");
            _ = self.handoff.signals.blocking_send(Asked::Leave);
        }
    }

    /// What was revoked over there holds here, too.
    fn learn(&self, entries: Vec<RevocationEntry>) {
        let most = self.handoff.live.pin().config.auth.revocation.most;
        self.handoff.process.revocations.take_over(entries, most);
    }

    fn lingering(&self) -> Message {
        let process = &self.handoff.process;
        let in_flight = u64::try_from(process.in_flight.count()).unwrap_or_default();
        Message::Lingering { connections: process.connections.snapshot().open, in_flight }
    }

    fn take_back(&self) {
        log::error!("process {} is gone: this one, {}, is the gateway again", self.pid(), process::id());
        let handoff = self.handoff;
        handoff.process.departure.take_back();
        handoff.process.handoffs.ended(HandoffResult::TakenBack);
        handoff.become_gateway();
        handoff.supervisor.main_pid(process::id());
    }

    /// The new process leaves: it finishes what it has, if anybody came to it.
    fn end(&mut self, reason: &str) {
        _ = self.tell(&Message::Abort { reason: reason.to_owned() });
        let state = &self.handoff.state;
        // Nobody has come to it, or nobody is to be waited for.
        if !self.gone && (state.stopped.load(Relaxed) || (state.aborted.load(Relaxed) && !self.serves)) {
            self.started.kill();
        }
        self.handoff.state.settled.store(true, Relaxed);
        let drain = self.handoff.live.pin().config.server.drain;
        // One that is asked to leave by somebody else takes its pause, too.
        let patience = if self.serves { drain.pause.get() + drain.deadline.get() + LEAVE } else { LEAVE };
        let by = Instant::now() + patience;
        while !self.gone && Instant::now() < by {
            self.gone = matches!(self.channel.hear(LOOK), Ok(Heard::Gone));
        }
        if self.gone { self.started.reap() } else { self.started.kill() }
    }

    /// The next message; in vain, `what` it has not done.
    fn hear(&mut self, by: Instant, what: &str) -> Result<Message, String> {
        loop {
            if let Some(message) = self.look(by)? {
                return Ok(message);
            }
            if Instant::now() >= by {
                return Err(format!("it {what} in time"));
            }
        }
    }

    /// What it says, if anything; one look.
    fn look(&mut self, by: Instant) -> Result<Option<Message>, String> {
        if self.handoff.state.aborted.load(Relaxed) {
            return Err(LEAVES.to_owned());
        }
        let patience = LOOK.min(by.saturating_duration_since(Instant::now()));
        match self.channel.hear(patience) {
            Ok(Heard::Message(Message::Failed { reason }, _)) => Err(format!("it says: {reason}")),
            Ok(Heard::Message(message, _)) => Ok(Some(message)),
            Ok(Heard::Silence) => self.started.look().map(|()| None),
            Ok(Heard::Gone) => {
                self.gone = true;
                Err(self.started.why_gone())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn tell(&self, message: &Message) -> Result<(), String> {
        self.channel.tell(message).map_err(|error| format!("it cannot be told anything: {error}"))
    }
}

/// How many there are.
fn pass(handoff: &Handoff, channel: &Channel) -> Result<usize, String> {
    let sockets = handoff.sockets.lock();
    for (role, address, socket) in sockets.iter() {
        let message = Message::Socket { role: *role, address: address.clone() };
        channel.pass(&message, socket).map_err(|error| format!("a socket cannot be passed: {error}"))?;
    }
    Ok(sockets.len())
}

fn unexpected(message: &Message) -> String {
    format!("it says something else than was expected: {message:?}")
}

fn step(told: &UnboundedSender<Told>, number: u8, text: fmt::Arguments<'_>) {
    log::info!("handoff {number}/8: {text}");
    _ = told.send(Told::Step(format!("{number}/8 {text}")));
}
