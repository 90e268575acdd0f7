//! What becomes of HTTP/2 that is malformed, or just not: `tests/corpus/http2.yaml`.

use super::support::{
    Gateway, Recorder, Seen,
    corpus::bytes,
    http2::{self, END_HEADERS, END_STREAM, Heard, Http2},
    within_patience,
};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    group: String,
    /// For readers.
    #[serde(default, rename = "why")]
    _why: String,
    outcome: String,
    #[serde(default)]
    sees: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    has: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
    cases: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Fields(Vec<String>),
    More(More),
}

/// Fields, DATA and trailers make one request on stream 1; `frames` stand for themselves.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct More {
    fields: Vec<String>,
    data: Vec<String>,
    trailers: Vec<String>,
    frames: Vec<Frame>,
    outcome: Option<String>,
    /// The first line; empty: the service sees nothing.
    sees: Option<String>,
    body: Option<String>,
    /// Whole headers, and names.
    has: Vec<String>,
    lacks: Vec<String>,
}

/// Its payload is `hex`, then `fields`, then `text`, then `pad` times zero.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Frame {
    /// As RFC 9113 section 6 names it, or a number.
    #[serde(rename = "type")]
    kind: String,
    /// Names or numbers, with blanks between them.
    flags: String,
    stream: u32,
    hex: String,
    fields: Vec<String>,
    text: String,
    pad: usize,
}

/// What the caller gets.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Good,
    /// A refusal of the gateway's own.
    Refused(u16, String),
    /// Of h2's or pingora's own: a status and nothing else.
    Bare(u16),
    Reset(u32),
    /// `None`: any code. The connection ends.
    Goaway(Option<u32>),
    /// Nothing: it has left.
    Silence,
}

#[derive(Debug)]
struct Outcome {
    /// The service may see a part that never becomes whole.
    cut: bool,
    answer: Answer,
}

impl Outcome {
    fn read(text: &str) -> Self {
        let cut = text.starts_with("cut ");
        let words: Vec<&str> = text.trim_start_matches("cut ").split(' ').collect();
        let number = words.get(1).and_then(|word| word.parse::<u16>().ok());
        let answer = match words[0] {
            "passes" => Answer::Good,
            "refused" => Answer::Refused(number.unwrap(), words[2].to_owned()),
            "bare" => Answer::Bare(number.unwrap()),
            "reset" => Answer::Reset(number.unwrap().into()),
            "goaway" => Answer::Goaway(number.map(Into::into)),
            "silence" => Answer::Silence,
            _ => panic!("no outcome: {text}"),
        };
        Self { cut, answer }
    }

    /// Whether the metric for malformed requests counts it.
    fn is_counted(&self) -> bool {
        matches!(self.answer, Answer::Bare(_) | Answer::Reset(1 | 3) | Answer::Goaway(_))
    }
}

struct Case {
    name: String,
    /// Tells which case a service saw.
    mark: usize,
    outcome: Outcome,
    sees: String,
    more: More,
}

/// `name: value`; `GET /x` for the four of a good request; `9 x name: value` for nine of them.
fn fields(entries: &[String]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields = Vec::new();
    for entry in entries {
        let several = entry.split_once(" x ").and_then(|(times, field)| Some((times.parse::<usize>().ok()?, field)));
        if let Some((times, field)) = several {
            let (name, value) = field.split_once(": ").unwrap();
            fields.extend(vec![(bytes(name), bytes(value)); times]);
        } else if let Some((name, value)) = entry.split_once(": ") {
            fields.push((bytes(name), bytes(value)));
        } else {
            let (method, path) = entry.split_once(' ').unwrap();
            let good = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "gateway.test")];
            fields.extend(good.map(|(name, value)| (bytes(name), bytes(value))));
        }
    }
    fields
}

/// RFC 9113 section 6, from 0 on.
const KINDS: [&str; 10] = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
];

fn flag(name: &str) -> u8 {
    match name {
        "END_STREAM" | "ACK" => END_STREAM,
        "END_HEADERS" => END_HEADERS,
        "PADDED" => 8,
        "PRIORITY" => 32,
        _ => name.parse().unwrap(),
    }
}

