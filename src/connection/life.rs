//! What a connection is beside its stream: its place, how old it is, how often it was used.

use super::door::Place;
use crate::types::Departure;
use http::StatusCode;
use pingora::{http::ResponseHeader, protocols::raw_connect::ProxyDigest, server::ShutdownWatch};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{sync::watch, time};

/// How long, and for how many requests, a connection of a caller is used. At its end it is closed politely, with the
/// answer to the request that is over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// `max_connection_age`. `None`: for ever.
    pub age: Option<Duration>,
    /// `max_requests_per_connection`. `None`: any number.
    pub requests: Option<u32>,
}

impl Lifetime {
    /// Whichever request it is, it is the last.
    pub const OVER: Self = Self { age: None, requests: Some(0) };

    /// Whether the request that is the `nth` of its connection (from 1), `after` its beginning, is the last one.
    pub(super) fn ends_with(self, nth: u32, after: impl FnOnce() -> Duration) -> bool {
        self.requests.is_some_and(|most| nth >= most) || self.age.is_some_and(|age| after() >= age)
    }

    pub(super) fn is_endless(self) -> bool {
        self.age.is_none() && self.requests.is_none()
    }
}

/// One connection. Outlives its guard where it lingers, and is all that a stream of HTTP/2 knows of its connection.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) place: Place,
    pub(super) departure: Arc<Departure>,
    pub(super) born: time::Instant,
    /// Streams of HTTP/2; the guard counts the requests of HTTP/1.1 by itself.
    streams: AtomicU32,
    /// What pingora takes for its shutdown, per connection: on HTTP/2 it says GOAWAY.
    ending: watch::Sender<bool>,
}

impl Life {
    pub(super) fn new(place: Place, departure: Arc<Departure>) -> Arc<Self> {
        let (born, ending) = (time::Instant::now(), watch::Sender::new(false));
        Arc::new(Self { place, departure, born, streams: AtomicU32::new(0), ending })
    }

    /// Hears [`Life::end`].
    pub(super) fn ending(&self) -> ShutdownWatch {
        self.ending.subscribe()
    }

    /// No request more, but everything that has begun to its end.
    pub(super) fn end(&self) {
        self.ending.send_if_modified(|ending| !std::mem::replace(ending, true));
    }

    /// One stream more: whether it is over `lifetime`.
    fn stream_began(&self, now: Instant, lifetime: Lifetime) -> bool {
        let nth = self.streams.fetch_add(1, Relaxed).saturating_add(1);
        lifetime.ends_with(nth, || now.saturating_duration_since(self.born.into_std()))
    }

    /// The same of a stream that knows it by `digest`; the connection is told to end.
    pub(super) fn ends_with_stream(digest: Option<&ProxyDigest>, now: Instant, lifetime: Lifetime) -> bool {
        let life = digest.and_then(|digest| digest.user_data.as_ref()?.downcast_ref::<Arc<Self>>());
        let Some(life) = life.filter(|life| life.stream_began(now, lifetime)) else { return false };
        life.end();
        true
    }

    /// In the one place of pingora's digest that holds what we like, so that each stream finds it.
    pub(super) fn digest(self: &Arc<Self>) -> Option<Arc<ProxyDigest>> {
        let response = ResponseHeader::build(StatusCode::OK, Some(0)).ok()?;
        Some(Arc::new(ProxyDigest::new(Box::new(response), Some(Box::new(self.clone())))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_last_by_its_number_or_by_its_time() {
        let seconds = Duration::from_secs;
        let (none, age) = (Lifetime { age: None, requests: None }, Some(seconds(10)));
        for (lifetime, nth, after, last) in [
            (none, u32::MAX, 1 << 40, false),
            (Lifetime { requests: Some(3), ..none }, 2, 99, false),
            (Lifetime { requests: Some(3), ..none }, 3, 0, true),
            (Lifetime { age, ..none }, 99, 9, false),
            (Lifetime { age, ..none }, 1, 10, true),
            (Lifetime { age, requests: Some(3) }, 3, 1, true),
            (Lifetime { age, requests: Some(3) }, 2, 11, true),
            (Lifetime { age, requests: Some(3) }, 2, 9, false),
            (Lifetime::OVER, 1, 0, true),
        ] {
            assert_eq!(lifetime.ends_with(nth, || seconds(after)), last, "{lifetime:?} {nth} {after}");
        }
        assert!(none.is_endless() && !Lifetime::OVER.is_endless());
    }
}
