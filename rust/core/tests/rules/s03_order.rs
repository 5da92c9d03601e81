//! S3, S11, S14: the order of starts, against an interpreter that is nothing but a queue.

use crate::choices::Choices;
use crate::plan::{Plan, plan};
use crate::world::{Options, World};
use cnstra_core::{DendriteId, GraphBuilder, Phase, Run, Taken};
use proptest::option;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::VecDeque;

/// A start: the dendrite, the fuel of its signal, and its hop.
type Start = (DendriteId, u8, u32);

/// First in, first out.
fn interpret(plan: &Plan, fuel: u8) -> Vec<Start> {
    let dendrites = plan.dendrites();
    let mut queue: VecDeque<Start> = VecDeque::new();
    let mut started = Vec::new();
    for entry in 0..plan.entries {
        queue.extend(plan.subscribers(entry).into_iter().map(|dendrite| (dendrite, fuel, 1)));
    }
    while let Some((dendrite, fuel, hop)) = queue.pop_front() {
        started.push((dendrite, fuel, hop));
        if fuel > 0 {
            for &collateral in &dendrites[dendrite as usize].1.does.emits {
                queue.extend(plan.subscribers(collateral).into_iter().map(|after| (after, fuel - 1, hop + 1)));
            }
        }
    }
    started
}

/// The same with a run, the short way: nobody listens, nothing waits.
fn run(plan: &Plan, fuel: u8, concurrency: Option<u32>) -> Vec<Start> {
    let (graph, dendrites) = (plan.build().unwrap(), plan.dendrites());
    let mut run: Run<u8, ()> = Run::new(&graph, concurrency);
    let mut started = Vec::new();
    // Of each signal one less than hear it.
    let (copies, mut expected) = (Cell::new(0), 0);
    let copy = |signal: &u8| {
        copies.set(copies.get() + 1);
        *signal
    };
    run.begin_turn();
    for entry in 0..plan.entries {
        run.emit_now(&graph, entry, || fuel, 0, 1, copy);
        expected += plan.subscribers(entry).len().saturating_sub(1);
    }
    while let Some(taken) = run.next(&graph, copy) {
        assert!(taken.granted.is_none(), "nothing waits for a slot");
        run.enter();
        let activation = run.settle_current().unwrap();
        started.push((activation.dendrite, activation.signal, activation.hop));
        assert_eq!(activation.number, started.len() as u64, "numbers are in order of reservation, starts too");
        if activation.signal > 0 {
            for &collateral in &dendrites[activation.dendrite as usize].1.does.emits {
                run.emit_now(&graph, collateral, || activation.signal - 1, activation.number, activation.hop + 1, copy);
                expected += plan.subscribers(collateral).len().saturating_sub(1);
            }
        }
        run.leave(&graph, activation.dendrite);
    }
    assert!(run.close());
    assert_eq!(copies.get(), expected);
    assert_eq!((run.pending(), run.active(), run.phase), (0, 0, Phase::Ended));
    started
}

#[test]
fn an_entry_with_two_subscribers_runs_both_before_their_children() {
    let mut builder = GraphBuilder::new(3);
    for (hears, emits) in [(0, Some(1)), (0, Some(2)), (2, None), (1, None)] {
        builder.neuron();
        if let Some(emits) = emits {
            builder.emits(emits).unwrap();
        }
        builder.dendrite(hears, None);
    }
    let graph = builder.build().unwrap();
    let mut run: Run<(), ()> = Run::new(&graph, None);
    let mut started = Vec::new();
    run.begin_turn();
    run.emit_now(&graph, 0, || (), 0, 1, Clone::clone);
    while let Some(Taken { granted: None, .. }) = run.next(&graph, Clone::clone) {
        run.enter();
        let activation = run.settle_current().unwrap();
        started.push((activation.dendrite, activation.number, activation.cause));
        if let Some(emits) = [Some(1), Some(2), None, None][activation.dendrite as usize] {
            run.emit_now(&graph, emits, || (), activation.number, activation.hop + 1, Clone::clone);
        }
    }
    // A, B, A's child, B's child; the order of the neurons decides only between subscribers of one signal.
    assert_eq!(started, [(0, 1, 0), (1, 2, 0), (3, 3, 1), (2, 4, 2)]);
}