impl Frame {
    fn bytes(&self, mark: usize) -> Vec<u8> {
        let hex: Vec<char> = self.hex.chars().filter(|digit| *digit != ' ').collect();
        let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
        let mut payload: Vec<u8> = hex.chunks(2).map(byte).collect();
        let entries: Vec<String> = self.fields.iter().map(|entry| entry.replace("{N}", &mark.to_string())).collect();
        payload.extend(http2::block(&fields(&entries)));
        payload.extend(bytes(&self.text));
        payload.resize(payload.len() + self.pad, 0);
        let kind = KINDS.iter().position(|kind| *kind == self.kind).map(|kind| kind as u8);
        let flags = self.flags.split_whitespace().fold(0, |flags, name| flags | flag(name));
        http2::frame(kind.unwrap_or_else(|| self.kind.parse().unwrap()), flags, self.stream, &payload)
    }
}

impl More {
    fn bytes(&self, mark: usize) -> Vec<u8> {
        let mut sent: Vec<u8> = self.frames.iter().flat_map(|frame| frame.bytes(mark)).collect();
        if self.fields.is_empty() {
            return sent;
        }
        let marked = [&self.fields[..], &[format!("x-case: {mark}")]].concat();
        let ends = |last: bool| if last { END_STREAM } else { 0 };
        let alone = self.data.is_empty() && self.trailers.is_empty();
        sent.extend(http2::headers(1, ends(alone), &http2::block(&fields(&marked))));
        for (at, data) in self.data.iter().enumerate() {
            let last = at + 1 == self.data.len() && self.trailers.is_empty();
            sent.extend(http2::frame(http2::DATA, ends(last), 1, &bytes(data)));
        }
        if !self.trailers.is_empty() {
            sent.extend(http2::headers(1, END_STREAM, &http2::block(&fields(&self.trailers))));
        }
        sent
    }

    /// The first stream behind those of the case.
    fn next(&self) -> u32 {
        let last = self.frames.iter().map(|frame| frame.stream & 0xff).max();
        (last.unwrap_or(1) | 1) + 2
    }
}

fn corpus() -> Vec<Case> {
    let groups: Vec<Group> = serde_yaml::from_str(include_str!("../corpus/http2.yaml")).unwrap();
    let mut cases = Vec::new();
    for group in groups {
        for (name, entry) in group.cases {
            let mut more = match entry {
                Entry::Fields(fields) => More { fields, ..More::default() },
                Entry::More(more) => more,
            };
            more.body = more.body.or_else(|| group.body.clone());
            more.has.extend(group.has.clone());
            more.lacks.extend(group.lacks.clone());
            cases.push(Case {
                name: format!("{}: {name}", group.group),
                mark: cases.len(),
                outcome: Outcome::read(more.outcome.as_ref().unwrap_or(&group.outcome)),
                sees: String::from_utf8(bytes(more.sees.as_ref().unwrap_or(&group.sees))).unwrap(),
                more,
            });
        }
    }
    cases
}

/// A gateway in front of a recorder.
struct Setting {
    gateway: Gateway,
    recorder: Recorder,
    clean: usize,
}

impl Setting {
    fn new() -> Self {
        let recorder = Recorder::start();
        let gateway = Gateway::start(&http2::sections(&recorder.url()));
        Self { gateway, recorder, clean: 0 }
    }

    /// What differs from what was to happen.
    fn run(&mut self, case: &Case) -> Result<(), String> {
        let counted = self.counted();
        let mut caller = Http2::connect(self.gateway.address);
        caller.send(&case.more.bytes(case.mark));
        if let Answer::Goaway(code) = case.outcome.answer {
            let closed = caller.is_closed();
            if !closed || caller.goaway.is_none() || code.is_some() && caller.goaway != code {
                let heard = caller.heard(1);
                return Err(format!("closed: {closed}, GOAWAY {:?}, on the stream: {heard:?}", caller.goaway));
            }
        } else {
            let silence = case.outcome.answer == Answer::Silence;
            let heard = if silence { Heard::default() } else { caller.answer(1) };
            is_meant(&heard, case).map_err(|what| format!("{what}, GOAWAY {:?}", caller.goaway))?;
            self.clean(&mut caller, case.more.next())?;
        }
        // Whatever that was, it concerns nobody else.
        self.clean(&mut Http2::connect(self.gateway.address), 1)?;
        let more = self.counted() - counted;
        let right = more == f64::from(u8::from(case.outcome.is_counted()));
        if right { Ok(()) } else { Err(format!("as malformed are counted {more}")) }
    }

    fn counted(&self) -> f64 {
        self.gateway.metric("edgeway_requests_malformed_total").unwrap()
    }

    fn clean(&mut self, caller: &mut Http2, stream: u32) -> Result<(), String> {
        self.clean += 1;
        let path = format!("/clean/{}", self.clean);
        caller.send(&http2::get(stream, &path));
        let heard = caller.answer(stream);
        let good = heard.status == 200 && heard.ended && heard.body == format!("GET {path} HTTP/1.1 ");
        if good { Ok(()) } else { Err(format!("the clean request {path} got {heard:?}, GOAWAY {:?}", caller.goaway)) }
    }

