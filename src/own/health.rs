//! The documents of `/health`, `/health/live` and `/health/ready`.

use crate::types::Reply;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// What the process knows about itself at one moment.
#[derive(Clone, Debug)]
pub struct State {
    /// Whether the process is about to end.
    pub leaving: bool,
    /// Of the configuration that serves; counts reloads, from 1.
    pub generation: u64,
    /// Each service by its name in the file.
    pub services: BTreeMap<String, ServiceState>,
}

/// What is known about one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// No probe has come back yet.
    Unknown,
    /// At least one endpoint answers; `None`: it is not probed.
    Healthy(Option<Duration>),
    /// None answers, and this is why: `connect`, `timeout`, `resolve`, …
    Unhealthy(&'static str),
}

/// `GET /health`: names and values are a contract (spec section 1).
#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    gateway: &'a str,
    timestamp: String,
    services: BTreeMap<&'a str, Service>,
    /// Beyond the contract, and last.
    generation: u64,
}

#[derive(Serialize)]
struct Service {
    status: &'static str,
    response_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

/// 200 whenever the process serves: orchestrators kill on anything else, and a dead service is no reason to die.
pub(super) fn health(name: &str, state: &State, now: SystemTime) -> Reply {
    let services: BTreeMap<_, _> = state.services.iter().map(|(id, state)| (id.as_str(), service(*state))).collect();
    let down = services.values().filter(|service| service.status == "unhealthy").count();
    let status = match down {
        0 => "healthy",
        all if all == services.len() => "unhealthy",
        _ => "degraded",
    };
    let timestamp = humantime::format_rfc3339_seconds(now).to_string();
    json(StatusCode::OK, &Health { status, gateway: name, timestamp, services, generation: state.generation })
}

fn service(state: ServiceState) -> Service {
    match state {
        ServiceState::Unknown => Service { status: "unknown", response_time: None, error: None },
        ServiceState::Healthy(time) => {
            let response_time = time.map(|time| format!("{}ms", time.as_millis()));
            Service { status: "healthy", response_time, error: None }
        }
        ServiceState::Unhealthy(why) => Service { status: "unhealthy", response_time: None, error: Some(why) },
    }
}

/// `GET /health/live`: the process serves. Never looks outside the process.
pub(super) fn live() -> Reply {
    json(StatusCode::OK, &serde_json::json!({ "status": "live" }))
}

/// `GET /health/ready`: whether new requests should come here.
pub(super) fn ready(state: &State) -> Reply {
    match state.leaving {
        false => json(StatusCode::OK, &serde_json::json!({ "status": "ready" })),
        true => json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({ "status": "draining" })),
    }
}

/// A document that is true for this moment only.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(value).unwrap_or_default();
    Reply::new(status, "application/json", body).header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(states: &[ServiceState], expected: &str) {
        let services = states.iter().enumerate().map(|(index, state)| (index.to_string(), *state)).collect();
        let reply = health("G", &State { leaving: false, generation: 1, services }, SystemTime::UNIX_EPOCH);
        let value: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, value["status"].as_str()), (StatusCode::OK, Some(expected)), "{states:?}");
    }

    #[test]
    fn the_sum_of_the_services_is_one_word() {
        use ServiceState::*;
        check(&[], "healthy");
        check(&[Unknown, Healthy(None)], "healthy");
        check(&[Unhealthy("connect"), Healthy(None)], "degraded");
        check(&[Unhealthy("connect"), Unhealthy("timeout")], "unhealthy");
    }

    #[test]
    fn the_document_is_the_one_of_the_contract() {
        let services = BTreeMap::from([
            ("auth".to_owned(), ServiceState::Healthy(Some(Duration::from_micros(15_900)))),
            ("member".to_owned(), ServiceState::Unhealthy("connect")),
        ]);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_689_600);
        let reply = health("TS Portal API Gateway", &State { leaving: false, generation: 1, services }, now);
        assert_eq!(
            reply.body,
            r#"{"status":"degraded","gateway":"TS Portal API Gateway","timestamp":"2025-01-01T00:00:00Z","services":{"auth":{"status":"healthy","response_time":"15ms"},"member":{"status":"unhealthy","response_time":null,"error":"connect"}},"generation":1}"#
        );
    }
}
