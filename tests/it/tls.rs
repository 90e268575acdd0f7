//! TLS of listeners and to services, as openssl and curl see it.

use crate::support::{Authority, Files, Gateway, Upstream, Wanted, replace, within_patience};
use std::{
    collections::HashSet,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

const ROUTES: &str = "routes: [{ id: r, match: { path: /r }, respond: { body: hi }, auth: public }]\n";

/// A gateway with one listener that shows `certificates`; `more` stands in its `tls:`.
fn gateway(certificates: &[&Files], more: &str) -> Gateway {
    Gateway::start(&sections(certificates, more))
}

fn sections(certificates: &[&Files], more: &str) -> String {
    let list: Vec<String> = certificates.iter().map(|files| files.section()).collect();
    format!(
        "listeners: [{{ address: \"127.0.0.1:0\", tls: {{ certificates: [{}]{more} }} }}]\n{ROUTES}",
        list.join(", ")
    )
}

fn output(command: &mut Command) -> Output {
    let name = command.get_program().to_owned();
    command.stdin(Stdio::null()).output().unwrap_or_else(|_| panic!("{name:?} is missing: run scripts/setup.sh test"))
}

/// What `openssl s_client` says.
fn openssl(address: SocketAddr, more: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string()]).args(more);
    let said = output(&mut command);
    String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()
}

/// The common name that is shown to who asks for `name`.
fn shown(address: SocketAddr, name: Option<&str>) -> String {
    let said = match name {
        Some(name) => openssl(address, &["-servername", name]),
        None => openssl(address, &["-noservername"]),
    };
    let subject = said.lines().find_map(|line| line.strip_prefix("subject="));
    subject.map(|subject| subject.trim().trim_start_matches("CN = ").to_owned()).unwrap_or_default()
}

/// `curl` for a name that is the gateway; body, version and status as one text, or nothing.
fn curl(address: SocketAddr, name: &str, more: &[&str]) -> String {
    let mut command = Command::new("curl");
    let port = address.port();
    command.args(["-sS", "-m", "20", "--connect-to", &format!("{name}:{port}:127.0.0.1:{port}")]);
    command.args(["-w", " %{http_version} %{http_code}"]).args(more).arg(format!("https://{name}:{port}/r"));
    let said = output(&mut command);
    if said.status.success() { String::from_utf8(said.stdout).unwrap() } else { String::new() }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let authority = Authority::new();
    let first = authority.issue("first", &Wanted::of("first", &["first.example"]));
    let wild = authority.issue("wild", &Wanted::of("wild", &["*.wild.example"]));
    let exact = authority.issue("exact", &Wanted::of("exact", &["exact.wild.example", "Other.example"]));
    let running = gateway(&[&first, &wild, &exact], "");
    for (name, subject) in [
        (Some("first.example"), "first"),
        (Some("a.wild.example"), "wild"),
        (Some("exact.wild.example"), "exact"),
        (Some("EXACT.wild.example"), "exact"),
        (Some("other.example"), "exact"),
        (Some("a.b.wild.example"), "first"),
        (Some("wild.example"), "first"),
        (Some("unknown.example"), "first"),
        (None, "first"),
    ] {
        assert_eq!(shown(running.address, name), subject, "{name:?}");
    }
    let ca = authority.ca();
    assert_eq!(curl(running.address, "a.wild.example", &["--cacert", path(&ca)]), "hi 2 200");
    assert_eq!(curl(running.address, "a.b.wild.example", &["--cacert", path(&ca)]), "");
    let expiry = r#"edgeway_tls_certificate_expiry_timestamp_seconds{certificate="*.wild.example"}"#;
    assert_eq!(running.metric(expiry), Some(4_070_908_800.0));

    let state = running.operate("GET", "/api/v1/state", &[], "").json();
    assert_eq!(state["certificates"][0]["names"][0], "*.wild.example");
    assert_eq!(state["certificates"][0]["expires"], "2099-01-01T00:00:00.000Z");

    let strict = gateway(&[&first, &wild], ", unknown_name: refuse");
    assert_eq!(shown(strict.address, Some("a.wild.example")), "wild");
    assert_eq!(shown(strict.address, Some("unknown.example")), "");
    assert_eq!(shown(strict.address, None), "");
}

