use super::{Pattern, Target, template::Template};
use http::HeaderValue;

/// `to:` of a redirect, compiled.
#[derive(Debug)]
pub struct RedirectTo(Template);

impl RedirectTo {
    /// Compile one, for requests that `pattern` takes.
    ///
    /// # Errors
    /// What is wrong; what would be right.
    pub fn build(to: &str, pattern: &Pattern) -> Result<Self, String> {
        let template = Template::parse(to, &["path", "query"], pattern)?;
        let sample = template.literal_text();
        if !sample.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{to:?} is not an address; percent-encode what is not visible ASCII"));
        }
        if sample.starts_with('/') && !sample.starts_with("//") {
            return Ok(Self(template));
        }
        let (text, path_follows) = template.opening();
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // What comes from the request may only stand behind the whole host, or callers could choose it.
        match !host.is_empty() && (host.len() < rest.len() || path_follows || text.len() == sample.len()) {
            true => Ok(Self(template)),
            false => Err(format!("{to:?} is not an address with a host written out; write https://host/path or /path")),
        }
    }

    /// The value of `Location`.
    pub fn location(&self, target: &Target) -> HeaderValue {
        // A normalised path, its segments and a checked query are visible ASCII.
        HeaderValue::try_from(self.0.fill(target)).unwrap_or(HeaderValue::from_static("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::http::RequestHeader;

    fn build(to: &str) -> Result<RedirectTo, String> {
        let pattern = Pattern::parse(&serde_yaml::from_str("path: \"/old/{id}\"").unwrap()).unwrap();
        RedirectTo::build(to, &pattern)
    }

    #[test]
    fn a_redirect_carries_what_it_was_told_to() {
        let mut head = RequestHeader::build("GET", b"/old/7?x=1", None).unwrap();
        head.insert_header("host", "h").unwrap();
        let target = Target::normalise(&head).unwrap();
        for (to, location) in [
            ("https://new.example{path}{query}", "https://new.example/old/7?x=1"),
            ("/new/{id}", "/new/7"),
            ("{path}/", "/old/7/"),
            ("https://new.example/a?id={id}", "https://new.example/a?id=7"),
        ] {
            assert_eq!(build(to).unwrap().location(&target), location);
        }
    }

    #[test]
    fn what_is_no_address_or_lets_callers_choose_the_host_is_refused() {
        for to in
            ["", "new", "//evil", "https://{id}/", "https://a.{id}", "ftp://a/", "/a b", "/{nr}", "/{id", "https:///x"]
        {
            assert!(build(to).is_err(), "{to}");
        }
    }
}
