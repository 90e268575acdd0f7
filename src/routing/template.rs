//! Texts with `{name}` in them: what a rewrite or a redirect makes of a target.

use super::{Pattern, Target};

/// A text with places that a target fills.
#[derive(Debug)]
pub(super) struct Template(Box<[Part]>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    /// The segment at this place of the path.
    Segment(usize),
    Path,
    /// With its `?`; nothing where there is none.
    Query,
}

impl Template {
    /// Read a text. `words` are what may stand in braces beside the pattern's own names.
    pub(super) fn parse(text: &str, words: &[&str], pattern: &Pattern) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, inside)) = rest.split_once('{') {
            let (name, after) = inside.split_once('}').ok_or_else(|| format!("a brace is not closed in {text:?}"))?;
            parts.push(Part::Text(before.into()));
            parts.push(match (name, pattern.place_of(name)) {
                ("path", _) if words.contains(&"path") => Part::Path,
                ("query", _) if words.contains(&"query") => Part::Query,
                (_, Some(place)) => Part::Segment(place),
                _ => return Err(unknown(name, words, pattern)),
            });
            rest = after;
        }
        parts.push(Part::Text(rest.into()));
        parts.retain(|part| *part != Part::Text("".into()));
        Ok(Self(parts.into()))
    }

    /// The text with every place filled. A segment that is not there (it always is) leaves its place empty.
    pub(super) fn fill(&self, target: &Target) -> String {
        let mut text = String::with_capacity(target.path().len() + 64);
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Segment(place) => {
                    // The first piece is what stands before the first slash: nothing.
                    text.push_str(target.path().split('/').nth(place + 1).unwrap_or_default());
                }
                Part::Path => text.push_str(target.path()),
                Part::Query => {
                    if let Some(query) = target.query() {
                        text.push('?');
                        text.push_str(query);
                    }
                }
            }
        }
        text
    }

    /// The text before the first place, and whether the path follows it.
    pub(super) fn opening(&self) -> (&str, bool) {
        match &*self.0 {
            [Part::Text(text), rest @ ..] => (text, rest.first() == Some(&Part::Path)),
            rest => ("", rest.first() == Some(&Part::Path)),
        }
    }

    /// With something harmless in every place, to check the rest.
    pub(super) fn literal_text(&self) -> String {
        let sample = |part: &Part| match part {
            Part::Text(literal) => literal.to_string(),
            Part::Segment(_) => "x".to_owned(),
            Part::Path => "/x".to_owned(),
            Part::Query => String::new(),
        };
        self.0.iter().map(sample).collect()
    }
}

fn unknown(name: &str, words: &[&str], pattern: &Pattern) -> String {
    let known: Vec<String> = words.iter().copied().chain(pattern.names()).map(|name| format!("{{{name}}}")).collect();
    match known.is_empty() {
        true => format!("{{{name}}} is no segment of the route's path, which has no named ones"),
        false => format!("{{{name}}} is no segment of the route's path; known: {}", known.join(", ")),
    }
}
