//! What stands behind a name: hosts and services, as DNS and the files of the machine tell.

use super::{
    machine::{Files, Hosts, PORT, ResolvConf},
    question::{BRIEFLY, Found, Outcome, Servers},
};
use crate::{
    files::Stamp,
    types::{List, Span},
};
use hickory_resolver::proto::rr::{Name as DnsName, RData, Record as DnsRecord, RecordType, rdata::SRV};
use parking_lot::Mutex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{HashMap, HashSet},
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;

/// Most servers in `dns.servers`: each has its part of `dns.timeout`.
const MOST_SERVERS: usize = 8;
/// Targets of one service that are looked at, the most important first.
const MOST_TARGETS: usize = 64;

/// `dns:`: who is asked for the addresses behind names, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DnsConfig {
    /// Servers that are asked, the next one only where one fails: `10.0.0.10`, `10.0.0.10:5353`, `[fd00::10]:53`. At
    /// most 8. Default: those of /etc/resolv.conf.
    pub servers: List<DnsServer>,
    /// `true`: the search list and `ndots` of /etc/resolv.conf are used; `false`: a name is asked for as it is written,
    /// with or without a dot at its end. Default: false.
    pub search: bool,
    /// Longest wait for the answer to one question, all servers and tries included. Default: 5s.
    pub timeout: Span,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self { servers: List::default(), search: false, timeout: Span::seconds(5) }
    }
}

impl DnsConfig {
    /// The key that is wrong, and what would be right.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if self.timeout.get().is_zero() {
            return Some(("timeout", "out of range; write more than 0s".to_owned()));
        }
        let count = self.servers.len();
        (count > MOST_SERVERS).then(|| ("servers", format!("{count} servers; keep at most {MOST_SERVERS}")))
    }
}

/// A DNS server: `10.0.0.10`, or with a port other than 53 `10.0.0.10:5353`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsServer(pub SocketAddr);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Name {
    /// A host: its addresses (A and AAAA).
    Host(Arc<str>),
    /// A service, `_http._tcp.member.example`: hosts with ports, weights and priorities (SRV), and their addresses.
    Service(Arc<str>),
}

/// One address behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) address: IpAddr,
    /// Of a service; a host has none.
    pub(super) port: Option<u16>,
    /// Relative to the others of the answer. At least 1.
    pub(super) weight: u16,
    /// Lower ones come first. 0 for a host.
    pub(super) priority: u16,
}

/// What came of asking for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Addresses, at least one: sorted, and each address and port once.
    Found { records: Vec<Record>, ttl: Duration },
    /// There is no such name, or nothing behind it.
    Nothing { ttl: Duration },
    /// Nobody said anything; why.
    Failed(String),
}

/// Asks the servers of `dns:`. Keeps no answers: whoever asks decides when to ask again.
pub(super) struct Resolver {
    config: DnsConfig,
    files: Files,
    view: Mutex<Arc<View>>,
}

impl Resolver {
    /// Make ready to ask. A resolv.conf that cannot be read is no error: a machine without one may know all its names
    /// from /etc/hosts. Each question that needs it fails with the reason.
    ///
    /// # Errors
    /// What is wrong with the section, and what would be right.
    pub(super) fn build(config: &DnsConfig) -> Result<Self, String> {
        Self::with_files(config, Files::default())
    }

    pub(super) fn with_files(config: &DnsConfig, files: Files) -> Result<Self, String> {
        if let Some((key, reason)) = config.problem() {
            return Err(format!("dns.{key}: {reason}"));
        }
        let view = Mutex::new(Arc::new(View::read(config, &files)));
        Ok(Self { config: config.clone(), files, view })
    }

    /// Ask once. A host is two questions at the same time, a service one and then its hosts; aliases that the server does
    /// not follow and names of the search list are further ones. Each takes at most `dns.timeout`.
    pub(super) async fn ask(&self, name: &Name) -> Answer {
        let view = self.view();
        let (Name::Host(text) | Name::Service(text)) = name;
        if let (Name::Host(_), Some(addresses)) = (name, view.hosts.addresses(text)) {
            return Answer::Found { records: of_host(addresses), ttl: BRIEFLY };
        }
        let Some(candidates) = view.candidates(text) else {
            return Answer::Failed("it is not a DNS name".to_owned());
        };
        let mut shortest = Duration::MAX;
        for candidate in candidates {
            let answer = match name {
                Name::Host(_) => view.host(&candidate).await,
                Name::Service(_) => view.service(&candidate).await,
            };
            match answer {
                Answer::Nothing { ttl } => shortest = shortest.min(ttl),
                // After a failure, what the next name brings could belong to somebody else.
                other => return other,
            }
        }
        Answer::Nothing { ttl: shortest }
    }

