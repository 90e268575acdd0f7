use super::*;
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;

const CALM: QueueSettings = QueueSettings { length: 100, wait: Duration::from_secs(1) };

fn filled(items: u32, length: usize) -> Queue<u32> {
    let mut queue = Queue::default();
    (0..items).for_each(|item| _ = queue.push(item, length, Moment(0)));
    queue
}

#[track_caller]
fn check(queue: &mut Queue<u32>, settings: QueueSettings, now: u64, expected: &[u32]) {
    let popped: Vec<u32> = std::iter::from_fn(|| queue.pop(settings, Moment(now))).collect();
    assert_eq!(popped, expected);
    assert_eq!((queue.len(), queue.oldest(Moment(now))), (0, None));
}

#[test]
fn the_oldest_is_next_while_there_is_room_and_time() {
    check(&mut filled(4, 100), CALM, 500, &[0, 1, 2, 3]);
}

#[test]
fn the_newest_is_next_while_more_than_half_of_the_room_is_taken() {
    check(&mut filled(5, 6), QueueSettings { length: 6, ..CALM }, 0, &[4, 3, 0, 1, 2]);
}

#[test]
fn the_newest_is_next_while_the_oldest_has_waited_more_than_half_of_the_time() {
    check(&mut filled(3, 100), CALM, 501, &[2, 1, 0]);
}

#[test]
fn over_the_length_the_oldest_is_thrown_out() {
    let mut queue = filled(3, 3);
    let thrown_out = |queue: &mut Queue<u32>, item, length| queue.push(item, length, Moment(7)).unwrap().thrown_out;
    assert_eq!(thrown_out(&mut queue, 3, 3), Some(0));
    assert_eq!(thrown_out(&mut queue, 4, 2), Some(1), "one for one, also where the queue was made shorter");
    assert_eq!(thrown_out(&mut queue, 5, 4), None);
    assert_eq!(queue.push(6, 0, Moment(7)), Err(6), "nobody may wait");
    check(&mut queue, CALM, 7, &[2, 3, 4, 5]);
}

#[test]
fn whoever_is_removed_is_not_counted_and_not_served() {
    let mut queue = Queue::default();
    let tickets: Vec<Ticket> =
        (0..6).map(|item| queue.push(item, 6, Moment(u64::from(item))).unwrap().ticket).collect();
    for (at, left, oldest) in [(2, 5, 10), (0, 4, 9), (1, 3, 7), (5, 2, 7)] {
        assert_eq!(queue.remove(tickets[at]), Some(at as u32));
        assert_eq!(queue.remove(tickets[at]), None);
        assert_eq!((queue.len(), queue.oldest(Moment(10))), (left, Some(Duration::from_millis(oldest))), "{at}");
    }
    check(&mut queue, CALM, 10, &[3, 4]);
}

#[test]
fn what_was_removed_does_not_pile_up_behind_one_who_waits() {
    let mut queue = filled(1, 10);
    let mut last = queue.push(1, 10, Moment(0)).unwrap().ticket;
    for item in 2..10_000 {
        let next = queue.push(item, 10, Moment(0)).unwrap().ticket;
        queue.remove(last);
        last = next;
        assert!(queue.entries.len() <= 6, "{} for 2", queue.entries.len());
    }
    assert_eq!(queue.len(), 2);
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Pop,
    Remove(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..12).prop_map(Step::Push),
        2 => Just(Step::Pop),
        2 => any::<usize>().prop_map(Step::Remove),
        1 => (0u64..800).prop_map(Step::Wait),
    ];
    vec(step, 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Against a map of all who wait: each item comes out exactly once, in the order that the doc promises.
    #[test]
    fn nothing_is_lost_and_nothing_comes_twice(steps in steps(), wait in 1u64..1_000) {
        let (mut queue, mut model, mut now, mut pushed) = (Queue::default(), BTreeMap::new(), 0, Vec::new());
        let mut length = 0;
        for (item, step) in steps.into_iter().enumerate() {
            let before = model.len();
            match step {
                Step::Wait(millis) => now += millis,
                Step::Push(room) => {
                    length = room;
                    match queue.push(item, length, Moment(now)) {
                        Err(back) => prop_assert_eq!((back, length), (item, 0)),
                        Ok(Pushed { ticket, thrown_out }) => {
                            let expected = if before >= length { model.pop_first().map(|(old, _)| old) } else { None };
                            prop_assert_eq!(thrown_out, expected);
                            model.insert(item, now);
                            pushed.push((item, ticket));
                        }
                    }
                    prop_assert!(queue.len() <= length.max(before));
                }
                Step::Pop => {
                    let oldest = model.first_key_value().map_or(0, |(_, came)| now - came);
                    let overloaded = before > length / 2 || oldest * 2 > wait;
                    let expected = if overloaded { model.pop_last() } else { model.pop_first() };
                    let settings = QueueSettings { length, wait: Duration::from_millis(wait) };
                    prop_assert_eq!(queue.pop(settings, Moment(now)), expected.map(|(item, _)| item));
                }
                Step::Remove(at) => if let Some((item, ticket)) = pushed.get(at % pushed.len().max(1)) {
                    let expected = model.remove(item).map(|_| *item);
                    prop_assert_eq!(queue.remove(*ticket), expected);
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert!(queue.entries.len() <= 2 * model.len().max(1));
            let oldest = model.first_key_value().map(|(_, came)| Duration::from_millis(now - came));
            prop_assert_eq!(queue.oldest(Moment(now)), oldest);
        }
    }
}
