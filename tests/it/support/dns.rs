//! A DNS server of the test's own. The unit tests of the resolver use it too, and each user uses a part of it.

#![allow(dead_code, unreachable_pub, reason = "two crates of tests share it, and neither uses all of it")]

use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, SOA, SRV},
    },
};
use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// What the server does instead of answering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failure {
    /// It answers.
    #[default]
    None,
    /// SERVFAIL to everything.
    ServFail,
    /// SERVFAIL to questions for AAAA alone.
    ServFailForIpv6,
    /// REFUSED to everything.
    Refused,
    /// Nothing at all.
    Silent,
}

/// An authoritative server on 127.0.0.1, over UDP and TCP. Knows what it was told; everything else is NXDOMAIN. Ends
/// with the test.
pub struct Dns {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ended: AtomicBool,
}

#[derive(Default)]
struct State {
    /// By name, in small letters and without the last dot.
    records: HashMap<String, Vec<(RData, u32)>>,
    failure: Failure,
    delay: Duration,
    bare: bool,
    /// Seconds; `None`: answers without records come without SOA.
    negative: Option<u32>,
    /// With the number of the message: one that is sent again, because its answer is late, has the same.
    asked: Vec<(String, RecordType, u16)>,
    open: HashMap<(String, RecordType), usize>,
    most_open: HashMap<String, usize>,
    over_tcp: usize,
}

impl Dns {
    pub fn start() -> Self {
        // The port that UDP got may be taken for TCP: rarely, and then another is tried.
        (0..20).find_map(|_| Self::on_any_port()).expect("no port that is free for UDP and TCP")
    }

    fn on_any_port() -> Option<Self> {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        let tcp = TcpListener::bind(address).ok()?;
        let shared = Arc::<Shared>::default();
        shared.state.lock().unwrap().negative = Some(1);
        let server = Self { address, shared: shared.clone() };
        let of_tcp = shared.clone();
        thread::spawn(move || serve_udp(&Arc::new(udp), &shared));
        thread::spawn(move || serve_tcp(&tcp, &of_tcp));
        Some(server)
    }

    fn state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.shared.state.lock().unwrap())
    }

    /// A and AAAA records in place of all that the name had. None: the name exists and has no address.
    pub fn set_a(&self, name: &str, addresses: &[IpAddr], ttl: u32) {
        let data = |address: &IpAddr| match address {
            IpAddr::V4(address) => RData::A(A(*address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(*address)),
        };
        self.set(name, addresses.iter().map(data), ttl);
    }

    /// SRV records in place of all that the name had: priority, weight, port, target.
    pub fn set_srv(&self, name: &str, services: &[(u16, u16, u16, &str)], ttl: u32) {
        let data = |(priority, weight, port, target): &(u16, u16, u16, &str)| {
            RData::SRV(SRV::new(*priority, *weight, *port, absolute(target)))
        };
        self.set(name, services.iter().map(data), ttl);
    }

    /// An alias in place of all that the name had.
    pub fn set_alias(&self, name: &str, target: &str, ttl: u32) {
        self.set(name, [RData::CNAME(CNAME(absolute(target)))], ttl);
    }

    fn set(&self, name: &str, data: impl IntoIterator<Item = RData>, ttl: u32) {
        let records = data.into_iter().map(|data| (data, ttl)).collect();
        self.state(|state| state.records.insert(key(name), records));
    }

    /// From now on there is no such name.
    pub fn remove(&self, name: &str) {
        self.state(|state| state.records.remove(&key(name)));
    }

    pub fn fail(&self, failure: Failure) {
        self.state(|state| state.failure = failure);
    }

    /// Take this long for each answer.
    pub fn delay(&self, delay: Duration) {
        self.state(|state| state.delay = delay);
    }

    /// Answer without what stands behind an alias or a service: whoever wants to know it has to ask.
    pub fn tell_no_more_than_asked(&self) {
        self.state(|state| state.bare = true);
    }

    /// Time to live of "nothing", 1 s at first; `None`: it comes without one.
    pub fn set_negative_ttl(&self, seconds: Option<u32>) {
        self.state(|state| state.negative = seconds);
    }

    /// How many questions came for a name, of all kinds. One that is sent again, or over TCP, is the same.
    pub fn asked(&self, name: &str) -> usize {
        self.state(|state| state.asked.iter().filter(|(asked, ..)| *asked == key(name)).count())
    }

    /// Every question so far, in order: `A member.example`.
    pub fn questions(&self) -> Vec<String> {
        self.state(|state| state.asked.iter().map(|(name, kind, _)| format!("{kind} {name}")).collect())
    }

    /// How many questions of one kind for a name waited for an answer at the same time, at most.
    pub fn most_open(&self, name: &str) -> usize {
        self.state(|state| state.most_open.get(&key(name)).copied().unwrap_or(0))
    }

    /// How many questions came over TCP.
    pub fn over_tcp(&self) -> usize {
        self.state(|state| state.over_tcp)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        // Wakes the threads.
        _ = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(&[], self.address));
        _ = TcpStream::connect(self.address);
    }
}

