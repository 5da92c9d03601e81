//! S17: the frontier, and what a run holds of its caller's.

use cnstra_core::{Graph, GraphBuilder, Left, Run, Taken};
use std::cell::RefCell;
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
fn take<S: Clone, E>(run: &mut Run<S, E>, graph: &Graph) -> cnstra_core::Activation<S> {
    match run.next(graph) {
        Some(Taken::Queued(activation) | Taken::Granted(activation, _)) => activation,
        None => panic!("nothing to take"),
    }
}

#[test]
fn a_garbage_collector_sees_everything_once() {
    // It counts references: what is seen twice looks as if nobody else held it.
    let graph = one_neuron();
    let mut run: Run<char, u32> = Run::new(&graph, None);
    run.begin_turn();
    for signal in ['a', 'b', 'c', 'd', 'e', 'f'] {
        run.emit_now(&graph, 0, || signal, 0, 1);
    }
    let failed = take(&mut run, &graph);
    run.enter(failed);
    let failed = run.settle_current().unwrap();
    run.fail(failed, Some(1));
    for ticket in 1..=3 {
        let waiting = take(&mut run, &graph);
        run.wait(waiting, ticket);
    }
    run.grant(2, None).unwrap();
    run.grant(3, Some(3)).unwrap();
    let entered = take(&mut run, &graph);
    run.enter(entered);
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
    run.emit_now(&graph, 0, || 'a', 0, 1);
    run.emit_now(&graph, 0, || 'b', 0, 1);
    assert_eq!(visited(&run), [('a', None), ('b', None)]);
    let joined = take(&mut run, &graph);
    run.enter(joined);
    // Its own signal is the last one's.
    assert_eq!(visited(&run), [('b', None), ('a', None), ('b', None)]);
    let joined = run.settle_current().unwrap();
    run.fail(joined, Some(7));
    assert_eq!(visited(&run), [('b', Some(7)), ('a', None), ('b', None)]);
}

/// Tells when it is dropped.
#[derive(Clone)]
struct Dropped(&'static str, Rc<RefCell<Vec<&'static str>>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

#[test]
fn what_the_caller_gave_is_never_dropped_inside() {
    // Dropping it may run the caller's code, while the caller holds the lock of the run.
    let graph = one_neuron();
    let log = Rc::default();
    let value = |name| Dropped(name, Rc::clone(&log));
    let mut run: Run<Dropped, Dropped> = Run::new(&graph, None);
    run.begin_turn();
    for name in ["waits", "is granted", "is doomed", "is refused", "is queued"] {
        run.emit_now(&graph, 0, || value(name), 0, 1);
    }
    for ticket in 1..=4 {
        let waiting = take(&mut run, &graph);
        run.wait(waiting, ticket);
    }
    assert!(run.grant(2, None).is_ok());
    assert!(run.grant(3, Some(value("doom"))).is_ok());
    assert!(run.grant(4, Some(value("refusal"))).is_ok());
    let refusal = run.ungrant(4);
    assert!(refusal.as_ref().is_some_and(|error| error.0 == "refusal"));
    assert!(run.ungrant(4).is_none());
    run.aborted = true;
    let late = run.grant(1, Some(value("too late"))).unwrap_err();
    let left = run.end();
    assert_eq!(*log.borrow(), [""; 0]);
    let Left { granted, waiting, suspended, unused } = left;
    assert_eq!((granted, waiting, suspended), (vec![(0, 2)], vec![(0, 1), (0, 0)], vec![]));
    assert_eq!(unused.iter().map(|error| error.0).collect::<Vec<_>>(), ["doom"]);
    assert_eq!(run.frontier().iter().map(|activation| activation.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(run.failures().iter().all(|failure| failure.error.is_none()));
    drop((refusal, late, unused));
    assert_eq!(log.take(), ["refusal", "too late", "doom"]);
    drop(run);
    assert_eq!(log.take(), ["waits", "is granted", "is doomed", "is refused", "is queued"]);
}
