//! What a 404 tells the operator, and nobody else.

use std::fmt;

/// Longest piece of a caller's path that is repeated, in bytes.
const LONGEST: usize = 64;

/// The route that came closest to a target.
#[derive(Debug, PartialEq, Eq)]
pub struct Near<'t, T> {
    /// What stands in the table.
    pub value: &'t T,
    /// Why it does not take the target.
    pub missed: Miss,
}

/// Why a route does not take a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The path leaves the route's at this segment.
    Segment(Box<str>),
    /// The path ends before the route's does.
    TooShort,
    /// The same path on another host.
    Host,
    /// A header is missing or has another value.
    Header(Box<str>),
    /// A query parameter is missing or has another value.
    Query(Box<str>),
}

impl Miss {
    pub(super) fn segment(text: &str) -> Self {
        Self::Segment(text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default().into())
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(text) => write!(f, "the path differs at {text:?}"),
            Self::TooShort => f.write_str("the path is shorter"),
            Self::Host => f.write_str("the host differs"),
            Self::Header(name) => write!(f, "header {name} is missing or differs"),
            Self::Query(name) => write!(f, "query parameter {name:?} is missing or differs"),
        }
    }
}
