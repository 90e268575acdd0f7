use super::{
    DnsConfig, Service, States,
    endpoint::{Endpoint, EndpointState},
    health::Health,
    names::Asking,
    probe::{Connectors, Probe, ProbeSettings},
    resolver::{Name, Resolver},
};
use crate::types::{Clock, ServiceId, Task, jittered};
use http::HeaderValue;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::{sleep, timeout},
};

/// How often it is looked whose time is over: ejections, slow starts. What is learned meanwhile is taken over at once.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often files of endpoints are looked at.
const READ_EVERY: Duration = Duration::from_secs(1);

/// A probe that requests ask for comes at most this often.
const SUSPECT_EVERY: Duration = Duration::from_secs(1);

/// Keeps what is known about endpoints up to date: resolves names, reads files and probes addresses, one task per
/// endpoint; makes a new plan of each service whenever something was learned.
#[derive(Debug, Default)]
pub struct Watch {
    probes: HashMap<(ServiceId, SocketAddr), Running>,
    asking: Asking,
    resolver: Option<(DnsConfig, Arc<Resolver>)>,
    connectors: Arc<Connectors>,
}

/// One endpoint's probes.
#[derive(Debug)]
struct Running {
    settings: ProbeSettings,
    host: Option<HeaderValue>,
    /// What is trusted, and whether it is asked for at all.
    spoken: (bool, u64, String),
    _task: Task,
}

impl Watch {
    /// Watch whatever `services` names now and after each of `changes`, with the resolver that `dns` asks for. Ends when
    /// nobody can change anything any more.
    pub async fn run(
        mut self,
        services: impl Fn() -> Vec<Arc<Service>>,
        dns: impl Fn() -> DnsConfig,
        states: &States,
        mut changes: watch::Receiver<u64>,
    ) {
        let (mut moved, mut read) = (true, Instant::now());
        loop {
            let now = services();
            if std::mem::take(&mut moved) {
                changes.mark_unchanged();
                now.iter().for_each(|service| service.refresh(states));
                self.probe(&now, states);
                self.ask(&now, dns(), states);
                drop(now);
                states.forget_unused();
            } else {
                now.iter().for_each(|service| service.look_again());
            }
            tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) => moved = true,
                    Err(_) => return,
                },
                () = states.moved.notified() => moved = true,
                () = states.learned.notified() => (),
                () = sleep(LOOK_EVERY) => (),
            }
            if read.elapsed() >= READ_EVERY {
                look_at_files(states).await;
                read = Instant::now();
            }
        }
    }

    /// Let probes run for these services' endpoints, and for no others.
    fn probe(&mut self, services: &[Arc<Service>], states: &States) {
        let mut wanted = HashMap::new();
        for service in services {
            for endpoint in service.members().endpoints.iter() {
                let key = (service.id.clone(), endpoint.address);
                let same = |running: &Running| {
                    let spoken = running.spoken == spoken(endpoint);
                    spoken && running.settings == service.probe && running.host == endpoint.host
                };
                let running = self.probes.remove(&key).filter(same);
                let running = running.or_else(|| self.start(service, endpoint, states));
                wanted.extend(running.map(|running| (key, running)));
            }
        }
        // What is left in the old ones is dropped, and stops.
        self.probes = wanted;
    }

    fn start(&self, service: &Service, endpoint: &Endpoint, states: &States) -> Option<Running> {
        let settings = service.probe.clone();
        let probe = Probe::build(&settings, &endpoint.peer, endpoint.address, endpoint.host.as_ref())?;
        let name = format!("{} {}", service.id, endpoint.text);
        let subject =
            Subject { name, state: endpoint.state.clone(), learned: states.learned.clone(), clock: states.clock };
        let connectors = self.connectors.clone();
        let task = Task::spawn(probe_for_ever(subject, probe, settings.clone(), connectors));
        Some(Running { settings, host: endpoint.host.clone(), spoken: spoken(endpoint), _task: task })
    }

    /// Let questions for these services' names be asked, and no others.
    fn ask(&mut self, services: &[Arc<Service>], dns: DnsConfig, states: &States) {
        let names = names(services);
        if self.resolver.as_ref().is_none_or(|(known, _)| *known != dns) {
            match Resolver::build(&dns) {
                Ok(resolver) => self.resolver = Some((dns, Arc::new(resolver))),
                Err(reason) if names.is_empty() => log::debug!("dns: {reason}"),
                Err(reason) => log::error!("dns: {reason}; no name is resolved"),
            }
        }
        if let Some((_, resolver)) = &self.resolver {
            self.asking.keep(names.clone(), resolver, &states.names, &states.moved, states.clock);
        }
        // After the tasks of old names have ended, or a late answer would stay for ever.
        states.names.forget_unused(&names, states.clock.now());
    }
}

fn spoken(endpoint: &Endpoint) -> (bool, u64, String) {
    let peer = &endpoint.peer;
    (peer.is_tls(), peer.group_key, peer.sni.clone())
}

/// Make services ready that are new: resolve every name whose addresses are not known yet, all at once and for at most
/// `patience`: else the first requests would find nobody.
pub async fn prepare(services: &[Arc<Service>], dns: &DnsConfig, states: &States, patience: Duration) {
    let unknown: Vec<Name> = names(services).into_iter().filter(|name| states.names.records(name).is_none()).collect();
    if !unknown.is_empty()
        && let Ok(resolver) = Resolver::build(dns).map(Arc::new)
    {
        // What is late is found by the watch, a moment later.
        super::names::resolve_once(unknown, &resolver, &states.names, states.clock, patience).await;
    }
    services.iter().for_each(|service| service.refresh(states));
}

async fn look_at_files(states: &States) {
    let states = states.clone();
    // A file system may take its time.
    let looked = spawn_blocking(move || states.files.look().then(|| states.moved.notify_one()));
    _ = looked.await;
}

fn names(services: &[Arc<Service>]) -> Vec<Name> {
    let mut names: Vec<Name> = services.iter().flat_map(|service| service.names()).collect();
    names.sort();
    names.dedup();
    names
}

/// What probes are about.
struct Subject {
    name: String,
    state: Arc<EndpointState>,
    learned: Arc<Notify>,
    clock: Clock,
}

async fn probe_for_ever(subject: Subject, probe: Probe, settings: ProbeSettings, connectors: Arc<Connectors>) {
    let Subject { name, state, learned, clock } = subject;
    loop {
        if let Some(probed) = state.health.record().probed {
            // A reload is no reason to probe more often.
            let wait = jittered(settings.interval).saturating_sub(probed.elapsed());
            if timeout(wait, state.health.suspected()).await.is_ok() {
                sleep(SUSPECT_EVERY.min(settings.interval).saturating_sub(probed.elapsed())).await;
            }
        }
        let outcome = probe.run(&connectors).await;
        match state.health.probed(outcome, settings.thresholds, Instant::now()) {
            None => continue,
            Some(Health::Unhealthy) => log::warn!("{name} is unhealthy: {}", outcome.err().unwrap_or("unknown")),
            Some(_) => {
                state.came_back(clock.now());
                log::info!("{name} is healthy");
            }
        }
        learned.notify_one();
    }
}
