//! Everything that can be changed, while callers of every kind go on: no request may fail.
//!
//! `make changing` runs this on an optimised binary, with more load.

use super::support::{
    Authority, Files, Gateway, Wanted,
    callers::{Callers, Crowd, Place, StandIn, trusting},
    replace, within_patience,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    env,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// What the service takes for a request of the load: so much of it as a machine of two cores bears beside the callers.
const TAKES: Duration = Duration::from_millis(15);

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
    fn start(address: SocketAddr) -> Self {
        let connections = if is_optimised() { 32 } else { 8 };
        let wrk = Command::new("wrk")
            .args(["-t1", &format!("-c{connections}"), "-d900s", "--timeout", "20s", &format!("http://{address}/load")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("no wrk; scripts/setup.sh test installs it");
        Self { wrk, connections }
    }

    /// Ends it. None of its requests may have failed, and each stands in the access log once.
    fn ends_well(mut self) -> Counted {
        kill(Pid::from_raw(self.wrk.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        let mut said = String::new();
        std::io::Read::read_to_string(self.wrk.stdout.as_mut().unwrap(), &mut said).unwrap();
        self.wrk.wait().unwrap();
        assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
        let requests = regex::Regex::new(r"(\d+) requests in").unwrap();
        let requests = requests.captures(&said).unwrap_or_else(|| panic!("{said}"))[1].parse().unwrap();
        println!("load: {requests} requests, none failed");
        Counted { requests, connections: self.connections }
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
    fn is_logged(&self, access_log: &str) {
        let lines = access_log.lines().filter(|line| line.contains(r#""path":"/load""#)).count();
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
        if turn % 5 == 0 {
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

    /// As a balancer sees it: not ready, so nobody new comes.
    fn leave(&self) {
        self.gateway.signal(Signal::SIGTERM);
        assert!(within_patience(|| self.gateway.get("/health/ready", &[]).status == 503));
    }
}

fn sections(services: &[StandIn; 2], files: &Files, turn: usize) -> String {
    let endpoints = match turn % 3 {
        0 => format!("\"{}\", \"{}\"", services[0].address, services[1].address),
        one => format!("\"{}\"", services[one - 1].address),
    };
    // Routes come and go, and the one that everybody uses has another place in the file each time.
    let more: Vec<String> = (0..turn % 7)
        .map(|number| {
            format!(
                "- {{ id: more-{turn}-{number}, match: {{ path: /more/{number} }}, respond: {{}}, auth: public }}\n"
            )
        })
        .collect();
    format!(
        "server: {{ threads: 2, run_dir: \"${{RUN_DIR}}\", reload_on_change: false, drain: {{ pause: 6s, deadline: 35s }} }}\n\
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
    let stage = Stage::set();
    let load = Load::start(stage.gateway.address);
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

    stage.leave();
    // Everybody is still served, and asked to leave.
    callers.hear(50);
    let load = load.ends_well();
    let verdict = callers.stop();
    assert_eq!(stage.gateway.wait_for_exit(), 0);
    verdict.is_clean();
    let log = std::fs::read_to_string(stage.gateway.path("access.log")).unwrap();
    verdict.is_logged(&log);
    load.is_logged(&log);
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
    let logged = || std::fs::read_to_string(gateway.path("access.log")).unwrap().lines().count() >= 120;
    assert!(within_patience(logged));
    verdict.is_logged(&std::fs::read_to_string(gateway.path("access.log")).unwrap());
}
