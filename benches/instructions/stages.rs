//! One stage of a request, so many times: `stages NAME TIMES`. For callgrind, so on one thread and with fixed inputs.
//!
//! The difference of two runs with different numbers is the stage alone; `benches/instructions/run.py` does that.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench that cannot go on says so by panicking")]

#[path = "../material.rs"]
mod material;

use edgeway::{
    auth::Authenticator,
    observability::AccessLog,
    proxy::{Word, speak_for},
    routing::{Found, Target},
    upstream::{Caller, Common, HealthConfig, Service, ServiceConfig, States, Tried},
};
use std::{env, fs, hint::black_box, io, path::PathBuf, process::ExitCode, time::Instant};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((name, times)) = arguments.first().zip(arguments.get(1).and_then(|times| times.parse().ok())) else {
        eprintln!("usage: stages NAME TIMES");
        return ExitCode::from(2);
    };
    match name.as_str() {
        "make-tokens" => make_tokens(times, arguments.get(2).unwrap()),
        "find-in-10" => find(10, times),
        "find-in-1000" => find(1_000, times),
        "find-in-10000" => find(10_000, times),
        "normalise" => normalise(times),
        "token" => token(times),
        "token-of-1" | "token-of-10000" => token_of_many(times, arguments.get(2).unwrap()),
        "copy" => copy(times),
        "inject" => inject(times),
        "log" => log(times),
        _ if name.starts_with("pick-") => pick(name, times),
        _ => {
            eprintln!("no stage is called {name}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// A service with so many endpoints.
fn service(balancer: &str, endpoints: usize) -> Service {
    let addresses: Vec<String> = (1..=endpoints).map(|last| format!("10.0.0.{last}:8001")).collect();
    let config = serde_json::json!({ "endpoints": addresses, "balancer": balancer });
    let config: ServiceConfig = serde_json::from_value(config).unwrap();
    let common = Common { health: &HealthConfig::default(), zone: None };
    Service::build("members".into(), &config, common, &States::default()).unwrap()
}

/// `pick-ewma-100`: one of a hundred endpoints, with what an attempt counts.
fn pick(name: &str, times: u32) {
    let mut words = name.split('-').skip(1);
    let (balancer, endpoints) = (words.next().unwrap(), words.next().unwrap().parse().unwrap());
    let service = service(balancer, endpoints);
    let head = material::head("/api/members/42");
    let caller =
        Caller { address: [192, 0, 2, 1].into(), consumer: Some("42"), path: head.uri.path(), headers: &head.headers };
    let now = service.moment(Instant::now());
    for _ in 0..times {
        black_box(service.pick(black_box(&Tried::default()), &caller, now).unwrap());
    }
}

fn find(routes: usize, times: u32) {
    let table = material::table(routes);
    let head = material::head(&format!("/api/service-{}/items/42", material::last_template(routes)));
    let target = Target::normalise(&head).unwrap();
    for _ in 0..times {
        assert!(matches!(table.find(black_box(&target), target.method(), &head.headers), Found::Route(_)));
    }
}

fn normalise(times: u32) {
    let head = material::head("/api/members/42?page=3");
    for _ in 0..times {
        black_box(Target::normalise(black_box(&head)).unwrap());
    }
}

/// An authenticator, and a token of 400 bytes that it accepts.
fn caller() -> (Authenticator, String) {
    let jwt = material::shared_secret();
    let permissions = ["members:read", "members:write", "customers:read", "customers:write", "calendar:read"];
    let mut token = material::token(&jwt, None, &permissions);
    // Four bytes of a token are three of a permission.
    let missing = 400_usize.saturating_sub(token.len()) / 4 * 3;
    let more = "n".repeat(missing.saturating_sub(3));
    token = material::token(&jwt, None, &[&permissions[..], &[more.as_str()]].concat());
    assert!((392..=408).contains(&token.len()), "{}", token.len());
    (material::authenticator(&jwt, 10_000), token)
}

fn token(times: u32) {
    let (authenticator, token) = caller();
    let head = material::browser(&token);
    for _ in 0..times {
        black_box(material::caller(&authenticator, black_box(&head.headers)));
    }
}

/// `auth.jwt:` of a key of 2048 bits, and its private part.
fn rs256() -> (serde_json::Value, PathBuf) {
    let key = |name: &str| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name);
    (serde_json::json!({ "algorithm": "RS256", "public_key_file": key("rsa.public.pem") }), key("rsa.private.pem"))
}

/// Signing takes far longer than checking, so that it is done beforehand and not counted.
fn make_tokens(number: u32, file: &str) {
    let (jwt, private) = rs256();
    let one = |number: u32| material::token(&jwt, Some(&private), &[&format!("members:{number}")]);
    fs::write(file, (0..number).map(one).collect::<Vec<_>>().join("\n")).unwrap();
}

/// Every token of the file is known; each pass looks at another one.
fn token_of_many(times: u32, file: &str) {
    let authenticator = material::authenticator(&rs256().0, 20_000);
    let text = fs::read_to_string(file).unwrap();
    let heads: Vec<_> = text.lines().map(material::browser).collect();
    heads.iter().for_each(|head| drop(material::caller(&authenticator, &head.headers)));
    assert_eq!(authenticator.remembered().entries, heads.len());
    for head in heads.iter().cycle().take(times as usize) {
        black_box(material::caller(&authenticator, black_box(&head.headers)));
    }
    let remembered = authenticator.remembered();
    assert_eq!(remembered.misses, heads.len() as u64, "none was verified twice");
}

/// What `inject` does beside its work.
fn copy(times: u32) {
    let head = material::browser(&caller().1);
    for _ in 0..times {
        black_box(black_box(&head.headers).clone());
    }
}

fn inject(times: u32) {
    let (authenticator, token) = caller();
    let head = material::browser(&token);
    let identity = material::caller(&authenticator, &head.headers);
    for _ in 0..times {
        let mut headers = black_box(&head.headers).clone();
        speak_for(&mut headers, Some(&*identity), authenticator.protected(), Word::IsNothing);
        black_box(headers);
    }
}

fn log(times: u32) {
    let log = AccessLog::start(io::sink()).unwrap();
    let line = material::line();
    for _ in 0..times {
        log.write(black_box(&line));
    }
}
