//! The two ways of a request, one after the other on one connection: nobody can tell them apart.

use super::support::{Answer, Gateway, PATIENCE, Upstream, within_patience};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

fn gateway(service: &Upstream) -> Gateway {
    let url = service.url();
    Gateway::start(&format!(
        "services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: r, match: {{ path: /* }}, service: s, auth: public }}]\n"
    ))
}

/// On a connection that goes on.
fn text(method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: gateway.test\r\n");
    headers.iter().for_each(|line| text.push_str(&format!("{line}\r\n")));
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    (text + "\r\n" + body).into_bytes()
}

#[test]
fn plain_and_other_requests_follow_each_other_on_one_connection() {
    let service = Upstream::echo();
    let gateway = gateway(&service);
    let mut client = gateway.client();
    // The second of each pair has something that the direct way does not take.
    let requests = [
        text("GET", "/1", &[], ""),
        text("POST", "/2", &[], "body"),
        text("DELETE", "/3", &[], ""),
        text("GET", "/4", &["TE: trailers"], ""),
        text("GET", "/5", &["Connection: keep-alive"], ""),
        text("GET", "/6", &["Connection: x-nominated", "X-Nominated: 1"], ""),
        text("GET", "/7", &[], ""),
    ];
    for (number, request) in (1..).zip(&requests) {
        client.send(request);
        let answer = client.answer(false);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.contains(&format!("/{number} ")), "{answer:?}");
        assert_eq!(answer.header("connection"), Some("keep-alive"));
    }
    // In one piece too.
    client.send(&requests.concat());
    for number in 1..=requests.len() {
        assert!(client.answer(false).body.contains(&format!("/{number} ")));
    }
    let seen = service.seen();
    assert_eq!(seen.len(), 2 * requests.len());
    // The service learns the same of all of them, under the same names.
    let names = |line: &str| -> BTreeSet<String> {
        let request = seen.iter().find(|request| request.line.contains(line)).unwrap();
        let names = request.headers.iter().map(|(name, _)| name.clone());
        names.filter(|name| !["Content-Length", "content-length"].contains(&name.as_str())).collect()
    };
    let plain = names("/1 ");
    assert!(plain.contains("x-forwarded-for") && plain.contains("x-request-id"), "{plain:?}");
    ["/2 ", "/3 ", "/4 ", "/5 ", "/6 "].iter().for_each(|other| assert_eq!(names(other), plain, "{other}"));
    assert!(within_patience(|| gateway.access_log().len() == 2 * requests.len()));
}

#[test]
fn answers_of_every_framing_reach_the_caller_whole() {
    let long = "x".repeat(100_000);
    let large = long.clone();
    let service = Upstream::start(move |request| {
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        match path {
            "/length" => Answer::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}", large.len())),
            "/chunks" => Answer::Raw(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
                large.len()
            )),
            "/close" => Answer::RawThenClose(format!("HTTP/1.1 200 OK\r\n\r\n{large}")),
            "/old" => Answer::RawThenClose(format!("HTTP/1.0 200 OK\r\n\r\n{large}")),
            "/empty" => Answer::Raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()),
            "/none" => Answer::Raw("HTTP/1.1 204 No Content\r\n\r\n".to_owned()),
            "/unchanged" => Answer::Raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".to_owned()),
            "/hints" => Answer::Raw(
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                    .to_owned(),
            ),
            _ => Answer::Raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_owned()),
        }
    });
    let gateway = gateway(&service);
    let mut client = gateway.client();
    for (path, status, body) in [
        ("/length", 200, long.clone()),
        ("/chunks", 200, format!("abc{long}")),
        ("/close", 200, long.clone()),
        ("/old", 200, long),
        ("/empty", 200, String::new()),
        ("/none", 204, String::new()),
        ("/unchanged", 304, String::new()),
    ] {
        client.send(&text("GET", path, &[], ""));
        let answer = client.answer(status != 200);
        assert_eq!((answer.status, answer.body.len()), (status, body.len()), "{path}");
        assert!(answer.body == body, "{path}");
    }
    client.send(&text("HEAD", "/head", &[], ""));
    let answer = client.answer(true);
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("9")));
    client.send(&text("GET", "/hints", &[], ""));
    let hints = client.interim();
    assert_eq!((hints.status, hints.header("link"), hints.header("date")), (103, Some("</a>"), None));
    assert_eq!(client.answer(false).body, "ok");
    // All on one connection, which ends when it is asked to.
    let last = client.get("/empty", &["Connection: close"]);
    assert_eq!(last.header("connection"), Some("close"));
    assert!(client.is_closed());
}

/// The service is always faster than this caller, so that nobody ever waits for it.
#[test]
fn the_time_of_a_request_ends_for_a_caller_who_reads_slowly() {
    const LENGTH: usize = 64 << 20;
    let service = Upstream::start(|_| {
        Answer::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n{}", "x".repeat(LENGTH)))
    });
    let url = service.url();
    let gateway = Gateway::start(&format!(
        "services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: r, match: {{ path: /* }}, service: s, auth: public, timeouts: {{ total: 1s }} }}]\n"
    ));
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&text("GET", "/large", &[], "")).unwrap();
    // Slowly to the end: whoever hurries waits for the service now and then, and that is when time is looked at anyway.
    let (since, mut room) = (Instant::now(), vec![0; 16 << 10]);
    while gateway.access_log().is_empty() && since.elapsed() < PATIENCE {
        assert!(stream.read(&mut room).is_ok_and(|count| count > 0), "{}", gateway.stderr());
        thread::sleep(Duration::from_millis(20));
    }
    assert!(since.elapsed() < PATIENCE, "it goes on");
    let line = &gateway.access_log()[0];
    assert!(line["reason"].as_str().is_some_and(|reason| reason.contains("total")), "{line}");
}
