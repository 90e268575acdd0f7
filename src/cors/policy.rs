use super::{CorsConfig, origins::Origins};
use crate::types::Reply;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// Everything that a service might say about CORS itself; the gateway's policy replaces it.
pub const CORS_HEADERS: [HeaderName; 7] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    HeaderName::from_static("access-control-allow-private-network"),
];

/// A policy, with every header it sends made ready.
#[derive(Debug)]
pub struct Cors {
    origins: Origins,
    credentials: bool,
    methods: HeaderValue,
    /// `None`: whatever the page asks for.
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
}

/// What is wrong with a `cors:` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsError {
    /// Where, as a JSON pointer below the section, without its first slash.
    pub key: String,
    /// What is wrong; what would be right.
    pub reason: String,
}

impl Cors {
    /// Compile a section; `None` where it allows no origin.
    ///
    /// # Errors
    /// Which key, and what would be right.
    pub fn build(config: &CorsConfig) -> Result<Option<Self>, CorsError> {
        let wrong = |key: String, reason: String| CorsError { key, reason };
        let origins = Origins::parse(&config.allow_origins);
        let origins = origins.map_err(|(at, reason)| wrong(format!("allow_origins/{at}"), reason))?;
        if origins.any && config.allow_credentials {
            let reason = "any page could act as the user; list the origins, or leave allow_credentials out";
            return Err(wrong("allow_credentials".to_owned(), reason.to_owned()));
        }
        let any_header = config.allow_headers.iter().any(|name| name == "*");
        let headers = names("allow_headers", &config.allow_headers)?;
        let policy = Self {
            origins,
            credentials: config.allow_credentials,
            methods: methods(&config.allow_methods)?,
            headers: if any_header { None } else { headers },
            expose: names("expose_headers", &config.expose_headers)?,
            max_age: config.max_age.get().as_secs().into(),
        };
        Ok((!config.allow_origins.is_empty()).then_some(policy))
    }

    /// Whether the answer depends on who asks, so that caches must be told.
    pub fn varies(&self) -> bool {
        !self.origins.any
    }

