//! Answers to callers who are still sending: all of them arrive, none is lost to a reset of the connection.

use super::support::{
    Answer, Authority, Gateway, Upstream, Wanted, bearer,
    http2::{self, Http2},
    within_patience,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const UPLOADERS: usize = 50;
const UPLOAD: usize = 8 << 20;
const PIECE: usize = 64 << 10;

/// What becomes of an upload by a client that looks for an answer only when it has sent everything, as most do.
struct Upload {
    /// Why it could not send everything; a reset, mostly.
    failed: Option<String>,
    /// All that came, to the end of the connection.
    answer: String,
}

impl Upload {
    fn of(stream: &mut (impl Read + Write), head: &str, chunked: bool) -> Self {
        let length =
            if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {UPLOAD}") };
        let head = format!("POST {head}{length}\r\n\r\n");
        let piece = if chunked { chunk(PIECE) } else { vec![b'x'; PIECE] };
        let mut sent = stream.write_all(head.as_bytes());
        for _ in 0..UPLOAD / PIECE {
            sent = sent.and_then(|()| stream.write_all(&piece));
        }
        if chunked {
            sent = sent.and_then(|()| stream.write_all(b"0\r\n\r\n"));
        }
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let failed = sent.and(read.map(drop)).err().map(|error| error.to_string());
        Self { failed, answer: String::from_utf8_lossy(&answer).into_owned() }
    }
}

fn chunk(length: usize) -> Vec<u8> {
    [format!("{length:x}\r\n").as_bytes(), &vec![b'x'; length], b"\r\n"].concat()
}

/// The head of a request, up to what says how long its body is.
fn head(path: &str, token: &str) -> String {
    format!("{path} HTTP/1.1\r\nHost: gateway.test\r\n{token}\r\n")
}

/// Answers as soon as it has a head, and reads on.
fn early_service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut bytes = vec![0; PIECE];
                let mut begun = Vec::new();
                while !begun.windows(4).any(|end| end == b"\r\n\r\n") {
                    let read = stream.read(&mut bytes).unwrap();
                    begun.extend_from_slice(&bytes[..read]);
                }
                _ = stream.write_all(b"HTTP/1.1 409 Conflict\r\nConnection: close\r\nContent-Length: 5\r\n\r\nearly");
                while stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
            });
        }
    });
    address
}

/// Reads and says nothing.
fn patient_service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
        }
    });
    address
}

/// Routes that answer early in different ways; `keys` stand in the listener.
fn sections(keys: &str) -> String {
    let (early, dead) = (early_service(), super::support::closed_port());
    let patient = patient_service();
    format!(
        "listeners: [{{ address: \"127.0.0.1:0\"{keys} }}]\n\
         services:\n\
         \x20 early: {{ endpoints: [\"http://{early}\"], health: {{ probe: off }} }}\n\
         \x20 patient: {{ endpoints: [\"http://{patient}\"], health: {{ probe: off }} }}\n\
         \x20 dead: {{ endpoints: [\"http://127.0.0.1:{dead}\"], health: {{ probe: off }} }}\n\
         routes:\n\
         - {{ id: small, match: {{ path: /small }}, service: patient, max_body: 1MiB, auth: public }}\n\
         - {{ id: early, match: {{ path: /early }}, service: early, max_body: 100MiB, auth: public }}\n\
         - {{ id: dead, match: {{ path: /dead }}, service: dead, max_body: 100MiB, auth: public }}\n\
         - {{ id: known, match: {{ path: /known }}, service: early, max_body: 100MiB }}\n\
         - {{ id: fixed, match: {{ path: /fixed }}, respond: {{ body: hi }}, auth: public }}\n"
    )
}

