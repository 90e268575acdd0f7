//! Connections that begin with a PROXY protocol header, and those that should.

use super::support::{Client, Gateway, Response, Upstream, within_patience};
use std::time::{Duration, Instant};

const V1: &str = "PROXY TCP4 192.0.2.7 203.0.113.1 5678 443\r\n";

fn sections(upstream: &Upstream, keys: &str) -> String {
    let url = upstream.url();
    format!(
        "listeners: [{{ address: \"127.0.0.1:0\", proxy_protocol: true, {keys} }}]\n\
         services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: r, match: {{ path: /r }}, service: s, auth: public }}]\n"
    )
}

const TRUSTED: &str = "trusted_proxies: [127.0.0.1, 10.0.0.0/8]";

fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, addresses].concat()
}

fn four(address: [u8; 4]) -> Vec<u8> {
    [&address[..], &[203, 0, 113, 1, 0x16, 0x2e, 0x01, 0xbb]].concat()
}

fn request(lines: &str) -> String {
    format!("GET /r HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n")
}

/// The client in the log, and what the service was told: chain and port.
fn client_of(gateway: &Gateway, upstream: &Upstream, response: &Response) -> (String, String, String) {
    assert_eq!(response.status, 200, "{response:?}\n{}", gateway.stderr());
    let line = gateway.log_line(response.header("x-request-id").unwrap());
    let seen = upstream.seen().last().unwrap().clone();
    let header = |name: &str| seen.header(name).unwrap().to_owned();
    (line["client"].as_str().unwrap().to_owned(), header("x-forwarded-for"), header("x-forwarded-port"))
}

#[test]
fn the_header_says_who_is_connected() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&sections(&upstream, TRUSTED));
    let own = gateway.address.port().to_string();
    let mut six = [0_u8; 36];
    six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    (six[15], six[31], six[35]) = (7, 1, 80);
    let with_more = [four([192, 0, 2, 7]), b"\x04\x00\x02xx".to_vec()].concat();
    for (header, lines, client, chain, port) in [
        (V1.as_bytes().to_vec(), "", "192.0.2.7", "192.0.2.7", "443"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 5678 80\r\n".to_vec(), "", "2001:db8::7", "2001:db8::7", "80"),
        (v2(0x21, 0x11, &four([192, 0, 2, 7])), "", "192.0.2.7", "192.0.2.7", "443"),
        (v2(0x21, 0x11, &with_more), "", "192.0.2.7", "192.0.2.7", "443"),
        (v2(0x21, 0x21, &six), "", "2001:db8::7", "2001:db8::7", "80"),
        // Whoever is named there is a stranger, and cannot name others.
        (V1.as_bytes().to_vec(), "X-Forwarded-For: 6.6.6.6\r\n", "192.0.2.7", "192.0.2.7", "443"),
        // Unless it is a proxy too.
        (v2(0x21, 0x11, &four([10, 0, 0, 1])), "X-Forwarded-For: 6.6.6.6\r\n", "6.6.6.6", "6.6.6.6, 10.0.0.1", "443"),
        // The proxy speaks for itself.
        (b"PROXY UNKNOWN\r\n".to_vec(), "", "127.0.0.1", "127.0.0.1", &own),
        (v2(0x20, 0x00, b""), "", "127.0.0.1", "127.0.0.1", &own),
        (v2(0x21, 0x00, b""), "", "127.0.0.1", "127.0.0.1", &own),
    ] {
        let shown = String::from_utf8_lossy(&header).into_owned();
        let expected = (client.to_owned(), chain.to_owned(), port.to_owned());
        let whole = [&header, request(lines).as_bytes()].concat();
        let mut at_once = gateway.client();
        at_once.send(&whole);
        assert_eq!(client_of(&gateway, &upstream, &at_once.answer(false)), expected, "{shown:?}");
        // The next request of the connection is the same caller's, and has no header of its own.
        assert_eq!(at_once.get("/r", &[]).status, 200);
        let mut dripped = gateway.client();
        whole.iter().for_each(|byte| dripped.send(&[*byte]));
        assert_eq!(client_of(&gateway, &upstream, &dripped.answer(false)), expected, "{shown:?}, byte by byte");
    }
}

#[test]
fn http2_may_follow_a_header() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&sections(&upstream, TRUSTED));
    let mut client = gateway.client();
    client.send(V1.as_bytes());
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    // SETTINGS of the gateway: type 4 of stream 0.
    let frame = client.read(9);
    assert_eq!((frame.len(), frame[3]), (9, 4), "{frame:?}");
}

#[test]
fn what_is_no_header_closes_the_connection() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&sections(&upstream, &format!("{TRUSTED}, head_timeout: 600s")));
    let long = format!("PROXY UNKNOWN {}", "x".repeat(200));
    let rows: [&[u8]; 8] = [
        b"GET /r HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 203.0.113.1 5678\r\n",
        b"PROXY TCP4 192.0.2.700 203.0.113.1 5678 443\r\n",
        b"PROXY TCP4 192.0.2.7 203.0.113.1 5678 443\n",
        long.as_bytes(),
        &v2(0x21, 0x11, &four([192, 0, 2, 7])[..11]),
        &v2(0x21, 0x21, &[0; 4000]),
        &v2(0x25, 0x11, &four([192, 0, 2, 7])),
    ];
    for wrong in rows {
        let mut client = gateway.client();
        client.send(wrong);
        client.send(request("").as_bytes());
        assert!(client.is_closed(), "{:?}", String::from_utf8_lossy(wrong));
    }
    // Cut off: the end of the connection is no end of a header.
    for cut in [&V1.as_bytes()[..20], &v2(0x21, 0x11, &four([192, 0, 2, 7]))[..20]] {
        let mut client = gateway.client();
        client.send(cut);
        client.finish();
        assert!(client.is_closed());
    }
    let refused = r#"edgeway_connections_refused_total{limit="proxy_header"}"#;
    assert!(within_patience(|| gateway.metric(refused) == Some(10.0)), "{:?}", gateway.metric(refused));
    gateway.tells(&["no PROXY protocol header within head_timeout; last from 127.0.0.1"]);
    assert!(upstream.seen().is_empty());
    // A balancer that only looks whether somebody listens is no reason to worry.
    let mut look = gateway.client();
    look.finish();
    assert!(look.is_closed());
    assert_eq!(gateway.metric(refused), Some(10.0));
    assert_eq!(gateway.metric("edgeway_connections_accepted_total"), Some(0.0), "none of them was let in");
}

