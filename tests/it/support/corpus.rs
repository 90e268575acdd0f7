//! The form of the files in `tests/corpus/`.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Cases that end alike, unless one says otherwise.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub group: String,
    /// For readers.
    #[serde(default, rename = "why")]
    _why: String,
    pub outcome: String,
    #[serde(default)]
    pub sees: Option<Lines>,
    #[serde(default)]
    pub body: Option<String>,
    #[serde(default)]
    pub lacks: Vec<String>,
    pub cases: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Entry {
    Bytes(String),
    More(More),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct More {
    pub send: String,
    pub outcome: Option<String>,
    pub sees: Option<Lines>,
    pub body: Option<String>,
    pub has: Vec<String>,
    pub lacks: Vec<String>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub enum Lines {
    One(String),
    Several(Vec<String>),
}

impl Entry {
    pub fn more(self) -> More {
        match self {
            Self::Bytes(send) => More { send, ..More::default() },
            Self::More(more) => more,
        }
    }
}

/// `{H}` is the Host line, `{x*9}` nine times x; inner ones first. A character is a byte.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut text = text.replace("{H}", "Host: gateway.test\r\n");
    let repeated = regex::Regex::new(r"(?s)\{([^{}]+)\*(\d+)\}").unwrap();
    while let Some(found) = repeated.captures(&text) {
        let times: usize = found[2].parse().unwrap();
        text = text.replacen(&found[0], &found[1].repeat(times), 1);
    }
    text.chars().map(|character| u8::try_from(character).unwrap()).collect()
}

/// First lines of requests, written in the same way.
pub fn lines(lines: Option<Lines>) -> Vec<String> {
    let lines = match lines {
        None => Vec::new(),
        Some(Lines::One(line)) => vec![line],
        Some(Lines::Several(lines)) => lines,
    };
    lines.iter().map(|line| String::from_utf8(bytes(line)).unwrap()).collect()
}
