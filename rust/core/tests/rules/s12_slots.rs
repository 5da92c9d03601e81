//! S12: the slots of a neuron, against a list of holders and a line.

use cnstra_core::Slots;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::VecDeque;

#[test]
fn waiters_are_served_first_come_first_served() {
    let mut slots = Slots::new(2);
    assert_eq!(slots.acquire(1, || 'a'), None);
    assert_eq!(slots.acquire(2, || 'b'), None);
    assert_eq!(slots.acquire(3, || 'c'), Some(1));
    assert_eq!(slots.acquire(4, || 'd'), Some(2));
    assert_eq!(slots.waiters().collect::<Vec<_>>(), [&'c', &'d']);
    assert_eq!(slots.release(&2), Some((3, 'c')));
    assert_eq!(slots.release(&1), Some((4, 'd')));
    assert_eq!(slots.release(&4), None);
    assert_eq!(slots.release(&3), None);
    assert_eq!(slots.acquire(5, || 'e'), None);
}

#[test]
fn what_is_needed_to_tell_a_waiter_is_made_only_if_it_waits() {
    let mut slots = Slots::new(1);
    assert_eq!(slots.acquire(1, || panic!("it has a place")), None::<u64>);
}

#[test]
fn a_place_that_is_not_held_cannot_be_given_back() {
    // As when a worker comes back to a run that has given its slots back in its place.
    let mut slots = Slots::new(1);
    assert_eq!(slots.acquire(1, || ()), None);
    assert_eq!(slots.acquire(2, || ()), Some(1));
    assert_eq!(slots.acquire(3, || ()), Some(2));
    assert_eq!(slots.release(&1), Some((2, ())));
    assert_eq!(slots.release(&1), None, "it was given back before");
    assert_eq!(slots.release(&3), None, "it waits itself");
    assert_eq!(slots.waiting(), 1);
    assert!(slots.held_only_by(|&holder| holder == 2));
}

#[test]
fn everybody_in_line_can_be_forgotten() {
    let mut slots = Slots::new(1);
    for holder in 0..4 {
        slots.acquire(holder, || holder);
    }
    assert_eq!(slots.clear(), [1, 2, 3]);
    assert_eq!(slots.waiting(), 0);
    assert_eq!(slots.release(&0), None);
    assert_eq!(slots.holders().count(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Acquire,
    Release(usize),
    Forget(usize),
    /// With a ticket that has been used up.
    ForgetAgain(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pick = any::<prop::sample::Index>;
    let place = move || pick().prop_map(|index| index.index(1000));
    let step = prop_oneof![
        3 => Just(Step::Acquire),
        2 => place().prop_map(Step::Release),
        1 => place().prop_map(Step::Forget),
        1 => place().prop_map(Step::ForgetAgain),
    ];
    vec(step, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn never_over_the_limit_and_none_free_while_somebody_waits(limit in 1..5usize, steps in steps()) {
        let mut slots = Slots::new(limit);
        let mut holders: Vec<u32> = Vec::new();
        let mut line: VecDeque<(u64, u32)> = VecDeque::new();
        let mut forgotten: Vec<u32> = Vec::new();
        let mut used_up: Vec<u64> = Vec::new();
        let mut next = 0;
        for step in steps {
            match step {
                Step::Acquire => {
                    next += 1;
                    match slots.acquire(next, || next) {
                        None => holders.push(next),
                        Some(ticket) => {
                            prop_assert!(line.back().is_none_or(|(last, _)| *last < ticket));
                            line.push_back((ticket, next));
                        }
                    }
                }
                Step::Release(pick) if !holders.is_empty() => {
                    let holder = holders.swap_remove(pick % holders.len());
                    let heir = slots.release(&holder);
                    let first = line.pop_front();
                    prop_assert_eq!(heir, first.map(|(_, waiter)| (waiter, waiter)));
                    if let Some((ticket, waiter)) = first {
                        prop_assert!(!forgotten.contains(&waiter));
                        holders.push(waiter);
                        used_up.push(ticket);
                    }
                }
                Step::Forget(pick) if !line.is_empty() => {
                    let (ticket, waiter) = line.remove(pick % line.len()).unwrap();
                    prop_assert_eq!(slots.forget(ticket), Some(waiter));
                    forgotten.push(waiter);
                    used_up.push(ticket);
                }
                Step::ForgetAgain(pick) if !used_up.is_empty() => {
                    prop_assert_eq!(slots.forget(used_up[pick % used_up.len()]), None);
                }
                _ => {}
            }
            prop_assert!(holders.len() <= limit);
            prop_assert!(line.is_empty() || holders.len() == limit);
            prop_assert_eq!(slots.waiting(), line.len());
            prop_assert_eq!(slots.waiters().copied().collect::<Vec<_>>(), line.iter().map(|w| w.1).collect::<Vec<_>>());
            let mut found: Vec<u32> = slots.holders().copied().collect();
            found.sort_unstable();
            holders.sort_unstable();
            prop_assert_eq!(&found, &holders);
            prop_assert!(slots.held_only_by(|holder| holders.contains(holder)));
        }
    }
}
