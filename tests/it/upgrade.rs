//! Connections that become something else: WebSocket, as far as a gateway sees it.

use super::support::{Answer, Gateway, Upstream, bearer, within_patience};
use nix::sys::signal::Signal::SIGTERM;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Says yes to an upgrade and then sends back every byte; what it was asked is its first answer.
fn echoing_socket() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while lines.read_line(&mut head).is_ok_and(|read| read > 2) {}
                _ = stream.write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                );
                _ = stream.write_all(format!("{}\n", head.replace("\r\n", "|")).as_bytes());
                let mut bytes = [0; 1024];
                while let Ok(read @ 1..) = lines.read(&mut bytes) {
                    _ = stream.write_all(&bytes[..read]);
                }
            });
        }
    });
    address
}

fn gateway(service: SocketAddr, timeouts: &str) -> Gateway {
    Gateway::start(&format!(
        "timeouts: {{ {timeouts} }}\n\
         services: {{ s: {{ endpoints: [\"{service}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: ws, match: {{ path: /ws }}, service: s }}]\n"
    ))
}

/// The head of the answer, and what comes after it.
fn upgrade(gateway: &Gateway) -> (String, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let token = bearer("admin");
    stream.write_all(format!("GET /ws HTTP/1.1\r\nHost: gateway.test\r\n{token}\r\n{UPGRADE}\r\n").as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while stream.read_line(&mut head).unwrap() > 2 {}
    (head, stream)
}

#[test]
fn a_websocket_goes_through_with_its_callers_identity() {
    // Shorter than the connection lives: an upgraded one knows neither `request` nor `attempt`.
    let gateway = gateway(echoing_socket(), "request: 300ms, attempt: 200ms, idle: 20s");
    let (head, mut stream) = upgrade(&gateway);
    assert!(head.starts_with("HTTP/1.1 101 ") && head.to_lowercase().contains("upgrade: websocket"), "{head}");
    let mut asked = String::new();
    stream.read_line(&mut asked).unwrap();
    assert!(asked.to_lowercase().contains("x-user-id: 7"), "{asked}");
    for word in ["one", "two", "three"] {
        thread::sleep(Duration::from_millis(200));
        stream.get_mut().write_all(word.as_bytes()).unwrap();
        let mut back = vec![0; word.len()];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, word.as_bytes());
    }
    drop(stream);
    assert!(within_patience(|| gateway.access_log().iter().any(|line| line["status_code"] == 101)));
}

#[test]
fn a_silent_websocket_ends_at_idle() {
    let gateway = gateway(echoing_socket(), "idle: 1s, request: 900ms");
    let (_, mut stream) = upgrade(&gateway);
    let since = Instant::now();
    let mut rest = Vec::new();
    _ = stream.read_to_end(&mut rest);
    assert!(since.elapsed() >= Duration::from_millis(900) && since.elapsed() < Duration::from_secs(15));
}

#[test]
fn without_a_token_nothing_is_upgraded() {
    let gateway = gateway(echoing_socket(), "idle: 20s");
    let response = gateway.send(format!("GET /ws HTTP/1.1\r\nHost: gateway.test\r\n{UPGRADE}\r\n").as_bytes());
    assert_eq!((response.status, response.code().as_str()), (401, "token_missing"));
}

#[test]
fn an_upgrade_that_nobody_asked_for_is_no_answer() {
    let upstream =
        Upstream::start(|_| Answer::Raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_owned()));
    let gateway = gateway(upstream.address, "idle: 20s");
    let response = gateway.get("/ws", &[&bearer("admin")]);
    assert_eq!((response.status, response.code().as_str()), (502, "bad_gateway"));
}

/// Agrees, and then sends `frames`; tells everything that comes afterwards, and when it is over.
fn websocket(frames: &'static [u8]) -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let tell = tell.clone();
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while lines.read_line(&mut line).is_ok_and(|read| read > 2) {}
                let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                stream.write_all(&[head.as_bytes(), frames].concat()).unwrap();
                let mut heard = Vec::new();
                let ended = lines.read_to_end(&mut heard);
                tell.send(if ended.is_ok() { heard } else { b"reset".to_vec() }).unwrap();
            });
        }
    });
    (address, told)
}

#[test]
fn at_the_end_a_websocket_is_told_to_go_and_both_sides_close() {
    const HELLO: &[u8] = b"\x81\x05hello";
    const CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];
    let (service, told) = websocket(HELLO);
    let gateway = Gateway::start(&format!(
        "server: {{ threads: 1, run_dir: \"${{RUN_DIR}}\", drain: {{ pause: 0s, deadline: 1s }} }}\n\
         services: {{ s: {{ endpoints: [\"{service}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: ws, match: {{ path: /ws }}, service: s }}]\n"
    ));
    let mut sockets: Vec<_> = (0..3).map(|_| upgrade(&gateway).1).collect();
    assert_eq!(gateway.metric("edgeway_long_lived_open{kind=\"tunnel\"}"), Some(3.0));
    gateway.signal(SIGTERM);
    let since = Instant::now();
    for socket in &mut sockets {
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard).unwrap();
        assert_eq!(
            heard,
            [HELLO, &[0x88, 0x02, 0x03, 0xe9]].concat(),
            "a frame of the service, then 1001, then the end"
        );
        // As every client answers.
        socket.get_mut().write_all(&CLOSE).unwrap();
    }
    assert!(since.elapsed() >= Duration::from_millis(800), "not before the deadline: {:?}", since.elapsed());
    drop(sockets);
    for _ in 0..3 {
        assert_eq!(told.recv_timeout(Duration::from_secs(20)).unwrap(), CLOSE, "the service hears why, and no reset");
    }
    assert_eq!(gateway.wait_for_exit(), 0);
}

#[test]
fn event_streams_that_are_open_are_counted() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n";
    let upstream = Upstream::start(move |_| Answer::Raw(head.to_owned()));
    let gateway = gateway(upstream.address, "idle: 20s");
    let open = || gateway.metric("edgeway_long_lived_open{kind=\"stream\"}");
    assert_eq!(open(), Some(0.0));
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    let token = bearer("admin");
    stream.write_all(format!("GET /ws HTTP/1.1\r\nHost: gateway.test\r\n{token}\r\n\r\n").as_bytes()).unwrap();
    assert!(within_patience(|| open() == Some(1.0)));
    drop(stream);
    assert!(within_patience(|| open() == Some(0.0)));
}
