//! Asks DNS servers for records of one kind, over UDP, and over TCP where an answer is too long for that.

use hickory_resolver::{
    NameServerPool, PoolContext, TlsConfig,
    config::{ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverOpts},
    net::{
        DnsError, NetError,
        runtime::TokioRuntimeProvider,
        xfer::{DnsHandle, FirstAnswer},
    },
    proto::{
        op::{DnsRequestOptions, Message, Query, ResponseCode},
        rr::{Name as DnsName, RData, Record as DnsRecord, RecordType},
    },
};
use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// Questions that are in flight at once, over all names: each holds a socket, and after a loss up to three.
const IN_FLIGHT: usize = 128;
/// Aliases that are followed from one question to the next; those within one answer are not counted.
const MOST_ALIASES: usize = 8;
/// Time to live of what comes without one.
pub(super) const BRIEFLY: Duration = Duration::from_secs(5);

/// Servers in the order in which they are asked.
pub(super) struct Servers {
    list: Vec<Server>,
    /// Longest wait for one of them.
    patience: Duration,
    places: Semaphore,
}

/// What came of asking for one kind of record.
pub(super) enum Outcome {
    Found(Found),
    /// There is no such record; the name may exist.
    Nothing(Duration),
    /// The name does not exist.
    NoSuchName(Duration),
    /// Nobody said anything; why.
    Failed(String),
}

/// Records of one kind, at least one.
pub(super) struct Found {
    pub(super) data: Vec<RData>,
    /// The shortest of the records and of the aliases that led to them.
    pub(super) ttl: Duration,
    /// What the server told beyond that.
    pub(super) additionals: Vec<DnsRecord>,
}

impl Servers {
    /// `patience` is the longest wait for one answer and is shared between the servers: each gets the same part, so
    /// that one that is silent leaves time for the next.
    pub(super) fn build(addresses: &[SocketAddr], patience: Duration) -> Result<Self, String> {
        let patience = patience / (addresses.len().max(1) as u32);
        let list = addresses.iter().map(|address| Server::build(*address, patience)).collect::<Result<_, _>>()?;
        Ok(Self { list, patience, places: Semaphore::new(IN_FLIGHT) })
    }

    /// Ask for the records of one kind of an absolute name; aliases are followed.
    pub(super) async fn look_up(&self, name: &DnsName, kind: RecordType) -> Outcome {
        let (mut name, mut ttl) = (name.clone(), Duration::MAX);
        for _ in 0..MOST_ALIASES {
            let message = match self.question(&Query::query(name.clone(), kind)).await {
                Ok(message) => message,
                Err(outcome) => return outcome.at_most(ttl),
            };
            let asked = name.clone();
            if let Some(data) = follow(&message, &mut name, &mut ttl, kind) {
                return Outcome::Found(Found { data, ttl, additionals: message.additionals });
            }
            let negative = negative_ttl(&message);
            if message.response_code == ResponseCode::NXDomain {
                return Outcome::NoSuchName(ttl.min(negative.unwrap_or(BRIEFLY)));
            }
            let is_alias = message.answers.iter().any(|record| is_alias(record, &asked));
            if negative.is_some() || !is_alias {
                return Outcome::Nothing(ttl.min(negative.unwrap_or(BRIEFLY)));
            }
            // The server knows the alias and not what is behind it.
        }
        Outcome::Failed("its aliases (CNAME) lead nowhere".to_owned())
    }

    /// Ask one server after the other until one answers.
    async fn question(&self, query: &Query) -> Result<Message, Outcome> {
        let _place = self.places.acquire().await;
        let mut reasons = Vec::new();
        for server in &self.list {
            match timeout(self.patience, server.ask(query)).await {
                Ok(Err(Outcome::Failed(reason))) => reasons.push(reason),
                Ok(answer) => return answer,
                Err(_) => reasons.push(server.silent()),
            }
        }
        Err(Outcome::Failed(reasons.join(", ")))
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list.iter().map(|server| server.address)).finish()
    }
}

impl Outcome {
    fn at_most(self, most: Duration) -> Self {
        match self {
            Self::Nothing(ttl) => Self::Nothing(ttl.min(most)),
            Self::NoSuchName(ttl) => Self::NoSuchName(ttl.min(most)),
            other => other,
        }
    }
}

