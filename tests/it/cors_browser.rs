//! What a real browser makes of our CORS headers: pages of several origins, each of which asks the gateway.

use super::support::{Answer, Gateway, Upstream, chromium, in_turn, within_patience};
use serde_json::Value;
use std::process::{Child, Stdio};
use tempfile::TempDir;

/// Asks everything and tells the page's own server what became of it. A sandboxed frame has the origin null and no server
/// of its own: it tells through an image, which CORS does not guard.
const SCRIPT: &str = r#"
const query = new URLSearchParams(location.search);
const gateway = query.get("gateway");
const ask = async (path, options = {}) => {
    try {
        const answer = await fetch(gateway + path, options);
        const text = await answer.text();
        return { status: answer.status, text, id: answer.headers.get("X-Request-ID"), secret: answer.headers.get("X-Secret") };
    } catch (error) { return { failed: error.name }; }
};
(async () => {
    const bearer = { Authorization: "Bearer x.y.z" };
    const told = { origin: self.origin, name: query.get("name") };
    told.simple = await ask("/api/simple");
    told.form = await ask("/api/form", { method: "POST", body: new URLSearchParams({ a: 1 }) });
    told.refused = await ask("/private/x");
    told.badToken = await ask("/private/x", { headers: bearer });
    told.nowhere = await ask("/nowhere");
    told.preflight = await ask("/api/preflight", { method: "PUT", headers: { ...bearer, "Content-Type": "application/json" }, body: "{}" });
    told.method = await ask("/api/method", { method: "PROPFIND" });
    told.header = await ask("/api/header", { headers: { "X-Other": "1" } });
    told.login = await ask("/api/login", { credentials: "include" });
    told.cookie = await ask("/api/cookie", { credentials: "include" });
    told.cookieWithout = await ask("/plain/cookie", { credentials: "include" });
    told.plain = await ask("/plain/simple");
    told.anybody = await ask("/anybody/simple");
    told.anybodyCookie = await ask("/anybody/cookie", { credentials: "include" });
    new Image().src = query.get("report") + "/report?" + encodeURIComponent(JSON.stringify(told));
})();
"#;

