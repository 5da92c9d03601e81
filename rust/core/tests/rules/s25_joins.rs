//! S25: a join is activated once nothing else unfinished can bring it a further signal.

use cnstra_core::{Activation, Graph, GraphBuilder, JoinId, Run, Taken, UNKNOWN};

/// What a neuron hears, and for which join; what it emits.
type Wiring<'a> = (&'a [(u32, Option<JoinId>)], &'a [u32]);

/// The collaterals are 0..10.
fn graph(neurons: &[Wiring<'_>]) -> Graph {
    let mut builder = GraphBuilder::new(10);
    for (hears, emits) in neurons {
        builder.neuron();
        for &collateral in *emits {
            builder.emits(collateral).unwrap();
        }
        for &(collateral, join) in *hears {
            builder.dendrite(collateral, join);
        }
    }
    builder.build().unwrap()
}

/// A run whose handlers are the test.
struct Stage {
    graph: Graph,
    run: Run<&'static str, ()>,
}

impl Stage {
    fn new(graph: Graph) -> Self {
        let mut run = Run::new(&graph, None);
        run.begin_turn();
        Self { graph, run }
    }

    fn emit(&mut self, collateral: u32, signal: &'static str) {
        self.run.emit_now(&self.graph, collateral, || signal, 0, 1, Clone::clone);
    }

    /// Start the next one: it is active until it is settled.
    #[track_caller]
    fn start(&mut self) -> u64 {
        let Some(taken) = self.run.next(&self.graph, Clone::clone) else { panic!("nothing starts") };
        assert!(taken.granted.is_none());
        self.run.enter();
        self.run.suspend();
        taken.number
    }

    #[track_caller]
    fn assert_nothing_starts(&mut self) {
        assert!(self.run.next(&self.graph, Clone::clone).is_none());
        self.run.begin_turn();
    }

    /// It has succeeded with these signals.
    fn settle(&mut self, number: u64, emitted: &[(u32, &'static str)]) -> Activation<&'static str> {
        let activation = self.run.settle_suspended(number).unwrap();
        for &(collateral, signal) in emitted {
            self.run.emit_now(&self.graph, collateral, || signal, number, activation.hop + 1, Clone::clone);
        }
        self.run.leave(&self.graph, activation.dendrite);
        activation
    }

    fn fail(&mut self, number: u64) {
        let activation = self.run.settle_suspended(number).unwrap();
        let dendrite = activation.dendrite;
        self.run.fail(activation, Some(()));
        self.run.leave(&self.graph, dendrite);
    }
}

fn parts(activation: &Activation<&'static str>) -> Vec<&'static str> {
    activation.joined.iter().flat_map(|parts| parts.iter()).map(|part| part.signal).collect()
}

/// Two workers on collaterals 0 and 1 emit on 2 and 3, which a join collects.
fn two_workers_and_a_join() -> Graph {
    graph(&[(&[(0, None)], &[2]), (&[(1, None)], &[3]), (&[(2, Some(0)), (3, Some(0))], &[])])
}

#[test]
fn it_waits_for_all_that_can_still_reach_it() {
    let mut stage = Stage::new(two_workers_and_a_join());
    stage.emit(0, "a");
    stage.emit(1, "b");
    let (first, second) = (stage.start(), stage.start());
    stage.settle(second, &[(3, "from b")]);
    stage.assert_nothing_starts();
    assert_eq!(stage.run.pending(), 1, "what is held is pending");
    assert_eq!(stage.run.frontier(&stage.graph).iter().map(|held| *held.signal).collect::<Vec<_>>(), ["a", "from b"]);
    stage.settle(first, &[(2, "from a"), (2, "again")]);
    let join = stage.start();
    assert_eq!((stage.run.pending(), stage.run.active()), (0, 1));
    let join = stage.settle(join, &[]);
    assert_eq!(parts(&join), ["from b", "from a", "again"]);
    assert!(stage.run.next(&stage.graph, Clone::clone).is_none());
    assert!(stage.run.close());
}

#[test]
fn its_number_is_new_its_signal_and_cause_are_the_last_ones_its_hop_the_greatest() {
    let mut stage = Stage::new(graph(&[(&[(0, None)], &[1]), (&[(1, None), (2, Some(0))], &[])]));
    let graph = &stage.graph;
    stage.run.emit_now(graph, 2, || "far", 7, 9, Clone::clone);
    stage.run.emit_now(graph, 2, || "near", 8, 3, Clone::clone);
    let join = stage.start();
    let join = stage.settle(join, &[]);
    assert_eq!((join.number, join.signal, join.cause, join.hop, join.dendrite), (3, "near", 8, 9, 2));
    assert_eq!(parts(&join), ["far", "near"]);
    assert_eq!(join.joined.unwrap().iter().map(|part| part.number).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn with_none_arrived_it_is_not_activated() {
    let mut stage = Stage::new(two_workers_and_a_join());
    stage.emit(0, "a");
    let first = stage.start();
    stage.settle(first, &[]);
    stage.assert_nothing_starts();
    assert!(stage.run.close());
}

#[test]
fn payloads_are_in_order_of_emission_whatever_listeners_kept_back() {
    let mut stage = Stage::new(two_workers_and_a_join());
    let Stage { graph, run } = &mut stage;
    run.emit(graph, 2, || "first", 0, 1);
    run.emit(graph, 3, || "second", 0, 1);
    run.emit(graph, 2, || "third", 0, 1);
    let (first, second) = (run.park(1), run.park(1));
    run.deliver(graph, 1, Clone::clone);
    assert!(run.next(graph, Clone::clone).is_none(), "what listeners keep back has not arrived, but will");
    run.unpark(graph, second, Clone::clone);
    assert!(run.next(graph, Clone::clone).is_none());
    run.unpark(graph, first, Clone::clone);
    assert!(run.next(graph, Clone::clone).is_some());
    assert_eq!(run.current().map(parts), Some(vec!["first", "second", "third"]));
}

#[test]
fn what_listeners_keep_back_is_waited_for_if_it_can_reach_the_join() {
    let mut stage = Stage::new(two_workers_and_a_join());
    let Stage { graph, run } = &mut stage;
    run.emit(graph, 0, || "a worker's", 0, 1);
    run.emit(graph, 2, || "the join's", 0, 1);
    let ticket = run.park(1);
    run.deliver(graph, 1, Clone::clone);
    assert!(run.next(graph, Clone::clone).is_none());
    run.unpark(graph, ticket, Clone::clone);
    run.begin_turn();
    let worker = stage.start();
    stage.assert_nothing_starts();
    stage.settle(worker, &[]);
    assert_eq!(stage.start(), 3);
}

#[test]
fn one_failing_branch_does_not_stop_it() {
    let mut stage = Stage::new(two_workers_and_a_join());
    stage.emit(0, "a");
    stage.emit(1, "b");
    let (first, second) = (stage.start(), stage.start());
    stage.settle(first, &[(2, "from a")]);
    stage.fail(second);
    let join = stage.start();
    assert_eq!(parts(&stage.settle(join, &[])), ["from a"]);
}

#[test]
fn a_join_waits_for_a_join_that_can_reach_it() {
    // Neuron 0 is the later one, so that the order of the list is no help.
    let mut stage = Stage::new(graph(&[(&[(1, Some(0))], &[]), (&[(0, Some(1))], &[1])]));
    stage.emit(1, "direct");
    stage.emit(0, "a");
    stage.emit(0, "b");
    let earlier = stage.start();
    stage.assert_nothing_starts();
    let earlier = stage.settle(earlier, &[(1, "from the earlier")]);
    assert_eq!(parts(&earlier), ["a", "b"]);
    let later = stage.start();
    assert_eq!(parts(&stage.settle(later, &[])), ["direct", "from the earlier"]);
}

#[test]
fn two_joins_of_one_neuron_come_due_together_in_order() {
    let mut stage = Stage::new(graph(&[(&[(0, Some(0)), (1, Some(1))], &[])]));
    stage.emit(1, "of the second");
    stage.emit(0, "of the first");
    let (first, second) = (stage.start(), stage.start());
    assert_eq!(parts(&stage.settle(first, &[])), ["of the first"]);
    assert_eq!(parts(&stage.settle(second, &[])), ["of the second"]);
}

#[test]
fn what_cannot_reach_it_is_not_waited_for() {
    let mut stage = Stage::new(graph(&[(&[(0, None)], &[]), (&[(1, Some(0))], &[]), (&[(1, None)], &[5])]));
    stage.emit(0, "elsewhere");
    stage.emit(1, "held");
    let elsewhere = stage.start();
    assert_eq!((elsewhere, stage.start(), stage.start()), (1, 3, 4));
}

#[test]
fn a_task_that_the_graph_does_not_know_is_not_waited_for() {
    let mut stage = Stage::new(two_workers_and_a_join());
    let Stage { graph, run } = &mut stage;
    let unknown = run.reserve(graph, UNKNOWN, "unknown", 0, 1);
    run.append(graph, unknown);
    run.emit_now(graph, 2, || "held", 0, 1, Clone::clone);
    let taken = run.next(graph, Clone::clone);
    assert_eq!(taken, Some(Taken { number: 1, hop: 1, dendrite: UNKNOWN, granted: None }));
    let unknown = run.settle_pending().unwrap();
    run.fail(unknown, Some(()));
    run.leave(graph, UNKNOWN);
    assert!(run.next(graph, Clone::clone).is_some());
    assert_eq!(run.current().map(parts), Some(vec!["held"]));
}

#[test]
fn an_abort_leaves_what_it_holds_as_it_is() {
    let mut stage = Stage::new(two_workers_and_a_join());
    stage.emit(2, "a");
    stage.emit(3, "b");
    stage.run.aborted = true;
    assert!(stage.run.next(&stage.graph, Clone::clone).is_none());
    assert!(stage.run.close());
    stage.run.end(&stage.graph, Clone::clone);
    let undone: Vec<_> = stage.run.failures().iter().map(|failure| failure.activation.signal).collect();
    assert_eq!(undone, ["a", "b"]);
}

#[test]
fn resumed_with_what_it_had_taken_over_it_waits_for_nothing() {
    let mut stage = Stage::new(two_workers_and_a_join());
    let Stage { graph, run } = &mut stage;
    let mut resumed = run.reserve(graph, 2, "b", 0, 4);
    let part = |signal| Activation { number: 0, cause: 0, hop: 4, dendrite: 2, signal, joined: None };
    resumed.joined = Some(Box::new(vec![part("a"), part("b")]));
    let held = run.reserve(graph, 2, "c", 0, 1);
    let upstream = run.reserve(graph, 0, "worker", 0, 1);
    for activation in [resumed, held, upstream] {
        run.append(graph, activation);
    }
    let (resumed, worker) = (stage.start(), stage.start());
    assert_eq!((resumed, worker), (1, 3));
    stage.assert_nothing_starts();
    assert_eq!(parts(&stage.settle(resumed, &[])), ["a", "b"]);
    stage.settle(worker, &[]);
    let join = stage.start();
    assert_eq!(parts(&stage.settle(join, &[])), ["c"]);
}

#[test]
fn what_is_fed_later_activates_it_again() {
    let mut stage = Stage::new(graph(&[(&[(0, Some(0))], &[]), (&[(1, None)], &[])]));
    stage.emit(1, "keeps the run going");
    stage.emit(0, "early");
    stage.start();
    let early = stage.start();
    assert_eq!(parts(&stage.settle(early, &[])), ["early"]);
    stage.emit(0, "late");
    let late = stage.start();
    assert_eq!(parts(&stage.settle(late, &[])), ["late"]);
}
