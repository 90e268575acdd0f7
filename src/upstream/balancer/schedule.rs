use super::Member;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Most turns of a schedule: 256 KiB. Weights that need more are scaled down, and a share below one of these is made
/// one.
const MOST_TURNS: u64 = 65_536;

/// How often chance is asked for a member that will do. Then they are looked through: there may be hardly any.
const DRAWS: usize = 4;

/// Turns looked at for one whose member will do. Then the members are looked through: turns may be many more.
const STEPS: usize = 16;

/// Whose turn it is, by weight: worked out once, so that a step along it is a turn, and a random place in it a draw.
///
/// After any number of turns from its beginning, each member has had its share to less than one turn.
pub(super) struct Schedule {
    /// Places in `seats`, and the first [`STEPS`] of them again, so that no step has to turn back to the beginning.
    turns: Box<[u32]>,
    length: usize,
    seats: Box<[Seat]>,
}

/// What is needed of a member for each choice.
pub(super) struct Seat {
    pub(super) place: usize,
    pub(super) weight: u32,
}

impl Schedule {
    pub(super) fn build(members: &[Member]) -> Self {
        let seats: Box<[Seat]> =
            members.iter().map(|member| Seat { place: member.place, weight: member.weight.max(1) }).collect();
        let weights: Vec<u64> = seats.iter().map(|seat| seat.weight.into()).collect();
        let turns = turns(&shortened(&weights));
        let again = turns.iter().copied().cycle().take(turns.len() + STEPS);
        Self { length: turns.len(), turns: again.collect(), seats }
    }

    /// How many turns there are until they begin anew.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The member whose turn is at `start`, or the next that is wanted.
    pub(super) fn next(&self, start: usize, wanted: impl Fn(&Seat) -> bool) -> Option<&Seat> {
        let mut turns = self.turns.get(start..start + STEPS)?.iter().filter_map(|turn| self.seats.get(*turn as usize));
        turns.find(|seat| wanted(seat)).or_else(|| self.any(start, wanted))
    }

    /// A member by chance and by weight, of those that are wanted.
    pub(super) fn draw(&self, wanted: impl Fn(&Seat) -> bool) -> Option<&Seat> {
        self.draw_with(fastrand::u32(..), wanted)
    }

    /// Two of those that are wanted, drawn in this order; the second is missing where there is no other.
    pub(super) fn draw_two(&self, wanted: impl Fn(&Seat) -> bool) -> Option<(&Seat, Option<&Seat>)> {
        let chance = fastrand::u64(..);
        let first = self.draw_with((chance >> 32) as u32, &wanted)?;
        if self.seats.len() < 2 {
            return Some((first, None));
        }
        let second = self.draw_with(chance as u32, |seat| seat.place != first.place && wanted(seat));
        Some((first, second))
    }

    #[inline]
    fn draw_with(&self, chance: u32, wanted: impl Fn(&Seat) -> bool) -> Option<&Seat> {
        match self.seat(chance) {
            Some(seat) if wanted(seat) => Some(seat),
            _ => self.draw_again(chance, wanted),
        }
    }

    #[inline]
    fn seat(&self, chance: u32) -> Option<&Seat> {
        // A multiplication in place of a division: uneven by the length in 2³², which nobody can notice.
        let turn = self.turns.get(((u64::from(chance) * self.length as u64) >> 32) as usize)?;
        self.seats.get(*turn as usize)
    }

    /// Apart, so that the usual draw stays short.
    #[inline(never)]
    fn draw_again(&self, chance: u32, wanted: impl Fn(&Seat) -> bool) -> Option<&Seat> {
        let again = (1..DRAWS).find_map(|_| self.seat(fastrand::u32(..)).filter(|seat| wanted(seat)));
        again.or_else(|| self.any(chance as usize, wanted))
    }

    /// The first that is wanted, from a place that moves: whoever follows an ill one would else get all of its share.
    #[cold]
    fn any(&self, start: usize, wanted: impl Fn(&Seat) -> bool) -> Option<&Seat> {
        let (before, after) = self.seats.split_at_checked(start.checked_rem(self.seats.len())?)?;
        after.iter().chain(before).find(|seat| wanted(seat))
    }
}

/// The same shares in fewer turns: 300 and 100 are 3 and 1.
fn shortened(weights: &[u64]) -> Vec<u64> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let total = weights.iter().sum::<u64>() / divisor;
    if total <= MOST_TURNS {
        return weights.iter().map(|weight| weight / divisor).collect();
    }
    // Each may be rounded up by one.
    let room = MOST_TURNS.saturating_sub(weights.len() as u64);
    let scaled = |weight: &u64| ((weight / divisor * room + total / 2) / total).max(1);
    weights.iter().map(scaled).collect()
}

fn greatest_common_divisor(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}

