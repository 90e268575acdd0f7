use super::{crud::Record, reply::filled};
use serde::{Deserialize, Serialize};

/// Somebody of the company.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Member {
    #[serde(deserialize_with = "filled")]
    name: String,
    #[serde(deserialize_with = "filled")]
    email: String,
    #[serde(default)]
    department: Option<String>,
}

/// A company that buys.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Customer {
    #[serde(deserialize_with = "filled")]
    name: String,
    #[serde(default)]
    contact: Option<String>,
    #[serde(default)]
    phone: Option<String>,
}

/// An entry of the calendar.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Event {
    #[serde(deserialize_with = "filled")]
    title: String,
    #[serde(deserialize_with = "filled")]
    starts_at: String,
    #[serde(default)]
    place: Option<String>,
}

/// Something that all should know.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Notice {
    #[serde(deserialize_with = "filled")]
    title: String,
    #[serde(deserialize_with = "filled")]
    content: String,
    #[serde(default)]
    pinned: bool,
}

impl Record for Member {
    const PATH: &'static str = "/api/members";
    const NOUN: &'static str = "member";

    fn samples() -> Vec<Self> {
        let member = |(name, email, department): (&str, &str, &str)| Self {
            name: name.to_owned(),
            email: email.to_owned(),
            department: Some(department.to_owned()),
        };
        let all = [
            ("홍길동", "hong@portal.example", "개발팀"),
            ("김하늘", "kim@portal.example", "영업팀"),
            ("Ada Park", "ada@portal.example", "Operations"),
        ];
        all.map(member).into()
    }
}

impl Record for Customer {
    const PATH: &'static str = "/api/customers";
    const NOUN: &'static str = "customer";

    fn samples() -> Vec<Self> {
        let customer = |(name, contact, phone): (&str, &str, &str)| Self {
            name: name.to_owned(),
            contact: Some(contact.to_owned()),
            phone: Some(phone.to_owned()),
        };
        [("한빛상사", "이서연", "02-555-0101"), ("Harbour Foods", "Min Lee", "02-555-0102")].map(customer).into()
    }
}

impl Record for Event {
    const PATH: &'static str = "/api/calendar/events";
    const NOUN: &'static str = "event";

    fn samples() -> Vec<Self> {
        let event = |(title, starts_at, place): (&str, &str, &str)| Self {
            title: title.to_owned(),
            starts_at: starts_at.to_owned(),
            place: Some(place.to_owned()),
        };
        let all = [
            ("주간 회의", "2025-01-06T10:00:00+09:00", "회의실 A"),
            ("Release review", "2025-01-08T15:00:00+09:00", "Room B"),
        ];
        all.map(event).into()
    }
}

impl Record for Notice {
    const PATH: &'static str = "/api/notices";
    const NOUN: &'static str = "notice";

    fn samples() -> Vec<Self> {
        let notice = |(title, content, pinned): (&str, &str, bool)| Self {
            title: title.to_owned(),
            content: content.to_owned(),
            pinned,
        };
        let all = [
            ("시스템 점검 안내", "토요일 02:00부터 04:00까지 점검합니다.", true),
            ("New gateway", "All services are reached through Edgeway now.", false),
        ];
        all.map(notice).into()
    }
}
