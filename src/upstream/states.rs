use super::{address::Address, endpoint::EndpointState, health::EndpointHealth};
use crate::types::ServiceId;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// What is learned about endpoints. Survives reloads; touched only while members are built and by the watch.
#[derive(Debug, Default)]
pub struct States {
    endpoints: Mutex<HashMap<(ServiceId, SocketAddr), Arc<EndpointState>>>,
    names: Mutex<HashMap<Address, Answer>>,
    last_id: AtomicU32,
}

/// What the last questions for a name brought.
#[derive(Clone, Debug)]
enum Answer {
    /// The last good answer, whether or not the last question was answered.
    Known(Arc<[SocketAddr]>),
    /// Asked, and never answered.
    Failed,
}

impl States {
    /// The state of one endpoint, new where it is not known.
    pub(super) fn endpoint(&self, service: &ServiceId, address: SocketAddr) -> Arc<EndpointState> {
        let new = || {
            let id = self.last_id.fetch_add(1, Relaxed).wrapping_add(1).max(1);
            Arc::new(EndpointState { id, health: EndpointHealth::default() })
        };
        self.endpoints.lock().entry((service.clone(), address)).or_insert_with(new).clone()
    }

    /// The last good answer for a name.
    pub(super) fn addresses(&self, name: &Address) -> Option<Arc<[SocketAddr]>> {
        match self.names.lock().get(name) {
            Some(Answer::Known(addresses)) => Some(addresses.clone()),
            _ => None,
        }
    }

    /// Whether a name was asked for and has never been answered.
    pub(super) fn is_unresolvable(&self, name: &Address) -> bool {
        matches!(self.names.lock().get(name), Some(Answer::Failed))
    }

    /// A question for a name came back; `None`: it failed.
    pub(super) fn answered(&self, name: Address, answer: Option<Vec<SocketAddr>>) {
        let mut names = self.names.lock();
        let known = names.get(&name);
        let new = match (answer, known) {
            (Some(addresses), Some(Answer::Known(same))) if **same == *addresses => return,
            (Some(addresses), _) => Answer::Known(addresses.into()),
            (None, Some(_)) => return,
            (None, None) => Answer::Failed,
        };
        match &new {
            Answer::Known(addresses) => log::info!("{}:{} is {addresses:?}", name.host, name.port),
            Answer::Failed => {
                log::warn!("{}:{} cannot be resolved; asking again every few seconds", name.host, name.port)
            }
        }
        names.insert(name, new);
    }

    /// Forget what no snapshot names any more. `in_use`: the names that one still does.
    pub(super) fn forget_unused(&self, in_use: &[Address]) {
        self.endpoints.lock().retain(|_, state| Arc::strong_count(state) > 1);
        self.names.lock().retain(|name, _| in_use.contains(name));
    }
}