/// Of `total` turns, the k-th one of a member with weight w is due between (k - 1) · total / w and k · total / w.
/// Whoever is due first is next. All of them are in time (Baruah and others 1996, «Proportionate progress»), which the
/// richest-first rule of nginx does not give, and it takes a logarithm per turn and not a look at each member.
fn turns(weights: &[u64]) -> Vec<u32> {
    let total: u64 = weights.iter().sum();
    // (from when on it may come, member, how many of its turns came before)
    let mut waiting: BinaryHeap<Reverse<(u64, usize, u64)>> =
        (0..weights.len()).map(|member| Reverse((0, member, 0))).collect();
    // (until when it must have come, member, how many of its turns came before)
    let mut ready: BinaryHeap<Reverse<(u64, usize, u64)>> = BinaryHeap::new();
    let next = |now: u64| {
        while waiting.peek().is_some_and(|Reverse((from, ..))| *from <= now) {
            let Reverse((_, member, count)) = waiting.pop()?;
            let due = ((count + 1) * total).div_ceil(*weights.get(member)?);
            ready.push(Reverse((due, member, count)));
        }
        let Reverse((_, member, count)) = ready.pop()?;
        let weight = *weights.get(member)?;
        if count + 1 < weight {
            waiting.push(Reverse(((count + 1) * total / weight, member, count + 1)));
        }
        Some(member as u32)
    };
    (0..total).map_while(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(weights: &[u32]) -> Schedule {
        let member =
            |(place, weight): (usize, &u32)| Member { place, weight: *weight, name: ([10, 0, 0, 1], 1).into() };
        Schedule::build(&weights.iter().enumerate().map(member).collect::<Vec<_>>())
    }

    fn turns_of(weights: &[u32]) -> Vec<u32> {
        let schedule = schedule(weights);
        schedule.turns[..schedule.length].to_vec()
    }

    #[test]
    fn turns_of_one_lie_apart() {
        let cases: [(&[u32], &[u32]); 8] = [
            (&[], &[]),
            (&[7], &[0]),
            (&[1, 1], &[0, 1]),
            (&[10, 10, 10], &[0, 1, 2]),
            (&[0, 1], &[0, 1]),
            (&[5, 1, 1], &[0, 0, 0, 1, 0, 0, 2]),
            (&[3000, 1000], &[0, 0, 0, 1]),
            (&[2, 2, 1, 1], &[0, 1, 2, 0, 1, 3]),
        ];
        for (weights, expected) in cases {
            assert_eq!(turns_of(weights), expected, "{weights:?}");
        }
    }

    #[test]
    fn steps_go_on_at_the_beginning() {
        for weights in [&[1, 1][..], &[7], &[500, 3, 2]] {
            let schedule = schedule(weights);
            let length = schedule.length;
            assert_eq!(schedule.turns.len(), length + STEPS);
            assert!((length..length + STEPS).all(|at| schedule.turns[at] == schedule.turns[at % length]));
        }
    }

    #[test]
    fn a_schedule_is_bounded_and_forgets_nobody() {
        let many: Vec<u32> = (0..1_000).map(|member| member * 13 % 997 * 10 + 1).collect();
        let light: Vec<u32> = (0..1_000).map(|member| if member == 0 { 1 } else { 10_000 - member }).collect();
        let crowd = vec![3; 70_000];
        for (weights, most) in [(&many, 65_536), (&light, 65_536), (&crowd, 70_000), (&vec![65_535, 1], 65_536)] {
            let turns = turns_of(weights);
            assert!(turns.len() <= most, "{}", turns.len());
            let mut counts = vec![0_u32; weights.len()];
            turns.iter().for_each(|member| counts[*member as usize] += 1);
            let total: f64 = weights.iter().copied().map(f64::from).sum();
            for (count, weight) in counts.iter().zip(weights) {
                let exact = f64::from(*weight) / total * turns.len() as f64;
                // One turn for rounding, and a little for what those took who were too small for one.
                assert!(*count > 0 && (f64::from(*count) - exact).abs() <= 1.0 + exact * 0.02, "{count} for {exact}");
            }
        }
    }

    proptest! {
        #[test]
        fn everybody_has_its_share_after_any_number_of_turns(
            weights in prop::collection::vec(1_u32..=200, 1..30),
        ) {
            let turns = turns_of(&weights);
            let shares = shortened(&weights.iter().copied().map(u64::from).collect::<Vec<_>>());
            prop_assert_eq!(turns.len() as u64, shares.iter().sum::<u64>());
            let (total, mut counts) = (turns.len() as u64, vec![0_u64; weights.len()]);
            for (now, member) in turns.iter().enumerate() {
                counts[*member as usize] += 1;
                for (count, share) in counts.iter().zip(&shares) {
                    prop_assert!((count * total).abs_diff((now as u64 + 1) * share) < total);
                }
            }
        }
    }
}
