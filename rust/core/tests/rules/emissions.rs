//! The subscribers of one signal: together while they are on their way, activations of their own once they are taken.

use cnstra_core::{ActivationRef, Graph, GraphBuilder, Run, Taken};
use proptest::prelude::*;
use std::cell::Cell;

/// Collateral 0 is heard by `subscribers` dendrites, two on a neuron, between others that hear collateral 1; with a
/// join on collateral 2, if asked for, so that those of collateral 0 part when they are appended.
fn fan(subscribers: u32, join_beside: bool) -> Graph {
    let mut builder = GraphBuilder::new(3);
    for place in 0..subscribers {
        if place % 2 == 0 {
            builder.neuron();
            builder.dendrite(1, None);
        }
        builder.dendrite(0, None);
    }
    builder.neuron();
    builder.dendrite(2, join_beside.then_some(0));
    builder.build().unwrap()
}

/// The dendrites of [`fan`] that hear collateral 0, in order.
fn dendrites(subscribers: u32) -> Vec<u32> {
    (0..subscribers).map(|place| place + place / 2 + 1).collect()
}

type Seen = (u64, u64, u32, u32, &'static str);

fn seen(activation: ActivationRef<'_, &'static str>) -> Seen {
    let ActivationRef { number, cause, hop, dendrite, signal, joined } = activation;
    assert!(joined.is_empty());
    (number, cause, hop, dendrite, *signal)
}

/// Take the next one, and leave it the current one.
fn take(run: &mut Run<&'static str, ()>, graph: &Graph) -> Seen {
    let taken = run.next(graph, Clone::clone).unwrap();
    let seen = seen(run.current().unwrap().view());
    assert_eq!(taken, Taken { number: seen.0, hop: seen.2, dendrite: seen.3, granted: None });
    seen
}

#[test]
fn one_by_one_they_keep_their_numbers_order_cause_and_hop() {
    for join_beside in [false, true] {
        let graph = fan(4, join_beside);
        let mut run = Run::new(&graph, None);
        run.begin_turn();
        run.emit_now(&graph, 1, || "before", 0, 1, Clone::clone);
        let count = run.emit(&graph, 0, || "signal", 2, 5);
        let caused: Vec<Seen> = run.caused(&graph, count).map(seen).collect();
        let expected: Vec<Seen> =
            (3..).zip(dendrites(4)).map(|(number, dendrite)| (number, 2, 5, dendrite, "signal")).collect();
        assert_eq!(caused, expected);
        run.deliver(&graph, count, Clone::clone);
        let task = run.reserve(&graph, 1, "task", 0, 9);
        run.append(&graph, task);
        run.emit_now(&graph, 1, || "after", 0, 1, Clone::clone);

        let mut found = Vec::new();
        for left in (0..9).rev() {
            found.push(take(&mut run, &graph));
            assert_eq!((run.pending(), run.active()), (left + 1, 0), "it is pending until it is entered");
            run.enter();
            assert_eq!((run.pending(), run.active()), (left, 1));
            run.settle_current();
        }
        let first = [(1, 0, 1, 0, "before"), (2, 0, 1, 3, "before")];
        let last = [(7, 0, 9, 1, "task"), (8, 0, 1, 0, "after"), (9, 0, 1, 3, "after")];
        assert_eq!(found, [&first, &expected[..], &last].concat());
        assert!(run.next(&graph, Clone::clone).is_none() && run.close());
    }
}

#[test]
fn all_but_the_last_get_a_copy_and_the_last_the_signal() {
    type Feed = fn(&mut Run<&'static str, ()>, &Graph, &dyn Fn(&&'static str) -> &'static str);
    let feeds: [Feed; 3] = [
        |run, graph, copy| run.emit_now(graph, 0, || "the signal", 0, 1, copy),
        |run, graph, copy| {
            let count = run.emit(graph, 0, || "the signal", 0, 1);
            run.deliver(graph, count, copy);
        },
        |run, graph, copy| {
            let count = run.emit(graph, 0, || "the signal", 0, 1);
            let ticket = run.park(count);
            run.unpark(graph, ticket, copy);
        },
    ];
    for (feed, subscribers, join_beside) in
        feeds.iter().flat_map(|feed| (1..5).flat_map(move |n| [(feed, n, false), (feed, n, true)]))
    {
        let graph = fan(subscribers, join_beside);
        let copies = Cell::new(0);
        let copy = |signal: &&'static str| {
            assert_eq!(*signal, "the signal", "a copy is not copied again");
            copies.set(copies.get() + 1);
            "a copy"
        };
        let mut run = Run::new(&graph, None);
        run.begin_turn();
        feed(&mut run, &graph, &copy);
        let mut found = Vec::new();
        while run.next(&graph, copy).is_some() {
            found.extend(run.settle_pending().map(|activation| activation.signal));
        }
        let (last, others) = found.split_last().unwrap();
        assert_eq!((*last, others.len()), ("the signal", subscribers as usize - 1));
        assert!(others.iter().all(|signal| *signal == "a copy"));
        assert_eq!(copies.get(), subscribers - 1);
    }
}