#[test]
fn a_header_must_come_in_time() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&sections(&upstream, &format!("{TRUSTED}, head_timeout: 300ms")));
    for begun in ["", "PROXY TCP4 192.0.2.7 "] {
        let since = Instant::now();
        let mut client = gateway.client();
        client.send(begun.as_bytes());
        assert!(client.is_closed());
        assert!(since.elapsed() >= Duration::from_millis(300), "{begun:?}: {:?}", since.elapsed());
    }
    // And the head behind it.
    let mut slow = gateway.client();
    slow.send(format!("{V1}GET /r HT").as_bytes());
    assert_eq!(slow.answer(false).status, 408);
}

#[test]
fn only_trusted_proxies_may_write_a_header() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&sections(&upstream, TRUSTED));
    let whole = format!("{V1}{}", request(""));
    let mut stranger = Client::connect_from(2, gateway.address);
    stranger.send(whole.as_bytes());
    assert!(stranger.is_closed());
    assert_eq!(gateway.metric(r#"edgeway_connections_refused_total{limit="proxy_untrusted"}"#), Some(1.0));
    gateway.tells(&["speaks the PROXY protocol with trusted_proxies alone; last from 127.0.0.2"]);
    assert!(upstream.seen().is_empty());
    // Where no header is expected, one is no request.
    let plain = Gateway::start("listeners: [{ address: \"127.0.0.1:0\", trusted_proxies: 127.0.0.1 }]\n");
    assert_eq!(plain.send(whole.as_bytes()).status, 400);
}

#[test]
fn connections_are_counted_by_the_address_in_the_header() {
    let upstream = Upstream::echo();
    let keys = format!("{TRUSTED}, max_connections: 8, max_connections_per_address: 2");
    let gateway = Gateway::start(&sections(&upstream, &keys));
    let serves = |client: &mut Client| client.get("/r", &[]).status == 200;
    let open = |last: u8, count: usize| {
        let opened = (0..count).map(|_| {
            let mut client = gateway.client();
            client.send(format!("PROXY TCP4 192.0.2.{last} 203.0.113.1 5678 443\r\n").as_bytes());
            client
        });
        opened.filter_map(|mut client| serves(&mut client).then_some(client)).collect::<Vec<_>>()
    };
    let (mut one, two) = (open(1, 4), open(2, 4));
    assert_eq!((one.len(), two.len()), (2, 2));
    assert_eq!(gateway.metric(r#"edgeway_connections_refused_total{limit="per_address"}"#), Some(4.0));
    assert_eq!(gateway.metric("edgeway_connections_open"), Some(4.0));
    one.pop();
    assert!(within_patience(|| open(1, 1).len() == 1), "a closed one makes room");
    // Those that have not said yet for whom they come are not without a limit either.
    let silent: Vec<Client> = (0..20).map(|_| gateway.client()).collect();
    let in_all = r#"edgeway_connections_refused_total{limit="in_all"}"#;
    assert!(
        within_patience(|| gateway.metric(in_all).is_some_and(|count| count >= 12.0)),
        "{:?}",
        gateway.metric(in_all)
    );
    drop(silent);
    assert!(within_patience(|| open(3, 1).len() == 1));
}

#[test]
fn lists_of_addresses_look_at_the_address_in_the_header() {
    let upstream = Upstream::echo();
    let keys = format!("{TRUSTED}, addresses: {{ deny: 192.0.2.7 }}");
    let gateway = Gateway::start(&sections(&upstream, &keys));
    for (caller, status) in [("192.0.2.7", 403), ("192.0.2.8", 200)] {
        let header = format!("PROXY TCP4 {caller} 203.0.113.1 5678 443\r\n{}", request(""));
        assert_eq!(gateway.send(header.as_bytes()).status, status, "{caller}");
    }
}

#[test]
fn whether_headers_are_expected_is_not_changed_by_a_reload() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&sections(&upstream, TRUSTED));
    gateway.rewrite(&sections(&upstream, TRUSTED).replace("proxy_protocol: true", "proxy_protocol: false"));
    assert!(!gateway.reload());
    gateway.tells(&["listeners: cannot change while the gateway runs; `edgeway upgrade` changes it"]);
    // Whom it trusts is.
    gateway.rewrite(&sections(&upstream, "trusted_proxies: 127.0.0.2"));
    assert!(gateway.reload());
    let whole = format!("{V1}{}", request(""));
    for (last, status) in [(1, 0), (2, 200)] {
        let mut client = Client::connect_from(last, gateway.address);
        client.send(whole.as_bytes());
        assert_eq!(client.answer(false).status, status, "127.0.0.{last}");
    }
}
