//! Where a bearer token stands in a request, and how it is taken out again.

use super::{AuthConfigError, AuthError, TokenConfig};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What a request brings to say who calls.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'r> {
    /// Its headers.
    pub headers: &'r HeaderMap,
    /// Its query, without the question mark.
    pub query: Option<&'r str>,
    /// Whether it asks for a WebSocket.
    pub websocket: bool,
    /// Whether it comes from a trusted proxy, whose `x-amzn-oidc-data` counts.
    pub trusted: bool,
    /// What the connection has proven.
    pub certificate: Option<&'r crate::types::ClientCertificate>,
}

/// `auth.token:`, compiled.
#[derive(Debug)]
pub struct TokenPlaces {
    header: HeaderName,
    cookie: Option<Box<str>>,
    query: Option<Box<str>>,
    subprotocol: Option<Box<str>>,
    strip: bool,
}

impl TokenPlaces {
    pub(super) fn build(config: &TokenConfig, errors: &mut Vec<AuthConfigError>) -> Self {
        let mut wrong =
            |key: &str, reason: &str| errors.push(AuthConfigError::new(format!("/auth/token/{key}"), reason));
        let header = HeaderName::from_bytes(config.header.as_bytes()).unwrap_or_else(|_| {
            wrong("header", "not a header name; write Authorization, or one such as X-Token");
            header::AUTHORIZATION
        });
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let mut word = |key: &str, value: &Option<String>| {
            let fits = |text: &String| !text.is_empty() && text.bytes().all(token);
            if value.as_ref().is_some_and(|text| !fits(text)) {
                wrong(key, "not a name; use letters, digits, -, _ and .");
            }
            value.as_deref().map(Into::into)
        };
        let (cookie, query) = (word("cookie", &config.cookie), word("query", &config.query));
        Self { header, cookie, query, subprotocol: word("subprotocol", &config.subprotocol), strip: config.strip }
    }

    /// The token, if there is one. The first place that has one counts; two in one place are refused.
    pub(super) fn find<'r>(&self, credentials: &Credentials<'r>) -> Result<Option<&'r [u8]>, AuthError> {
        if let Some(value) = only(credentials.headers, &self.header)?
            && let Some(token) = self.in_header(value.as_bytes())
        {
            return Ok(Some(token));
        }
        if let Some(name) = &self.cookie
            && let Some(token) = one(cookies(credentials.headers).filter(|(known, _)| *known == name.as_bytes()))?
        {
            return Ok(Some(token.1));
        }
        if !credentials.websocket {
            return Ok(None);
        }
        if let (Some(name), Some(query)) = (&self.query, credentials.query)
            && let Some(token) = one(query.split('&').filter_map(|part| part.strip_prefix(&**name)?.strip_prefix('=')))?
        {
            return Ok(Some(token.as_bytes()));
        }
        let Some(prefix) = &self.subprotocol else { return Ok(None) };
        let token = one(protocols(credentials.headers).filter_map(|entry| entry.strip_prefix(&**prefix)))?;
        Ok(token.map(str::as_bytes))
    }

    fn in_header<'r>(&self, value: &'r [u8]) -> Option<&'r [u8]> {
        match bearer(value) {
            None if self.header != header::AUTHORIZATION => Some(value.trim_ascii()).filter(|token| !token.is_empty()),
            token => token,
        }
    }

    /// The header that is not to reach the service.
    pub fn stripped_header(&self, headers: &HeaderMap) -> Option<&HeaderName> {
        // Of another scheme, it is no token and belongs to the service.
        let is_token = |value: &HeaderValue| self.in_header(value.as_bytes()).is_some();
        (self.strip && headers.get(&self.header).is_some_and(is_token)).then_some(&self.header)
    }

    /// `Cookie` without the token: `None` leaves it as it is, an empty value takes it away.
    pub fn stripped_cookie(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let name = self.cookie.as_ref().filter(|_| self.strip)?;
        cookies(headers).any(|(known, _)| known == name.as_bytes()).then_some(())?;
        let rest = cookies(headers).filter(|(known, _)| *known != name.as_bytes());
        let rest: Vec<Vec<u8>> = rest.map(|(name, value)| [name, b"=", value].concat()).collect();
        HeaderValue::from_bytes(&rest.join(&b"; "[..])).ok()
    }

    /// The query without the token, of a WebSocket handshake.
    pub fn stripped_query(&self, query: &str) -> Option<String> {
        let name = self.query.as_ref()?;
        let is_token = |part: &&str| part.strip_prefix(&**name).is_some_and(|rest| rest.starts_with('='));
        query.split('&').any(|part| is_token(&part)).then_some(())?;
        Some(query.split('&').filter(|part| !is_token(part)).collect::<Vec<_>>().join("&"))
    }

    /// `Sec-WebSocket-Protocol` without the token: an empty value takes it away.
    pub fn stripped_protocols(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let prefix = self.subprotocol.as_ref()?;
        protocols(headers).any(|entry| entry.starts_with(&**prefix)).then_some(())?;
        let rest: Vec<&str> = protocols(headers).filter(|entry| !entry.starts_with(&**prefix)).collect();
        HeaderValue::from_str(&rest.join(", ")).ok()
    }
}

/// A second header of a name could be read in two ways.
pub(super) fn only<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Result<Option<&'r HeaderValue>, AuthError> {
    one(headers.get_all(name).iter())
}

fn one<T>(mut found: impl Iterator<Item = T>) -> Result<Option<T>, AuthError> {
    match (found.next(), found.next()) {
        (first, None) => Ok(first),
        _ => Err(AuthError::Ambiguous),
    }
}

/// RFC 6265 section 4.2.1: pairs with semicolons between them. In bytes: another cookie may be no ASCII.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        Some((pair.get(..equals)?, pair.get(equals + 1..)?))
    })
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// RFC 6750 section 2.1: the scheme in any case, then the token.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    scheme(value, b"bearer")
}

/// What follows a scheme of `Authorization` (RFC 9110 section 11.4).
pub(super) fn scheme<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (word, mut rest) = value.split_at_checked(scheme.len())?;
    let apart = rest.first() == Some(&b' ');
    while let [b' ', more @ ..] = rest {
        rest = more;
    }
    while let [more @ .., b' '] = rest {
        rest = more;
    }
    (word.eq_ignore_ascii_case(scheme) && apart && !rest.is_empty()).then_some(rest)
}