#[test]
fn what_feeds_a_run_while_it_drains_needs_a_further_turn() {
    let mut builder = GraphBuilder::new(1);
    builder.neuron();
    builder.dendrite(0, None);
    let graph = builder.build().unwrap();
    let mut run: Run<(), ()> = Run::new(&graph, None);
    run.begin_turn();
    assert_eq!(run.phase, Phase::Dispatching);
    assert!(run.next(&graph, Clone::clone).is_none());
    assert_eq!(run.phase, Phase::Draining);
    run.fed = true;
    assert!(!run.end_turn());
    assert_eq!((run.phase, run.fed), (Phase::Dispatching, false));
    assert!(run.next(&graph, Clone::clone).is_none());
    assert!(run.end_turn());
    assert_eq!(run.phase, Phase::Idle);
}

#[test]
fn what_waits_for_a_slot_counts_for_the_concurrency_of_its_run() {
    let mut builder = GraphBuilder::new(1);
    builder.neuron();
    builder.dendrite(0, None);
    let graph = builder.build().unwrap();
    let mut run: Run<u8, ()> = Run::new(&graph, Some(2));
    run.begin_turn();
    for signal in 1..=3 {
        run.emit_now(&graph, 0, || signal, 0, 1, Clone::clone);
    }
    let taken = |number, granted| Some(Taken { number, hop: 1, dendrite: 0, granted });
    assert_eq!(run.next(&graph, Clone::clone), taken(1, None));
    run.enter();
    run.suspend();
    assert_eq!(run.next(&graph, Clone::clone), taken(2, None));
    run.wait(1);
    assert!(run.next(&graph, Clone::clone).is_none(), "one is active and one waits");
    // It had its place when it began to wait.
    run.grant(2, None).unwrap();
    run.begin_turn();
    assert_eq!(run.next(&graph, Clone::clone), taken(2, Some(Ok(()))));
    run.enter();
    run.suspend();
    assert!(run.next(&graph, Clone::clone).is_none());
    assert!(run.settle_suspended(1).is_some());
    run.begin_turn();
    assert_eq!(run.next(&graph, Clone::clone), taken(3, None));
    assert!(run.current().is_some_and(|third| third.signal == 3));
}

#[test]
fn two_that_are_granted_start_in_the_order_of_the_grants_and_before_the_queue() {
    let mut builder = GraphBuilder::new(1);
    builder.neuron();
    builder.dendrite(0, None);
    let graph = builder.build().unwrap();
    let mut run: Run<u8, u8> = Run::new(&graph, None);
    run.begin_turn();
    for signal in 1..=3 {
        run.emit_now(&graph, 0, || signal, 0, 1, Clone::clone);
    }
    let taken = |number, granted| Some(Taken { number, hop: 1, dendrite: 0, granted });
    for ticket in 1..=2 {
        assert_eq!(run.next(&graph, Clone::clone), taken(ticket, None));
        run.wait(ticket);
    }
    assert_eq!(run.grant(2, None), Ok(()));
    assert_eq!(run.grant(2, None), Err(None), "it does not wait any more");
    assert_eq!(run.grant(3, Some(9)), Err(Some(9)), "it does not wait yet");
    assert_eq!(run.grant(1, Some(8)), Ok(()));
    for (number, granted) in [(2, Some(Ok(()))), (1, Some(Err(8))), (3, None)] {
        assert_eq!(run.next(&graph, Clone::clone), taken(number, granted));
        assert!(run.settle_pending().is_some_and(|activation| activation.number == number));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn without_suspension_it_is_first_in_first_out(
        plan in plan(), fuel in 0..7u8, concurrency in option::of(1..3u32),
    ) {
        let plan = plan.calm().without_joins();
        let fuel = plan.fuel(fuel, 500);
        let expected = interpret(&plan, fuel);
        prop_assert_eq!(&run(&plan, fuel, concurrency), &expected);
        // And with slots, which are always free again, and listeners that do not suspend.
        let graph = plan.build().unwrap();
        let options = Options { runs: 1, concurrency, fuel, ..Options::default() };
        let mut world = World::new(&plan, &graph, options, Choices::new(Vec::new()));
        world.stimulate_and_play();
        let started: Vec<(DendriteId, u8)> = world.runs[0].started.iter().map(|(d, signal)| (*d, signal.fuel)).collect();
        prop_assert_eq!(started, expected.iter().map(|(d, fuel, _)| (*d, *fuel)).collect::<Vec<_>>());
    }
}
