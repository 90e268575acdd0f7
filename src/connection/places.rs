//! How many connections a listener has, in all and per address.

use crate::observability::ConnectionRefusal;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

/// Parts of the table, so that connections of different addresses rarely meet at one lock.
const SHARDS: usize = 64;

/// How many connections a listener takes, as seen from one peer.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// `max_connections`.
    pub in_all: u32,
    /// `max_connections_per_address`. `None`: the peer is a trusted proxy, which speaks for many.
    pub per_address: Option<u32>,
    /// Bytes of a head, all in all.
    pub largest_head: usize,
    /// `keepalive_timeout`: also the longest wait for a first request.
    pub idle: Duration,
}

/// The connections of the process, over all its listeners. Fixed at the start, because file descriptors are.
#[derive(Debug)]
pub struct ProcessPlaces {
    open: AtomicU32,
    most: u32,
}

impl ProcessPlaces {
    /// Places for `most` connections.
    pub fn new(most: u32) -> Arc<Self> {
        Arc::new(Self { open: AtomicU32::new(0), most })
    }
}

/// The connections of one listener. Holds no more addresses than there are connections.
pub(super) struct Places {
    open: AtomicU32,
    process: Arc<ProcessPlaces>,
    /// Those of which only the end is still to be noticed by their callers.
    pub(super) lingering: AtomicU32,
    /// Keyed anew in each process: nobody can choose addresses that fall into one shard or bucket.
    hasher: RandomState,
    shards: [Mutex<HashMap<Address, u32>>; SHARDS],
}

/// Whose connections are counted together: an IPv4 address, or the /64 of an IPv6 address, which is what one
/// customer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address(u128);

impl Address {
    pub(super) fn of(peer: IpAddr) -> Self {
        match peer.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().to_bits()),
            // The lower half is 0 then, which no mapped IPv4 address is.
            IpAddr::V6(v6) => Self(v6.to_bits() >> 64 << 64),
        }
    }
}

impl Places {
    pub(super) fn new(process: Arc<ProcessPlaces>) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { open: AtomicU32::new(0), process, lingering: AtomicU32::new(0), hasher: RandomState::new(), shards }
    }

    /// Take a place, to be given back with [`Places::leave`] and the same address.
    pub(super) fn enter(&self, address: Option<Address>, limits: ConnectionLimits) -> Result<(), ConnectionRefusal> {
        // First the address: a flood of one of them is told as what it is.
        self.enter_as(address, limits.per_address)?;
        if !take(&self.open, limits.in_all) {
            self.leave_address(address);
            return Err(ConnectionRefusal::InAll);
        }
        if !take(&self.process.open, self.process.most) {
            self.open.fetch_sub(1, Relaxed);
            self.leave_address(address);
            return Err(ConnectionRefusal::Process);
        }
        Ok(())
    }

    /// Count a connection that has its place already under an address too.
    pub(super) fn enter_as(&self, address: Option<Address>, most: Option<u32>) -> Result<(), ConnectionRefusal> {
        let most = most.unwrap_or(u32::MAX);
        match address {
            Some(address) if !self.enter_address(address, most) => Err(ConnectionRefusal::PerAddress),
            _ => Ok(()),
        }
    }

    pub(super) fn leave(&self, address: Option<Address>) {
        self.process.open.fetch_sub(1, Relaxed);
        self.open.fetch_sub(1, Relaxed);
        self.leave_address(address);
    }

    fn shard(&self, address: Address) -> Option<&Mutex<HashMap<Address, u32>>> {
        self.shards.get(self.hasher.hash_one(address) as usize % SHARDS)
    }

    fn enter_address(&self, address: Address, most: u32) -> bool {
        let Some(shard) = self.shard(address) else { return true };
        // Held for one look-up: once when a connection opens, once when it closes.
        let mut open = shard.lock();
        let known = open.get(&address).copied().unwrap_or(0);
        if known < most {
            open.insert(address, known + 1);
        }
        known < most
    }

    fn leave_address(&self, address: Option<Address>) {
        let Some((address, shard)) = address.and_then(|address| Some((address, self.shard(address)?))) else { return };
        let mut open = shard.lock();
        match open.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = open.remove(&address),
        }
    }
}