#[test]
fn versions_and_protocols_are_as_the_file_says() {
    let authority = Authority::new();
    let files = authority.issue("a", &Wanted::of("a", &["a.example"]));
    let trust = authority.ca();
    let ask = |gateway: &Gateway, more: &[&str]| {
        curl(gateway.address, "a.example", &[&["--cacert", path(&trust)][..], more].concat())
    };
    let both = gateway(&[&files], "");
    assert_eq!(ask(&both, &["--http2"]), "hi 2 200");
    assert_eq!(ask(&both, &["--http1.1"]), "hi 1.1 200");
    assert_eq!(ask(&both, &["--tls-max", "1.2"]), "hi 2 200");
    assert!(openssl(both.address, &["-tls1_3"]).contains("TLSv1.3, Cipher is"));
    assert_eq!(tls_1_1(both.address), [21, 3, 70]);
    let failures = || both.metric("edgeway_tls_handshake_failures_total");
    assert!(within_patience(|| failures() == Some(1.0)), "{:?}", failures());
    both.tells(&["1 TLS handshakes failed in a second; last from 127.0.0.1"]);
    // A plain request is none.
    assert!(both.get("/r", &[]).status != 200);

    let new = gateway(&[&files], ", min_version: \"1.3\", http2: false");
    assert_eq!(ask(&new, &["--http2"]), "hi 1.1 200");
    assert_eq!(ask(&new, &["--tls-max", "1.2"]), "");
}

