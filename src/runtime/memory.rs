//! How much memory a configuration can take: every buffer, cache and table with its bound.

use crate::{
    auth::{self, RevocationMode},
    config::Config,
    ext_auth,
    limits::Counters,
    observability::AccessLog,
    upstream::BalancerConfig,
};
use std::{collections::BTreeSet, fmt};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Code, libraries, tables, the pages. Measured: a release on two workers has 25 MiB under load (docs/performance.md).
const PROCESS: u64 = 24 * MIB;
/// Of each worker: its stack, its runtime, its lists of the allocator, its counters. Measured: 2.2 MiB.
const WORKER: u64 = 3 * MIB;
/// An idle kept connection of HTTP/1.1. Measured with a release: 23 KiB.
const CONNECTION: u64 = 23 * KIB;
/// The same over TLS, with what rustls keeps. Measured: 11 KiB more.
const TLS_CONNECTION: u64 = 36 * KIB;
/// An idle connection to a service: pingora's read buffer.
const IDLE_TO_SERVICE: u64 = 72 * KIB;
/// A route: compiled, as written, in the documents, in the metrics; and once more while a reload compiles the next.
/// Measured with 10,000: 7 KiB, and 17 KiB more after some reloads.
const ROUTE: u64 = 28 * KIB;
/// An endpoint with its state, and its part of its service.
const ENDPOINT: u64 = 16 * KIB;
/// The table of `consistent_hash`, while the next one is made too.
const HASH_TABLE: u64 = 2 * 128 * KIB;
/// A list of addresses or endpoints in a file, which has 4 MiB at most.
const LIST_FILE: u64 = 8 * MIB;
/// A set of keys, 512 KiB at most, as text and compiled.
const KEY_SET: u64 = MIB;
/// The operator's 64 connections, each with its head and body.
const OPERATORS: u64 = 64 * 32 * KIB;
/// 4,096 lines for a slow reader of stderr.
const STDERR: u64 = 2 * MIB;
/// A request under way, with its head, 64 KiB of its answer and 64 KiB of its body for a retry. Measured: 195 KiB where
/// callers read slowly, 230 KiB with uploads and heads of 48 KiB.
const REQUEST: u64 = 256 * KIB;

/// What one kind of buffer, cache or table may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPart {
    /// What it is; the row of docs/operations.md.
    pub name: &'static str,
    /// The key that bounds it; `None`: it is what it is.
    pub key: Option<&'static str>,
    /// How many there are at most.
    pub count: u64,
    /// Bytes of each.
    pub each: u64,
}

impl MemoryPart {
    /// Bytes of all.
    pub fn bytes(&self) -> u64 {
        self.count.saturating_mul(self.each)
    }
}

/// What a configuration may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Everything that stands while no request is under way.
    pub parts: Vec<MemoryPart>,
}

impl Memory {
    /// Of `config`, with so many connections of callers at most and so many worker threads.
    pub fn of(config: &Config, connections: u64, workers: usize) -> Self {
        let all = process(config, connections, workers).into_iter().chain(caches(config)).chain(compiled(config));
        Self { parts: all.filter(|part| part.bytes() > 0).collect() }
    }

    /// Bytes of everything that stands.
    pub fn standing(&self) -> u64 {
        self.parts.iter().map(MemoryPart::bytes).fold(0, u64::saturating_add)
    }

    /// What is wrong where `limit` bytes are all there are, and what would be right.
    pub fn warning(&self, limit: u64) -> Option<String> {
        let standing = self.standing();
        if standing <= limit {
            return None;
        }
        let fixed: u64 = self.parts.iter().filter(|part| part.key.is_none()).map(MemoryPart::bytes).sum();
        let (needed, there) = (mib(standing), limit / MIB);
        if fixed > limit {
            return Some(format!(
                "{needed} MiB of memory may be needed, and {there} MiB are not enough for the process alone, which takes {} \
                 MiB: raise the limit",
                mib(fixed)
            ));
        }
        let mut large: Vec<&MemoryPart> = self.parts.iter().filter(|part| part.key.is_some()).collect();
        large.sort_by_key(|part| std::cmp::Reverse(part.bytes()));
        let told = large.iter().take(3).filter_map(|part| Some(format!("{} ({} MiB)", part.key?, mib(part.bytes()))));
        let told = told.collect::<Vec<_>>().join(", ");
        Some(format!("{needed} MiB of memory may be needed, and there are {there}: raise the limit, or lower {told}"))
    }
}

/// One line for the log: the sum, and the parts of a mebibyte and more.
impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "memory: at most about {} MiB, and {} KiB for each request under way",
            mib(self.standing()),
            REQUEST / KIB
        )?;
        let large = self.parts.iter().filter(|part| part.bytes() >= MIB).enumerate();
        for (at, part) in large {
            let before = if at == 0 { ": " } else { ", " };
            write!(f, "{before}{} {} MiB", part.name, mib(part.bytes()))?;
            if part.count > 1 {
                write!(f, " ({} × {} KiB)", part.count, part.each.div_ceil(KIB))?;
            }
        }
        Ok(())
    }
}