/// One more, if that is no more than `most`.
fn take(open: &AtomicU32, most: u32) -> bool {
    open.fetch_update(Relaxed, Relaxed, |open| (open < most).then_some(open + 1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConnectionRefusal::{InAll, PerAddress, Process};

    fn address(text: &str) -> Option<Address> {
        Some(Address::of(text.parse().unwrap()))
    }

    fn known(places: &Places) -> usize {
        places.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    #[test]
    fn an_ipv6_caller_is_its_64_and_an_ipv4_caller_its_address() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:1:2", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "0.0.0.0", false),
        ] {
            assert_eq!(address(one) == address(other), same, "{one} {other}");
        }
    }

    #[test]
    fn whoever_leaves_makes_room_and_is_forgotten() {
        let (places, limits) = (
            Places::new(ProcessPlaces::new(u32::MAX)),
            ConnectionLimits { in_all: 3, per_address: Some(2), largest_head: 1000, idle: Duration::ZERO },
        );
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!((places.enter(one, limits), places.enter(one, limits)), (Ok(()), Ok(())));
        assert_eq!(places.enter(one, limits), Err(PerAddress));
        assert_eq!(places.enter(other, limits), Ok(()));
        assert_eq!(places.enter(other, limits), Err(InAll));
        assert_eq!(places.enter(None, limits), Err(InAll));
        places.leave(one);
        assert_eq!(places.enter(other, limits), Ok(()));
        places.leave(one);
        assert_eq!(known(&places), 1);
        places.leave(other);
        places.leave(other);
        assert_eq!((known(&places), places.open.load(Relaxed)), (0, 0));
    }

    #[test]
    fn listeners_share_the_places_of_the_process() {
        let limits = ConnectionLimits { in_all: 3, per_address: Some(9), largest_head: 1000, idle: Duration::ZERO };
        let process = ProcessPlaces::new(4);
        let (one, other) = (Places::new(process.clone()), Places::new(process.clone()));
        let caller = address("192.0.2.1");
        assert!((0..3).all(|_| one.enter(caller, limits).is_ok()));
        assert_eq!(one.enter(caller, limits), Err(InAll));
        assert_eq!(other.enter(caller, limits), Ok(()));
        assert_eq!(other.enter(caller, limits), Err(Process));
        assert_eq!((other.open.load(Relaxed), process.open.load(Relaxed), known(&other)), (1, 4, 1));
        one.leave(caller);
        assert_eq!(other.enter(caller, limits), Ok(()));
        (0..2).for_each(|_| one.leave(caller));
        (0..2).for_each(|_| other.leave(caller));
        assert_eq!((process.open.load(Relaxed), known(&one), known(&other)), (0, 0, 0));
    }

    #[test]
    fn a_refused_address_leaves_nothing_behind() {
        let (places, limits) = (
            Places::new(ProcessPlaces::new(u32::MAX)),
            ConnectionLimits { in_all: 1, per_address: Some(2), largest_head: 1000, idle: Duration::ZERO },
        );
        places.enter(address("192.0.2.1"), limits).unwrap();
        for last in 2..200 {
            assert_eq!(places.enter(address(&format!("192.0.2.{last}")), limits), Err(InAll));
        }
        assert_eq!(known(&places), 1);
    }

    #[test]
    fn threads_do_not_overbook() {
        let (places, limits) = (
            Places::new(ProcessPlaces::new(u32::MAX)),
            ConnectionLimits { in_all: 100, per_address: Some(60), largest_head: 1000, idle: Duration::ZERO },
        );
        let enter = |text: &str| (0..1000).filter(|_| places.enter(address(text), limits).is_ok()).count();
        let entered: usize = std::thread::scope(|scope| {
            let callers =
                ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"].map(|text| scope.spawn(move || enter(text)));
            callers.into_iter().map(|caller| caller.join().unwrap()).sum()
        });
        assert_eq!(entered, 100);
        assert_eq!(known(&places), 2);
    }
}