/// Serves pages with the script, whatever the host, and sets no header of CORS.
fn pages() -> Upstream {
    Upstream::start(|request| {
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        let (kind, body) = match path.split('?').next().unwrap_or_default() {
            "/script.js" => ("text/javascript", SCRIPT.to_owned()),
            "/page" => ("text/html", "<!doctype html><script src=/script.js></script>".to_owned()),
            // Frames, so that one browser shows all pages at once.
            "/all" => ("text/html", percent(path.split_once('?').map_or("", |(_, html)| html))),
            _ => ("text/plain", String::new()),
        };
        Answer::Raw(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    })
}

fn percent(text: &str) -> String {
    form_urlencoded::parse(format!("x={text}").as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Ends with the test.
struct Browser {
    child: Child,
    _profile: TempDir,
}

impl Browser {
    fn open(url: &str) -> Self {
        let profile = TempDir::new().unwrap();
        let mut command = chromium(
            profile.path(),
            "MAP *.test 127.0.0.1, MAP evil-app.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        );
        // Headless Chromium shows a page until it is told to end.
        command.arg("--remote-debugging-port=0").arg(url).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().unwrap(), _profile: profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The frames of all pages: name, and the origin that shows it.
fn all(server: u16, gateway: u16, origins: &[(&str, String)]) -> String {
    let mut html = String::new();
    for (name, origin) in origins {
        let report = format!("http://app.test:{server}");
        let ask = format!("gateway=http://api.app.test:{gateway}&name={name}&report={report}");
        let sandbox = if *name == "null" { "sandbox=allow-scripts" } else { "" };
        html.push_str(&format!("<iframe {sandbox} src=\"{origin}/page?{ask}\"></iframe>"));
    }
    format!("http://app.test:{server}/all?{}", encoded(&html))
}

fn reports(pages: &Upstream) -> Vec<Value> {
    let line = |line: String| {
        percent(line.strip_prefix("GET /report?").and_then(|rest| rest.strip_suffix(" HTTP/1.1")).unwrap())
    };
    let seen = pages.seen().into_iter().map(|request| request.line).filter(|line| line.starts_with("GET /report?"));
    seen.map(|text| serde_json::from_str(&line(text)).unwrap()).collect()
}

/// What one page told: `200`, or `failed` where the browser would not show it the answer.
fn outcomes(report: &Value) -> String {
    let one = |key: &str| match report[key]["status"].as_u64() {
        Some(status) => format!("{key} {status}"),
        None => format!("{key} {}", if report[key]["failed"].is_string() { "failed" } else { "missing" }),
    };
    let keys = [
        "simple",
        "form",
        "refused",
        "badToken",
        "nowhere",
        "preflight",
        "method",
        "header",
        "cookie",
        "cookieWithout",
        "plain",
        "anybody",
        "anybodyCookie",
    ];
    keys.map(one).join(", ")
}

const HOME: &str = "simple 200, form 200, refused 401, badToken 401, nowhere 404, preflight 200, method failed, \
    header failed, cookie 200, cookieWithout failed, plain 200, anybody 200, anybodyCookie failed";
const STRANGER: &str = "simple failed, form failed, refused failed, badToken failed, nowhere failed, preflight failed, \
    method failed, header failed, cookie failed, cookieWithout failed, plain failed, anybody 200, anybodyCookie failed";

#[test]
fn a_browser_shows_answers_to_pages_of_allowed_origins_alone() {
    let _turn = in_turn();
    let (pages, elsewhere) = (pages(), pages());
    let (port, other) = (pages.address.port(), elsewhere.address.port());
    // It names nobody itself, whatever it is asked for.
    let service = Upstream::start(|request| {
        let body = request.header("cookie").unwrap_or("no cookie").to_owned();
        let cookie = if request.line.contains("/api/login") { "Set-Cookie: visit=1; Path=/\r\n" } else { "" };
        Answer::Raw(format!(
            "HTTP/1.1 200 OK\r\n{cookie}X-Secret: 1\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    });
    let origins = format!("[\"HTTP://App.Test:{port}\", \"http://*.app.test:{port}\", \"https://secure.test:{port}\"]");
    let url = service.url();
    let gateway = Gateway::start(&format!(
        "cors: {{ allow_origins: {origins}, allow_credentials: true }}\n\
         services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\n\
         routes:\n  - {{ id: api, match: {{ path: /api/* }}, service: s, auth: public }}\n  \
         - {{ id: private, match: {{ path: /private/* }}, service: s }}\n  \
         - {{ id: plain, match: {{ path: /plain/* }}, service: s, auth: public, cors: {{ allow_origins: {origins} }} }}\n  \
         - {{ id: anybody, match: {{ path: /anybody/* }}, service: s, auth: public, cors: {{ allow_origins: \"*\" }} }}\n"
    ));
    let at = |host: &str, port: u16| format!("http://{host}:{port}");
    let origins = [
        ("home", at("app.test", port), HOME),
        // Browsers write origins in small letters, however the link was written.
        ("case", at("APP.Test", port), HOME),
        ("subdomain", at("a.b.app.test", port), HOME),
        ("evil", at("evil-app.test", port), STRANGER),
        ("port", at("app.test", other), STRANGER),
        ("scheme", at("secure.test", port), STRANGER),
        ("stranger", at("other.test", port), STRANGER),
        ("null", at("app.test", port), STRANGER),
    ];
    let frames = origins.clone().map(|(name, origin, _)| (name, origin));
    let _browser = Browser::open(&all(port, gateway.address.port(), &frames));
    let there = within_patience(|| reports(&pages).len() == origins.len());
    let told = reports(&pages);
    assert!(there, "{} of {} pages told: {told:#?}", told.len(), origins.len());
    for (name, origin, expected) in origins {
        let report = told.iter().find(|report| report["name"] == name).unwrap();
        let shown = if name == "null" { "null".to_owned() } else { origin.to_lowercase() };
        assert_eq!(report["origin"], shown.as_str(), "{name}");
        assert_eq!(outcomes(report), expected, "{name} at {origin}: {report:#}");
        if expected == HOME {
            assert!(report["simple"]["id"].as_str().unwrap().starts_with("req-"), "{report:#}");
            assert_eq!(report["simple"]["secret"], Value::Null, "only what is exposed is read");
            let texts = (&report["simple"]["text"], &report["cookie"]["text"]);
            assert_eq!(texts, (&"no cookie".into(), &"visit=1".into()), "{name}");
        }
    }
    // What a browser does not ask for after its preflight never arrives.
    let asked: Vec<String> = service.seen().into_iter().map(|request| request.line).collect();
    assert_eq!(asked.iter().filter(|line| line.contains("/api/preflight")).count(), 3, "{asked:#?}");
    assert!(!asked.iter().any(|line| line.contains("/api/method") || line.contains("/api/header")), "{asked:#?}");
}