#[test]
fn a_signal_that_nobody_hears_is_not_even_made() {
    let mut builder = GraphBuilder::new(1);
    builder.neuron();
    let graph = builder.build().unwrap();
    let mut run: Run<(), ()> = Run::new(&graph, None);
    run.begin_turn();
    assert_eq!(run.emit(&graph, 0, || panic!("nobody hears it"), 0, 1), 0);
    run.emit_now(&graph, 0, || panic!("nobody hears it"), 0, 1, |()| panic!("nor does anybody get a copy"));
    assert_eq!(run.caused(&graph, 0).count(), 0);
    run.deliver(&graph, 0, |()| panic!("there is nothing to copy"));
    assert!(run.next(&graph, |()| panic!("there is nothing to take")).is_none() && run.close());
}

#[test]
fn what_is_taken_is_in_the_frontier_before_it_is_entered() {
    let graph = fan(2, false);
    let mut run = Run::new(&graph, None);
    run.begin_turn();
    run.emit_now(&graph, 0, || "signal", 0, 1, Clone::clone);
    let first = take(&mut run, &graph);
    assert_eq!(run.unfinished(&graph).into_iter().map(seen).collect::<Vec<_>>(), [first, (2, 0, 1, 2, "signal")]);
    // The loop is closed under it.
    run.aborted = true;
    run.end(&graph, Clone::clone);
    assert!(run.current().is_none() && run.settle_pending().is_none());
    assert_eq!(run.frontier(&graph).into_iter().map(|one| one.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(run.pending(), 2, "counters stay as they are");
}

/// What becomes of the last one that is taken.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Settles,
    Taken,
    Entered,
    Suspended,
    Waits,
}

proptest! {
    #[test]
    fn half_taken_the_rest_and_nothing_else_is_unfinished(
        subscribers in 1..8u32, taken in 0..9u32, join_beside in any::<bool>(), parked in any::<bool>(),
        fate in prop::sample::select(vec![Fate::Settles, Fate::Taken, Fate::Entered, Fate::Suspended, Fate::Waits]),
    ) {
        let taken = taken.min(subscribers);
        let graph = fan(subscribers, join_beside);
        let copies = Cell::new(0);
        let copy = |signal: &&'static str| {
            copies.set(copies.get() + 1);
            *signal
        };
        let mut run: Run<&str, ()> = Run::new(&graph, None);
        run.begin_turn();
        run.emit_now(&graph, 0, || "signal", 6, 4, copy);
        // Two more, which are only on their way.
        let count = run.emit(&graph, 0, || "signal", 6, 4);
        run.emit(&graph, 0, || "signal", 6, 4);
        if parked {
            run.park(count);
        }
        for number in 1..=taken {
            prop_assert_eq!(run.next(&graph, copy).map(|taken| taken.number), Some(u64::from(number)));
            let fate = if number < taken { Fate::Settles } else { fate };
            match fate {
                Fate::Taken => continue,
                Fate::Waits => {
                    run.wait(1);
                    continue;
                }
                Fate::Settles | Fate::Entered | Fate::Suspended => run.enter(),
            }
            match fate {
                Fate::Settles => drop(run.settle_current()),
                Fate::Suspended => run.suspend(),
                Fate::Taken | Fate::Entered | Fate::Waits => {}
            }
        }
        let settled = if matches!(fate, Fate::Settles) { taken } else { taken.saturating_sub(1) };
        let heard_by = [(); 3].iter().flat_map(|()| dendrites(subscribers));
        let expected: Vec<Seen> = (1..)
            .zip(heard_by)
            .map(|(number, dendrite)| (number, 6, 4, dendrite, "signal"))
            .skip(settled as usize)
            .collect();
        prop_assert_eq!(run.unfinished(&graph).into_iter().map(seen).collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!(run.frontier(&graph).into_iter().map(seen).collect::<Vec<_>>(), expected.clone());
        run.aborted = true;
        run.end(&graph, copy);
        prop_assert!(run.unfinished(&graph).is_empty());
        let undone: Vec<Seen> = run.failures().iter().map(|failure| seen(failure.activation.view())).collect();
        prop_assert_eq!(undone, expected);
        prop_assert_eq!(copies.get(), 3 * (subscribers - 1), "whichever way they part");
    }
}
