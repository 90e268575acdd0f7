use std::collections::HashSet;

/// The origins whose pages may read answers.
#[derive(Debug)]
pub(super) struct Origins {
    /// `*`.
    pub(super) any: bool,
    exact: HashSet<Box<str>>,
    subdomains: Box<[Subdomains]>,
}

/// `https://*.example.com:8443`, taken apart at the `*`.
#[derive(Debug)]
struct Subdomains {
    scheme: Box<str>,
    rest: Box<str>,
}

impl Origins {
    /// Understand a list, or say which entry is wrong and why.
    pub(super) fn parse(list: &[String]) -> Result<Self, (usize, String)> {
        let mut origins = Self { any: false, exact: HashSet::new(), subdomains: Box::new([]) };
        let mut subdomains = Vec::new();
        for (at, text) in list.iter().enumerate() {
            let origin = text.to_ascii_lowercase();
            if origin == "*" {
                origins.any = true;
                continue;
            }
            let (scheme, authority) = parts(&origin).ok_or_else(|| (at, wrong(text)))?;
            match authority.strip_prefix('*') {
                Some(rest) => subdomains.push(Subdomains { scheme: scheme.into(), rest: rest.into() }),
                None => _ = origins.exact.insert(origin.as_str().into()),
            }
        }
        origins.subdomains = subdomains.into();
        Ok(origins)
    }

    /// Whether a page of `origin` may read answers. Browsers write origins in small letters.
    pub(super) fn contain(&self, origin: &str) -> bool {
        self.any || self.exact.contains(origin) || self.subdomains.iter().any(|domain| domain.contains(origin))
    }
}

impl Subdomains {
    fn contains(&self, origin: &str) -> bool {
        let middle = origin.strip_prefix(&*self.scheme).and_then(|rest| rest.strip_suffix(&*self.rest));
        // Only names: nothing that another reader could take for the end of the host.
        let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        middle.is_some_and(|middle| !middle.is_empty() && middle.bytes().all(name))
    }
}

/// Scheme with `://`, and the rest: a host that may begin with `*.`, and perhaps a port.
fn parts(origin: &str) -> Option<(&str, &str)> {
    let at = origin.find("://")? + 3;
    let (scheme, authority) = origin.split_at_checked(at)?;
    let bare = authority.strip_prefix("*.").unwrap_or(authority);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]_".contains(&byte);
    let scheme_fits = scheme.bytes().next().is_some_and(|first| first.is_ascii_alphabetic());
    // As browsers write it: without the port that the scheme means anyway.
    let port_fits =
        !((scheme == "https://" && bare.ends_with(":443")) || (scheme == "http://" && bare.ends_with(":80")));
    (scheme_fits && port_fits && !bare.is_empty() && bare.bytes().all(plain)).then_some((scheme, authority))
}

fn wrong(text: &str) -> String {
    match text {
        "null" => "many pages of strangers have the origin null; name the page's real origin".to_owned(),
        _ => format!("{text:?} is not an origin; write https://portal.example, without path, slash and default port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_whole() {
        let list = ["https://a.example", "https://*.b.example", "http://localhost:5173", "https://*.c.example:8443"];
        let origins = Origins::parse(&list.map(str::to_owned)).unwrap();
        for origin in [
            "https://a.example",
            "https://x.b.example",
            "https://y.x.b.example",
            "http://localhost:5173",
            "https://x.c.example:8443",
        ] {
            assert!(origins.contain(origin), "{origin}");
        }
        for origin in [
            "",
            "null",
            "http://a.example",
            "HTTPS://A.Example",
            "https://a.example:8443",
            "https://a.example.evil",
            "https://xa.example",
            "https://b.example",
            "https://xb.example",
            "https://.b.example.evil",
            "https://evil/.b.example",
            "https://evil#.b.example",
            "https://evil@x.b.example",
            "http://localhost:5174",
            "https://x.c.example",
        ] {
            assert!(!origins.contain(origin), "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_its_place() {
        for text in [
            "a.example",
            "https://",
            "https://a/",
            "https://a/x",
            "null",
            "https://a.*.b",
            "https://*",
            "https://a:443",
            "https://a b",
        ] {
            assert_eq!(Origins::parse(&["*".to_owned(), text.to_owned()]).unwrap_err().0, 1, "{text}");
        }
    }
}