    /// What an answer to this request carries: nothing where it comes from nowhere that is allowed.
    pub fn headers_for(&self, request: &HeaderMap) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let origin = self.allowed_origin(request);
        let credentials = origin.is_some() && self.credentials;
        let expose = self.expose.as_ref().filter(|_| origin.is_some()).cloned();
        let all = [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
            (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials.then_some(HeaderValue::from_static("true"))),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, expose),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    /// The answer to a preflight. Whether the method and the headers are allowed is the browser's to see.
    pub fn preflight(&self, request: &HeaderMap) -> Reply {
        let mut reply = Reply::empty(StatusCode::NO_CONTENT).header(
            header::VARY,
            HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        );
        if self.allowed_origin(request).is_none() {
            return reply;
        }
        reply = reply.header(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        let asked = || request.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        if let Some(headers) = self.headers.clone().or_else(asked) {
            reply = reply.header(header::ACCESS_CONTROL_ALLOW_HEADERS, headers);
        }
        reply.header(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone())
    }

    fn allowed_origin(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        let allowed = origin.to_str().is_ok_and(|text| self.origins.contain(text));
        match (allowed, self.origins.any) {
            (false, _) => None,
            (true, true) => Some(HeaderValue::from_static("*")),
            (true, false) => Some(origin.clone()),
        }
    }
}

/// The method that a preflight speaks for; `None` where the request is none (Fetch, "CORS-preflight request").
pub fn preflight_method(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if *method != Method::OPTIONS || !headers.contains_key(header::ORIGIN) {
        return None;
    }
    Method::from_bytes(headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

/// GET, HEAD and POST are always allowed (Fetch, "CORS-safelisted method"); named too, for people who look.
fn methods(names: &[String]) -> Result<HeaderValue, CorsError> {
    let mut all = vec!["GET", "HEAD", "POST"];
    for (at, name) in names.iter().enumerate() {
        if name.parse::<Method>().is_err() || !name.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let reason = format!("no method is called {name:?}; write them in capitals, as PUT");
            return Err(CorsError { key: format!("allow_methods/{at}"), reason });
        }
        if !all.contains(&name.as_str()) {
            all.push(name);
        }
    }
    value("allow_methods", &all)
}

fn names(key: &str, names: &[String]) -> Result<Option<HeaderValue>, CorsError> {
    for (at, name) in names.iter().enumerate() {
        if name != "*" && HeaderName::from_bytes(name.as_bytes()).is_err() {
            let reason = format!("{name:?} is not a header name; use letters, digits and -");
            return Err(CorsError { key: format!("{key}/{at}"), reason });
        }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if names.is_empty() { Ok(None) } else { value(key, &names).map(Some) }
}

fn value(key: &str, names: &[&str]) -> Result<HeaderValue, CorsError> {
    let wrong = |_| CorsError { key: key.to_owned(), reason: "has characters that a header cannot carry".to_owned() };
    HeaderValue::from_str(&names.join(", ")).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(yaml: &str) -> Result<Option<Cors>, CorsError> {
        Cors::build(&serde_yaml::from_str(yaml).unwrap())
    }

    fn request(lines: &[(HeaderName, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn said(cors: &Cors, origin: &str) -> Vec<(String, String)> {
        let request = request(&[(header::ORIGIN, origin)]);
        let text = |(name, value): (HeaderName, HeaderValue)| (name.to_string(), value.to_str().unwrap().to_owned());
        cors.headers_for(&request).map(text).collect()
    }

    #[test]
    fn an_allowed_origin_is_echoed_and_another_learns_nothing() {
        let cors = cors("{ allow_origins: \"https://a.example\", allow_credentials: true }").unwrap().unwrap();
        let allowed = said(&cors, "https://a.example");
        assert_eq!(allowed[0], ("access-control-allow-origin".to_owned(), "https://a.example".to_owned()));
        assert_eq!(allowed[1].0, "access-control-allow-credentials");
        assert!(allowed[2].1.contains("X-Request-ID"));
        assert!(said(&cors, "https://b.example").is_empty() && cors.varies());
        assert_eq!(cors.headers_for(&HeaderMap::new()).count(), 0);
    }

    #[test]
    fn any_origin_is_a_star_and_never_with_credentials() {
        let any = cors("{ allow_origins: [\"*\"] }").unwrap().unwrap();
        assert_eq!(said(&any, "https://x.example")[0].1, "*");
        assert!(!any.varies());
        assert_eq!(cors("{ allow_origins: [\"*\"], allow_credentials: true }").unwrap_err().key, "allow_credentials");
        assert!(cors("{}").unwrap().is_none());
    }

    #[test]
    fn a_preflight_is_told_what_is_allowed() {
        let preflight = |yaml: &str, origin: &str| {
            let request = request(&[
                (header::ORIGIN, origin),
                (header::ACCESS_CONTROL_REQUEST_METHOD, "DELETE"),
                (header::ACCESS_CONTROL_REQUEST_HEADERS, "x-mine"),
            ]);
            assert_eq!(preflight_method(&Method::OPTIONS, &request), Some(Method::DELETE));
            assert_eq!(preflight_method(&Method::GET, &request), None);
            let reply = cors(yaml).unwrap().unwrap().preflight(&request);
            assert_eq!(reply.status, StatusCode::NO_CONTENT);
            HeaderMap::from_iter(reply.headers)
        };
        let found = preflight("{ allow_origins: [\"https://a.example\"] }", "https://a.example");
        assert_eq!(found[header::ACCESS_CONTROL_ALLOW_METHODS], "GET, HEAD, POST, PUT, PATCH, DELETE");
        assert!(found[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().contains("Authorization"));
        assert_eq!(found[header::ACCESS_CONTROL_MAX_AGE], "600");
        let echoed = preflight("{ allow_origins: [\"*\"], allow_headers: [\"*\"] }", "https://a.example");
        assert_eq!(echoed[header::ACCESS_CONTROL_ALLOW_HEADERS], "x-mine");
        let refused = preflight("{ allow_origins: [\"https://a.example\"] }", "https://b.example");
        assert_eq!((refused.len(), refused.contains_key(header::VARY)), (1, true));
    }

    #[test]
    fn wrong_entries_are_named_with_their_place() {
        for (yaml, key) in [
            ("{ allow_origins: [\"https://a.example/\"] }", "allow_origins/0"),
            ("{ allow_methods: [PUT, put] }", "allow_methods/1"),
            ("{ allow_headers: [\"a b\"] }", "allow_headers/0"),
            ("{ expose_headers: [\"\"] }", "expose_headers/0"),
        ] {
            assert_eq!(cors(yaml).unwrap_err().key, key, "{yaml}");
        }
    }
}