    /// The view that fits the files as they are now.
    fn view(&self) -> Arc<View> {
        // Held while two small files are read, in the background.
        let mut view = self.view.lock();
        if view.stamps != self.files.stamps() {
            *view = Arc::new(View::read(&self.config, &self.files));
        }
        view.clone()
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resolver({:?})", self.config)
    }
}

/// Whom to ask and what to ask for, as configuration and files say at one moment.
struct View {
    stamps: [Option<Stamp>; 2],
    /// Or why there is nobody to ask.
    servers: Result<Servers, String>,
    search: Vec<DnsName>,
    ndots: usize,
    hosts: Hosts,
}

impl View {
    fn read(config: &DnsConfig, files: &Files) -> Self {
        let stamps = files.stamps();
        let given: Vec<SocketAddr> = config.servers.iter().map(|server| server.0).collect();
        // What the configuration says in full needs no file.
        let system = match given.is_empty() || config.search {
            true => ResolvConf::read(&files.resolv_conf),
            false => Ok(ResolvConf { servers: Vec::new(), search: Vec::new(), ndots: 0 }),
        };
        let domains = system.as_ref().map_or(&[][..], |system| &system.search);
        let search = if config.search { domains } else { &[] };
        let search = search.iter().filter_map(|domain| DnsName::from_ascii(domain).ok()).collect();
        let ndots = system.as_ref().map_or(0, |system| system.ndots);
        let addresses = system.map(|system| if given.is_empty() { system.servers } else { given });
        let servers = addresses.and_then(|addresses| Servers::build(&addresses, config.timeout.get()));
        Self { stamps, servers, search, ndots, hosts: Hosts::read(&files.hosts) }
    }

    /// The absolute names to try, in order; `None`: it is no name.
    fn candidates(&self, text: &str) -> Option<Vec<DnsName>> {
        let name = DnsName::from_ascii(text).ok().filter(|name| name.num_labels() > 0)?;
        let mut absolute = name.clone();
        absolute.set_fqdn(true);
        if name.is_fqdn() {
            return Some(vec![absolute]);
        }
        let dots = usize::from(name.num_labels()) - 1;
        let mut names: Vec<DnsName> =
            self.search.iter().filter_map(|domain| name.clone().append_domain(domain).ok()).collect();
        let place = if dots >= self.ndots { 0 } else { names.len() };
        names.insert(place, absolute);
        Some(names)
    }

    async fn look_up(&self, name: &DnsName, kind: RecordType) -> Outcome {
        match &self.servers {
            Ok(servers) => servers.look_up(name, kind).await,
            Err(reason) => Outcome::Failed(reason.clone()),
        }
    }

    async fn host(&self, name: &DnsName) -> Answer {
        let (v4, v6) = tokio::join!(self.look_up(name, RecordType::A), self.look_up(name, RecordType::AAAA));
        let addresses = |found: &Found| found.data.iter().filter_map(RData::ip_addr).collect::<Vec<_>>();
        match (v4, v6) {
            (Outcome::Found(v4), Outcome::Found(v6)) => {
                let all = [addresses(&v4), addresses(&v6)].concat();
                Answer::Found { records: of_host(all), ttl: v4.ttl.min(v6.ttl) }
            }
            // Some servers always fail for one of the kinds: what was found counts.
            (Outcome::Found(found), _) | (_, Outcome::Found(found)) => {
                Answer::Found { records: of_host(addresses(&found)), ttl: found.ttl }
            }
            // Of AAAA, some servers say for any name that it does not exist (RFC 4074, section 4.2).
            (Outcome::Failed(reason), _) | (Outcome::Nothing(_), Outcome::Failed(reason)) => Answer::Failed(reason),
            (Outcome::NoSuchName(ttl), Outcome::Failed(_)) => Answer::Nothing { ttl },
            (Outcome::Nothing(v4) | Outcome::NoSuchName(v4), Outcome::Nothing(v6) | Outcome::NoSuchName(v6)) => {
                Answer::Nothing { ttl: v4.min(v6) }
            }
        }
    }

