use super::TimeoutsConfig;
use crate::types::Span;
use std::time::Duration;

/// How long the parts of one request may take: what the route, else its service, else the top level says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To establish a connection.
    pub connect: Duration,
    /// From the end of the request to the response header, in one attempt. `None`: as long as `request` allows.
    pub attempt: Option<Duration>,
    /// The same over all attempts.
    pub request: Duration,
    /// Between two bytes of a body, in either direction.
    pub idle: Duration,
    /// From the head of the request to the last byte of its answer; not for streams. `None`: as long as it takes.
    pub total: Option<Duration>,
    /// Life of a stream, from its first head. `None`: as long as both sides like.
    pub max_stream_age: Option<Duration>,
}

impl Timeouts {
    /// Longest wait for a response header in one attempt.
    pub fn header(&self) -> Duration {
        self.attempt.map_or(self.request, |attempt| attempt.min(self.request))
    }

    /// The most particular word on each of them, else the defaults of the file's reference.
    pub fn resolve(general: &TimeoutsConfig, service: &TimeoutsConfig, route: &TimeoutsConfig) -> Self {
        let word = |of: fn(&TimeoutsConfig) -> Option<Span>| {
            of(route).or_else(|| of(service)).or_else(|| of(general)).map(Span::get)
        };
        Self {
            connect: word(|timeouts| timeouts.connect).unwrap_or(Duration::from_secs(10)),
            attempt: word(|timeouts| timeouts.attempt),
            request: word(|timeouts| timeouts.request).unwrap_or(Duration::from_secs(30)),
            idle: word(|timeouts| timeouts.idle).unwrap_or(Duration::from_secs(60)),
            total: word(|timeouts| timeouts.total),
            max_stream_age: word(|timeouts| timeouts.max_stream_age),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_goes_before_the_service_and_the_service_before_the_file() {
        let of = |text: &str| serde_yaml::from_str::<TimeoutsConfig>(text).unwrap();
        let general = of("{ connect: 1s, request: 2s, attempt: 3s, total: 7s }");
        let timeouts = Timeouts::resolve(&general, &of("{ request: 4s, attempt: 5s }"), &of("{ attempt: 6s }"));
        let seconds =
            [timeouts.connect, timeouts.request, timeouts.attempt.unwrap(), timeouts.idle].map(|time| time.as_secs());
        assert_eq!(seconds, [1, 4, 6, 60]);
        assert_eq!((timeouts.total, timeouts.max_stream_age), (Some(Duration::from_secs(7)), None));
    }
}
