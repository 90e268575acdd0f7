//! The access log at every kind of end: of the process, and of whoever reads it.

use super::support::{Answer, Client, Gateway, Upstream, within_patience};
use nix::sys::signal::Signal::{self, SIGINT, SIGTERM};
use std::{
    collections::HashSet,
    fs::{self, File},
    io::{PipeReader, Read, pipe},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

const DROPPED: &str = r"access log: .*?(\d+) lines were dropped";

fn sections(pause: &str) -> String {
    format!(
        "server: {{ threads: 2, run_dir: \"${{RUN_DIR}}\", drain: {{ pause: {pause}, deadline: 35s }} }}\n\
         routes: [{{ id: r, match: {{ path: /r }}, respond: {{ body: hi }}, auth: public }}]\n"
    )
}

/// Requests on kept connections until the gateway takes no more. The ids of all that were answered.
fn ask_until_gone(gateway: &Gateway) -> Vec<String> {
    let mut answered = Vec::new();
    while let Ok(stream) = TcpStream::connect(gateway.address) {
        let mut client = Client::over(stream);
        loop {
            let answer = client.get("/r", &[]);
            if answer.status != 200 || !answer.complete {
                break;
            }
            answered.push(answer.header("x-request-id").unwrap().to_owned());
            if answer.header("connection") == Some("close") {
                break;
            }
        }
    }
    answered
}

/// The ids of a log, each line of which is whole.
#[track_caller]
fn ids(text: &str) -> Vec<String> {
    assert!(text.is_empty() || text.ends_with('\n'), "half a line at the end: {:?}", text.lines().last());
    let id = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        line["request_id"].as_str().unwrap().to_owned()
    };
    text.lines().map(id).collect()
}

/// The ids that callers saw and those that were logged, when `signal` comes under load.
fn stopped_under_load(gateway: &Gateway, signal: Signal) -> Vec<String> {
    thread::scope(|scope| {
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| ask_until_gone(gateway))).collect();
        assert!(within_patience(|| fs::metadata(gateway.path("access.log")).unwrap().len() > 100_000));
        gateway.signal(signal);
        assert_eq!(gateway.wait_for_exit(), 0);
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    })
}

/// Workers say things too: whoever sends nonsense makes one log a line, and must not make it wait.
#[test]
fn a_stderr_that_nobody_reads_holds_up_nobody() {
    let sections =
        "log: { level: debug }\nroutes: [{ id: r, match: { path: /r }, respond: { body: hi }, auth: public }]\n";
    let gateway = Gateway::start_saying_to_nobody(sections);
    let mut client = gateway.client();
    // At debug pingora has a word on each of these: more than a pipe holds.
    for _ in 0..2_000 {
        gateway.send(b"nonsense\r\n\r\n");
        assert_eq!(client.get("/r", &[]).status, 200);
    }
}

