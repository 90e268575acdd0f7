//! The variables that a configuration may name: the process's, then those of `.env` in the working directory.

use super::{ConfigError, SourceMap};
use std::{collections::HashMap, env, fs, io};

const FILE: &str = ".env";

/// What `.env` holds. The process's own variables are not copied: they win, and are looked up.
pub(super) struct Environment {
    file: HashMap<String, String>,
}

impl Environment {
    /// Read `.env`, if there is one.
    pub(super) fn read() -> Result<Self, ConfigError> {
        match fs::read_to_string(FILE) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { file: HashMap::new() }),
            Err(error) => Err(SourceMap::new(FILE).error("", format!("{error}; make it readable, or remove it"))),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let file = dotenvy::from_read_iter(text.as_bytes()).collect::<Result<_, _>>();
        file.map(|file| Self { file }).map_err(|error| broken(text, &error))
    }

    /// The value of a variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let own = env::var(name).ok().filter(|value| !value.is_empty());
        own.or_else(|| self.file.get(name).cloned())
    }
}

/// Without the line itself: it may well hold a secret.
fn broken(text: &str, error: &dotenvy::Error) -> ConfigError {
    let mut sources = SourceMap::new(FILE);
    if let dotenvy::Error::LineParse(wrong, _) = error {
        let first = wrong.lines().next().unwrap_or_default().trim();
        // The library tells what it could not read, and not where: the line, or the value at its end.
        let line = text.lines().position(|line| line.trim().ends_with(first)).map_or(1, |index| index + 1);
        let place = sources.at(line, 1);
        sources.insert("", place);
    }
    sources.error("", "not a line of NAME=value; put values with spaces, # or $ in single quotes")
}
