//! Text to values that remember where they stood.

use super::{
    ConfigError, SourceMap,
    interpolate::{Variables, fill},
    source_map::below,
};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// How deep values may lie within each other: reading is recursive, and no section comes near it.
const DEEPEST: usize = 32;

/// A file that was read: its values, their places, and what came from variables.
pub(super) struct Tree {
    pub(super) value: Value,
    pub(super) sources: SourceMap,
    /// Pointers of scalars that a variable had a part in. What they hold is shown to nobody.
    pub(super) from_variables: HashSet<String>,
    /// Pointers that count as not given because their variables, named here, are not set.
    pub(super) not_given: HashMap<String, Vec<String>>,
    pub(super) errors: Vec<ConfigError>,
    /// Whether the syntax ended the reading: what is missing then is no error.
    pub(super) broken: bool,
}

impl Tree {
    /// Read `text`. What is wrong is collected in `errors`; a broken syntax ends the reading. Lists that an earlier
    /// file began are counted on from `begun`.
    pub(super) fn read(text: &str, file: &str, variables: Variables<'_>, begun: &HashMap<&str, usize>) -> Self {
        let tree = Self {
            value: Value::Null,
            sources: SourceMap::new(file),
            from_variables: HashSet::new(),
            not_given: HashMap::new(),
            errors: Vec::new(),
            broken: false,
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut builder = Builder { parser: Parser::new_from_str(text), variables, begun, tree };
        match builder.document() {
            Ok(value) => builder.tree.value = value,
            Err(error) => {
                let line = text.lines().nth(error.marker().line().saturating_sub(1)).unwrap_or_default();
                let hint = if line.contains("${") { "; between { } a ${NAME} needs quotes: \"${NAME}\"" } else { "" };
                builder.wrong(*error.marker(), "", format!("not YAML: {}{hint}", error.info()));
                builder.tree.broken = true;
            }
        }
        builder.tree
    }

    /// Whether a variable had a part in the value or in the one around it.
    pub(super) fn is_from_variables(&self, pointer: &str) -> bool {
        self.from_variables.contains(pointer)
            || pointer.rsplit_once('/').is_some_and(|(around, _)| self.from_variables.contains(around))
    }
}

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    variables: Variables<'t>,
    begun: &'t HashMap<&'t str, usize>,
    tree: Tree,
}

impl<'t> Builder<'t> {
    fn document(&mut self) -> Result<Value, ScanError> {
        let mut value = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(value.unwrap_or_default()),
                (Event::StreamStart | Event::DocumentEnd | Event::Nothing, _) => (),
                (Event::DocumentStart(_), span) if value.is_some() => {
                    return Err(ScanError::new_str(span.start, "a second document begins; keep one per file"));
                }
                (Event::DocumentStart(_), _) => (),
                (event, span) => value = self.value(event, span, "", 0)?,
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), ScanError> {
        self.parser.next_event().unwrap_or_else(|| Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))))
    }

    /// `None`: counts as not given.
    fn value(&mut self, event: Event<'t>, span: Span, pointer: &str, depth: usize) -> Result<Option<Value>, ScanError> {
        let place = self.tree.sources.at(span.start.line(), span.start.col() + 1);
        self.tree.sources.insert(pointer, place);
        if depth > DEEPEST {
            return Err(ScanError::new_str(span.start, "values lie too deep within each other"));
        }
        self.refuse_marks(&event, span.start, pointer);
        match event {
            Event::MappingStart(..) => self.mapping(pointer, depth).map(Some),
            Event::SequenceStart(..) => self.sequence(pointer, depth).map(Some),
            Event::Scalar(text, style, ..) => Ok(self.scalar(&text, style, span.start, pointer)),
            _ => Ok(Some(Value::Null)),
        }
    }

    fn mapping(&mut self, pointer: &str, depth: usize) -> Result<Value, ScanError> {
        let mut map = Map::new();
        let mut seen = HashSet::new();
        loop {
            let (key, at) = match self.next()? {
                (Event::MappingEnd | Event::StreamEnd, _) => return Ok(map.into()),
                (Event::Scalar(key, ..), span) => (key.into_owned(), span.start),
                (_, span) => return Err(ScanError::new_str(span.start, "a key is a plain word")),
            };
            let here = below(pointer, &key);
            let (event, span) = self.next()?;
            let value = self.value(event, span, &here, depth + 1)?;
            if !seen.insert(key.clone()) {
                self.wrong(at, &here, "this key is there twice; keep one".to_owned());
            }
            // What has a key is found by its key.
            let place = self.tree.sources.at(at.line(), at.col() + 1);
            self.tree.sources.insert(&here, place);
            if let Some(value) = value {
                map.insert(key, value);
            }
        }
    }

    fn sequence(&mut self, pointer: &str, depth: usize) -> Result<Value, ScanError> {
        let first = self.begun.get(pointer).copied().unwrap_or(0);
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd | Event::StreamEnd, _) => return Ok(list.into()),
                (event, span) => {
                    let here = format!("{pointer}/{}", first + list.len());
                    list.extend(self.value(event, span, &here, depth + 1)?);
                }
            }
        }
    }

    /// Interpolated after parsing: whatever a variable holds, it stays one scalar and cannot change the file.
    fn scalar(&mut self, text: &str, style: ScalarStyle, at: Marker, pointer: &str) -> Option<Value> {
        let filled = match fill(text, self.variables) {
            Ok(filled) => filled,
            Err(unfilled) => {
                self.wrong(at, pointer, unfilled.to_string());
                return Some(String::new().into());
            }
        };
        if filled.names.is_empty() {
            let is_plain = style == ScalarStyle::Plain && filled.text == text;
            return Some(if is_plain { plain(filled.text) } else { filled.text.into() });
        }
        if filled.whole && filled.text.is_empty() {
            self.tree.not_given.insert(pointer.to_owned(), filled.names);
            return None;
        }
        self.tree.from_variables.insert(pointer.to_owned());
        Some(filled.text.into())
    }

    /// Parts of YAML that make a file hard to read and places ambiguous.
    fn refuse_marks(&mut self, event: &Event<'t>, at: Marker, pointer: &str) {
        let (anchor, tag) = match event {
            Event::Alias(_) => (1, &None),
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => (*anchor, tag),
            _ => (0, &None),
        };
        if anchor > 0 {
            self.wrong(at, pointer, "anchors and aliases (& and *) are not read; repeat the value".to_owned());
        } else if tag.is_some() {
            self.wrong(at, pointer, "tags (!) are not read; write the value alone, or in quotes".to_owned());
        }
    }

    fn wrong(&mut self, at: Marker, pointer: &str, reason: String) {
        let place = self.tree.sources.at(at.line(), at.col() + 1);
        let error = self.tree.sources.error(pointer, reason);
        self.tree.errors.push(ConfigError { place, ..error });
    }
}

/// YAML 1.2 core schema, without its octal, hexadecimal and infinite numbers.
pub(super) fn plain(text: String) -> Value {
    match text.as_str() {
        "" | "~" | "null" => Value::Null,
        "true" => true.into(),
        "false" => false.into(),
        _ => number(&text).unwrap_or(text.into()),
    }
}

pub(super) fn number(text: &str) -> Option<Value> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return None;
    }
    let fraction = || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from);
    text.parse::<i64>().ok().map(Value::from).or_else(fraction)
}
