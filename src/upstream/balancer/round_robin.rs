use super::{Endpoint, Turn};
use std::cell::Cell;
use thread_local::ThreadLocal;

/// Smooth weighted round robin, worked out once: picking is one step along a list, and each thread has its own place
/// in it, so that threads share nothing they write.
pub(in super::super) struct RoundRobin {
    schedule: Box<[usize]>,
    cursor: ThreadLocal<Cell<usize>>,
}

impl RoundRobin {
    pub(super) fn build(endpoints: &[Endpoint]) -> Self {
        let weights: Vec<i64> = endpoints.iter().map(|endpoint| endpoint.weight.get().into()).collect();
        Self { schedule: schedule(&weights), cursor: ThreadLocal::new() }
    }

    pub(super) fn pick(&self, turn: Turn, accepts: impl Fn(usize) -> bool) -> Option<usize> {
        let length = self.schedule.len();
        // A random start, or all threads would begin with the heaviest endpoint.
        let cursor = self.cursor.get_or(|| Cell::new(fastrand::usize(..length.max(1))));
        let start = cursor.get();
        if turn == Turn::Next {
            cursor.set(if start + 1 < length { start + 1 } else { 0 });
        }
        let (before, after) = self.schedule.split_at_checked(start)?;
        after.iter().chain(before).copied().find(|index| accepts(*index))
    }
}

/// Each step every endpoint gains its weight; the richest is next and pays the sum (as nginx does it).
fn schedule(weights: &[i64]) -> Box<[usize]> {
    // 300 and 100 are 3 and 1: the list stays short.
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| weight / divisor).collect();
    let total: i64 = weights.iter().sum();
    let mut wealth = vec![0; weights.len()];
    let next = |_| {
        wealth.iter_mut().zip(&weights).for_each(|(wealth, weight)| *wealth += weight);
        let (richest, _) =
            wealth.iter().enumerate().max_by_key(|(index, wealth)| (**wealth, std::cmp::Reverse(*index)))?;
        *wealth.get_mut(richest)? -= total;
        Some(richest)
    };
    (0..total).map_while(next).collect()
}

fn greatest_common_divisor(one: i64, other: i64) -> i64 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heavy_one_does_not_come_in_a_row() {
        assert_eq!(*schedule(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(*schedule(&[1, 1]), [0, 1]);
        assert_eq!(*schedule(&[300, 100]), [0, 0, 1, 0]);
        assert!(schedule(&[]).is_empty());
    }
}
