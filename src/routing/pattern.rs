use super::{MatchConfig, conditions::Conditions, normal};
use http::Method;

/// A `match:` that was understood.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub(super) host: Host,
    pub(super) segments: Box<[Segment]>,
    /// Ends with `/*`: everything below is taken too.
    pub(super) prefix: bool,
    /// Empty: every method.
    pub(super) methods: Box<[Method]>,
    pub(super) conditions: Conditions,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Exact(Box<str>),
    /// `*.example.com`, kept as `.example.com`.
    Suffix(Box<str>),
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(Box<str>),
    /// `{name}`.
    Free(Box<str>),
}

/// What is wrong with a `match:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// Where, as a JSON pointer below `match`, without its first slash.
    pub key: String,
    /// What is wrong; what would be right.
    pub reason: String,
}

impl PatternError {
    pub(super) fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into() }
    }
}

impl Pattern {
    /// Understand one `match:`.
    ///
    /// # Errors
    /// Which key is wrong, and what would be right.
    pub fn parse(config: &MatchConfig) -> Result<Self, PatternError> {
        let wrong = |reason: String| PatternError::new("path", reason);
        let path = config.path.strip_prefix('/').ok_or_else(|| wrong("a path begins with /".to_owned()))?;
        let (path, prefix) = match path.strip_suffix('*') {
            None => (Some(path), false),
            Some("") => (None, true),
            Some(rest) => (Some(rest.strip_suffix('/').ok_or_else(|| wrong(star(&config.path)))?), true),
        };
        let written: Vec<&str> = path.into_iter().flat_map(|path| path.split('/')).collect();
        let last = written.len().saturating_sub(1);
        let open_end = |at: usize| at == last && !prefix;
        let segments = written.iter().enumerate().map(|(at, text)| segment(text, open_end(at)));
        let segments = segments.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        different_names(&segments).map_err(wrong)?;
        Ok(Self {
            host: host(config.host.as_deref())?,
            segments: segments.into(),
            prefix,
            methods: methods(&config.methods)?,
            conditions: Conditions::parse(config)?,
        })
    }

    /// The path in its normal form, as a configuration would write it: `/api/{id}/*`.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => path.extend(["/", text]),
                Segment::Free(name) => path.extend(["/{", name, "}"]),
            }
        }
        if self.prefix {
            path.push_str("/*");
        }
        path
    }

    /// Whether `path` begins with plain segments that are the pattern's own first ones; then how many.
    pub(super) fn literal_prefix(&self, path: &str) -> Option<usize> {
        let wanted: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let same = wanted.iter().zip(&self.segments).all(|(text, segment)| match segment {
            Segment::Literal(literal) => **literal == **text,
            Segment::Free(_) => false,
        });
        (same && wanted.len() <= self.segments.len()).then_some(wanted.len())
    }

    /// The place of the segment called `name`.
    pub(super) fn place_of(&self, name: &str) -> Option<usize> {
        self.segments.iter().position(|segment| matches!(segment, Segment::Free(free) if **free == *name))
    }

    /// The names of the free segments, for error messages.
    pub(super) fn names(&self) -> Vec<&str> {
        let names = self.segments.iter().filter_map(|segment| match segment {
            Segment::Free(name) => Some(&**name),
            Segment::Literal(_) => None,
        });
        names.collect()
    }
}

fn star(path: &str) -> String {
    format!("* stands for whole segments, at the end; write {:?}", format!("{}/*", path.trim_end_matches(['*', '/'])))
}

/// `last`: an empty one is a slash at the end, which is a path of its own.
fn segment(text: &str, last: bool) -> Result<Segment, String> {
    if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let wrong = || format!("{text:?} is no name for a segment; use letters, digits and _, as in {{id}}");
        return fits.then(|| Segment::Free(name.into())).ok_or_else(wrong);
    }
    if text.is_empty() && last {
        return Ok(Segment::Literal("".into()));
    }
    if text.is_empty() || text == "." || text == ".." {
        return Err("never matches: paths are matched without empty and dot segments; take them out".to_owned());
    }
    if let Some(sign) = text.chars().find(|sign| "{}*?#\\\"<>^`|".contains(*sign) || sign.is_ascii_control()) {
        return Err(format!(
            "{sign:?} cannot stand in a segment; a segment is plain text or {{name}}, the last may be *"
        ));
    }
    literal(text).ok_or_else(|| format!("{text:?} never matches: its percent-encoding is broken or hides a slash"))
}

