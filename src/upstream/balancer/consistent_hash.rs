use super::{Load, Member};
use std::{cmp::Reverse, collections::BinaryHeap};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Slots of the table, a prime as Maglev needs: 128 KiB. The same for 2 members and for 1,000 (65 slots each), because
/// another size moves nearly all keys: no number of members may be the one where that happens.
const SLOTS: usize = 65_537;

/// Nobody's slot, while the table is filled.
const FREE: u16 = u16::MAX;

/// How much more than its share a member may have in flight, before its keys go elsewhere (Mirrokni and others 2016,
/// «Consistent hashing with bounded loads»). Less moves more keys, more lets a key that all ask for weigh more.
const BOUND: f64 = 1.25;

/// Slots looked at for a key, one after the other. Then the members are looked through: one that is heavy, full and
/// has nearly all slots would else stay full.
const PROBES: usize = 16;

/// The same member for the same key, on every instance of the gateway, as far as its load allows. Where a member
/// leaves, its keys move, and hardly any other (Maglev, Google 2016).
///
/// Shares are those of the weights to one slot, and each has at least one. More than 65,535 members have no slots.
pub(in super::super) struct ConsistentHash {
    /// Places in `seats`, and the first [`PROBES`] of them again, so that no probe has to turn back to the beginning.
    table: Box<[u16]>,
    /// By name, as the order in the file must not matter.
    seats: Box<[Seat]>,
}

struct Seat {
    place: usize,
    /// What it may have in flight, as a part of all that is.
    bound: f64,
}

impl ConsistentHash {
    pub(super) fn build(members: &[Member]) -> Self {
        let mut members = members.to_vec();
        members.sort_by_key(|member| (member.name, member.place));
        members.truncate(usize::from(FREE));
        let total: f64 = members.iter().map(|member| f64::from(member.weight.max(1))).sum();
        let seat =
            |member: &Member| Seat { place: member.place, bound: BOUND * f64::from(member.weight.max(1)) / total };
        Self { table: table(&members), seats: members.iter().map(seat).collect() }
    }

    /// `None` as a key: a random one. `in_flight` is the sum over all members, asked only where it matters.
    pub(super) fn pick<'l>(
        &self,
        key: Option<u64>,
        load: impl Fn(usize) -> Option<&'l Load>,
        in_flight: impl Fn() -> u32,
        accepts: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let slot = (key.unwrap_or_else(|| fastrand::u64(..)) % SLOTS as u64) as usize;
        // The first that is accepted at all, should all be full.
        let mut home = None;
        let mut will_do = |seat: &&Seat| {
            if !accepts(seat.place) {
                return false;
            }
            home = home.or(Some(seat.place));
            let count = load(seat.place).map_or(0, Load::in_flight);
            count == 0 || f64::from(count) < seat.bound * (f64::from(in_flight()) + 1.0)
        };
        let probes = self.table.get(slot..slot + PROBES)?.iter();
        let found = probes.filter_map(|seat| self.seats.get(usize::from(*seat))).find(&mut will_do);
        let found = found.or_else(|| self.from(slot).find(&mut will_do));
        found.map(|seat| seat.place).or(home)
    }

    /// All members, from one that depends on the key.
    fn from(&self, slot: usize) -> impl Iterator<Item = &Seat> {
        let start = slot.checked_rem(self.seats.len()).unwrap_or(0);
        self.seats.iter().cycle().skip(start).take(self.seats.len())
    }
}

/// A number for `bytes` that is the same on every machine and in every version: XXH3 with 64 bits.
pub(in super::super) fn hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// One member's claims on the table.
struct Claims {
    /// The slot it wants next; each slot is wanted once in [`SLOTS`] steps.
    next: usize,
    step: usize,
    weight: u64,
    count: u64,
}

impl Claims {
    fn new(member: &Member) -> Self {
        let name = member.name.to_string();
        Self {
            next: (hash(name.as_bytes()) % SLOTS as u64) as usize,
            // Another seed, so that two members that begin at one slot go different ways.
            step: (xxh3_64_with_seed(name.as_bytes(), 1) % (SLOTS as u64 - 1)) as usize + 1,
            weight: member.weight.max(1).into(),
            count: 0,
        }
    }

    /// When its next claim is due. Only its own weight counts, so that nobody's claims change their order because
    /// somebody else left. The first is due at once, and so each has a slot.
    fn due(&self) -> u64 {
        (self.count << 40) / self.weight
    }

    /// Take the next free slot that it wants.
    fn take(&mut self, table: &mut [u16], seat: u16) {
        self.count += 1;
        for _ in 0..table.len() {
            let slot = table.get_mut(self.next);
            self.next += self.step;
            self.next -= if self.next >= SLOTS { SLOTS } else { 0 };
            if let Some(slot) = slot.filter(|slot| **slot == FREE) {
                *slot = seat;
                return;
            }
        }
    }
}

/// Each member in turn, by weight, takes the free slot that it likes best.
fn table(members: &[Member]) -> Box<[u16]> {
    let mut table = vec![FREE; SLOTS];
    let mut claims: Vec<Claims> = members.iter().map(Claims::new).collect();
    let mut order: BinaryHeap<Reverse<(u64, u16)>> = (0..claims.len()).map(|seat| Reverse((0, seat as u16))).collect();
    for _ in 0..SLOTS {
        let Some(mut first) = order.peek_mut() else { break };
        let Reverse((due, seat)) = &mut *first;
        if let Some(claims) = claims.get_mut(usize::from(*seat)) {
            claims.take(&mut table, *seat);
            *due = claims.due();
        }
    }
    table.extend_from_within(..PROBES);
    table.into()
}
