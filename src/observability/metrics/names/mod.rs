//! Every metric there is: its name, what it is, its labels, its help. docs/metrics.md tells the same in more words.

mod edge;
mod handoff;
mod identity;
mod process;
mod upstream;

use super::Name;
pub use edge::*;
pub use handoff::*;
pub use identity::*;
pub use process::*;
pub use upstream::*;

/// All of them, for the page that lists them.
pub fn all() -> impl Iterator<Item = &'static Name> {
    [PROCESS, UPSTREAM, IDENTITY, EDGE, HANDOFF].into_iter().flatten().copied()
}
