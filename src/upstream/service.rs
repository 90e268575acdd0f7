use super::{
    BalancerConfig, HealthConfig, HostConfig, ServiceConfig, States,
    address::Written,
    balancer::Algorithm,
    caller::HashOnConfig,
    config::ProbeConfig,
    endpoint::Endpoint,
    files::File,
    health::{Health, ServiceHealth},
    members::Members,
    probe::ProbeSettings,
    protection::{Protection, Rules},
    resolver::Name,
    states::Found,
    sticky::Sticky,
    tls::UpstreamTls,
};
use crate::{
    resilience::{Mode, SlowStart},
    types::{Clock, Moment, Pinned, ServiceId, Swap},
};
use pingora::upstreams::peer::HttpPeer;
use std::{
    collections::HashSet,
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// A named set of interchangeable endpoints.
pub struct Service {
    /// Its name in the file.
    pub id: ServiceId,
    log_name: Box<str>,
    written: Box<[Written]>,
    file: Option<Arc<File>>,
    host: HostConfig,
    tls: UpstreamTls,
    idle_timeout: Duration,
    pub(super) algorithm: Algorithm,
    pub(super) hash_on: Box<[HashOnConfig]>,
    pub(super) sticky: Option<Sticky>,
    pub(super) slow_start: SlowStart,
    pub(super) panic_threshold: f64,
    pub(super) zone: Option<Box<str>>,
    pub(super) probe: ProbeSettings,
    pub(super) rules: Rules,
    /// Whether the balancer or a limit asks how many requests an endpoint has.
    pub(super) counts_in_flight: bool,
    /// Whether the balancer asks how long endpoints take.
    pub(super) learns_latency: bool,
    pub(super) protection: Arc<Protection>,
    pub(super) learned: Arc<Notify>,
    clock: Clock,
    members: Swap<Members>,
    /// Nothing is known but names that have no address.
    unresolvable: AtomicBool,
}

/// What services have in common.
#[derive(Clone, Copy, Debug)]
pub struct Common<'c> {
    /// `health:` at the top level.
    pub health: &'c HealthConfig,
    /// `server.zone`.
    pub zone: Option<&'c str>,
}

impl Service {
    /// Compile one service. What is known about it and its endpoints is found in `states`.
    ///
    /// # Errors
    /// Everything that is wrong with the section, each with a JSON pointer below it.
    pub fn build(
        id: ServiceId,
        config: &ServiceConfig,
        common: Common<'_>,
        states: &States,
    ) -> Result<Self, Vec<(String, String)>> {
        let Parts { written, file, probe, sticky, tls } = Parts::read(&id, config, common, states)?;
        let algorithm = algorithm(config.balancer);
        let rules = Rules::build(config);
        let service = Self {
            log_name: config.log_name.as_deref().unwrap_or(id.as_str()).into(),
            written,
            file,
            host: config.host,
            tls,
            idle_timeout: config.idle_timeout.get(),
            hash_on: config.hash_on.iter().cloned().collect(),
            sticky,
            slow_start: SlowStart { duration: config.slow_start.get() },
            panic_threshold: config.panic_threshold.get(),
            zone: common.zone.map(Into::into),
            probe,
            counts_in_flight: asks_for_load(algorithm) || rules.per_endpoint.is_some(),
            learns_latency: algorithm == Algorithm::Ewma,
            rules,
            algorithm,
            protection: states.service(&id),
            learned: states.learned.clone(),
            clock: states.clock,
            members: Swap::new(Members::nobody(algorithm)),
            unresolvable: AtomicBool::new(false),
            id,
        };
        service.refresh(states);
        Ok(service)
    }

    /// Its name in the access log.
    pub fn log_name(&self) -> &str {
        &self.log_name
    }

    /// An instant as its state machines count time.
    #[inline]
    pub fn moment(&self, instant: Instant) -> Moment {
        self.clock.at(instant)
    }

