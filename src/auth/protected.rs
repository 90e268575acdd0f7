use crate::types::is_same_for_cgi;
use http::HeaderName;

/// Names that only the gateway may say to a service.
#[derive(Debug)]
pub struct Protected(Box<[HeaderName]>);

/// Services behind the replaced gateway believe these, whatever this file sends (spec section 1).
const ALWAYS: [HeaderName; 4] = [
    HeaderName::from_static("x-user-id"),
    HeaderName::from_static("x-username"),
    HeaderName::from_static("x-user-role"),
    HeaderName::from_static("x-user-permissions"),
];

impl Protected {
    /// The usual names, and these.
    pub(super) fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        let more = names.into_iter().filter(|name| !ALWAYS.contains(name));
        Self(ALWAYS.into_iter().chain(more).collect())
    }

    /// Whether `name` is one of them for some server: CGI, WSGI and their heirs take `x_user_id` for `x-user-id`.
    pub fn is_protected(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|known| is_same_for_cgi(known.as_str(), name.as_str()))
    }
}
