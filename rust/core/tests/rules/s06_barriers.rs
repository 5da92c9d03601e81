//! S6: what a response caused is kept back until its listeners have settled.

use cnstra_core::{Graph, GraphBuilder, Run};

fn two_neurons_on_one_collateral() -> Graph {
    let mut builder = GraphBuilder::new(1);
    for _ in 0..2 {
        builder.neuron();
        builder.dendrite(0, None);
    }
    builder.build().unwrap()
}

fn numbers<S: Clone, E>(run: &mut Run<S, E>, graph: &Graph) -> Vec<u64> {
    let mut taken = Vec::new();
    while let Some(next) = run.next(graph, Clone::clone) {
        assert!(next.granted.is_none());
        taken.push(next.number);
        run.enter();
        run.settle_current();
    }
    taken
}

#[test]
fn parked_activations_are_pending_and_appended_when_their_listeners_have_settled() {
    let graph = two_neurons_on_one_collateral();
    let mut run: Run<u8, ()> = Run::new(&graph, None);
    run.begin_turn();
    assert_eq!(run.emit(&graph, 0, || 1, 0, 1), 2);
    assert_eq!(run.emit(&graph, 0, || 2, 0, 1), 2);
    assert_eq!(run.caused(&graph, 2).map(|activation| *activation.signal).collect::<Vec<_>>(), [1, 1]);
    let ticket = run.park(2);
    assert_eq!(run.caused(&graph, 2).map(|activation| *activation.signal).collect::<Vec<_>>(), [2, 2]);
    run.deliver(&graph, 2, Clone::clone);
    assert_eq!((run.pending(), run.in_flight()), (4, 1));
    assert_eq!(numbers(&mut run, &graph), [3, 4]);
    assert!(!run.close());
    assert_eq!(run.unfinished(&graph).len(), 2);
    run.unpark(&graph, ticket, Clone::clone);
    assert_eq!(run.in_flight(), 0);
    assert_eq!(numbers(&mut run, &graph), [1, 2]);
    assert!(run.close());
}

#[test]
fn a_run_is_not_over_before_the_last_listener_has_settled() {
    let graph = two_neurons_on_one_collateral();
    let mut run: Run<u8, ()> = Run::new(&graph, None);
    run.begin_turn();
    let tickets = [run.park(0), run.park(0)];
    assert_ne!(tickets[0], tickets[1]);
    assert_eq!((run.pending(), run.in_flight()), (0, 2));
    run.unpark(&graph, tickets[1], Clone::clone);
    run.unpark(&graph, tickets[1], Clone::clone);
    assert!(!run.close(), "the other has not settled, and this one settles only once");
    run.unpark(&graph, tickets[0], Clone::clone);
    assert!(run.close());
}

#[test]
fn an_abort_waits_for_listeners_and_leaves_what_they_kept_back_undone() {
    let graph = two_neurons_on_one_collateral();
    let mut run: Run<u8, ()> = Run::new(&graph, None);
    run.begin_turn();
    run.emit(&graph, 0, || 1, 0, 1);
    let ticket = run.park(2);
    run.aborted = true;
    assert!(run.next(&graph, Clone::clone).is_none());
    assert!(!run.close());
    run.unpark(&graph, ticket, Clone::clone);
    assert!(run.next(&graph, Clone::clone).is_none(), "nothing more is entered");
    assert!(run.close());
    run.end(&graph, Clone::clone);
    assert_eq!(run.failures().iter().map(|failure| failure.activation.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(run.pending(), 2, "its counters stay as they are");
}
