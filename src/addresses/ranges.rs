//! Many ranges of addresses, asked in the time of a binary search.

use crate::types::Network;
use std::net::IpAddr;

/// A set of addresses: ranges that neither touch nor overlap, in order. Of 10,000 ranges 14 are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl Ranges {
    pub(super) fn new(networks: impl IntoIterator<Item = Network>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network.bounds() {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.to_bits(), last.to_bits())),
                (IpAddr::V6(first), IpAddr::V6(last)) => v6.push((first.to_bits(), last.to_bits())),
                // Both ends are of one family.
                _ => (),
            }
        }
        Self { v4: merged(v4, |last| last.checked_add(1)), v6: merged(v6, |last| last.checked_add(1)) }
    }

    /// Whether `address` lies in one of them. An IPv4 address that came over an IPv6 socket counts as IPv4.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => lies_in(&self.v4, address.to_bits()),
            IpAddr::V6(address) => lies_in(&self.v6, address.to_bits()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// How many there are, merged ones counted once.
    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

/// In order, and those that overlap or touch as one.
fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>, next: impl Fn(T) -> Option<T>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    let mut found: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match found.last_mut() {
            Some(before) if next(before.1).is_none_or(|next| first <= next) => before.1 = before.1.max(last),
            _ => found.push((first, last)),
        }
    }
    found.into()
}

fn lies_in<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    behind.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| address <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn ranges(networks: &[&str]) -> Ranges {
        Ranges::new(networks.iter().map(|text| text.parse().unwrap()))
    }

    #[track_caller]
    fn check(networks: &[&str], inside: &[&str], outside: &[&str]) {
        let ranges = ranges(networks);
        for (addresses, expected) in [(inside, true), (outside, false)] {
            for address in addresses {
                assert_eq!(ranges.contain(address.parse().unwrap()), expected, "{address} in {networks:?}");
            }
        }
    }

    #[test]
    fn an_address_is_in_a_range_from_its_first_to_its_last() {
        check(&["10.0.0.0/8"], &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], &["9.255.255.255", "11.0.0.0"]);
        check(&["192.0.2.7"], &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]);
        check(&["2001:db8::/32"], &["2001:db8::", "2001:db8:ffff::1"], &["2001:db9::", "::", "10.0.0.1"]);
        check(&["0.0.0.0/0"], &["0.0.0.0", "255.255.255.255"], &["::", "2001:db8::1"]);
        check(&["::/0"], &["::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], &["10.0.0.1", "::ffff:10.0.0.1"]);
        check(&["::ffff:10.0.0.0/104"], &["10.0.0.1", "::ffff:10.0.0.1"], &["11.0.0.1", "::a00:1"]);
        check(&[], &[], &["10.0.0.1", "::1"]);
    }

    #[test]
    fn ranges_that_touch_or_overlap_are_one() {
        let merged =
            ranges(&["10.0.1.0/24", "10.0.0.0/24", "10.0.0.128/25", "10.0.3.0/24", "::/0", "::1", "255.0.0.0/8"]);
        assert_eq!((merged.len(), merged.is_empty()), (4, false));
        assert!(ranges(&[]).is_empty());
    }

    fn network() -> impl Strategy<Value = String> {
        // Few addresses and long prefixes, so that they meet.
        prop_oneof![
            (0_u32..4096, 20_u8..=32).prop_map(|(low, bits)| format!("{}/{bits}", Ipv4Addr::from(0x0a00_0000 + low))),
            (0_u128..4096, 116_u8..=128)
                .prop_map(|(low, bits)| format!("{}/{bits}", Ipv6Addr::from((1_u128 << 120) + low))),
            (any::<u32>(), 0_u8..=32).prop_map(|(bits, length)| format!("{}/{length}", Ipv4Addr::from(bits))),
            (any::<u128>(), 0_u8..=128).prop_map(|(bits, length)| format!("{}/{length}", Ipv6Addr::from(bits))),
        ]
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            (0_u32..4100).prop_map(|low| IpAddr::from(Ipv4Addr::from(0x0a00_0000 + low))),
            (0_u128..4100).prop_map(|low| IpAddr::from(Ipv6Addr::from((1_u128 << 120) + low))),
            any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from(bits))),
            any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from(bits))),
        ]
    }

    proptest! {
        #[test]
        fn a_search_finds_what_a_look_at_each_finds(texts in vec(network(), 0..40), addresses in vec(address(), 1..60)) {
            let networks: Vec<Network> = texts.iter().map(|text| text.parse().unwrap()).collect();
            let ranges = Ranges::new(networks.iter().copied());
            for address in addresses {
                let one_by_one = networks.iter().any(|network| network.contains(address));
                prop_assert_eq!(ranges.contain(address), one_by_one, "{} in {:?}", address, texts);
            }
        }
    }

    #[test]
    fn ten_thousand_ranges_are_not_looked_at_one_by_one() {
        // Every other /24 of 10.0.0.0/8 and every other address of 198.18.0.0/15, in no order.
        let blocks = (0..5_000_u32).map(|at| format!("{}/24", Ipv4Addr::from(0x0a00_0000 + at * 512)));
        let single = (0..5_000_u32).rev().map(|at| Ipv4Addr::from(0xc612_0000 + at * 2).to_string());
        let networks: Vec<Network> = blocks.chain(single).map(|text| text.parse().unwrap()).collect();
        let ranges = Ranges::new(networks.iter().copied());
        assert_eq!(ranges.len(), 10_000);
        for at in (0..4_000_000_u32).step_by(997) {
            for address in [0x0a00_0000 + at, 0xc612_0000 + at / 400] {
                let address = IpAddr::from(Ipv4Addr::from(address));
                assert_eq!(ranges.contain(address), networks.iter().any(|network| network.contains(address)));
            }
        }
        // The same search as `lies_in` does.
        let looks = std::cell::Cell::new(0_u32);
        let asked = ranges.v4.partition_point(|(first, _)| {
            looks.set(looks.get() + 1);
            *first <= 0xc612_1000
        });
        assert!(asked > 5_000 && looks.get() <= 15, "{} looks", looks.get());
    }
}
