//! `${NAME}` and `${NAME:-default}` in one scalar.

/// Looks up a variable of the environment.
pub(super) type Variables<'v> = &'v dyn Fn(&str) -> Option<String>;

/// A scalar with its variables filled in.
pub(super) struct Filled {
    pub(super) text: String,
    /// The variables it names, in order; those of a default only where the default was needed.
    pub(super) names: Vec<String>,
    /// Whether the scalar was one `${…}` and nothing else.
    pub(super) whole: bool,
}

/// Why a scalar could not be filled in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfilled {
    #[error("variable {0} is not set; set it, or write ${{{0}:-default}}")]
    Missing(String),
    #[error("${{ without }}; close it, or write $${{ for a plain ${{")]
    Open,
    #[error("not the name of a variable in ${{…}}; use letters, digits and _, or write $${{ for a plain ${{")]
    Name,
}

/// Replace `${NAME}` and `${NAME:-default}`; an empty variable counts as not set, `$${` is a plain `${`.
pub(super) fn fill(text: &str, variables: Variables<'_>) -> Result<Filled, Unfilled> {
    let mut filler = Filler { variables, names: Vec::new() };
    let whole = text.strip_prefix("${").and_then(closed).is_some_and(|(_, after)| after.is_empty());
    let text = filler.text(text)?;
    Ok(Filled { text, names: filler.names, whole })
}

struct Filler<'v> {
    variables: Variables<'v>,
    names: Vec<String>,
}

impl Filler<'_> {
    fn text(&mut self, text: &str) -> Result<String, Unfilled> {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, inside)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = inside;
                continue;
            }
            let (reference, after) = closed(inside).ok_or(Unfilled::Open)?;
            out.push_str(before);
            out.push_str(&self.reference(reference)?);
            rest = after;
        }
        Ok(out + rest)
    }

    /// What stands between the braces.
    fn reference(&mut self, reference: &str) -> Result<String, Unfilled> {
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_word) {
            return Err(Unfilled::Name);
        }
        self.names.push(name.to_owned());
        // Its content is not looked into: a secret may well hold `${`.
        match ((self.variables)(name).filter(|value| !value.is_empty()), default) {
            (Some(value), _) => Ok(value),
            (None, Some(default)) => self.text(default),
            (None, None) => Err(Unfilled::Missing(name.to_owned())),
        }
    }
}

/// Up to the brace that closes the reference, and what comes after it; references in its default are skipped.
fn closed(inside: &str) -> Option<(&str, &str)> {
    let (mut depth, mut before) = (0_usize, ' ');
    for (at, character) in inside.char_indices() {
        match (before, character, depth) {
            ('$', '{', _) => depth += 1,
            (_, '}', 0) => return Some((inside.get(..at)?, inside.get(at + 1..)?)),
            (_, '}', _) => depth -= 1,
            _ => (),
        }
        before = character;
    }
    None
}