/// One server. A pool of its own each: the library would ask the fastest of several first, and servers that know
/// different names must be asked in their order.
struct Server {
    address: SocketAddr,
    pool: NameServerPool<TokioRuntimeProvider>,
}

impl Server {
    fn build(address: SocketAddr, patience: Duration) -> Result<Self, String> {
        let connection = |protocol| {
            let mut connection = ConnectionConfig::new(protocol);
            connection.port = address.port();
            connection
        };
        let connections = [ProtocolConfig::Udp, ProtocolConfig::Tcp].map(connection).into();
        let config = NameServerConfig::new(address.ip(), true, connections);
        let mut options = ResolverOpts::default();
        options.timeout = patience;
        let tls = TlsConfig::new().map_err(|error| error.to_string())?;
        let context = Arc::new(PoolContext::new(options, tls));
        Ok(Self { address, pool: NameServerPool::from_config([config], context, TokioRuntimeProvider::default()) })
    }

    async fn ask(&self, query: &Query) -> Result<Message, Outcome> {
        let once = || self.pool.lookup(query.clone(), DnsRequestOptions::default()).first_answer();
        let answer = match once().await {
            // A connection that died since the last question says nothing of the server.
            Err(NetError::Io(_) | NetError::Message(_) | NetError::Msg(_)) => once().await,
            answer => answer,
        };
        match answer {
            Ok(answer) => match answer.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => Ok(answer.into_message()),
                code => Err(self.refused(code)),
            },
            Err(NetError::Dns(DnsError::NoRecordsFound(nothing))) => {
                let ttl = nothing.negative_ttl.map_or(BRIEFLY, |seconds| Duration::from_secs(seconds.into()));
                Err(match nothing.response_code {
                    ResponseCode::NXDomain => Outcome::NoSuchName(ttl),
                    _ if nothing.soa.is_none() && nothing.ns.is_some() => {
                        Outcome::Failed(format!("{} does not look names up for others", self.address))
                    }
                    _ => Outcome::Nothing(ttl),
                })
            }
            Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(self.refused(code)),
            Err(NetError::Timeout) => Err(Outcome::Failed(self.silent())),
            Err(error) => Err(Outcome::Failed(format!("{}: {error}", self.address))),
        }
    }

    fn silent(&self) -> String {
        format!("{} does not answer", self.address)
    }

    fn refused(&self, code: ResponseCode) -> Outcome {
        let word = match code {
            ResponseCode::ServFail => "SERVFAIL",
            ResponseCode::Refused => "REFUSED",
            ResponseCode::FormErr => "FORMERR",
            ResponseCode::NotImp => "NOTIMP",
            other => return Outcome::Failed(format!("{} answers code {}", self.address, u16::from(other))),
        };
        Outcome::Failed(format!("{} answers {word}", self.address))
    }
}

/// The records of one kind behind `name`; where there are none, `name` is how far the aliases led. `ttl` becomes the
/// shortest on the way.
fn follow(message: &Message, name: &mut DnsName, ttl: &mut Duration, kind: RecordType) -> Option<Vec<RData>> {
    // As many steps as there are records: a circle ends.
    for _ in 0..=message.answers.len() {
        let here: Vec<&DnsRecord> = message.answers.iter().filter(|record| record.name == *name).collect();
        let found: Vec<&&DnsRecord> = here.iter().filter(|record| record.record_type() == kind).collect();
        if let Some(shortest) = found.iter().map(|record| record.ttl).min() {
            *ttl = (*ttl).min(Duration::from_secs(shortest.into()));
            return Some(found.into_iter().map(|record| record.data.clone()).collect());
        }
        let alias = here.iter().find_map(|record| match &record.data {
            RData::CNAME(target) => Some((target.0.clone(), record.ttl)),
            _ => None,
        });
        let (target, seconds) = alias?;
        *ttl = (*ttl).min(Duration::from_secs(seconds.into()));
        *name = target;
    }
    None
}

fn is_alias(record: &DnsRecord, name: &DnsName) -> bool {
    record.record_type() == RecordType::CNAME && record.name == *name
}

/// How long "nothing" holds (RFC 2308, section 5), if the answer says it.
fn negative_ttl(message: &Message) -> Option<Duration> {
    message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(Duration::from_secs(record.ttl.min(soa.minimum).into())),
        _ => None,
    })
}
