use super::ConfigError;
use std::{collections::HashMap, fmt, sync::Arc};

/// Where something stands in a file. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub(super) file: Arc<str>,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// From JSON pointers to places. Kept until the snapshot is compiled, whose own errors name places too.
#[derive(Clone, Debug)]
pub struct SourceMap {
    name: Arc<str>,
    places: HashMap<String, Place>,
}

impl SourceMap {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), places: HashMap::new() }
    }

    /// What was read: a file, a folder, or the variable `EDGEWAY_CONFIG`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The place of the value or key that `pointer` names, or of the nearest thing around it.
    pub fn place(&self, pointer: &str) -> Place {
        match (self.places.get(pointer), pointer.rsplit_once('/')) {
            (Some(place), _) => place.clone(),
            (None, Some((parent, _))) => self.place(parent),
            (None, None) => self.at(1, 1),
        }
    }

    pub(crate) fn error(&self, pointer: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError { place: self.place(pointer), path: readable(pointer), reason: reason.into() }
    }

    pub(super) fn at(&self, line: usize, column: usize) -> Place {
        Place { file: self.name.clone(), line, column }
    }

    pub(super) fn insert(&mut self, pointer: &str, place: Place) {
        self.places.insert(pointer.to_owned(), place);
    }

    /// Take in the places of another file. What both have stays where it was seen first.
    pub(super) fn absorb(&mut self, other: Self) {
        for (pointer, place) in other.places {
            self.places.entry(pointer).or_insert(place);
        }
    }
}

/// `pointer` with one step more, escaped as RFC 6901 (section 3) asks for.
pub(super) fn below(pointer: &str, key: &str) -> String {
    let mut below = String::with_capacity(pointer.len() + 1 + key.len());
    below.push_str(pointer);
    below.push('/');
    if key.contains(['~', '/']) {
        below.push_str(&key.replace('~', "~0").replace('/', "~1"));
    } else {
        below.push_str(key);
    }
    below
}

/// `/routes/0/match` as an operator would say it: `routes[0].match`.
fn readable(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        match part.parse::<usize>() {
            Ok(index) => path.push_str(&format!("[{index}]")),
            Err(_) if path.is_empty() => path.push_str(&part),
            Err(_) => path.push_str(&format!(".{part}")),
        }
    }
    if path.is_empty() { "file".to_owned() } else { path }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}
