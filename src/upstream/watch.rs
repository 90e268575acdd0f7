use super::{
    Service, States,
    address::Address,
    endpoint::{Endpoint, EndpointState},
    health::Health,
    names,
    probe::{Probe, ProbeSettings},
};
use crate::types::ServiceId;
use http::HeaderValue;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How often names are resolved again. What is learned about a name's time to live comes with a resolver of our own.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);

/// A probe that requests ask for comes at most this often.
const SUSPECT_EVERY: Duration = Duration::from_secs(1);

/// Keeps what is known about endpoints up to date: resolves names and probes addresses, one task per endpoint.
#[derive(Debug, Default)]
pub struct Watch {
    probes: HashMap<(ServiceId, SocketAddr), Running>,
}

/// One endpoint's probes. They end with it.
#[derive(Debug)]
struct Running {
    settings: ProbeSettings,
    host: Option<HeaderValue>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Watch whatever `services` names now and after each of `changes`. Ends when nobody can change anything any more.
    pub async fn run(
        mut self,
        services: impl Fn() -> Vec<Arc<Service>>,
        states: &States,
        mut changes: watch::Receiver<u64>,
    ) {
        loop {
            let now = services();
            // Before the names are asked, because some may take long, and after, with what they brought.
            self.probe(&now);
            names::look_up(names_of(&now), states).await;
            // A reload may have come meanwhile, and known more.
            let now = services();
            now.iter().for_each(|service| service.refresh(states));
            self.probe(&now);
            states.forget_unused(&names_of(&now));
            if let Ok(Err(_)) = timeout(jittered(RESOLVE_EVERY), changes.changed()).await {
                return;
            }
        }
    }

    /// Let probes run for these services' endpoints, and for no others.
    fn probe(&mut self, services: &[Arc<Service>]) {
        let mut wanted = HashMap::new();
        for service in services {
            for endpoint in &service.members().endpoints {
                let key = (service.id.clone(), endpoint.address);
                let same = |running: &Running| running.settings == service.probe && running.host == endpoint.host;
                let running = self.probes.remove(&key).filter(same);
                let running = running.or_else(|| start(service, endpoint));
                wanted.extend(running.map(|running| (key, running)));
            }
        }
        // What is left in the old ones is dropped, and stops.
        self.probes = wanted;
    }
}

fn start(service: &Service, endpoint: &Endpoint) -> Option<Running> {
    let settings = service.probe.clone();
    let probe = Probe::build(&settings, endpoint.address, endpoint.host.as_ref())?;
    let name = format!("{} {}", service.id, endpoint.text);
    let task = tokio::spawn(probe_for_ever(name, probe, settings.clone(), endpoint.state.clone()));
    Some(Running { settings, host: endpoint.host.clone(), task })
}

fn names_of(services: &[Arc<Service>]) -> Vec<Address> {
    let mut names: Vec<Address> = services.iter().flat_map(|service| service.names()).cloned().collect();
    names.sort_by(|a, b| (&a.host, a.port).cmp(&(&b.host, b.port)));
    names.dedup();
    names
}

async fn probe_for_ever(name: String, probe: Probe, settings: ProbeSettings, state: Arc<EndpointState>) {
    loop {
        if let Some(probed) = state.health.record().probed {
            // A reload is no reason to probe more often.
            let wait = jittered(settings.interval).saturating_sub(probed.elapsed());
            if timeout(wait, state.health.suspected()).await.is_ok() {
                sleep(SUSPECT_EVERY.min(settings.interval).saturating_sub(probed.elapsed())).await;
            }
        }
        let outcome = probe.run().await;
        match state.health.probed(outcome, settings.thresholds, Instant::now()) {
            Some(Health::Unhealthy) => log::warn!("{name} is unhealthy: {}", outcome.err().unwrap_or("unknown")),
            Some(_) => log::info!("{name} is healthy"),
            None => (),
        }
    }
}

/// Up to a tenth less, so that many instances and endpoints do not ask in step.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(1.0 - fastrand::f64() / 10.0)
}
