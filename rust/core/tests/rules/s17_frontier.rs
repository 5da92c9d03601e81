//! S17: the frontier, and what a run holds of its caller's.

use cnstra_core::{Graph, GraphBuilder, Run};
use std::rc::Rc;

/// One neuron, which hears one collateral.
fn one_neuron() -> Graph {
    let mut builder = GraphBuilder::new(1);
    builder.neuron();
    builder.dendrite(0, None);
    builder.build().unwrap()
}

/// A join of one collateral.
fn one_join() -> Graph {
    let mut builder = GraphBuilder::new(1);
    builder.neuron();
    builder.dendrite(0, Some(0));
    builder.build().unwrap()
}

fn visited<S: Copy, E: Copy>(run: &Run<S, E>) -> Vec<(S, Option<E>)> {
    let mut seen = Vec::new();
    run.for_each(&mut |signal, error| seen.push((*signal, error.copied())));
    seen
}

#[track_caller]
fn take<S: Clone, E>(run: &mut Run<S, E>, graph: &Graph) {
    assert!(run.next(graph, Clone::clone).is_some(), "nothing to take");
}

#[test]
fn a_garbage_collector_sees_everything_once() {
    // It counts references: what is seen twice looks as if nobody else held it.
    let graph = one_neuron();
    let mut run: Run<char, u32> = Run::new(&graph, None);
    run.begin_turn();
    for signal in ['a', 'b', 'c', 'd', 'e', 'f'] {
        run.emit_now(&graph, 0, || signal, 0, 1, Clone::clone);
    }
    take(&mut run, &graph);
    run.enter();
    let failed = run.settle_current().unwrap();
    run.fail(failed, Some(1));
    for ticket in 1..=3 {
        take(&mut run, &graph);
        run.wait(ticket);
    }
    run.grant(2, None).unwrap();
    run.grant(3, Some(3)).unwrap();
    take(&mut run, &graph);
    run.enter();
    run.suspend();
    let mut seen = visited(&run);
    seen.sort_unstable();
    let expected = [('a', Some(1)), ('b', None), ('c', Some(3)), ('d', None), ('e', None), ('f', None)];
    assert_eq!(seen, expected);
}

#[test]
fn a_garbage_collector_sees_what_a_join_took_over() {
    let graph = one_join();
    let mut run: Run<char, u32> = Run::new(&graph, None);
    run.begin_turn();
    run.emit_now(&graph, 0, || 'a', 0, 1, Clone::clone);
    run.emit_now(&graph, 0, || 'b', 0, 1, Clone::clone);
    assert_eq!(visited(&run), [('a', None), ('b', None)]);
    take(&mut run, &graph);
    run.enter();
    // Its own signal is the last one's.
    assert_eq!(visited(&run), [('b', None), ('a', None), ('b', None)]);
    let joined = run.settle_current().unwrap();
    run.fail(joined, Some(7));
    assert_eq!(visited(&run), [('b', Some(7)), ('a', None), ('b', None)]);
}

#[test]
fn a_garbage_collector_sees_as_many_references_as_there_are() {
    // However many hear it, a signal is one reference until they are taken.
    let mut builder = GraphBuilder::new(1);
    for _ in 0..3 {
        builder.neuron();
        builder.dendrite(0, None);
    }
    let graph = builder.build().unwrap();
    let signal = Rc::new(());
    let mut run: Run<Rc<()>, ()> = Run::new(&graph, None);
    let check = |run: &Run<Rc<()>, ()>, expected: usize| {
        let mut seen = 0;
        run.for_each(&mut |one, _| seen += usize::from(Rc::ptr_eq(one, &signal)));
        assert_eq!((seen, Rc::strong_count(&signal) - 1), (expected, expected));
    };
    run.begin_turn();
    check(&run, 0);
    assert_eq!(run.emit(&graph, 0, || Rc::clone(&signal), 0, 1), 3);
    check(&run, 1);
    assert_eq!(run.emit(&graph, 0, || Rc::clone(&signal), 0, 1), 3);
    check(&run, 2);
    let ticket = run.park(3);
    check(&run, 2);
    run.deliver(&graph, 3, Rc::clone);
    run.unpark(&graph, ticket, Rc::clone);
    check(&run, 2);
    run.emit_now(&graph, 0, || Rc::clone(&signal), 0, 1, Rc::clone);
    check(&run, 3);
    for left in [3, 3, 2, 2, 2, 1, 1, 1, 0] {
        take(&mut run, &graph);
        check(&run, left + 1);
        run.enter();
        run.settle_current();
        check(&run, left);
    }
    assert!(run.close());
}