/// What comes back for a ClientHello of TLS 1.1: content type, major version, and the alert's number.
fn tls_1_1(address: SocketAddr) -> [u8; 3] {
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    // No session, two suites of that time and one of today, no compression; and a signature of today: nothing but the
    // version is wrong.
    hello.extend([0, 0, 6, 0xC0, 0x13, 0x00, 0x2F, 0xC0, 0x2B, 1, 0]);
    hello.extend([0, 22, 0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(&record).unwrap();
    let mut alert = [0; 7];
    stream.read_exact(&mut alert).unwrap();
    [alert[0], alert[1], alert[6]]
}

#[test]
fn files_are_replaced_under_load_without_a_failed_handshake() {
    let authority = Authority::new();
    let files = authority.issue("a", &Wanted::of("a", &["a.example"]));
    let running = gateway(&[&files], "");
    let (ended, failed, made) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let serials = Mutex::new(HashSet::new());
    let ask = || {
        while !ended.load(SeqCst) {
            match serial(running.address, &authority) {
                Some(serial) => _ = serials.lock().unwrap().insert(serial),
                None => _ = failed.fetch_add(1, SeqCst),
            }
            made.fetch_add(1, SeqCst);
        }
    };
    thread::scope(|scope| {
        (0..3).for_each(|_| _ = scope.spawn(ask));
        for serial in 2..22 {
            let (cert, key) = authority.made(&Wanted { serial, ..Wanted::of("a", &["a.example"]) });
            replace(&files.cert, &cert);
            if serial == 8 {
                // Callers come while the pair does not fit together.
                running.tells(&["the certificate that was known is shown on"]);
            }
            replace(&files.key, &key);
            if serial % 7 == 0 {
                // Not only the last one is ever shown.
                assert!(within_patience(|| serials.lock().unwrap().contains(&serial)), "{serial}");
            }
            let before = made.load(SeqCst);
            within_patience(|| made.load(SeqCst) > before + 2);
        }
        let newest = within_patience(|| serials.lock().unwrap().contains(&21));
        ended.store(true, SeqCst);
        assert!(newest, "{:?}", serials.lock().unwrap());
    });
    assert_eq!(failed.load(SeqCst), 0, "of {}", made.load(SeqCst));
    assert!(made.load(SeqCst) > 40);
}

/// The serial number that is shown in a whole handshake with a client of rustls.
fn serial(address: SocketAddr, authority: &Authority) -> Option<u64> {
    let mut roots = rustls::RootCertStore::empty();
    let text = fs::read(authority.ca()).unwrap();
    let certificate =
        <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(&text);
    roots.add(certificate.unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = std::sync::Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let mut client = rustls::ClientConnection::new(config, "a.example".try_into().unwrap()).ok()?;
    let mut stream = TcpStream::connect(address).ok()?;
    while client.is_handshaking() {
        client.complete_io(&mut stream).ok()?;
    }
    let der = client.peer_certificates()?.first()?.clone();
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    certificate.raw_serial().iter().try_fold(0u64, |sum, byte| Some(sum << 8 | u64::from(*byte)))
}

#[test]
fn a_bad_replacement_keeps_the_old_one_and_is_told() {
    let authority = Authority::new();
    let files = authority.issue("a", &Wanted::of("old", &["a.example"]));
    let running = gateway(&[&files], "");
    let (cert, key) = authority.made(&Wanted::of("new", &["a.example"]));
    // Half a pair.
    replace(&files.cert, &cert);
    running.tells(&["does not belong to the certificate", "the certificate that was known is shown on"]);
    assert_eq!(running.metric("edgeway_tls_certificate_reload_failures_total"), Some(1.0));
    assert_eq!(shown(running.address, Some("a.example")), "old");
    assert!(!running.reload());
    replace(&files.key, &key);
    assert!(within_patience(|| shown(running.address, Some("a.example")) == "new"));
    replace(&files.cert, "nothing");
    running.tells(&["holds no certificate in PEM; the certificate"]);
    assert_eq!(shown(running.address, Some("a.example")), "new");
}

#[test]
fn a_link_that_points_elsewhere_is_a_new_certificate() {
    let authority = Authority::new();
    for name in ["one", "two"] {
        fs::create_dir(authority.path(name)).unwrap();
        authority.issue(&format!("{name}/tls"), &Wanted::of(name, &["a.example"]));
    }
    let point = |to: &str| {
        symlink(to, authority.path("draft")).unwrap();
        fs::rename(authority.path("draft"), authority.path("data")).unwrap();
    };
    point("one");
    let files = Files { cert: authority.path("data/tls.pem"), key: authority.path("data/tls.key") };
    let running = gateway(&[&files], "");
    assert_eq!(shown(running.address, None), "one");
    point("two");
    assert!(within_patience(|| shown(running.address, None) == "two"));
}

#[test]
fn certificates_of_callers_are_asked_for_where_the_file_says_so() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let files = authority.issue("a", &Wanted::of("a", &["a.example"]));
    let good = authority.issue("good", &Wanted::of("billing", &["billing.example"]));
    let bad = stranger.issue("bad", &Wanted::of("billing", &["billing.example"]));
    let old = authority.issue("old", &Wanted { ends: 2001, ..Wanted::of("old", &["billing.example"]) });
    let ca = authority.ca();
    let ask = |gateway: &Gateway, identity: Option<&Files>| {
        let mut more = vec!["--cacert", path(&ca)];
        if let Some(files) = identity {
            more.extend(["--cert", path(&files.cert), "--key", path(&files.key)]);
        }
        curl(gateway.address, "a.example", &more)
    };
    for (mode, of_none) in [("required", ""), ("optional", "hi 2 200")] {
        let more = format!(", client_certificates: {{ mode: {mode}, ca_file: {} }}", ca.display());
        let running = gateway(&[&files], &more);
        assert_eq!(ask(&running, Some(&good)), "hi 2 200", "{mode}");
        assert_eq!(ask(&running, None), of_none, "{mode}");
        assert_eq!(ask(&running, Some(&bad)), "", "{mode}");
        assert_eq!(ask(&running, Some(&old)), "", "{mode}");
        // And a reload may take that away.
        running.rewrite(&sections(&[&files], ""));
        assert!(running.reload());
        assert_eq!(ask(&running, None), "hi 2 200", "{mode}");
    }
}

#[test]
fn what_cannot_be_is_told_with_its_place() {
    let authority = Authority::new();
    let (one, two) = (Wanted::of("one", &["a.example"]), Wanted::of("two", &["a.example"]));
    let (one, two) = (authority.issue("one", &one), authority.issue("two", &two));
    let mixed = Files { cert: one.cert.clone(), key: two.key.clone() };
    let missing = Files { cert: authority.path("none.pem"), key: one.key.clone() };
    let old = authority.issue("old", &Wanted { ends: 2001, ..Wanted::of("old", &["old.example"]) });
    for (certificates, more, wanted) in [
        (vec![&one, &two], "", "certificates[1].cert_file: a.example is in certificates[0] too"),
        (vec![&mixed], "", "certificates[0].key_file: does not belong to the certificate"),
        (vec![&missing], "", "none.pem cannot be read"),
        (vec![], "", "certificates"),
        (vec![&one], ", client_certificates: { ca_file: /nowhere/ca.pem }", "client_certificates.ca_file: /nowhere"),
        (vec![&old], "", "certificates[0].cert_file: has expired"),
    ] {
        let said = checked(&sections(&certificates, more));
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
}

/// What `edgeway check` says of these sections.
pub fn checked(sections: &str) -> String {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("edgeway.yaml");
    fs::write(&file, sections).unwrap();
    let said = output(crate::support::edgeway(folder.path()).args(["check", "--config"]).arg(&file));
    String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()
}

#[test]
fn a_proxy_header_comes_before_the_handshake() {
    let authority = Authority::new();
    let files = authority.issue("a", &Wanted::of("a", &["a.example"]));
    let listener = "proxy_protocol: true, trusted_proxies: [127.0.0.1], head_timeout: 5s";
    let gateway = Gateway::start(
        &sections(&[&files], "").replace("address: \"127.0.0.1:0\"", &format!("address: \"127.0.0.1:0\", {listener}")),
    );
    let ca = authority.ca();
    let trusted = ["--cacert", path(&ca)];
    let with = [&trusted[..], &["--haproxy-protocol"]].concat();
    let answered = curl(gateway.address, "a.example", &with);
    assert!(answered.starts_with("hi"), "{answered}");
    // A handshake is no PROXY header.
    assert!(!curl(gateway.address, "a.example", &trusted).contains("hi"));
    assert_eq!(gateway.metric("edgeway_connections_refused_total{limit=\"proxy_header\"}"), Some(1.0));
}

#[test]
fn a_client_certificate_speaks_for_whom_the_file_names() {
    let authority = Authority::new();
    let files = authority.issue("a", &Wanted::of("a", &["a.example"]));
    let known = authority.issue("billing", &Wanted::of("billing", &["billing.internal"]));
    let stranger = authority.issue("stranger", &Wanted::of("stranger", &["stranger.example"]));
    let (ca, upstream) = (authority.ca(), Upstream::echo());
    let asked = format!(", client_certificates: {{ mode: optional, ca_file: {} }}", ca.display());
    let gateway = Gateway::start(&format!(
        "listeners: [{{ address: \"127.0.0.1:0\", tls: {{ certificates: [{}]{asked} }} }}]\n\
         auth: {{ client_certificates: [{{ name: \"*.internal\", roles: [service] }}] }}\n\
         services: {{ s: {{ endpoints: [\"{}\"] }} }}\n\
         routes: [{{ id: r, match: {{ path: /r }}, service: s, access: [{{ any_role: [service] }}] }}]\n",
        files.section(),
        upstream.url()
    ));
    let with = |files: Option<&Files>| {
        let mut more = vec!["--cacert", path(&ca)];
        more.extend(files.iter().flat_map(|files| ["--cert", path(&files.cert), "--key", path(&files.key)]));
        curl(gateway.address, "a.example", &more)
    };
    assert!(with(Some(&known)).ends_with(" 2 200"), "{}", with(Some(&known)));
    let told = upstream.seen().pop().unwrap();
    assert!(told.headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("x-user-id") && value == "billing"));
    assert!(with(Some(&stranger)).contains("certificate_unknown"), "{}", with(Some(&stranger)));
    assert!(with(None).contains("credentials_missing"), "{}", with(None));
    let other = Authority::new().issue("evil", &Wanted::of("billing", &["billing.internal"]));
    assert_eq!(with(Some(&other)), "", "nobody vouches for it");
}

#[test]
fn a_handshake_has_its_place_and_its_deadline() {
    let authority = Authority::new();
    let files = authority.issue("a", &Wanted::of("a", &["a.example"]));
    let few = |head_timeout: &str| {
        let sections = sections(&[&files], "");
        sections.replace("127.0.0.1:0\"", &format!("127.0.0.1:0\", max_connections: 1, head_timeout: {head_timeout}"))
    };
    let running = Gateway::start(&few("60s"));
    let _silent = TcpStream::connect(running.address).unwrap();
    assert!(within_patience(|| running.metric("edgeway_connections_open") == Some(1.0)));
    assert_eq!(shown(running.address, None), "");
    assert_eq!(running.metric(r#"edgeway_connections_refused_total{limit="in_all"}"#), Some(1.0));

    let running = Gateway::start(&few("100ms"));
    let mut silent = TcpStream::connect(running.address).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    assert!(within_patience(|| running.metric("edgeway_tls_handshake_failures_total") == Some(1.0)));
    assert!(within_patience(|| running.metric("edgeway_connections_open") == Some(0.0)));
    assert_eq!(shown(running.address, None), "a");
}

#[test]
fn a_reload_switches_it_on_and_off() {
    let authority = Authority::new();
    let files = authority.issue("a", &Wanted::of("a", &["a.example"]));
    let plain = format!("listeners: [{{ address: \"127.0.0.1:0\" }}]\n{ROUTES}");
    let running = Gateway::start(&plain);
    assert_eq!(running.get("/r", &[]).status, 200);
    running.rewrite(&sections(&[&files], ""));
    assert!(running.reload());
    assert_eq!(shown(running.address, None), "a");
    running.rewrite(&plain);
    assert!(running.reload());
    assert_eq!((running.get("/r", &[]).status, shown(running.address, None).as_str()), (200, ""));
}