    /// All that the service saw, with what of it the log does not have.
    fn end(self) -> (Vec<Seen>, Vec<String>) {
        let mut seen = self.recorder.take();
        let whole = seen.iter().filter(|seen| seen.complete).map(|seen| seen.all("x-request-id").concat());
        let mut unlogged: Vec<String> = whole.collect();
        within_patience(|| {
            let log = self.gateway.access_log();
            unlogged.retain(|id| !log.iter().any(|line| line["request_id"] == **id));
            unlogged.is_empty()
        });
        // What broke off is seen when its connection ends.
        drop(self.gateway);
        seen.extend(self.recorder.take());
        (seen, unlogged)
    }
}

/// Whether the caller got what it was to get on its stream.
fn is_meant(heard: &Heard, case: &Case) -> Result<(), String> {
    let bodiless = case.sees.starts_with("HEAD ");
    let good = match &case.outcome.answer {
        Answer::Good => heard.status == 200 && heard.ended && (heard.body.starts_with(&case.sees) || bodiless),
        Answer::Refused(status, code) => heard.status == *status && heard.ended && heard.code() == *code,
        Answer::Bare(status) => heard.status == *status && heard.ended && heard.body.is_empty(),
        Answer::Reset(reason) => heard.status == 0 && heard.reset == Some(*reason),
        Answer::Goaway(_) | Answer::Silence => heard.status == 0 && heard.reset.is_none(),
    };
    if good { Ok(()) } else { Err(format!("not {:?}: {heard:?}", case.outcome.answer)) }
}

/// What the service saw beyond, or short of, what it was to see.
fn is_seen(seen: &[Seen], case: &Case) -> Result<(), String> {
    let good = match seen {
        [] => case.outcome.cut || case.sees.is_empty(),
        [only] if case.outcome.cut => !only.complete,
        [only] => {
            let body = case.more.body.as_ref().is_none_or(|body| only.body == bytes(body));
            only.line == case.sees && only.complete && body
        }
        _ => false,
    };
    if !good || seen.iter().any(|request| !request.faults.is_empty()) {
        return Err(format!("the service saw {seen:?}"));
    }
    let Some(only) = seen.first() else { return Ok(()) };
    let lines: Vec<String> =
        only.headers.iter().map(|(name, value)| format!("{}: {value}", name.to_lowercase())).collect();
    let missing = case.more.has.iter().find(|line| !lines.contains(line));
    let left = case.more.lacks.iter().find(|name| !only.all(name).is_empty());
    if missing.or(left).is_none() { Ok(()) } else { Err(format!("headers {missing:?} {left:?} of {lines:#?}")) }
}

#[test]
fn there_are_enough_cases_and_none_twice() {
    let cases = corpus();
    let known: BTreeMap<Vec<u8>, &str> = cases.iter().map(|case| (case.more.bytes(0), &*case.name)).collect();
    let twice: Vec<_> =
        cases.iter().filter(|case| known[&case.more.bytes(0)] != case.name).map(|case| &case.name).collect();
    assert!(cases.len() >= 66 && twice.is_empty(), "{} cases, twice: {twice:?}", cases.len());
    println!("{} cases", cases.len());
}

#[test]
fn every_case_leaves_the_service_and_everybody_else_alone() {
    let mut setting = Setting::new();
    let cases = corpus();
    let mut wrong = Vec::new();
    for case in &cases {
        wrong.extend(setting.run(case).err().map(|what| format!("{}\n    {what}", case.name)));
    }
    let (seen, unlogged) = setting.end();
    let mut of_cases: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    let mut last = String::new();
    for seen in seen.into_iter().filter(|seen| !seen.line.starts_with("GET /clean/") || !seen.faults.is_empty()) {
        // What has no mark was hidden behind something that has one.
        last = seen.all("x-case").first().map_or(last, |mark| (*mark).to_owned());
        of_cases.entry(last.clone()).or_default().push(seen);
    }
    for case in &cases {
        let seen = of_cases.remove(&case.mark.to_string()).unwrap_or_default();
        wrong.extend(is_seen(&seen, case).err().map(|what| format!("{}\n    {what}", case.name)));
    }
    wrong.extend(of_cases.values().flatten().map(|seen| format!("the service saw what is of no case: {seen:?}")));
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(unlogged.is_empty(), "in no log: {unlogged:?}");
}
