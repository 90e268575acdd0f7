use super::{Pattern, RewriteConfig, Target, TargetError, template::Template};
use http::uri::PathAndQuery;

/// `rewrite:` of a route, compiled.
#[derive(Debug)]
pub enum Rewrite {
    /// Take the first segments off, and put this path in their place (empty: nothing).
    Prefix {
        /// How many.
        segments: usize,
        /// `/members`, or empty.
        with: Box<str>,
    },
    /// A whole new path.
    Path(PathTemplate),
}

/// A path with `{name}` in it.
#[derive(Debug)]
pub struct PathTemplate(Template);

impl Rewrite {
    /// Compile one, for requests that `pattern` takes.
    ///
    /// # Errors
    /// What is wrong; what would be right.
    pub fn build(config: &RewriteConfig, pattern: &Pattern) -> Result<Self, String> {
        match config {
            RewriteConfig::StripPrefix(prefix) => match pattern.literal_prefix(prefix.trim_end_matches('/')) {
                Some(segments) => Ok(Self::Prefix { segments, with: "".into() }),
                None => Err(format!("{prefix:?} is not how the route's own path begins; write whole segments of it")),
            },
            RewriteConfig::ReplacePrefix(with) => {
                if !pattern.prefix {
                    return Err("replace_prefix needs a path that ends with /*; use path".to_owned());
                }
                let with = plain_path(with)?.trim_end_matches('/').into();
                Ok(Self::Prefix { segments: pattern.segments.len(), with })
            }
            RewriteConfig::Path(text) => {
                let template = Template::parse(text, &[], pattern)?;
                plain_path(&template.literal_text())?;
                Ok(Self::Path(PathTemplate(template)))
            }
        }
    }

    /// What the service gets; the query stays.
    ///
    /// # Errors
    /// None that a compiled rewrite of a normalised target could cause.
    pub fn apply(&self, target: &Target) -> Result<PathAndQuery, TargetError> {
        let mut path = match self {
            Self::Prefix { segments, with } => [with, after(target.path(), *segments)].concat(),
            Self::Path(template) => template.0.fill(target),
        };
        if path.is_empty() {
            path.push('/');
        }
        if let Some(query) = target.query() {
            path.push('?');
            path.push_str(query);
        }
        PathAndQuery::try_from(path).map_err(|_| TargetError::Character)
    }
}

/// What follows the first `segments` segments: empty, or a slash and more.
fn after(path: &str, segments: usize) -> &str {
    match path.match_indices('/').nth(segments) {
        Some((at, _)) => path.get(at..).unwrap_or_default(),
        None => "",
    }
}

fn plain_path(text: &str) -> Result<&str, String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\\\"<>^`|{}".contains(&byte);
    match text.starts_with('/') && text.bytes().all(plain) && !text.contains("//") {
        true => Ok(text),
        false => Err(format!("{text:?} is not a path; begin it with / and percent-encode what is not ASCII")),
    }
}
