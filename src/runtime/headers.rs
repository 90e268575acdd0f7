use crate::config::HeadersConfig;
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::{http::ResponseHeader, prelude::Result};

/// `request_headers:` or `response_headers:` of a route, compiled: removed first, then set.
#[derive(Debug, Default)]
pub struct HeaderEdits {
    remove: Box<[HeaderName]>,
    set: Box<[(HeaderName, HeaderValue)]>,
}

impl HeaderEdits {
    /// Compile one section, or name the key that is wrong and why.
    pub(super) fn build(config: &HeadersConfig) -> Result<Self, (String, String)> {
        let remove =
            config.remove.iter().enumerate().map(|(at, text)| name(text).map_err(|why| (format!("/remove/{at}"), why)));
        let set = config.set.iter().map(|(key, text)| {
            let at = |why| (format!("/set/{}", key.replace('~', "~0").replace('/', "~1")), why);
            let value =
                HeaderValue::from_str(text).map_err(|_| at("not a header value; use visible ASCII".to_owned()))?;
            Ok((name(key).map_err(at)?, value))
        });
        Ok(Self {
            remove: remove.collect::<Result<_, (String, String)>>()?,
            set: set.collect::<Result<_, (String, String)>>()?,
        })
    }

    /// Change the headers that a service gets.
    pub fn apply_to_request(&self, headers: &mut HeaderMap) {
        self.remove.iter().for_each(|name| _ = headers.remove(name));
        self.set.iter().for_each(|(name, value)| _ = headers.insert(name.clone(), value.clone()));
    }

    /// Change the head that a caller gets.
    ///
    /// # Errors
    /// None that a compiled name and value could cause; pingora's signature has one.
    pub fn apply_to_response(&self, response: &mut ResponseHeader) -> Result<()> {
        self.remove.iter().for_each(|name| _ = response.remove_header(name));
        self.set.iter().try_for_each(|(name, value)| response.insert_header(name.clone(), value.clone()))
    }
}

/// Framing and connection headers belong to the gateway: changed by hand they would split requests in two.
fn name(text: &str) -> Result<HeaderName, String> {
    const OURS: [&str; 7] =
        ["content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "x-request-id"];
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| "not a header name; use letters, digits and -".to_owned())?;
    match OURS.contains(&name.as_str()) {
        true => Err(format!("{name} belongs to the gateway; leave it out")),
        false => Ok(name),
    }
}
