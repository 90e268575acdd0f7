//! What the machine itself says about names: /etc/resolv.conf and /etc/hosts.

use crate::files::Stamp;
use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// Servers and search domains that count (resolv.conf(5): MAXNS; domains without a limit since glibc 2.26).
const MOST_SERVERS: usize = 3;
/// The highest `ndots` (resolv.conf(5)).
const MOST_DOTS: usize = 15;
/// Where DNS servers listen.
pub(super) const PORT: u16 = 53;

/// The two files.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) resolv_conf: PathBuf,
    pub(super) hosts: PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into() }
    }
}

impl Files {
    /// Tells whether one of them changed.
    pub(super) fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.resolv_conf, &self.hosts].map(|path| Stamp::of(path).ok())
    }
}

/// `resolv.conf`: who is asked for which names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ResolvConf {
    pub(super) servers: Vec<SocketAddr>,
    /// Domains that are put behind a name, in order.
    pub(super) search: Vec<String>,
    /// Names with at least this many dots are tried as they are first.
    pub(super) ndots: usize,
}

impl ResolvConf {
    /// Read the file, or say why not and what would help.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read(path);
        let text = text.map_err(|error| format!("{}: {error}; set dns.servers", path.display()))?;
        Ok(Self::parse(&String::from_utf8_lossy(&text)))
    }

    /// As resolv.conf(5) has it: what is not understood is passed over; where no server is named, it is this machine.
    fn parse(text: &str) -> Self {
        let mut read = Self { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // Without the zone of a link-local one, which the library cannot keep.
                    let address = words.next().and_then(|word| word.split('%').next()?.parse::<IpAddr>().ok());
                    read.servers.extend(address.map(|address| SocketAddr::new(address, PORT)));
                }
                // The last one counts.
                Some("search") => read.search = words.map(str::to_owned).collect(),
                Some("domain") => read.search = words.take(1).map(str::to_owned).collect(),
                Some("options") => {
                    let dots = words.rev().find_map(|word| word.strip_prefix("ndots:")?.parse::<usize>().ok());
                    read.ndots = dots.map_or(read.ndots, |dots| dots.min(MOST_DOTS));
                }
                _ => (),
            }
        }
        read.servers.truncate(MOST_SERVERS);
        if read.servers.is_empty() {
            read.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
        }
        read
    }
}

/// `hosts`: addresses by name, names in small letters. A file that is not there names nobody.
#[derive(Debug, Default)]
pub(super) struct Hosts(HashMap<String, Vec<IpAddr>>);

impl Hosts {
    pub(super) fn read(path: &Path) -> Self {
        fs::read(path).map(|text| Self::parse(&String::from_utf8_lossy(&text))).unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let mut hosts = Self::default();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words {
                hosts.0.entry(name.trim_end_matches('.').to_ascii_lowercase()).or_default().push(address);
            }
        }
        hosts
    }

    /// What nobody has to be asked for: what the file says, and of `localhost` what it says or not (RFC 6761,
    /// section 6.3).
    pub(super) fn addresses(&self, host: &str) -> Option<Vec<IpAddr>> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_own = host == "localhost" || host.ends_with(".localhost");
        let own = || is_own.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        self.0.get(&host).cloned().or_else(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_its_manual_says() {
        let text = "# a comment\n; another\nnameserver 10.0.0.10\nnameserver fe80::1%eth0\nnameserver nonsense\n\
                    domain a.example\nsearch  svc.cluster.local\tcluster.local \noptions edns0 ndots:5 timeout:1\n\
                    nameserver 10.0.0.11\nnameserver 10.0.0.12\nsortlist 10.0.0.0\n";
        let read = ResolvConf::parse(text);
        let servers: Vec<String> = read.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.10:53", "[fe80::1]:53", "10.0.0.11:53"]);
        assert_eq!(read.search, ["svc.cluster.local", "cluster.local"]);
        assert_eq!(read.ndots, 5);
        assert_eq!(ResolvConf::parse("options ndots:99").ndots, 15);
        assert_eq!(ResolvConf::parse("search a b\ndomain c d").search, ["c"]);
    }

    #[test]
    fn where_no_server_is_named_it_is_this_machine() {
        let servers = ResolvConf::parse("").servers;
        assert_eq!(servers, ["127.0.0.1:53".parse().unwrap()]);
        let error = ResolvConf::read(Path::new("/nowhere/resolv.conf")).unwrap_err();
        assert!(error.starts_with("/nowhere/resolv.conf: ") && error.ends_with("; set dns.servers"), "{error}");
    }

    #[test]
    fn hosts_are_found_by_every_name_of_a_line() {
        let text = "127.0.0.1 localhost # this one\n::1 localhost\n10.0.0.7\tDB_1 db.example. db\n\
                    nonsense x\nfe80::1%lo0 y\n10.0.0.8 db #db2\n";
        let hosts = Hosts::parse(text);
        for (name, wanted) in [
            ("localhost", "127.0.0.1 ::1"),
            ("db_1", "10.0.0.7"),
            ("Db.Example", "10.0.0.7"),
            ("db.", "10.0.0.7 10.0.0.8"),
            ("a.localhost.", "127.0.0.1 ::1"),
            ("x", ""),
            ("y", ""),
            ("db2", ""),
        ] {
            let found = hosts.addresses(name).unwrap_or_default();
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), wanted, "{name}");
        }
        assert_eq!(Hosts::default().addresses("localhost").unwrap().len(), 2, "even without a file");
    }
}