fn absolute(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    name
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn serve_udp(socket: &Arc<UdpSocket>, shared: &Arc<Shared>) {
    let mut buffer = [0; 4_096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        if shared.ended.load(SeqCst) {
            return;
        }
        let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
        let (socket, shared) = (socket.clone(), shared.clone());
        // A thread each, because an answer may take its time.
        thread::spawn(move || {
            let Some(answer) = shared.answer(&question) else { return };
            let bytes = answer.to_vec().unwrap();
            let fits = bytes.len() <= usize::from(question.max_payload());
            let bytes = if fits { bytes } else { answer.truncate().to_vec().unwrap() };
            _ = socket.send_to(&bytes, from);
        });
    }
}

fn serve_tcp(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.ended.load(SeqCst) {
            return;
        }
        let shared = shared.clone();
        thread::spawn(move || serve_stream(stream, &shared));
    }
}

/// RFC 1035, section 4.2.2: each message follows its length.
fn serve_stream(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question).ok()?;
        shared.state.lock().unwrap().over_tcp += 1;
        let answer = shared.answer(&Message::from_vec(&question).ok()?)?.to_vec().ok()?;
        let mut bytes = u16::try_from(answer.len()).ok()?.to_be_bytes().to_vec();
        bytes.extend(answer);
        stream.write_all(&bytes).ok()?;
    }
}

impl Shared {
    /// `None`: the server is silent.
    fn answer(&self, question: &Message) -> Option<Message> {
        let query = question.queries.first()?;
        let (name, kind) = (key(&query.name.to_ascii()), query.query_type);
        let (delay, is_new) = self.state.lock().unwrap().begin(&name, kind, question.id);
        thread::sleep(delay);
        let mut state = self.state.lock().unwrap();
        if is_new {
            *state.open.get_mut(&(name, kind)).unwrap() -= 1;
        }
        (state.failure != Failure::Silent).then(|| state.answer(question, query))
    }
}

impl State {
    /// How long the answer takes, and whether the question is a new one.
    fn begin(&mut self, name: &str, kind: RecordType, id: u16) -> (Duration, bool) {
        let question = (name.to_owned(), kind, id);
        let is_new = !self.asked.contains(&question);
        if is_new {
            self.asked.push(question);
            let open = self.open.entry((name.to_owned(), kind)).or_default();
            *open += 1;
            let most = self.most_open.entry(name.to_owned()).or_default();
            *most = (*most).max(*open);
        }
        (self.delay, is_new)
    }

    fn answer(&self, question: &Message, query: &Query) -> Message {
        let mut answer = Message::new(question.id, MessageType::Response, OpCode::Query);
        answer.add_query(query.clone());
        answer.metadata.recursion_desired = question.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.metadata.response_code = match self.failure {
            Failure::ServFail => ResponseCode::ServFail,
            Failure::ServFailForIpv6 if query.query_type == RecordType::AAAA => ResponseCode::ServFail,
            Failure::Refused => ResponseCode::Refused,
            _ => self.fill(&mut answer, query),
        };
        let has_failed = ![ResponseCode::NoError, ResponseCode::NXDomain].contains(&answer.metadata.response_code);
        if let (true, false, Some(seconds)) = (answer.answers.is_empty(), has_failed, self.negative) {
            let zone = SOA::new(absolute("ns.test"), absolute("hostmaster.test"), 1, 60, 60, 60, seconds);
            answer.add_authority(Record::from_rdata(absolute("test"), 3_600, RData::SOA(zone)));
        }
        answer
    }

    fn fill(&self, answer: &mut Message, query: &Query) -> ResponseCode {
        let mut name = query.name.clone();
        loop {
            let Some(records) = self.records.get(&key(&name.to_ascii())) else { return ResponseCode::NXDomain };
            let mut next = None;
            for (data, ttl) in records {
                let is_alias = matches!(data, RData::CNAME(_));
                if is_alias || data.record_type() == query.query_type {
                    answer.add_answer(Record::from_rdata(name.clone(), *ttl, data.clone()));
                }
                match data {
                    RData::CNAME(target) => next = Some(target.0.clone()),
                    RData::SRV(service) if !self.bare => self.add_host(answer, &service.target),
                    _ => (),
                }
            }
            match next {
                Some(target) if !self.bare => name = target,
                _ => return ResponseCode::NoError,
            }
        }
    }

    fn add_host(&self, answer: &mut Message, host: &Name) {
        for (data, ttl) in self.records.get(&key(&host.to_ascii())).into_iter().flatten() {
            if data.ip_addr().is_some() {
                answer.add_additional(Record::from_rdata(host.clone(), *ttl, data.clone()));
            }
        }
    }
}