    /// What its probes say of one endpoint; where there are none (any more), nothing is known against it.
    #[inline]
    pub(super) fn health_of(&self, endpoint: &Endpoint) -> Health {
        if self.probe.kind == ProbeConfig::Off { Health::Healthy } else { endpoint.state.health.status() }
    }

    #[inline]
    pub(super) fn is_not_ill(&self, endpoint: &Endpoint) -> bool {
        self.health_of(endpoint) != Health::Unhealthy
    }

    /// What its probes and its requests say, as one word.
    pub fn health(&self) -> ServiceHealth {
        let members = self.members.pin();
        let of = |status| ServiceHealth { status, response_time: None, error: None };
        if members.endpoints.is_empty() {
            return match self.unresolvable.load(Relaxed) {
                true => ServiceHealth { error: Some("resolve"), ..of(Health::Unhealthy) },
                false => of(Health::Unknown),
            };
        }
        if self.is_open() {
            return ServiceHealth { error: Some("circuit_open"), ..of(Health::Unhealthy) };
        }
        let with = |wanted: Health| {
            let found = members.endpoints.iter().filter(|endpoint| self.health_of(endpoint) == wanted);
            found.clone().find(|endpoint| self.is_well(endpoint)).or_else(|| found.clone().next())
        };
        let record = |endpoint: &Endpoint| endpoint.state.health.record();
        match (with(Health::Healthy), with(Health::Unknown), with(Health::Unhealthy)) {
            (Some(well), ..) if self.is_well(well) => {
                ServiceHealth { response_time: record(well).response_time, ..of(Health::Healthy) }
            }
            (_, Some(unknown), _) if self.is_well(unknown) => of(Health::Unknown),
            (None, None, Some(ill)) => ServiceHealth { error: record(ill).error, ..of(Health::Unhealthy) },
            _ => ServiceHealth { error: Some("ejected"), ..of(Health::Unhealthy) },
        }
    }

    /// What has to be resolved again and again.
    pub(super) fn names(&self) -> Vec<Name> {
        self.entries().iter().filter_map(|entry| entry.address.name()).collect()
    }

    #[inline]
    pub(super) fn members(&self) -> Pinned<Members> {
        self.members.pin()
    }

    /// What the configuration and the file say.
    fn entries(&self) -> Vec<Written> {
        let in_file = self.file.as_ref().map(|file| file.entries());
        self.written.iter().chain(in_file.iter().flat_map(|list| list.iter())).cloned().collect()
    }

    /// Take over what is known about names and the file. Membership is state, not configuration: built whole and
    /// swapped.
    pub(super) fn refresh(&self, states: &States) {
        let entries = self.entries();
        let found = entries.iter().map(|entry| (entry, states.addresses(&entry.address).unwrap_or_default()));
        let mut wanted: Vec<(Found, &Written)> =
            found.flat_map(|(entry, found)| found.into_iter().map(move |one| (one, entry))).collect();
        // Two names of one address are one endpoint; the first in the file counts.
        let mut known = HashSet::new();
        wanted.retain(|(found, _)| known.insert(found.address));
        let nothing = || entries.iter().all(|entry| states.is_unresolvable(&entry.address));
        self.unresolvable.store(wanted.is_empty() && nothing(), Relaxed);
        let endpoints: Arc<[Endpoint]> =
            wanted.into_iter().map(|(found, entry)| self.endpoint(found, entry, states)).collect();
        let members = self.members.pin();
        let same = members.endpoints.len() == endpoints.len()
            && members.endpoints.iter().zip(endpoints.iter()).all(|(one, other)| one.is_same(other));
        if !same {
            self.members.store(Members::build(self, endpoints, self.clock.now()));
        }
    }

