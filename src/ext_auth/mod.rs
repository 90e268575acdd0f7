//! External authorisation: another service says whether a request may pass.
//!
//! Asked after the rules of the route and before anything is forwarded. [`Authoriser`] sends where the request goes and
//! chosen headers, never a body; 2xx lets it pass, and listed headers of that answer go on to the service. Every other
//! answer is the caller's (`ext_auth_denied`). Where there is none in time, the request is refused
//! (`ext_auth_unavailable`) unless the file says otherwise; after several failures in a row nobody asks for a moment.
//!
//! ```yaml
//! auth: { jwt: { algorithm: HS256, secret: "${JWT_SECRET_KEY}" } }
//! ext_auth: { policy: { url: "http://policy:9000/check", set_headers: [X-Tenant], timeout: 300ms } }
//! services: { member: { endpoints: ["http://member-service:8001"] } }
//! routes: [{ id: members, match: { path: /api/members/* }, service: member, ext_auth: policy }]
//! ```

mod authoriser;
mod config;
mod names;
mod question;
mod remembered;

pub use authoriser::{Allowed, Authoriser, Authorisers, Counts, Refused, Unavailable};
pub use config::{ExtAuthBreakerConfig, ExtAuthConfig, OnFailure};
pub use question::Question;
pub use remembered::MOST_BYTES as ANSWER_MEMORY;
