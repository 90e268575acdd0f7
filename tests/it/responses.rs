//! What services may answer (`tests/corpus/responses.yaml`), and that no answer ever becomes part of another one.

use super::support::{Answer, Client, Gateway, Response, Upstream, corpus};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

struct Case {
    name: String,
    send: String,
    outcome: String,
    body: Option<String>,
}

fn cases() -> Vec<Case> {
    let groups: Vec<corpus::Group> = serde_yaml::from_str(include_str!("../corpus/responses.yaml")).unwrap();
    let mut cases = Vec::new();
    for group in groups {
        for (name, entry) in group.cases {
            let more = entry.more();
            cases.push(Case {
                name: format!("{}: {name}", group.group),
                send: String::from_utf8(corpus::bytes(&more.send)).unwrap(),
                outcome: more.outcome.unwrap_or_else(|| group.outcome.clone()),
                body: more.body.or_else(|| group.body.clone()),
            });
        }
    }
    cases
}

/// Answers `/bad/N` with the bytes of case N, and everything else with its own first line.
fn service(cases: &Arc<Vec<Case>>) -> Upstream {
    let cases = cases.clone();
    Upstream::start(move |request| {
        let target = request.line.split(' ').nth(1).unwrap();
        let Some(number) = target.strip_prefix("/bad/") else { return Answer::Text(request.line.clone()) };
        let send = &cases[number.parse::<usize>().unwrap()].send;
        match send.strip_suffix("{close}") {
            Some(send) => Answer::RawThenClose(send.to_owned()),
            None => Answer::Raw(send.clone()),
        }
    })
}

/// What differs from what was to happen.
fn check(case: &Case, answer: &Response) -> Result<(), String> {
    let good = match &*case.outcome {
        "502" => answer.status == 502 && answer.code() == "bad_gateway" && answer.complete,
        // Where nothing was forwarded yet it may still become a 502.
        "cut" => !answer.complete || answer.code() == "bad_gateway",
        status => {
            let body = case.body.as_ref().is_none_or(|body| answer.body == *body);
            answer.status.to_string() == status && answer.complete && body
        }
    };
    // Everything that says where it ends, in one way.
    let (lengths, codings) = (answer.all("content-length"), answer.all("transfer-encoding"));
    let framing = lengths.len() + codings.len() <= 1
        && lengths.iter().all(|length| length.bytes().all(|byte| byte.is_ascii_digit()))
        && codings.iter().all(|coding| *coding == "chunked")
        && !(answer.status == 204 && lengths.len() + codings.len() > 0);
    if good && framing { Ok(()) } else { Err(format!("{answer:?}")) }
}

#[test]
fn no_answer_becomes_a_part_of_another() {
    let cases = Arc::new(cases());
    assert!(cases.len() > 60, "{}", cases.len());
    let service = service(&cases);
    let gateway = Gateway::start(&format!(
        "services: {{ s: {{ endpoints: [\"{}\"], health: {{ probe: off }}, retry: {{ attempts: 1 }} }} }}\n\
         routes: [{{ id: all, match: {{ path: /* }}, service: s, auth: public }}]\n",
        service.url()
    ));
    let wrong = Mutex::new(BTreeMap::new());
    for (number, case) in cases.iter().enumerate() {
        let mut client = Client::connect(gateway.address);
        let answer = client.get(&format!("/bad/{number}"), &[]);
        if let Err(what) = check(case, &answer) {
            wrong.lock().unwrap().insert(&case.name, what);
        }
        // On the caller's connection, where it is kept, and on the service's.
        let kept = answer.complete && answer.header("connection") != Some("close");
        for turn in 0..3 {
            let path = format!("/good/{number}/{turn}");
            let mut next = if kept && turn == 0 { None } else { Some(Client::connect(gateway.address)) };
            let answer = next.as_mut().unwrap_or(&mut client).get(&path, &[]);
            if answer.status != 200 || answer.body != format!("GET {path} HTTP/1.1") {
                wrong.lock().unwrap().insert(&case.name, format!("and then {path}: {answer:?}"));
            }
        }
    }
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), cases.len());
}

#[test]
fn an_answer_to_head_with_a_body_does_not_reach_the_next_request() {
    let service = Upstream::start(|request| match request.line.starts_with("HEAD ") {
        true => Answer::Raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_owned()),
        false => Answer::Text(request.line.clone()),
    });
    let gateway = Gateway::start(&format!(
        "services: {{ s: {{ endpoints: [\"{}\"], health: {{ probe: off }} }} }}\n\
         routes: [{{ id: all, match: {{ path: /* }}, service: s, auth: public }}]\n",
        service.url()
    ));
    let mut client = gateway.client();
    for turn in 0..20 {
        client.send(b"HEAD /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
        let answer = client.answer(true);
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("5")));
        assert_eq!(client.get(&format!("/{turn}"), &[]).body, format!("GET /{turn} HTTP/1.1"));
    }
}
