//! One line of the access log.

use serde::{Serialize, Serializer};
use std::time::{Duration, SystemTime};

/// Longest path that is logged, in bytes: a line stays below the 4,096 bytes that a pipe takes in one piece (PIPE_BUF).
const LONGEST_PATH: usize = 1024;

/// Longest name of a user that is logged, in bytes.
const LONGEST_NAME: usize = 256;

/// One request. The names and their meaning are a contract with those who read the log (spec section 1).
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// When the line was written: RFC 3339, UTC, milliseconds.
    #[serde(serialize_with = "rfc3339")]
    pub timestamp: SystemTime,
    /// Operators grep for `ERROR`.
    pub level: Level,
    /// Always `api-gateway`.
    pub service: &'static str,
    /// Begins with `req-` where the gateway made it.
    pub request_id: &'a str,
    /// As the caller wrote it.
    #[serde(serialize_with = "name")]
    pub method: &'a str,
    /// As normalised, without query; as sent where it could not be normalised.
    #[serde(serialize_with = "path")]
    pub path: &'a str,
    /// `sub` of the token, as a text.
    #[serde(serialize_with = "optional_name")]
    pub user_id: Option<&'a str>,
    /// `username` of the token.
    #[serde(serialize_with = "optional_name")]
    pub username: Option<&'a str>,
    /// From the head of the request to the end of the answer, in whole milliseconds: `150ms`.
    #[serde(serialize_with = "milliseconds")]
    pub response_time: Duration,
    /// What the caller saw; 499 where the caller left first.
    pub status_code: u16,
    /// The service's log name. `null`: no service was chosen.
    pub target_service: Option<&'a str>,
    /// The route's name. `null`: none matched.
    pub route: Option<&'a str>,
    /// The endpoint of the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<&'a str>,
    /// How many endpoints were asked.
    pub attempts: u8,
    /// Address of the caller, behind trusted proxies the one they name.
    pub client: std::net::IpAddr,
    /// Why the gateway said no: a code of docs/errors.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What an operator should know beyond the code: the nearest route of a 404, the timeout that struck.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_name")]
    pub reason: Option<&'a str>,
    /// What a check in `mode: observe` would have refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<&'static str>,
}

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// All is as it should be, refusals of the caller's making included.
    Info,
    /// A caller is over a limit.
    Warn,
    /// The answer was a server error.
    Error,
}

impl Level {
    /// The level of an answer with this status (spec section 1).
    pub fn of(status: u16) -> Self {
        match status {
            500.. => Self::Error,
            429 => Self::Warn,
            _ => Self::Info,
        }
    }
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}ms", duration.as_millis()))
}

fn path<S: Serializer>(path: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(cut(path, LONGEST_PATH))
}

fn name<S: Serializer>(name: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(cut(name, LONGEST_NAME))
}

fn optional_name<S: Serializer>(optional: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    optional.map(|text| cut(text, LONGEST_NAME)).serialize(serializer)
}

/// The first `at_most` bytes, or a few less where a character would be cut.
fn cut(text: &str, at_most: usize) -> &str {
    text.get(..text.floor_char_boundary(at_most)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_fields_and_values_of_the_contract() {
        let wide = "가".repeat(1000);
        let line = Line {
            timestamp: SystemTime::UNIX_EPOCH + Duration::from_millis(1_735_689_600_123),
            level: Level::of(503),
            service: "api-gateway",
            request_id: "req-1",
            method: "GET",
            path: &wide,
            user_id: Some("7"),
            username: Some("홍\"길동"),
            response_time: Duration::from_micros(150_900),
            status_code: 503,
            target_service: Some("member-service"),
            route: Some("members"),
            endpoint: None,
            attempts: 1,
            client: [192, 0, 2, 1].into(),
            code: Some("no_endpoint"),
            reason: None,
            observed: None,
        };
        let text = serde_json::to_string(&line).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["timestamp"], "2025-01-01T00:00:00.123Z");
        assert_eq!((&value["level"], &value["response_time"]), (&"ERROR".into(), &"150ms".into()));
        assert_eq!((&value["status_code"], &value["user_id"]), (&503.into(), &"7".into()));
        assert_eq!(value["username"], "홍\"길동");
        assert_eq!(value["path"].as_str().unwrap().len(), 1023);
        assert!(text.len() < 4096 && !text.contains("endpoint\":"), "{text}");
        assert_eq!([Level::of(200), Level::of(404), Level::of(429)], [Level::Info, Level::Info, Level::Warn]);
    }
}