    /// Take over what was learned about the endpoints there are.
    pub(super) fn look_again(&self) {
        let now = self.clock.now();
        let members = self.members.pin();
        let enforced = self.rules.ejection.mode == Mode::Enforce;
        let is_back = |endpoint: &&Endpoint| {
            let ejection = &endpoint.state.ejection;
            // Who was ejected before that was switched off comes back too.
            let was_out = ejection.is_ejected();
            let came_back = ejection.over(now) || (!enforced && was_out && ejection.reset(now));
            was_out && came_back
        };
        for endpoint in members.endpoints.iter().filter(is_back) {
            endpoint.state.came_back(now);
            log::info!("{} {} is no longer ejected", self.id, endpoint.text);
        }
        if let Some(planned) = members.planned_anew(self, now) {
            self.members.store(planned);
        }
    }

    fn endpoint(&self, found: Found, written: &Written, states: &States) -> Endpoint {
        let Found { address, weight, priority } = found;
        let mut peer = match written.address.tls {
            true => self.tls.peer(address, &written.address.host),
            false => HttpPeer::new(address, false, String::new()),
        };
        peer.options.idle_timeout = Some(self.idle_timeout);
        Endpoint {
            address,
            text: address.to_string().into(),
            peer,
            weight: u32::from(weight) * u32::from(written.weight.get()),
            priority: (u32::from(written.priority) << 16) + u32::from(priority),
            zone: written.zone.clone(),
            host: if self.host == HostConfig::Upstream { written.address.host_header() } else { None },
            ticket: self.sticky.as_ref().and_then(|sticky| sticky.ticket(self.id.as_str(), address)),
            state: states.endpoint(&self.id, address),
        }
    }
}

/// What can be wrong with a section.
struct Parts {
    written: Box<[Written]>,
    file: Option<Arc<File>>,
    probe: ProbeSettings,
    sticky: Option<Sticky>,
    tls: UpstreamTls,
}

impl Parts {
    fn read(
        id: &ServiceId,
        config: &ServiceConfig,
        common: Common<'_>,
        states: &States,
    ) -> Result<Self, Vec<(String, String)>> {
        let mut problems = Vec::new();
        let mut written = Vec::new();
        for (at, endpoint) in config.endpoints.iter().enumerate() {
            match Written::read(endpoint) {
                Ok(entry) => written.push(entry),
                Err((key, reason)) => problems.push((format!("/endpoints/{at}{key}"), reason)),
            }
        }
        let file = config.endpoints_file.as_deref().map(|path| states.files.open(Path::new(path)));
        let reason = file.as_ref().and_then(|file| file.problem());
        problems.extend(reason.map(|reason| ("/endpoints_file".to_owned(), reason)));
        let probe = ProbeSettings::build(common.health, &config.health);
        let probe = probe.map_err(|(key, reason)| problems.push((format!("/health/{key}"), reason)));
        let sticky = config.sticky.as_ref().map(Sticky::build).transpose();
        let sticky = sticky.map_err(|(key, reason)| problems.push((format!("/sticky/{key}"), reason)));
        problems.extend(super::contradictions(config));
        let tls = UpstreamTls::build(id, config.tls.as_ref()).map_err(|found| problems.extend(found));
        problems.extend(UpstreamTls::contradictions(config.tls.as_ref(), &written, file.is_some()));
        match (probe, sticky, tls) {
            (Ok(probe), Ok(sticky), Ok(tls)) if problems.is_empty() => {
                Ok(Self { written: written.into(), file, probe, sticky, tls })
            }
            _ => Err(problems),
        }
    }
}

fn algorithm(config: BalancerConfig) -> Algorithm {
    match config {
        BalancerConfig::RoundRobin => Algorithm::RoundRobin,
        BalancerConfig::LeastRequest => Algorithm::LeastRequest,
        BalancerConfig::Ewma => Algorithm::Ewma,
        BalancerConfig::ConsistentHash => Algorithm::ConsistentHash,
        BalancerConfig::Random => Algorithm::Random,
    }
}

/// Whether it goes by requests in flight.
fn asks_for_load(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::LeastRequest | Algorithm::Ewma | Algorithm::ConsistentHash)
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({}, {} endpoints)", self.id, self.members.pin().endpoints.len())
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
