//! What becomes of bytes that are no good HTTP/1.1 request, or just one: `tests/corpus/http1/`.

use super::support::{Client, Gateway, Recorder, Response, Seen, corpus, within_patience};
use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

/// What is to happen. `code` may be empty: any.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    /// The service sees it, the caller gets its answer.
    Passes { closing: bool },
    /// The service sees nothing, the caller gets a refusal; `kept`: and may go on.
    Refused { status: u16, code: String, kept: bool },
    /// The same for what follows good requests in one piece.
    Then { status: u16, code: String },
    /// The service may see a part, the caller gets a refusal and the connection ends.
    Cut { status: u16, code: String },
    /// The caller leaves in the middle: the service may see a part.
    Unfinished,
    /// What follows the request comes back once both sides have agreed on WebSocket.
    Tunnels,
}

impl Outcome {
    fn read(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let code = words.get(2).copied().unwrap_or_default().to_owned();
        let status = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        match words[0] {
            "passes" => Self::Passes { closing: words.get(1) == Some(&"closing") },
            "refused" => Self::Refused { status, code, kept: false },
            "kept" => Self::Refused { status, code, kept: true },
            "then" => Self::Then { status, code },
            "cut" => Self::Cut { status, code },
            "unfinished" => Self::Unfinished,
            "tunnels" => Self::Tunnels,
            _ => panic!("no outcome: {text}"),
        }
    }

    /// Whether the service may see a request that never becomes whole.
    fn may_break_off(&self) -> bool {
        matches!(self, Self::Cut { .. } | Self::Unfinished)
    }
}

struct Case {
    name: String,
    send: Vec<u8>,
    outcome: Outcome,
    sees: Vec<String>,
    body: Option<Vec<u8>>,
    has: Vec<String>,
    lacks: Vec<String>,
}

fn all_cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/http1");
    let mut cases = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let groups: Vec<corpus::Group> =
            serde_yaml::from_str(&fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        for group in groups {
            for (name, entry) in group.cases {
                let more = entry.more();
                cases.push(Case {
                    name: format!("{}: {name}", group.group),
                    send: corpus::bytes(&more.send),
                    outcome: Outcome::read(more.outcome.as_ref().unwrap_or(&group.outcome)),
                    sees: corpus::lines(more.sees.or_else(|| group.sees.clone())),
                    body: more.body.or_else(|| group.body.clone()).map(|body| corpus::bytes(&body)),
                    has: more.has,
                    lacks: [more.lacks, group.lacks.clone()].concat(),
                });
            }
        }
    }
    cases
}

#[test]
fn there_are_enough_cases_and_none_twice() {
    let cases = all_cases();
    let known: BTreeMap<&[u8], &str> = cases.iter().map(|case| (&*case.send, &*case.name)).collect();
    let twice: Vec<_> = cases.iter().filter(|case| known[&*case.send] != case.name).map(|case| &case.name).collect();
    assert!(cases.len() >= 250 && twice.is_empty(), "{} cases, twice: {twice:?}", cases.len());
    println!("{} cases", cases.len());
}

