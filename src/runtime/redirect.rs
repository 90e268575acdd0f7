use crate::{
    config::RedirectConfig,
    routing::{Pattern, RedirectTo, Target},
    types::Reply,
};
use http::{StatusCode, header};

/// `redirect:` of a route, compiled.
#[derive(Debug)]
pub struct Redirect {
    to: RedirectTo,
    status: StatusCode,
}

impl Redirect {
    pub(super) fn build(config: &RedirectConfig, pattern: &Pattern) -> Result<Self, (&'static str, String)> {
        let known = [301, 302, 303, 307, 308].contains(&config.status);
        let status = StatusCode::from_u16(config.status).ok().filter(|_| known);
        Ok(Self {
            to: RedirectTo::build(&config.to, pattern).map_err(|reason| ("/to", reason))?,
            status: status.ok_or_else(|| ("/status", "not a redirect; use 301, 302, 303, 307 or 308".to_owned()))?,
        })
    }

    /// Send the caller elsewhere.
    pub fn reply(&self, target: &Target) -> Reply {
        Reply::empty(self.status).header(header::LOCATION, self.to.location(target))
    }
}