#[test]
fn no_level_writes_a_secret() {
    let broken =
        Upstream::start(|_| Answer::RawThenClose("HTTP/1.1 200 OK\r\nSet-Cookie: s3cret\r\nX\r\n\r\n".to_owned()));
    let url = broken.url();
    let gateway = Gateway::start(&format!(
        "log: {{ level: trace }}\n\
         services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: r, match: {{ path: /r }}, service: s, auth: public }}]\n"
    ));
    let answer = gateway.get("/r?key=s3cret", &["Authorization: Bearer s3cret", "Cookie: session=s3cret"]);
    assert_eq!(answer.status, 502, "{answer:?}");
    let line = gateway.log_line(answer.header("x-request-id").unwrap());
    // Of what came before the end the writer's thread may still hold some.
    gateway.signal(SIGINT);
    assert_eq!(gateway.wait_for_exit(), 0);
    let said = gateway.stderr();
    assert!(said.contains("DEBUG"), "{said}");
    for text in [said, line.to_string()] {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn sigterm_under_load_loses_no_line() {
    let gateway = Gateway::start(&sections("500ms"));
    let answered = stopped_under_load(&gateway, SIGTERM);
    let logged = ids(&fs::read_to_string(gateway.path("access.log")).unwrap());
    let known: HashSet<_> = logged.iter().collect();
    assert_eq!(known.len(), logged.len(), "a line is written once");
    let lost: Vec<_> = answered.iter().filter(|id| !known.contains(id)).collect();
    assert!(lost.is_empty() && !answered.is_empty(), "{} of {} are not in the log", lost.len(), answered.len());
}

#[test]
fn sigint_under_load_leaves_whole_lines() {
    let gateway = Gateway::start(&sections("0s"));
    let answered = stopped_under_load(&gateway, SIGINT);
    let logged = ids(&fs::read_to_string(gateway.path("access.log")).unwrap());
    assert!(!logged.is_empty() && !answered.is_empty());
}

/// Makes `count` requests whose lines are long, and says how long the slowest took.
fn ask(gateway: &Gateway, count: usize) -> Duration {
    let path = format!("/{}", "x".repeat(1000));
    let (mut client, mut worst) = (gateway.client(), Duration::ZERO);
    for _ in 0..count {
        let since = Instant::now();
        assert_eq!(client.get(&path, &[]).status, 404);
        worst = worst.max(since.elapsed());
    }
    worst
}

/// Lines that were said to be lost, once the gateway has ended well.
fn dropped_in_all(gateway: &Gateway) -> usize {
    gateway.signal(SIGTERM);
    assert_eq!(gateway.wait_for_exit(), 0, "{}", gateway.stderr());
    gateway.said(DROPPED).iter().sum::<u64>() as usize
}

#[test]
fn a_reader_who_goes_away_costs_lines_and_nothing_else() {
    let (reader, writer) = pipe().unwrap();
    let gateway = Gateway::start_logging_to(&sections("0s"), writer);
    drop(reader);
    ask(&gateway, 50);
    gateway.tells(&["Broken pipe"]);
    ask(&gateway, 250);
    assert_eq!(gateway.said(DROPPED).len(), 1, "once a minute at most: {}", gateway.stderr());
    assert_eq!(dropped_in_all(&gateway), 300);
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let gateway = Gateway::start_logging_to(&sections("0s"), full);
    ask(&gateway, 50);
    gateway.tells(&["No space left"]);
    ask(&gateway, 250);
    assert_eq!(gateway.said(DROPPED).len(), 1, "once a minute at most: {}", gateway.stderr());
    assert_eq!(dropped_in_all(&gateway), 300);
}

/// Fills the pipe and everything the gateway keeps, until lines are lost. How many requests it took.
fn fill(gateway: &Gateway) -> usize {
    const BATCH: usize = 250;
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut asked = 0;
                    while asked < 20_000 && gateway.said(DROPPED).is_empty() {
                        let worst = ask(gateway, BATCH);
                        assert!(worst < Duration::from_secs(2), "a request took {worst:?}");
                        asked += BATCH;
                    }
                    asked
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    })
}

fn read_all(mut reader: PipeReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_pipe_that_nobody_reads_costs_lines_that_are_counted_and_no_time() {
    let (reader, writer) = pipe().unwrap();
    let gateway = Gateway::start_logging_to(&sections("0s"), writer);
    let asked = fill(&gateway);
    gateway.tells(&["because stdout is read too slowly"]);
    // Read again: what was kept comes, whole, and what comes later too.
    let reading = thread::spawn(move || read_all(reader));
    ask(&gateway, 10);
    let dropped = dropped_in_all(&gateway);
    let logged = ids(&reading.join().unwrap());
    assert!(dropped > 0);
    assert_eq!(logged.len() + dropped, asked + 10, "logged and dropped are all there were");
}

#[test]
fn an_end_with_a_full_pipe_is_no_half_line() {
    let (reader, writer) = pipe().unwrap();
    let gateway = Gateway::start_logging_to(&sections("0s"), writer);
    // More than a pipe holds.
    ask(&gateway, 500);
    gateway.signal(SIGINT);
    assert_eq!(gateway.wait_for_exit(), 0);
    assert!(gateway.stderr().contains("its last lines could not be written"), "{}", gateway.stderr());
    assert!(!ids(&read_all(reader)).is_empty());
}
