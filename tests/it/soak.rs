//! Good and bad requests side by side, for long: `make soak` sends a million.

use super::support::{Client, Gateway, PATIENCE, Recorder, corpus};
use std::{
    env, fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
    time::Duration,
};

const CALLERS: usize = 4;
/// What may come on top after the first tenth: buffers of requests that are under way, and what an allocator keeps.
const GROWTH: usize = 16 * 1024 * 1024;

/// Everything of the corpus that is not large.
fn bad() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/http1");
    let groups = fs::read_dir(folder).unwrap().flat_map(|file| -> Vec<corpus::Group> {
        serde_yaml::from_str(&fs::read_to_string(file.unwrap().path()).unwrap()).unwrap()
    });
    let cases = groups.flat_map(|group| group.cases.into_values().map(|entry| corpus::bytes(&entry.more().send)));
    cases.filter(|bytes| bytes.len() < 4096).collect()
}

/// Sends `bytes`, reads whatever comes, and leaves.
fn send(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    _ = stream.write_all(bytes);
    _ = stream.shutdown(Shutdown::Write);
    _ = stream.read_to_end(&mut Vec::new());
}

/// One good request; panics where its answer is not its own.
fn ask(client: &mut Client, number: usize) {
    let path = format!("/clean/{number}");
    let (method, body) = [("GET", ""), ("POST", "hello"), ("PUT", "5")][number % 3];
    let framed = match number % 2 {
        0 => format!("Content-Length: {}\r\n\r\n{body}", body.len()),
        _ if body.is_empty() => "\r\n".to_owned(),
        _ => format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
    };
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: gateway.test\r\n{framed}").as_bytes());
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.complete), (200, true), "{method} {path}: {answer:?}");
    assert_eq!(answer.body, format!("{method} {path} HTTP/1.1 {body}"));
}

/// Every fifth is a bad one, on a connection of its own.
fn call(address: SocketAddr, bad: &[Vec<u8>], done: &AtomicUsize, count: usize) {
    let mut client = Client::connect(address);
    let mut random = fastrand::Rng::with_seed(count as u64);
    loop {
        let number = done.fetch_add(1, SeqCst);
        if number >= count {
            return;
        }
        match number % 5 {
            0 => send(address, random.choice(bad).unwrap()),
            _ => ask(&mut client, number),
        }
    }
}

/// What services saw may not pile up here, and nothing of it may be outside the grammar.
fn watch(recorder: &Recorder, done: &AtomicBool) -> usize {
    let mut seen = 0;
    loop {
        let last = done.load(SeqCst);
        for request in recorder.take() {
            assert!(request.faults.is_empty(), "{request:?}");
            seen += usize::from(request.line.contains(" /clean/"));
        }
        if last {
            return seen;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn good_and_bad_requests_leave_memory_flat_and_every_good_one_is_answered() {
    let count = env::var("EDGEWAY_SOAK").map_or(10_000, |count| count.parse().unwrap());
    let (recorder, bad) = (Recorder::start(), bad());
    let gateway = Gateway::start(&format!(
        "log: {{ access: false }}\nservices: {{ s: {{ endpoints: [\"{}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: all, match: {{ path: /* }}, service: s, auth: public }}]\n",
        recorder.url()
    ));
    let run = |count: usize| {
        let (done, over) = (AtomicUsize::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let watching = scope.spawn(|| watch(&recorder, &over));
            let callers: Vec<_> =
                (0..CALLERS).map(|_| scope.spawn(|| call(gateway.address, &bad, &done, count))).collect();
            callers.into_iter().for_each(|caller| caller.join().unwrap());
            over.store(true, SeqCst);
            assert_eq!(watching.join().unwrap(), count - count.div_ceil(5), "good requests that a service saw");
        });
        gateway.resident()
    };
    let before = run(count / 10);
    let behind = run(count);
    println!("{count} requests: {} MiB before, {} MiB behind", before >> 20, behind >> 20);
    assert!(behind < before + GROWTH, "{before} bytes before, {behind} behind");
}
