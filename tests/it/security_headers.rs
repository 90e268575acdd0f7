//! What browsers are told, on every answer.

use crate::support::{Answer, Authority, Gateway, Upstream, Wanted};
use std::process::Command;

const ALL: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
];

#[test]
fn all_answers_carry_them_and_a_service_knows_better() {
    let upstream = Upstream::start(|request| match request.line.contains("/own") {
        true => Answer::Raw("HTTP/1.1 200 OK\r\nX-Frame-Options: SAMEORIGIN\r\nContent-Length: 0\r\n\r\n".to_owned()),
        false => Answer::Text("hi".to_owned()),
    });
    let sections = format!(
        "security_headers: on\nservices: {{ s: {{ endpoints: [{:?}] }} }}\nroutes:\n  \
         - {{ id: all, match: {{ path: /* }}, service: s, auth: public }}\n  \
         - {{ id: bare, match: {{ path: /bare }}, service: s, auth: public, security_headers: off }}\n  \
         - {{ id: closed, match: {{ path: /closed }}, service: s }}\n  \
         - {{ id: less, match: {{ path: /less }}, service: s, auth: public, \
              security_headers: {{ referrer_policy: no-referrer, frame_options: \"\" }} }}\n",
        upstream.url()
    );
    let gateway = Gateway::start(&sections);
    for (path, status) in [("/", 200), ("/x", 200), ("/closed", 401), ("/health/live", 200), ("/%", 400)] {
        let answer = gateway.get(path, &[]);
        assert_eq!(answer.status, status, "{path}");
        ALL.iter().for_each(|(name, value)| assert_eq!(answer.all(name), [*value], "{path}"));
        // It came over HTTP.
        assert_eq!(answer.header("strict-transport-security"), None, "{path}");
    }
    let answer = gateway.get("/own", &[]);
    assert_eq!((answer.all("x-frame-options"), answer.status), (vec!["SAMEORIGIN"], 200));
    let answer = gateway.get("/bare", &[]);
    ALL.iter().for_each(|(name, _)| assert_eq!(answer.header(name), None));
    let answer = gateway.get("/less", &[]);
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!((answer.header("x-frame-options"), answer.header("x-content-type-options")), (None, Some("nosniff")));
    // A stranger's word is nothing.
    assert_eq!(gateway.get("/x", &["X-Forwarded-Proto: https"]).header("strict-transport-security"), None);
}

#[test]
fn hsts_goes_over_https_only() {
    let upstream = Upstream::echo();
    let routes = format!(
        "security_headers: {{ hsts: max-age=60 }}\nservices: {{ s: {{ endpoints: [{:?}] }} }}\n\
         routes: [{{ id: r, match: {{ path: /* }}, service: s, auth: public }}]\n",
        upstream.url()
    );
    let proxied = "listeners: [{ address: \"127.0.0.1:0\", trusted_proxies: 127.0.0.1 }]\n";
    let gateway = Gateway::start(&format!("{proxied}{routes}"));
    let of = |scheme: &str| {
        let answer = gateway.get("/x", &[&format!("X-Forwarded-Proto: {scheme}")]);
        answer.header("strict-transport-security").map(str::to_owned)
    };
    assert_eq!((of("https").as_deref(), of("http")), (Some("max-age=60"), None));

    let authority = Authority::new();
    let files = authority.issue("a", &Wanted::of("a", &["localhost"]));
    let tls = format!("tls: {{ certificates: [{}] }}", files.section());
    let gateway = Gateway::start(&format!("listeners: [{{ address: \"127.0.0.1:0\", {tls} }}]\n{routes}"));
    upstream.forget();
    for version in ["--http1.1", "--http2"] {
        let mut curl = Command::new("curl");
        let url = format!("https://localhost:{}/x", gateway.address.port());
        let said = curl.args(["-sSi", version, "--cacert"]).arg(authority.ca()).arg(url).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap().to_ascii_lowercase();
        assert!(said.contains("strict-transport-security: max-age=60"), "{version}: {said}");
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    seen.iter().for_each(|request| assert_eq!(request.all("x-forwarded-proto"), ["https"]));
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (section, wanted) in [
        ("{ hsts: forever }", "security_headers.hsts: not a value of this header; write max-age=31536000"),
        ("{ frame_options: MAYBE }", "security_headers.frame_options: not a value"),
        ("{ content_type_options: sniff }", "security_headers.content_type_options: not a value"),
        ("{ referrer_policy: nobody }", "security_headers.referrer_policy: not a value"),
        ("perhaps", "security_headers: "),
    ] {
        let said = crate::tls::checked(&format!("security_headers: {section}\nroutes: []\n"));
        assert!(said.contains(wanted), "{section}: {said}");
    }
}
