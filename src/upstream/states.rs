use super::{address::Address, endpoint::EndpointState, files::Files, names::Names, protection::Protection};
use crate::types::{Clock, ServiceId};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};
use tokio::sync::Notify;

/// What is learned about services, endpoints and names. Survives reloads; touched only while members are built and by
/// the watch. Cloning it is cheap and shares it.
#[derive(Clone, Default)]
pub struct States(Arc<Known>);

/// The same, behind one count.
#[derive(Default)]
pub struct Known {
    endpoints: Mutex<HashMap<(ServiceId, SocketAddr), Arc<EndpointState>>>,
    services: Mutex<HashMap<ServiceId, Arc<Protection>>>,
    last_id: AtomicU32,
    /// The answers for names.
    pub(super) names: Arc<Names>,
    /// What stands in files of endpoints.
    pub(super) files: Files,
    /// Endpoints came or left: the watch looks at once who there is.
    pub(super) moved: Arc<Notify>,
    /// Something was learned about those there are: the watch plans anew at once.
    pub(super) learned: Arc<Notify>,
    /// Where moments come from; none of them is moved by a step of the wall clock.
    pub(super) clock: Clock,
}

impl States {
    /// The state of one endpoint, new where it is not known.
    pub(super) fn endpoint(&self, service: &ServiceId, address: SocketAddr) -> Arc<EndpointState> {
        let new = || {
            let id = self.last_id.fetch_add(1, Relaxed).wrapping_add(1).max(1);
            Arc::new(EndpointState::new(id, self.clock.now()))
        };
        self.endpoints.lock().entry((service.clone(), address)).or_insert_with(new).clone()
    }

    /// The state of one service, new where it is not known.
    pub(super) fn service(&self, service: &ServiceId) -> Arc<Protection> {
        self.services.lock().entry(service.clone()).or_default().clone()
    }

    /// The addresses of one entry with weight and priority, as far as DNS has told; `None`: it has not.
    pub(super) fn addresses(&self, address: &Address) -> Option<Vec<Found>> {
        if let Some(fixed) = address.fixed {
            return Some(vec![Found { address: fixed, weight: 1, priority: 0 }]);
        }
        let records = self.names.records(&address.name()?)?;
        let found = |record: &super::resolver::Record| Found {
            address: SocketAddr::new(record.address, record.port.unwrap_or(address.port)),
            weight: record.weight.max(1),
            priority: record.priority,
        };
        Some(records.iter().map(found).collect())
    }

    /// Whether a name was asked for, and has no address now.
    pub(super) fn is_unresolvable(&self, address: &Address) -> bool {
        address.name().is_some_and(|name| self.names.is_unresolvable(&name))
    }

    /// Forget what no snapshot names any more.
    pub(super) fn forget_unused(&self) {
        self.endpoints.lock().retain(|_, state| Arc::strong_count(state) > 1);
        self.services.lock().retain(|_, state| Arc::strong_count(state) > 1);
        self.files.forget_unused();
    }
}

/// One address behind an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) address: SocketAddr,
    /// Relative to the others of the same entry.
    pub(super) weight: u16,
    pub(super) priority: u16,
}

impl Deref for States {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.0
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "States({} endpoints)", self.endpoints.lock().len())
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known")
    }
}