const fn part(name: &'static str, key: Option<&'static str>, count: u64, each: u64) -> MemoryPart {
    MemoryPart { name, key, count, each }
}

/// What serves.
fn process(config: &Config, connections: u64, workers: usize) -> [MemoryPart; 7] {
    let tls = config.listeners.iter().any(|listener| listener.tls.is_some());
    let connection = if tls { TLS_CONNECTION } else { CONNECTION };
    // Of pingora's proxy and of the direct way.
    let pool = 2 * config.server.upstream_idle_connections as u64;
    let (log, operated) = (u64::from(config.log.access), u64::from(config.admin.enabled));
    [
        part("process", None, 1, PROCESS),
        part("workers", Some("server.threads"), workers as u64, WORKER),
        part("connections", Some("max_connections"), connections, connection),
        part("idle connections to services", Some("server.upstream_idle_connections"), pool, IDLE_TO_SERVICE),
        part("access log", Some("log.access"), log, AccessLog::memory(workers) as u64),
        part("stderr", None, 1, STDERR),
        part("operators", Some("admin.enabled"), operated, OPERATORS),
    ]
}

/// What is remembered.
fn caches(config: &Config) -> [MemoryPart; 6] {
    let auth = &config.auth;
    let revoked = if auth.revocation.mode == RevocationMode::Off { 0 } else { auth.revocation.most as u64 };
    let passwords = auth.basic.as_ref().map_or(0, auth::password_memory);
    let answers = config.ext_auth.values().filter(|entry| !entry.cache.get().is_zero()).count() as u64;
    let (keys, expected) = (Some("limits.expected_keys"), config.limits.expected_keys.get());
    [
        part("verified tokens", Some("auth.remember"), auth.remember as u64, auth::TOKEN_MEMORY),
        part("revocations", Some("auth.revocation.most"), revoked, auth::REVOCATION_MEMORY),
        part("passwords being checked", Some("auth.basic"), 1, passwords),
        part("answers of authorisers", Some("ext_auth.*.cache"), answers, ext_auth::ANSWER_MEMORY),
        part("sketches of limits", keys, windows(config), Counters::sketch_memory(expected)),
        part("exact counters of limits", keys, 2, Counters::table_memory(expected)),
    ]
}

/// What the file itself becomes.
fn compiled(config: &Config) -> [MemoryPart; 5] {
    [
        part("routes", Some("routes"), config.routes.len() as u64, ROUTE),
        part("endpoints", Some("services"), endpoints(config), ENDPOINT),
        part("tables of consistent_hash", Some("services.*.balancer"), hash_tables(config), HASH_TABLE),
        part("lists in files", Some("*_file"), list_files(config), LIST_FILE),
        part("sets of keys", Some("auth"), key_sets(config), KEY_SET),
    ]
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(MIB)
}

/// Windows of different lengths that limits count by: each has a sketch.
fn windows(config: &Config) -> u64 {
    let general = config.limits.requests.map(|_| config.limits.window);
    let own = config.routes.iter().flat_map(|route| route.limits.iter().flatten());
    let own = own.map(|limit| limit.window.unwrap_or(config.limits.window));
    own.chain(general).map(|window| window.get()).collect::<BTreeSet<_>>().len() as u64
}

fn endpoints(config: &Config) -> u64 {
    config.services.values().map(|service| service.endpoints.0.len().max(1) as u64).sum()
}

fn hash_tables(config: &Config) -> u64 {
    config.services.values().filter(|service| service.balancer == BalancerConfig::ConsistentHash).count() as u64
}

fn list_files(config: &Config) -> u64 {
    let of_listeners = config.listeners.iter().map(|listener| &listener.addresses);
    let of_routes = config.routes.iter().map(|route| &route.addresses);
    let lists = of_listeners.chain(of_routes).flat_map(|list| [&list.allow_file, &list.deny_file]);
    let of_services = config.services.values().map(|service| &service.endpoints_file);
    lists.chain(of_services).flatten().collect::<BTreeSet<_>>().len() as u64
}

