//! A fixed answer as operators write it.

use super::Reply;
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `respond:` of a route or of a service's fallback.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RespondConfig {
    /// Status of the answer, 200 to 599. Default: 200.
    #[schemars(range(min = 200, max = 599))]
    pub status: u16,
    /// Media type of the answer. Default: text/plain; charset=utf-8.
    pub content_type: String,
    /// Text of the answer. Default: empty.
    pub body: String,
}

impl Default for RespondConfig {
    fn default() -> Self {
        Self { status: 200, content_type: "text/plain; charset=utf-8".to_owned(), body: String::new() }
    }
}

impl RespondConfig {
    /// The answer.
    ///
    /// # Errors
    /// The key that is wrong, and what would be right.
    pub fn reply(&self) -> Result<Reply, (&'static str, String)> {
        let status = StatusCode::from_u16(self.status).ok().filter(|status| !status.is_informational());
        let status = status.ok_or_else(|| ("status", "not a status; use 200 to 599".to_owned()))?;
        let kind = HeaderValue::from_str(&self.content_type);
        let kind = kind.map_err(|_| ("content_type", "not a media type; write text/plain".to_owned()))?;
        let reply = Reply { body: self.body.clone().into(), ..Reply::empty(status) };
        Ok(reply.header(header::CONTENT_TYPE, kind))
    }
}
