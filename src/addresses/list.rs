use super::{
    AddressFiles, AddressesConfig,
    file::{AddressFile, Kind},
    ranges::Ranges,
};
use crate::types::{Mode, Network};
use std::{net::IpAddr, path::Path, sync::Arc};

/// Who calls from an address that may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("calls from this address are not accepted here")]
pub struct AddressDenied;

/// The lists of a listener or a route, compiled. A look-up is a binary search in each list.
#[derive(Debug)]
pub struct Addresses {
    /// `None`: everybody may who is not denied.
    allow: Option<Side>,
    deny: Side,
    observes: bool,
}

/// What the lists say to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may call.
    Allowed,
    /// It would be refused, were the lists enforced.
    Observed,
}

/// `allow` or `deny`.
#[derive(Debug)]
struct Side {
    ranges: Ranges,
    file: Option<Arc<AddressFile>>,
}

impl Addresses {
    /// Compile a section; `None` where it lets everybody in. Reads its files.
    ///
    /// # Errors
    /// The key whose file cannot be taken, and why.
    pub fn build(config: &AddressesConfig, files: &AddressFiles) -> Result<Option<Self>, Vec<(&'static str, String)>> {
        let mut problems = Vec::new();
        let mut open = |key: &'static str, kind: Kind, path: &Option<String>| {
            let file = files.open(Path::new(path.as_ref()?), kind);
            problems.extend(file.problem().map(|reason| (key, reason)));
            Some(file)
        };
        let named = config.allow.as_deref().unwrap_or_default();
        let allow = Side::new(named, open("allow_file", Kind::Allow, &config.allow_file));
        let deny = Side::new(&config.deny, open("deny_file", Kind::Deny, &config.deny_file));
        // A variable that is not set must not open what it was to close.
        if config.allow.is_some() && allow.is_nothing() {
            problems.push(("allow", "no address; write at least one, or take the key out".to_owned()));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let lists =
            Self { allow: (!allow.is_nothing()).then_some(allow), deny, observes: config.mode == Mode::Observe };
        let decides = config.mode != Mode::Off && (lists.allow.is_some() || !lists.deny.is_nothing());
        Ok(decides.then_some(lists))
    }

    /// Whether `address` may call.
    ///
    /// # Errors
    /// It may not.
    pub fn check(&self, address: IpAddr) -> Result<Verdict, AddressDenied> {
        let allowed = self.allow.as_ref().is_none_or(|allow| allow.contains(address));
        match allowed && !self.deny.contains(address) {
            true => Ok(Verdict::Allowed),
            false if self.observes => Ok(Verdict::Observed),
            false => Err(AddressDenied),
        }
    }
}

impl Side {
    fn new(networks: &[Network], file: Option<Arc<AddressFile>>) -> Self {
        Self { ranges: Ranges::new(networks.iter().copied()), file }
    }

    /// Not given at all. A file counts also while it is empty.
    fn is_nothing(&self) -> bool {
        self.ranges.is_empty() && self.file.is_none()
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.ranges.contain(address) || self.file.as_ref().is_some_and(|file| file.ranges().contain(address))
    }
}