fn key_sets(config: &Config) -> u64 {
    let issuers = config.auth.issuers.values().chain(&config.auth.jwt);
    issuers.filter(|issuer| issuer.jwks_url.is_some() || issuer.jwks_file.is_some()).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ListenerConfig;
    use std::{fs, num::NonZeroUsize, path::Path};

    /// The default configuration on two workers.
    fn defaults() -> Memory {
        Memory::of(&Config::default(), 10_000, 2)
    }

    /// The table of docs/operations.md: name, key, MiB with the defaults.
    fn documented() -> Vec<[String; 3]> {
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
        let (_, section) = page.split_once("## Memory\n").unwrap();
        let table = section.lines().skip_while(|line| !line.starts_with("| part |")).skip(2);
        let rows = table.take_while(|line| line.starts_with('|'));
        rows.map(|row| {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            [0, 1, 3].map(|at| cells[at].to_owned())
        })
        .collect()
    }

    /// Everything that can be switched on.
    fn everything() -> Memory {
        let text = "auth: { jwt: { algorithm: RS256, jwks_url: 'https://a.example' }, revocation: { mode: local },\n\
                    basic: { users: [{ username: u, password_hash: '$argon2id$v=19$m=19456,t=2,p=1$YWFhYWFhYWE$YWFhYWFhYWE' }] } }\n\
                    ext_auth: { p: { url: 'http://p', cache: 1s } }\nlimits: { requests: 1 }\n\
                    services: { s: { endpoints: [a], balancer: consistent_hash, endpoints_file: f } }\n\
                    routes: [{ id: r, match: { path: /r }, service: s }]\n";
        let config: Config = serde_yaml::from_str(text).unwrap();
        Memory::of(&config, 10_000, 2)
    }

    #[test]
    fn the_documented_parts_are_these_with_these_numbers() {
        let (documented, everything, defaults) = (documented(), everything(), defaults());
        let names: Vec<_> = documented.iter().map(|[name, key, _]| (name.as_str(), key.as_str())).collect();
        let known: Vec<_> = everything.parts.iter().map(|part| (part.name, part.key.unwrap_or("–"))).collect();
        assert_eq!(names, known);
        for [name, _, told] in &documented {
            let bytes = defaults.parts.iter().find(|part| part.name == name).map_or(0, MemoryPart::bytes);
            let told: f64 = told.parse().unwrap();
            assert!((told - bytes as f64 / MIB as f64).abs() < 0.05, "{name}: {} MiB", bytes as f64 / MIB as f64);
        }
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
        let sum = format!("**{} MiB**", mib(defaults.standing()));
        assert!(page.contains(&sum), "docs/operations.md lacks {sum}");
        assert!(page.contains(&format!("**{} KiB**", REQUEST / KIB)));
    }

    #[test]
    fn the_line_names_what_is_large() {
        let line = defaults().to_string();
        assert!(line.contains("connections 225 MiB (10000 × 23 KiB)"), "{line}");
        assert!(line.contains("verified tokens 40 MiB (20000 × 2 KiB)"), "{line}");
        assert!(!line.contains("endpoints"), "{line}");
    }

    #[test]
    fn what_bounds_a_part_moves_its_part_alone() {
        let bytes = |memory: &Memory, name: &str| {
            memory.parts.iter().find(|part| part.name == name).map_or(0, MemoryPart::bytes)
        };
        let changed = |name: &'static str, change: &dyn Fn(&mut Config), connections: u64| {
            let mut config = Config::default();
            change(&mut config);
            let memory = Memory::of(&config, connections, 2);
            let others = |memory: &Memory| memory.standing() - bytes(memory, name);
            assert_eq!(others(&memory), others(&defaults()), "{name}");
            assert_ne!(bytes(&memory, name), bytes(&defaults(), name), "{name}");
        };
        changed("connections", &|_| (), 1);
        changed("verified tokens", &|config| config.auth.remember = 0, 10_000);
        changed("idle connections to services", &|config| config.server.upstream_idle_connections = 1, 10_000);
        changed("sketches of limits", &|config| config.limits.requests = std::num::NonZeroU32::new(1), 10_000);
        changed("access log", &|config| config.log.access = false, 10_000);
        changed("operators", &|config| config.admin.enabled = false, 10_000);
        changed("revocations", &|config| config.auth.revocation.mode = RevocationMode::Local, 10_000);
        let route = "{ id: r, match: { path: /r }, respond: { body: hi } }";
        changed("routes", &|config| config.routes = vec![serde_yaml::from_str(route).unwrap(); 10], 10_000);
        let expected = |config: &mut Config| config.limits.expected_keys = NonZeroUsize::new(1_000_000).unwrap();
        changed("exact counters of limits", &expected, 10_000);
        let file = |config: &mut Config| {
            let mut listener = ListenerConfig::default();
            listener.addresses.deny_file = Some("deny".to_owned());
            config.listeners = vec![listener];
        };
        changed("lists in files", &file, 10_000);
    }

    #[test]
    fn too_little_is_said_with_what_to_lower_or_that_nothing_helps() {
        let memory = defaults();
        assert_eq!(memory.warning(memory.standing()), None);
        let told = memory.warning(128 * MIB).unwrap();
        assert!(
            told.contains("and there are 128: raise the limit, or lower max_connections (225 MiB), auth.remember ("),
            "{told}"
        );
        let told = memory.warning(16 * MIB).unwrap();
        assert!(told.contains("16 MiB are not enough for the process alone"), "{told}");
    }
}