/// All of [`UPLOADERS`] get `status`, whole, and are not reset.
#[track_caller]
fn all_get<S: Read + Write>(connect: impl Fn() -> S + Sync, head: &str, chunked: bool, status: &str, end: &str) {
    let uploads: Vec<Upload> = thread::scope(|scope| {
        let upload = || Upload::of(&mut connect(), head, chunked);
        let all: Vec<_> = (0..UPLOADERS).map(|_| scope.spawn(upload)).collect();
        all.into_iter().map(|upload| upload.join().unwrap()).collect()
    });
    for Upload { failed, answer } in uploads {
        assert_eq!(failed, None, "{head} {answer}");
        let lower = answer.to_lowercase();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with(end), "{head} {answer}");
        assert!(lower.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[test]
fn uploaders_get_the_answer_that_comes_before_their_last_byte() {
    let gateway = Gateway::start(&sections(""));
    let before = gateway.resident();
    let connect = || TcpStream::connect(gateway.address).unwrap();
    for (path, chunked, status, end) in [
        ("/small", false, "413", "}"),
        ("/small", true, "413", "}"),
        ("/known", false, "401", "}"),
        ("/known", true, "401", "}"),
        ("/fixed", false, "200", "hi"),
        ("/nowhere", false, "404", "}"),
        ("/early", false, "409", "early"),
        ("/early", true, "409", "early"),
        ("/dead", false, "503", "}"),
    ] {
        all_get(connect, &head(path, "X: y"), chunked, status, end);
    }
    let grown = gateway.resident().saturating_sub(before);
    assert!(grown < 64 << 20, "grown by {grown} bytes");
    assert!(within_patience(|| gateway.metric("edgeway_connections_open") == Some(0.0)));
}

#[test]
fn they_get_it_through_tls_too() {
    let authority = Authority::new();
    let files = authority.issue("a", &Wanted::of("a", &["a.example"]));
    let tls = format!(", tls: {{ certificates: [{}], http2: false }}", files.section());
    let gateway = Gateway::start(&sections(&tls));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let connect = || {
        let client = ClientConnection::new(config.clone(), "a.example".try_into().unwrap()).unwrap();
        StreamOwned::new(client, TcpStream::connect(gateway.address).unwrap())
    };
    // Without close_notify the end of the connection would be an error here.
    all_get(connect, &head("/small", "X: y"), false, "413", "}");
    all_get(connect, &head("/known", "X: y"), true, "401", "}");
}

#[test]
fn a_short_body_that_nobody_read_costs_the_connection_and_not_the_answer() {
    let gateway = Gateway::start(&sections(""));
    // Who asks first sends nothing when told no.
    for (line, body) in [("X: y", &b"short"[..]), ("Expect: 100-continue", b"")] {
        let mut client = gateway.client();
        client.send(format!("POST {}Content-Length: 5\r\n\r\n", head("/known", line)).as_bytes());
        client.send(body);
        let answer = client.answer(false);
        assert_eq!((answer.status, answer.complete, answer.header("connection")), (401, true, Some("close")), "{line}");
        assert!(client.is_closed());
    }
}

#[test]
fn an_upload_without_end_is_cut() {
    let gateway = Gateway::start(&sections(""));
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.write_all(format!("POST {}Transfer-Encoding: chunked\r\n\r\n", head("/known", "X: y")).as_bytes()).unwrap();
    let (piece, since) = (chunk(PIECE), Instant::now());
    let mut sent = 0;
    while stream.write_all(&piece).is_ok() && since.elapsed() < Duration::from_secs(60) {
        sent += PIECE;
    }
    // 64 MiB and what fits into the buffers of the system.
    assert!((64 << 20..128 << 20).contains(&sent), "cut after {sent} bytes");
    assert!(since.elapsed() < Duration::from_secs(60));
}

#[test]
fn one_that_falls_silent_is_let_go_and_counts_until_then() {
    let gateway = Gateway::start(&sections(", max_connections: 1"));
    let mut client = gateway.client();
    client.send(format!("POST {}Content-Length: 1000000\r\n\r\nx", head("/known", "X: y")).as_bytes());
    assert_eq!(client.answer(false).status, 401);
    let since = Instant::now();
    assert!(client.is_closed(), "this direction ends with the answer");
    assert_eq!(gateway.metric("edgeway_connections_open"), Some(1.0));
    assert_eq!(gateway.client().get("/fixed", &[]).status, 0, "it has its place still");
    assert!(within_patience(|| gateway.metric("edgeway_connections_open") == Some(0.0)));
    let took = since.elapsed();
    assert!((Duration::from_millis(4_500)..Duration::from_secs(15)).contains(&took), "{took:?}");
}

#[test]
fn what_follows_the_last_request_of_a_connection_does_not_cost_its_answer() {
    let upstream = Upstream::start(|_| Answer::RawThenClose("HTTP/1.1 200 OK\r\n\r\nto the end".to_owned()));
    let gateway = Gateway::start(&format!(
        "services: {{ s: {{ endpoints: [\"{}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: r, match: {{ path: /r }}, service: s, auth: public }}]\n",
        upstream.url()
    ));
    for _ in 0..UPLOADERS {
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        let last = b"GET /r HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n";
        let sent = stream.write_all(&[&last[..], &vec![b'x'; 1 << 20]].concat());
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        assert!(sent.is_ok() && read.is_ok(), "{sent:?} {read:?} {answer}");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("to the end"), "{answer}");
    }
}

/// A POST whose body is announced.
fn post(stream: u32, path: &str, token: &str) -> Vec<u8> {
    let (length, token) = (UPLOAD.to_string(), token.split_once(": ").unwrap().1.to_owned());
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "gateway.test"),
        ("authorization", &token),
        ("content-length", &length),
    ];
    http2::headers(stream, 0, &http2::block(&fields))
}

#[test]
fn on_http2_the_answer_comes_and_then_word_that_the_rest_is_not_wanted() {
    let gateway = Gateway::start(&sections(""));
    let token = bearer("admin");
    for (path, token, status, body) in
        [("/small", token.as_str(), 413, "}"), ("/known", "Authorization: Bearer x", 401, "}")]
    {
        // No table of headers (RFC 9113 section 6.5.2): each answer is to say its status itself.
        let mut client = Http2::connect_with(gateway.address, &[0, 1, 0, 0, 0, 0]);
        // By then its windows are what the gateway says, and no longer 64 KiB.
        client.send(&http2::get(1, "/fixed"));
        assert_eq!(client.answer(1).body, "hi");
        // What 20 send fits into what a connection may send without leave; together it is more.
        let streams: Vec<u32> = (0..60).map(|nth| 3 + 2 * nth).collect();
        for streams in streams.chunks(20) {
            for stream in streams {
                client.send(&post(*stream, path, token));
                (0..3).for_each(|_| client.send(&http2::frame(http2::DATA, 0, *stream, &[b'x'; 16_384])));
            }
            for stream in streams {
                let heard = client.answer(*stream);
                let found = (heard.status, heard.ended, heard.body.ends_with(body));
                assert_eq!(found, (status, true, true), "{path} {stream} {heard:?} {:?}", client.goaway);
                assert_eq!(client.heard_reset(*stream), Some(0), "{path}");
            }
        }
        let last = 123;
        client.send(&http2::get(last, "/fixed"));
        assert_eq!(client.answer(last).body, "hi", "the connection is well");
        assert_eq!(client.goaway, None);
    }
}
