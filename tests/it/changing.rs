//! Everything that can be changed, while callers of every kind go on: no request may fail.
//!
//! `make changing` runs this on an optimised binary, with more load.

use super::{
    handoff::{binary, pid, runs, successor, upgrade, upgraded},
    support::{
        Authority, Files, Gateway, Wanted,
        callers::{Callers, Crowd, Place, StandIn, trusting},
        in_turn, replace, within_patience,
    },
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    env, fs,
    io::Read,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// What the service takes for a request of the load: so much of it as a machine of two cores bears beside the callers.
const TAKES: Duration = Duration::from_millis(15);

/// How long a process serves before it is killed.
const AFTER: Duration = Duration::from_secs(2);

/// An optimised binary serves as many more.
fn is_optimised() -> bool {
    env::var_os("EDGEWAY_BINARY").is_some()
}

/// The load: as many requests as its connections and [`TAKES`] allow.
struct Load {
    wrk: Child,
    connections: usize,
}

impl Load {
    /// `name` is in its path, and so in the access log.
    fn start(address: SocketAddr, name: &str) -> Self {
        let connections = if is_optimised() { 32 } else { 8 };
        let wrk = Command::new("wrk")
            .args([
                "-t1",
                &format!("-c{connections}"),
                "-d900s",
                "--timeout",
                "20s",
                &format!("http://{address}/load/{name}"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("no wrk; scripts/setup.sh test installs it");
        Self { wrk, connections }
    }

    /// Ends it. None of its requests may have failed.
    fn ends_well(self) -> Counted {
        let (counted, said) = self.ended();
        assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
        println!("load: {} requests, none failed", counted.requests);
        counted
    }

    /// The same, where processes were killed that served it: each of its connections may have been cut with each.
    fn ends_with_cuts(self, kills: usize) {
        let (counted, said) = self.ended();
        let errors =
            regex::Regex::new(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)").unwrap();
        let errors = errors.captures(&said).map_or([0; 4], |found| [1, 2, 3, 4].map(|at| found[at].parse().unwrap()));
        let [connect, read, write, timeout]: [usize; 4] = errors;
        assert!(!said.contains("Non-2xx") && connect + timeout == 0, "{said}");
        assert!(read + write <= kills * counted.connections, "{said}");
        println!("load: {} requests, {} were cut with {kills} killed processes", counted.requests, read + write);
    }

    fn ended(mut self) -> (Counted, String) {
        kill(Pid::from_raw(self.wrk.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        let mut said = String::new();
        self.wrk.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
        self.wrk.wait().unwrap();
        let requests = regex::Regex::new(r"(\d+) requests in").unwrap();
        let requests = requests.captures(&said).unwrap_or_else(|| panic!("{said}"))[1].parse().unwrap();
        (Counted { requests, connections: self.connections }, said)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        _ = self.wrk.kill();
        _ = self.wrk.wait();
    }
}

struct Counted {
    requests: usize,
    connections: usize,
}

impl Counted {
    #[track_caller]
    fn is_logged(&self, access_log: &str, name: &str) {
        let path = format!(r#""path":"/load/{name}""#);
        let lines = access_log.lines().filter(|line| line.contains(&path)).count();
        // At its end wrk leaves what is under way.
        let fits = lines >= self.requests && lines <= self.requests + 2 * self.connections;
        assert!(fits, "{lines} lines for {} requests", self.requests);
    }
}

/// A gateway with two services of the same kind, a listener with TLS, and everybody at work.
struct Stage {
    services: [StandIn; 2],
    authority: Authority,
    files: Files,
    gateway: Gateway,
    /// Of the listener with TLS.
    secured: SocketAddr,
}

impl Stage {
    fn set() -> Self {
        let services = [StandIn::start(TAKES), StandIn::start(TAKES)];
        let authority = Authority::new();
        let files = authority.issue("a", &Wanted::of("a", &["a.example"]));
        let gateway = Gateway::start(&sections(&services, &files, 0));
        let said = gateway.stderr();
        let line = said.split_once(" serves on ").unwrap().1;
        let secured = line.split([',', ' ']).nth(2).unwrap().parse().unwrap();
        Self { services, authority, files, gateway, secured }
    }

    fn callers(&self) -> Callers {
        let more = if is_optimised() { 2 } else { 1 };
        let crowd = Crowd {
            kept: 8 * more,
            sleepy: 2 * more,
            fresh: 2 * more,
            http2: 2 * more,
            uploads: 2 * more,
            websockets: 2 * more,
            events: 2 * more,
            tls: more,
        };
        let place = Place {
            plain: self.gateway.address,
            tls: Some((self.secured, trusting(&self.authority).unwrap())),
            sleep: Duration::from_secs(6),
            between_messages: Duration::from_millis(20),
        };
        Callers::start(crowd, &place)
    }

    fn turn(&self) -> String {
        self.gateway.get("/turn", &[]).body
    }

    /// Another configuration, or a bad one: `turn` says which.
    fn reload(&self, turn: usize) {
        let good = sections(&self.services, &self.files, turn);
        let before = self.turn();
        if turn % 5 == 3 {
            self.gateway.rewrite(&good.replace("respond", "respnod"));
            assert!(!self.gateway.reload());
            assert_eq!(self.turn(), before);
        } else {
            self.gateway.rewrite(&good);
            assert!(self.gateway.reload());
            assert_eq!(self.turn(), turn.to_string());
        }
    }

    /// Another certificate, and wait until callers are shown it.
    fn swap(&self, serial: u64) {
        let (cert, key) = self.authority.made(&Wanted { serial, ..Wanted::of("a", &["a.example"]) });
        let swapped = || self.gateway.stderr().matches("a new certificate is shown").count();
        let before = swapped();
        replace(&self.files.cert, &cert);
        replace(&self.files.key, &key);
        assert!(within_patience(|| swapped() > before), "{}", self.gateway.stderr());
    }

    /// To itself.
    fn hands_over(&self) {
        let before = pid(&self.gateway);
        let outcome = upgraded(&self.gateway, &[]);
        assert_eq!(outcome.code, Some(0), "{}{}\n{}", outcome.stdout, outcome.stderr, self.gateway.stderr());
        assert_ne!(pid(&self.gateway), before);
    }

    /// To a binary, or with a file, that is no good: whoever was the gateway still is.
    fn does_not_hand_over(&self, name: &str, arguments: &[&str], code: i32) {
        let before = pid(&self.gateway);
        let outcome = upgraded(&self.gateway, arguments);
        assert_eq!(outcome.code, Some(code), "{name}: {}{}", outcome.stdout, outcome.stderr);
        assert!(pid(&self.gateway) == before && runs(before), "{name}");
    }

    /// The new process is killed two seconds after it has begun to accept, while both are watched.
    fn loses_the_new_process_while_it_is_watched(&self, callers: &Callers) {
        let before = pid(&self.gateway);
        let accepts = || self.gateway.stderr().matches("handoff 5/8").count();
        let so_far = accepts();
        let asked = upgrade(&self.gateway, &["--watch", "60s"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let asked = asked.unwrap();
        assert!(within_patience(|| accepts() > so_far), "{}", self.gateway.stderr());
        thread::sleep(AFTER);
        callers.bear(|| killed(successor(&self.gateway, before).unwrap()));
        assert_eq!(asked.wait_with_output().unwrap().status.code(), Some(1));
        assert!(pid(&self.gateway) == before && runs(before));
    }

    /// The new process is killed two seconds after it has become the gateway: the old one is the gateway again.
    fn loses_the_new_process_once_it_is_the_gateway(&self, callers: &Callers) {
        let before = pid(&self.gateway);
        self.hands_over();
        thread::sleep(AFTER);
        callers.bear(|| killed(pid(&self.gateway)));
        assert!(within_patience(|| pid(&self.gateway) == before), "{}", self.gateway.stderr());
        assert!(runs(before));
    }

    /// As a balancer sees it: not ready, so nobody new comes.
    fn leave(&self) {
        kill(Pid::from_raw(pid(&self.gateway)), Signal::SIGTERM).unwrap();
        assert!(within_patience(|| self.gateway.get("/health/ready", &[]).status == 503));
    }

    /// Every process that was ever started here has left.
    fn is_empty(&self) {
        let all: Vec<i32> = self.gateway.said(r"process (\d+) \(").into_iter().map(|pid| pid as i32).collect();
        assert!(within_patience(|| all.iter().all(|pid| !runs(*pid))), "{}", self.gateway.stderr());
        assert_eq!(self.gateway.wait_for_exit(), 0);
    }
}

fn killed(process: i32) {
    kill(Pid::from_raw(process), Signal::SIGKILL).unwrap();
}

fn sections(services: &[StandIn; 2], files: &Files, turn: usize) -> String {
    let endpoints = match turn % 3 {
        0 => format!("\"{}\", \"{}\"", services[0].address, services[1].address),
        one => format!("\"{}\"", services[one - 1].address),
    };
    // A test waits for it once, and a machine that builds beside it is slow.
    let ready = if is_optimised() { "8s" } else { "19s" };
    // Routes come and go, and the one that everybody uses has another place in the file each time.
    let more: Vec<String> = (0..turn % 7)
        .map(|number| {
            format!(
                "- {{ id: more-{turn}-{number}, match: {{ path: /more/{number} }}, respond: {{}}, auth: public }}\n"
            )
        })
        .collect();
    format!(
        "server: {{ threads: 2, run_dir: \"${{RUN_DIR}}\", reload_on_change: false, drain: {{ pause: 6s, deadline: 35s }}, \
         handoff: {{ ready: {ready}, watch: 2s, linger: 4s, streams: 1h }} }}\n\
         listeners:\n  - {{ address: \"127.0.0.1:0\", trusted_proxies: 127.0.0.1 }}\n  \
         - {{ address: \"127.0.0.1:0\", trusted_proxies: 127.0.0.1, tls: {{ certificates: [{}] }} }}\n\
         services: {{ s: {{ endpoints: [{endpoints}], health: {{ probe: off }} }} }}\n\
         routes:\n{}- {{ id: turn, match: {{ path: /turn }}, respond: {{ body: \"{turn}\" }}, auth: public }}\n\
         - {{ id: all, match: {{ path: /* }}, service: s, auth: public, timeouts: {{ request: 25s, attempt: 20s }} }}\n",
        files.section(),
        more.concat()
    )
}

#[test]
fn nothing_that_is_changed_costs_a_request() {
    let _turn = in_turn();
    let stage = Stage::set();
    let load = Load::start(stage.gateway.address, "first");
    let callers = stage.callers();
    callers.hear(200);
    callers.are_content("at first");

    for turn in 1..=50 {
        stage.reload(turn);
        callers.hear(10);
    }
    callers.are_content("50 reloads, 10 of them bad");

    for serial in 2..=6 {
        stage.swap(serial);
        callers.hear(10);
    }
    callers.are_content("5 certificates");

    for _ in 0..5 {
        stage.hands_over();
        callers.hear(50);
    }
    callers.are_content("5 handoffs");

    let crash = binary(&stage.gateway, "crash", "exit 3");
    stage.does_not_hand_over("crash", &["--binary", crash.to_str().unwrap()], 1);
    let hang = binary(&stage.gateway, "hang", "exec sleep 600");
    stage.does_not_hand_over("hang", &["--binary", hang.to_str().unwrap()], 1);
    let good = fs::read(stage.gateway.path("edgeway.yaml")).unwrap();
    fs::write(stage.gateway.path("edgeway.yaml"), "routs: []\n").unwrap();
    stage.does_not_hand_over("bad file", &[], 78);
    fs::write(stage.gateway.path("edgeway.yaml"), good).unwrap();
    callers.hear(50);
    callers.are_content("2 bad binaries and a bad file");

    // The load would count as failed what is cut now.
    let first = load.ends_well();
    let load = Load::start(stage.gateway.address, "killed");
    stage.loses_the_new_process_while_it_is_watched(&callers);
    stage.loses_the_new_process_once_it_is_the_gateway(&callers);
    callers.are_content("2 new processes killed");
    load.ends_with_cuts(2);

    let load = Load::start(stage.gateway.address, "last");
    callers.hear(50);
    stage.hands_over();
    callers.hear(50);
    callers.are_content("another handoff");
    stage.leave();
    // Everybody is still served, and asked to leave.
    callers.hear(50);
    let last = load.ends_well();
    let verdict = callers.stop();
    stage.is_empty();
    verdict.is_clean();
    let log = fs::read_to_string(stage.gateway.path("access.log")).unwrap();
    verdict.is_logged(&log);
    first.is_logged(&log, "first");
    last.is_logged(&log, "last");
}

#[test]
fn a_hundred_websockets_and_twenty_streams_live_through_a_hundred_reloads() {
    let service = StandIn::start(TAKES);
    let sections = |turn: usize| {
        format!(
            "listeners: [{{ address: \"127.0.0.1:0\", trusted_proxies: 127.0.0.1, max_connections: {} }}]\n\
             services: {{ s: {{ endpoints: [\"{}\"], health: {{ probe: off }} }} }}\n\
             routes:\n- {{ id: turn-{turn}, match: {{ path: /turn }}, respond: {{ body: \"{turn}\" }}, auth: public }}\n\
             - {{ id: all-{}, match: {{ path: /* }}, service: s, auth: public, timeouts: {{ idle: {}s }} }}\n",
            // Below what is open: whoever is in stays.
            if turn == 0 { 1000 } else { 200 - turn },
            service.address,
            turn % 2,
            20 + turn
        )
    };
    let gateway = Gateway::start(&sections(0));
    let place = Place {
        plain: gateway.address,
        tls: None,
        sleep: Duration::ZERO,
        between_messages: Duration::from_millis(100),
    };
    let callers = Callers::start(Crowd { websockets: 100, events: 20, ..Crowd::default() }, &place);
    let open = || gateway.metric("http_requests_in_progress") == Some(120.0);
    assert!(within_patience(open), "{}", gateway.metrics());
    for turn in 1..=100 {
        gateway.rewrite(&sections(turn));
        assert!(gateway.reload(), "{}", gateway.stderr());
    }
    callers.hear_streams(1_000);
    assert!(open(), "{}", gateway.metrics());
    assert_eq!(gateway.metric("edgeway_config_generation"), Some(101.0));
    let verdict = callers.stop();
    verdict.is_clean();
    assert_eq!((verdict.sent_away("websockets"), verdict.sent_away("events")), (0, 0), "{verdict}");
    let logged = || fs::read_to_string(gateway.path("access.log")).unwrap().lines().count() >= 120;
    assert!(within_patience(logged));
    verdict.is_logged(&fs::read_to_string(gateway.path("access.log")).unwrap());
}
