//! Files: text that others write while the gateway runs, looked at again and again.
//!
//! [`Watched`] knows one file and tells when its content is another one. What the text means, and what is done about a bad
//! one, is left to whoever uses it. Looking blocks: never on a thread that serves requests.

mod watched;

pub use watched::{Stamp, Watched};