/// In the form that targets have: `회원` and `%ED%9A%8C%EC%9B%90` are the same.
fn literal(text: &str) -> Option<Segment> {
    let escaped = |byte: u8| match byte {
        b'%' => "%".to_owned(),
        byte if byte.is_ascii_graphic() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let path: String = std::iter::once("/".to_owned()).chain(text.bytes().map(escaped)).collect();
    let normal = normal::normalise(path.as_bytes()).ok().filter(|normal| !normal.encoded_slash)?;
    normal.path.strip_prefix('/').filter(|text| !text.is_empty()).map(|text| Segment::Literal(text.into()))
}

fn different_names(segments: &[Segment]) -> Result<(), String> {
    for (at, segment) in segments.iter().enumerate() {
        if let Segment::Free(name) = segment
            && segments.iter().skip(at + 1).any(|other| other == segment)
        {
            return Err(format!("two segments are called {{{name}}}; give each its own name"));
        }
    }
    Ok(())
}

fn methods(names: &[String]) -> Result<Box<[Method]>, PatternError> {
    let method = |(at, name): (usize, &String)| {
        let wrong = |reason| PatternError::new(format!("methods/{at}"), reason);
        let known = name.parse::<Method>().ok().filter(|_| name.bytes().all(|byte| byte.is_ascii_uppercase()));
        match known {
            Some(Method::CONNECT | Method::TRACE) => Err(wrong(format!("{name} is never forwarded; leave it out"))),
            Some(method) => Ok(method),
            None => Err(wrong(format!("no method is called {name:?}; write them in capitals, as GET"))),
        }
    };
    names.iter().enumerate().map(method).collect()
}

fn host(text: Option<&str>) -> Result<Host, PatternError> {
    let Some(text) = text else { return Ok(Host::Any) };
    let name = text.to_ascii_lowercase();
    let (suffix, bare) = match name.strip_prefix("*.") {
        Some(bare) => (true, bare),
        None => (false, name.as_str()),
    };
    let address = bare.starts_with('[') && bare.ends_with(']') && !suffix;
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte) || (address && b"[]:".contains(&byte));
    if bare.is_empty() || bare.ends_with('.') || !bare.bytes().all(plain) {
        let reason = "not a host; write api.example.com or *.example.com, without a port (names in punycode)";
        return Err(PatternError::new("host", reason));
    }
    Ok(if suffix { Host::Suffix(format!(".{bare}").into()) } else { Host::Exact(bare.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Pattern, PatternError> {
        Pattern::parse(&serde_yaml::from_str(text).unwrap())
    }

    #[test]
    fn paths_are_brought_into_the_form_that_targets_have() {
        let segments = |path: &str| parse(&format!("path: \"{path}\"")).unwrap().segments;
        let literal = |text: &str| Segment::Literal(text.into());
        assert_eq!(*segments("/a/{id}"), [literal("a"), Segment::Free("id".into())]);
        assert_eq!(*segments("/%7eA/회"), [literal("~A"), literal("%ED%9A%8C")]);
        assert_eq!(*segments("/a/"), [literal("a"), literal("")]);
        assert_eq!(*segments("/a/*"), [literal("a")]);
        assert!(segments("/*").is_empty());
        for (path, normal) in
            [("/%68ealth", "/health"), ("/a/{id}/*", "/a/{id}/*"), ("/", "/"), ("/*", "/*"), ("/a/", "/a/")]
        {
            assert_eq!(parse(&format!("path: \"{path}\"")).unwrap().path(), normal);
        }
    }

    #[test]
    fn what_could_never_match_is_refused_with_its_key() {
        for (text, key) in [
            ("path: a", "path"),
            ("path: /a*", "path"),
            ("path: /a/*/b", "path"),
            ("path: /a//b", "path"),
            ("path: /a/../b", "path"),
            ("path: /a%2fb", "path"),
            ("path: /a%zz", "path"),
            ("path: \"/{}\"", "path"),
            ("path: \"/{a}/{a}\"", "path"),
            ("path: \"/x{a}\"", "path"),
            ("path: /a?b", "path"),
            ("{ path: /a, methods: [GET, get] }", "methods/1"),
            ("{ path: /a, methods: [TRACE] }", "methods/0"),
            ("{ path: /a, host: \"a:80\" }", "host"),
            ("{ path: /a, host: \"*\" }", "host"),
            ("{ path: /a, headers: { \"a b\": x } }", "headers/a b"),
        ] {
            assert_eq!(parse(text).map(|_| ()).unwrap_err().key, key, "{text}");
        }
    }
}