    async fn service(self: &Arc<Self>, name: &DnsName) -> Answer {
        let found = match self.look_up(name, RecordType::SRV).await {
            Outcome::Found(found) => found,
            Outcome::Nothing(ttl) | Outcome::NoSuchName(ttl) => return Answer::Nothing { ttl },
            Outcome::Failed(reason) => return Answer::Failed(reason),
        };
        let service = |data| if let RData::SRV(service) = data { Some(service) } else { None };
        let mut services: Vec<SRV> = found.data.into_iter().filter_map(service).collect();
        // The root as its target: the service is decidedly not offered (RFC 2782).
        services.retain(|service| !service.target.is_root() && service.port != 0);
        services.sort_by_key(|service| (service.priority, Reverse(service.weight), service.target.clone()));
        let hosts = self.targets(&services, &found.additionals).await;
        let (mut all, mut ttl, mut failed) = (Vec::new(), found.ttl, None);
        for service in &services {
            match hosts.get(&service.target) {
                Some(Answer::Found { records, ttl: one }) => {
                    all.extend(records.iter().map(|record| of_service(service, record.address)));
                    ttl = ttl.min(*one);
                }
                Some(Answer::Nothing { ttl: one }) => ttl = ttl.min(*one),
                Some(Answer::Failed(reason)) => failed = Some(format!("{}: {reason}", service.target)),
                None => (),
            }
        }
        match failed {
            Some(reason) if all.is_empty() => Answer::Failed(reason),
            None if all.is_empty() => Answer::Nothing { ttl },
            // What is missing is to be asked for again soon.
            Some(_) => Answer::Found { records: sorted(all), ttl: ttl.min(BRIEFLY) },
            None => Answer::Found { records: sorted(all), ttl },
        }
    }

    /// What stands behind the targets of a service: some came with the answer, the others are asked for at once.
    async fn targets(self: &Arc<Self>, services: &[SRV], told: &[DnsRecord]) -> HashMap<DnsName, Answer> {
        let (mut seen, mut hosts, mut asked) = (HashSet::new(), HashMap::new(), JoinSet::new());
        let targets = services.iter().map(|service| &service.target).filter(|target| seen.insert(*target));
        for target in targets.take(MOST_TARGETS) {
            if let Some(answer) = self.hosts.addresses(&target.to_ascii()).map(|addresses| (addresses, BRIEFLY)) {
                hosts.insert(target.clone(), Answer::Found { records: of_host(answer.0), ttl: answer.1 });
            } else if let Some(answer) = told_of(target, told) {
                hosts.insert(target.clone(), answer);
            } else {
                let (view, target) = (self.clone(), target.clone());
                asked.spawn(async move {
                    let answer = view.host(&target).await;
                    (target, answer)
                });
            }
        }
        while let Some(done) = asked.join_next().await {
            hosts.extend(done);
        }
        hosts
    }
}

/// What came with the answer of a service about one of its hosts.
fn told_of(target: &DnsName, told: &[DnsRecord]) -> Option<Answer> {
    let of_target = told.iter().filter(|record| record.name == *target);
    let addresses = of_target.filter_map(|record| Some((record.data.ip_addr()?, record.ttl)));
    let ttl = addresses.clone().map(|(_, ttl)| ttl).min()?;
    let records = of_host(addresses.map(|(address, _)| address).collect());
    Some(Answer::Found { records, ttl: Duration::from_secs(ttl.into()) })
}

fn of_host(addresses: Vec<IpAddr>) -> Vec<Record> {
    let record = |address| Record { address, port: None, weight: 1, priority: 0 };
    sorted(addresses.into_iter().map(record).collect())
}

fn of_service(service: &SRV, address: IpAddr) -> Record {
    Record { address, port: Some(service.port), weight: service.weight.max(1), priority: service.priority }
}

/// The same answer in another order is the same answer. Of one that is there twice, the most important is kept.
fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_key(|record| (record.address, record.port, record.priority, Reverse(record.weight)));
    records.dedup_by_key(|record| (record.address, record.port));
    records
}

/// As an operator writes it, without the port.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(text) => f.write_str(text),
            Self::Service(text) => write!(f, "srv://{text}"),
        }
    }
}

impl FromStr for DnsServer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let bare = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
        let address = text.parse::<SocketAddr>().or_else(|_| bare()).ok();
        let address = address.filter(|address| address.port() != 0);
        address.map(Self).ok_or("not the address of a server; write 10.0.0.10, 10.0.0.10:5353 or [fd00::10]:53")
    }
}

impl Serialize for DnsServer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DnsServer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for DnsServer {
    fn schema_name() -> Cow<'static, str> {
        "DnsServer".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*\[?[0-9A-Fa-f:.]+(\]:\d{1,5})?\s*$",
            "x-expects": "the address of a DNS server such as 10.0.0.10, 10.0.0.10:5353 or [fd00::10]:53"
        })
    }
}

#[cfg(test)]
#[path = "../../tests/it/support/dns.rs"]
pub(super) mod dns;

#[cfg(test)]
#[path = "resolver_tests.rs"]
mod tests;
