use std::fmt;

/// What a part of an expression is, as far as it is known before a request comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Known only when it is looked at: a claim, and what is made of one.
    Any,
    /// The entries of `[]`: fits everywhere.
    Nothing,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Null,
    List(Box<Kind>),
    /// From texts to values.
    Map(Box<Kind>),
    /// `request.headers` and `request.query`: texts by name, and nothing else can be asked of them.
    Table(Table),
    /// `claims`.
    Claims,
    /// `request`, `consumer`, `route`: only their fields are values.
    Group(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Headers,
    Query,
}

/// The groups with their fields.
pub(super) const FIELDS: [(&str, &[&str]); 3] = [
    ("request", &["method", "path", "host", "scheme", "query", "headers", "client"]),
    ("consumer", &["id", "roles", "permissions"]),
    ("route", &["id", "service"]),
];

/// Every name that stands at the beginning.
pub(super) const ROOTS: [&str; 5] = ["request", "claims", "consumer", "route", "now"];

impl Kind {
    /// Of a name at the beginning.
    pub(super) fn of_root(name: &str) -> Option<Self> {
        match name {
            "claims" => Some(Self::Claims),
            "now" => Some(Self::Int),
            _ => FIELDS.iter().find(|(group, _)| *group == name).map(|(group, _)| Self::Group(group)),
        }
    }

    /// Of a field of a group; it is one of [`FIELDS`].
    pub(super) fn of_field(group: &str, field: &str) -> Self {
        match (group, field) {
            ("request", "headers") => Self::Table(Table::Headers),
            ("request", "query") => Self::Table(Table::Query),
            ("consumer", "roles" | "permissions") => Self::list(Self::Text),
            _ => Self::Text,
        }
    }

    pub(super) fn list(entries: Self) -> Self {
        Self::List(Box::new(entries))
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Whether it may turn out to be `other`.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        matches!(self, Self::Any | Self::Nothing) || self == other
    }

    /// Whether it is a value by itself, which can be compared and handed on.
    pub(super) fn is_value(&self) -> bool {
        !matches!(self, Self::Table(_) | Self::Claims | Self::Group(_))
    }

    /// Whether the two may be equal: of different kinds they never are.
    pub(super) fn may_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any | Self::Nothing, _) | (_, Self::Any | Self::Nothing) => true,
            (Self::List(one), Self::List(other)) | (Self::Map(one), Self::Map(other)) => one.may_equal(other),
            _ => self == other || (self.is_number() && other.is_number()),
        }
    }

    /// What holds both, as the two branches of a choice or the entries of a list.
    pub(super) fn with(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Nothing, kind) | (kind, Self::Nothing) => Some(kind),
            (Self::Any, kind) | (kind, Self::Any) if kind.is_value() => Some(Self::Any),
            (Self::List(one), Self::List(other)) => one.with(*other).map(Self::list),
            (Self::Map(one), Self::Map(other)) => one.with(*other).map(|kind| Self::Map(Box::new(kind))),
            (one, other) => (one == other && one.is_value()).then_some(one),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any | Self::Nothing => "anything",
            Self::Bool => "true or false",
            Self::Int | Self::Uint => "a whole number",
            Self::Double => "a number",
            Self::Text => "a text",
            Self::Bytes => "bytes",
            Self::Null => "null",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Table(Table::Headers) => "the headers",
            Self::Table(Table::Query) => "the query",
            Self::Claims => "all claims",
            Self::Group(name) => name,
        })
    }
}
