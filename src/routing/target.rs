use super::normal::{self, Normal};
use http::{HeaderValue, Method, Uri, Version, header, uri::PathAndQuery};
use pingora::http::RequestHeader;
use std::ops::Range;

/// The one normalised form of a request's address: what is matched is what is forwarded and logged.
#[derive(Clone, Debug)]
pub struct Target {
    method: Method,
    uri: Uri,
    host: Host,
    encoded_slash: bool,
    /// As the caller sent it: nothing has to be put in its place.
    as_sent: bool,
}

/// Whom the caller asked for.
#[derive(Clone, Debug)]
enum Host {
    /// HTTP/1.0 may leave it out.
    None,
    /// The name stands as it should at this place of the value.
    Sent(HeaderValue, Range<usize>),
    /// Written with capitals: kept beside the value.
    Lowered(HeaderValue, Box<str>),
}

/// An address nobody should have to interpret. Messages are for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// `http://…`, `*`, `a:80`: anything but a path.
    #[error("the request target must begin with /")]
    Form,
    /// `%zz`, `%4`, `%u002f`, or bytes that are no UTF-8.
    #[error("the path has a broken percent-encoding")]
    Encoding,
    /// Backslash, NUL, control characters, encoded or not, and bytes that RFC 3986 does not allow.
    #[error("the path has a character that is not allowed")]
    Character,
    /// `%2F` where the route does not want it.
    #[error("the path has an encoded slash")]
    EncodedSlash,
    /// `..;x`: some servers take it for `..`.
    #[error("the path can be read in two ways")]
    Ambiguous,
    /// Missing, doubled or malformed.
    #[error("the Host header is not valid")]
    Host,
}

impl TargetError {
    /// Every one, for the table of codes.
    pub const ALL: [Self; 6] =
        [Self::Form, Self::Encoding, Self::Character, Self::EncodedSlash, Self::Ambiguous, Self::Host];
}

impl Target {
    /// Normalise strictly. A path that is normal already costs a look at its bytes and a reference count.
    ///
    /// # Errors
    /// Whatever could be read in two ways.
    pub fn normalise(head: &RequestHeader) -> Result<Self, TargetError> {
        // Not `uri.path()`: for `a:80` it says `/` while the raw bytes are forwarded.
        let raw = head.raw_path();
        if raw.first() != Some(&b'/') {
            return Err(TargetError::Form);
        }
        let end = raw.iter().position(|byte| *byte == b'?').unwrap_or(raw.len());
        let (path, query) = raw.split_at(end);
        if !query.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
            return Err(TargetError::Character);
        }
        let as_sent = normal::is_normal(path);
        let (uri, encoded_slash) = if as_sent {
            (head.uri.clone(), false)
        } else {
            let Normal { path, encoded_slash } = normal::normalise(path)?;
            (rebuilt(path, query)?, encoded_slash)
        };
        Ok(Self { method: head.method.clone(), uri, host: host(head)?, encoded_slash, as_sent })
    }

    /// Put this form in place of what the caller sent.
    pub fn write_back(&self, head: &mut RequestHeader) {
        // The bytes that pingora keeps beside the address are the same then, and are what is forwarded.
        if !self.as_sent {
            head.set_uri(self.uri.clone());
        }
    }

    /// The request's method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Host in lower case, without port and trailing dot. Empty: HTTP/1.0 without one.
    pub fn host(&self) -> &str {
        match &self.host {
            Host::None => "",
            Host::Sent(value, place) => {
                value.to_str().ok().and_then(|text| text.get(place.clone())).unwrap_or_default()
            }
            Host::Lowered(_, name) => name,
        }
    }

    /// Host and port as the caller sent them.
    pub fn authority(&self) -> Option<&HeaderValue> {
        match &self.host {
            Host::None => None,
            Host::Sent(value, _) | Host::Lowered(value, _) => Some(value),
        }
    }

    /// Path without query.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// Path, and query with its `?`.
    pub fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", PathAndQuery::as_str)
    }

    /// What follows the `?`, as the caller sent it.
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// Whether a segment holds `%2F`: its route decides what becomes of it.
    pub fn has_encoded_slash(&self) -> bool {
        self.encoded_slash
    }

    /// The form in which each `%2F` is a slash, normalised again.
    ///
    /// # Errors
    /// As [`Target::normalise`].
    pub fn decode_slashes(&self) -> Result<Self, TargetError> {
        let Normal { path, .. } = normal::normalise(self.path().replace("%2F", "/").as_bytes())?;
        let query = self.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self { uri: rebuilt(path, query.as_bytes())?, encoded_slash: false, as_sent: false, ..self.clone() })
    }

    /// This form, if a service that decodes `%2F` would still stay where it is.
    ///
    /// # Errors
    /// [`TargetError::Ambiguous`] where the slash would make a dot segment or an empty one.
    pub fn keep_slashes(&self) -> Result<(), TargetError> {
        let decoded = self.path().replace("%2F", "/");
        if normal::is_normal(decoded.as_bytes()) || normal::normalise(decoded.as_bytes())?.path == decoded {
            return Ok(());
        }
        Err(TargetError::Ambiguous)
    }
}

fn rebuilt(mut path: String, query: &[u8]) -> Result<Uri, TargetError> {
    path.push_str(std::str::from_utf8(query).map_err(|_| TargetError::Character)?);
    PathAndQuery::try_from(path).map(Uri::from).map_err(|_| TargetError::Character)
}

/// Exactly one, and nothing in it that two servers could take for different names (RFC 9112 section 3.2).
fn host(head: &RequestHeader) -> Result<Host, TargetError> {
    let mut values = head.headers.get_all(header::HOST).iter();
    let value = match (values.next(), values.next()) {
        (Some(only), None) => only,
        (None, None) if head.version == Version::HTTP_10 => return Ok(Host::None),
        _ => return Err(TargetError::Host),
    };
    let sent = value.to_str().map_err(|_| TargetError::Host)?;
    let name = match sent.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && port.len() <= 5 => name,
        _ => sent,
    };
    let address = name.starts_with('[') && name.ends_with(']');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let inside = |byte: u8| byte.is_ascii_hexdigit() || b"[]:.".contains(&byte);
    if name.is_empty() || !name.bytes().all(|byte| if address { inside(byte) } else { plain(byte) }) {
        return Err(TargetError::Host);
    }
    let bare = name.strip_suffix('.').filter(|bare| !bare.is_empty()).unwrap_or(name);
    if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Host::Lowered(value.clone(), bare.to_ascii_lowercase().into()));
    }
    Ok(Host::Sent(value.clone(), 0..bare.len()))
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
