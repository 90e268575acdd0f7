use super::{MatchConfig, Miss, PatternError};
use http::{HeaderMap, HeaderName};
use std::{borrow::Cow, cmp::Reverse};

/// `headers:` and `query:` of a `match:`: what must hold beside host, path and method.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Conditions {
    headers: Box<[(Box<str>, Wanted)]>,
    query: Box<[(Box<str>, Wanted)]>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    /// `"*"`.
    Anything,
    Exactly(Box<str>),
}

impl Wanted {
    fn read(text: &str) -> Self {
        if text == "*" { Self::Anything } else { Self::Exactly(text.into()) }
    }

    fn accepts(&self, found: &[u8]) -> bool {
        match self {
            Self::Anything => true,
            Self::Exactly(text) => text.as_bytes() == found,
        }
    }
}

impl Conditions {
    pub(super) fn parse(config: &MatchConfig) -> Result<Self, PatternError> {
        let header = |(name, value): (&String, &String)| {
            // As they arrive: names in small letters.
            let known = HeaderName::from_bytes(name.as_bytes());
            let wrong =
                |_| PatternError::new(format!("headers/{name}"), "not a header name; use letters, digits and -");
            known.map(|known| (known.as_str().into(), Wanted::read(value))).map_err(wrong)
        };
        Ok(Self {
            headers: config.headers.iter().map(header).collect::<Result<_, _>>()?,
            query: config.query.iter().map(|(name, value)| (name.as_str().into(), Wanted::read(value))).collect(),
        })
    }

    /// Whether all of them hold, or the first that does not.
    pub(super) fn check(&self, headers: &HeaderMap, query: Option<&str>) -> Result<(), Miss> {
        for (name, wanted) in &self.headers {
            if !headers.get_all(&**name).iter().any(|value| wanted.accepts(value.as_bytes())) {
                return Err(Miss::Header(name.clone()));
            }
        }
        for (name, wanted) in &self.query {
            let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
            let holds = |(key, value): (Cow<'_, str>, Cow<'_, str>)| key == **name && wanted.accepts(value.as_bytes());
            if !pairs.any(holds) {
                return Err(Miss::Query(name.clone()));
            }
        }
        Ok(())
    }

    /// Smaller is more specific: more headers, exact ones, more parameters, exact ones.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        let exact = |list: &[(Box<str>, Wanted)]| {
            list.iter().filter(|(_, wanted)| matches!(wanted, Wanted::Exactly(_))).count()
        };
        (
            Reverse(self.headers.len()),
            Reverse(exact(&self.headers)),
            Reverse(self.query.len()),
            Reverse(exact(&self.query)),
        )
    }
}
