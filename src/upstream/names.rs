//! Names of endpoints, and the addresses they have at this moment.

use super::{Service, States, address::Address};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::lookup_host, task::JoinSet, time::timeout};

/// Longest wait for the answer to one name.
const PATIENCE: Duration = Duration::from_secs(5);

/// Resolve every name of `services` whose address is not known yet, all at once and for at most `patience`, and give
/// the services their members: else the first requests would find nobody.
pub async fn resolve(services: &[Arc<Service>], states: &States, patience: Duration) {
    let unknown = services.iter().flat_map(|service| service.names()).filter(|name| states.addresses(name).is_none());
    let unknown: Vec<Address> = unknown.cloned().collect();
    if unknown.is_empty() {
        return;
    }
    // What is late is found by the watch, a moment later.
    _ = timeout(patience, look_up(unknown, states)).await;
    services.iter().for_each(|service| service.refresh(states));
}

/// Ask for each name, and write down the answers. A failure keeps what was known.
pub(super) async fn look_up(names: impl IntoIterator<Item = Address>, states: &States) {
    let mut asked = JoinSet::new();
    for name in names {
        asked.spawn(async move {
            let answer = ask(&name).await;
            (name, answer)
        });
    }
    while let Some(done) = asked.join_next().await {
        if let Ok((name, answer)) = done {
            states.answered(name, answer);
        }
    }
}

async fn ask(name: &Address) -> Option<Vec<SocketAddr>> {
    let answer = timeout(PATIENCE, lookup_host((&*name.host, name.port))).await.ok()?.ok()?;
    let mut addresses: Vec<SocketAddr> = answer.collect();
    // The same answer in another order is the same answer.
    addresses.sort();
    addresses.dedup();
    (!addresses.is_empty()).then_some(addresses)
}