/// Every group of every corpus stands in docs/security.md with its number of cases, and so does their sum.
#[test]
fn the_page_lists_every_group() {
    #[derive(serde::Deserialize)]
    struct Counted {
        group: String,
        cases: serde_yaml::Mapping,
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let mut sum = 0;
    for folder in ["tests/corpus", "tests/corpus/http1"] {
        for file in fs::read_dir(root.join(folder)).unwrap().map(|file| file.unwrap().path()) {
            if file.is_dir() {
                continue;
            }
            let groups: Vec<Counted> = serde_yaml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            for Counted { group, cases } in groups {
                let row = format!("\n| {group} | {} | ", cases.len());
                assert!(page.contains(&row), "docs/security.md has no row {row:?}");
                sum += cases.len();
            }
        }
    }
    assert!(page.contains(&format!("The corpora hold {sum} cases")), "{sum} cases");
}

/// A gateway, or several in a row, in front of a recorder.
struct Setting {
    /// The one that callers reach first.
    gateways: Vec<Gateway>,
    recorder: Recorder,
    /// Put a clean request before and behind the bytes of each case, in the same piece.
    surrounded: bool,
    clean: usize,
    /// `X-Request-ID` of all that the recorder has seen.
    ids: Vec<String>,
    /// Refusals that callers got.
    refusals: u64,
}

fn gateway(url: &str) -> Gateway {
    Gateway::start(&format!(
        "services: {{ s: {{ endpoints: [\"{url}\"], health: {{ probe: off }} }} }}\nroutes:\n\
         - {{ id: r, match: {{ path: /r/* }}, service: s, auth: public }}\n\
         - {{ id: clean, match: {{ path: /clean/* }}, service: s, auth: public }}\n"
    ))
}

impl Setting {
    fn new(row: usize, surrounded: bool) -> Self {
        let recorder = Recorder::start();
        let mut gateways = vec![gateway(&recorder.url())];
        for _ in 1..row {
            gateways.insert(0, gateway(&format!("http://{}", gateways[0].address)));
        }
        Self { gateways, recorder, surrounded, clean: 0, ids: Vec::new(), refusals: 0 }
    }

    fn address(&self) -> SocketAddr {
        self.gateways[0].address
    }

    fn clean(&mut self) -> String {
        self.clean += 1;
        format!("/clean/{}", self.clean)
    }

    /// What differs from what was to happen.
    fn run(&mut self, case: &Case) -> Result<(), String> {
        let mut client = Client::connect(self.address());
        let before = self.surrounded.then(|| self.clean());
        let behind =
            (self.surrounded && !matches!(case.outcome, Outcome::Unfinished | Outcome::Tunnels)).then(|| self.clean());
        let request = |path: &Option<String>| {
            path.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: gateway.test\r\n\r\n")).collect::<String>()
        };
        client.send(&[request(&before).as_bytes(), &case.send, request(&behind).as_bytes()].concat());
        if let Some(path) = before {
            is_clean(&client.answer(false), &path)?;
        }
        self.outcome(case, &mut client, behind)?;
        // Whatever that was, it concerns nobody else.
        let path = self.clean();
        is_clean(&Client::connect(self.address()).get(&path, &[]), &path)?;
        self.seen(case)
    }

    fn outcome(&mut self, case: &Case, client: &mut Client, behind: Option<String>) -> Result<(), String> {
        match &case.outcome {
            Outcome::Passes { closing } => {
                answers(case, client)?;
                self.goes_on(!closing, client, behind)
            }
            Outcome::Refused { status, code, kept } => {
                self.refused(&client.answer(case.send.starts_with(b"HEAD ")), *status, code)?;
                self.goes_on(*kept, client, behind)
            }
            Outcome::Then { status, code } => {
                answers(case, client)?;
                self.refused(&client.answer(false), *status, code)?;
                self.goes_on(false, client, behind)
            }
            Outcome::Cut { status, code } => {
                self.refused(&client.answer(false), *status, code)?;
                self.goes_on(false, client, behind)
            }
            Outcome::Unfinished => {
                client.finish();
                let answer = client.answer(false);
                if answer.status == 0 || answer.status >= 400 { Ok(()) } else { Err(format!("answered: {answer:?}")) }
            }
            Outcome::Tunnels => {
                let answer = client.answer(false);
                let early = case.send.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
                let back = client.read(case.send.len() - early);
                let same = answer.status == 101 && back == case.send[early..];
                let more = !same && client.is_closed();
                if same { Ok(()) } else { Err(format!("{answer:?}, then {back:?}, closed: {more}")) }
            }
        }
    }

    fn refused(&mut self, answer: &Response, status: u16, code: &str) -> Result<(), String> {
        self.refusals += 1;
        let known = answer.header("x-request-id").is_some() && !answer.code().is_empty();
        let meant = answer.status == status && (code.is_empty() || answer.code() == code);
        if known && meant && answer.complete { Ok(()) } else { Err(format!("no {status} {code}: {answer:?}")) }
    }

    /// Whether the connection serves another request, or has ended.
    fn goes_on(&mut self, kept: bool, client: &mut Client, behind: Option<String>) -> Result<(), String> {
        if !kept {
            return if client.is_closed() { Ok(()) } else { Err("the connection goes on".to_owned()) };
        }
        if let Some(path) = behind {
            return is_clean(&client.answer(false), &path);
        }
        let path = self.clean();
        is_clean(&client.get(&path, &[]), &path)
    }

    fn seen(&mut self, case: &Case) -> Result<(), String> {
        let seen = self.recorder.take();
        self.ids
            .extend(seen.iter().filter(|request| request.complete).map(|request| request.all("x-request-id").concat()));
        if let Some(bad) = seen.iter().find(|request| !request.faults.is_empty()) {
            return Err(format!("the service saw {bad:?}"));
        }
        let is_clean = |request: &&Seen| request.line.starts_with("GET /clean/");
        let of_case: Vec<&Seen> = seen.iter().filter(|request| !is_clean(request)).collect();
        if case.outcome.may_break_off() {
            let whole = of_case.iter().find(|request| request.complete);
            return whole.map_or(Ok(()), |request| Err(format!("the service saw it whole: {request:?}")));
        }
        let lines: Vec<&str> = of_case.iter().map(|request| &*request.line).collect();
        if lines != case.sees || of_case.iter().any(|request| !request.complete) {
            return Err(format!("the service saw {of_case:?}, not {:?}", case.sees));
        }
        of_case.first().map_or(Ok(()), |first| contents(case, first))
    }

    /// Each request that a service saw is in the log of the gateway next to it, and each refusal is counted.
    fn end(self) {
        let gateway = self.gateways.last().unwrap();
        let logged = |id: &String| gateway.access_log().iter().any(|line| line["request_id"] == **id);
        assert!(within_patience(|| self.ids.last().is_none_or(logged)));
        let known: Vec<String> = gateway.access_log().iter().map(|line| line["request_id"].to_string()).collect();
        let unknown: Vec<_> = self.ids.iter().filter(|id| !known.contains(&format!("{id:?}"))).collect();
        assert!(unknown.is_empty(), "in no log: {unknown:?}");
        let counted = || -> u64 {
            let text = self.gateways[0].metrics();
            let named = |line: &&str| {
                // Who left has got no refusal.
                line.starts_with("edgeway_rejections_total{") && !line.contains("client_gone")
                    || line.starts_with("edgeway_requests_malformed_total ")
            };
            text.lines().filter(named).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
        };
        assert!(within_patience(|| counted() == self.refusals), "{} counted of {}", counted(), self.refusals);
    }
}

fn answers(case: &Case, client: &mut Client) -> Result<(), String> {
    for line in &case.sees {
        let answer = client.answer(line.starts_with("HEAD "));
        if answer.status != 200 || !answer.complete || !(answer.body.starts_with(line) || line.starts_with("HEAD ")) {
            return Err(format!("no answer to {line}: {answer:?}"));
        }
    }
    Ok(())
}

fn contents(case: &Case, seen: &Seen) -> Result<(), String> {
    if case.body.as_ref().is_some_and(|body| seen.body != *body) {
        return Err(format!("another body: {seen:?}"));
    }
    // Names arrive in small letters.
    let lines: Vec<String> =
        seen.headers.iter().map(|(name, value)| format!("{}: {value}", name.to_lowercase())).collect();
    let small = |line: &str| line.split_once(':').map(|(name, value)| format!("{}:{value}", name.to_lowercase()));
    let missing = case.has.iter().find(|line| !lines.contains(&small(line).unwrap()));
    let left = case.lacks.iter().find(|name| !seen.all(name).is_empty());
    match (missing, left) {
        (None, None) => Ok(()),
        found => Err(format!("headers {found:?} of {lines:#?}")),
    }
}

fn is_clean(answer: &Response, path: &str) -> Result<(), String> {
    let good = answer.status == 200 && answer.complete && answer.body == format!("GET {path} HTTP/1.1 ");
    if good { Ok(()) } else { Err(format!("the clean request {path} got {answer:?}")) }
}

fn run(row: usize, surrounded: bool) {
    let (may_break_off, clear): (Vec<_>, Vec<_>) =
        all_cases().into_iter().partition(|case| case.outcome.may_break_off());
    let mut wrong = Vec::new();
    // Apart, because what broke off may be seen later than what comes next.
    for cases in [clear, may_break_off] {
        let mut setting = Setting::new(row, surrounded);
        for case in &cases {
            if let Err(what) = setting.run(case) {
                wrong.push(format!("{}\n    {what}", case.name));
            }
        }
        if wrong.is_empty() {
            setting.end();
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_case_through_one_gateway() {
    run(1, false);
}

#[test]
fn every_case_through_two_gateways_in_a_row() {
    run(2, false);
}

#[test]
fn every_case_between_clean_requests_in_one_piece() {
    run(1, true);
}
