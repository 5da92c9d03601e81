//! How much memory graphs and runs take (S22), counted by a global allocator; so this is a program of its own.

use allocation_counter::{AllocationInfo, measure};
use cnstra_core::{Graph, GraphBuilder, Run};

const NEURONS: u32 = 100_000;
/// What a graph may take for each of its neurons.
const BYTES_PER_NEURON: u64 = 200;

/// Each neuron owns `collaterals` and hears as many: those of the one before, the first of them as a join if asked for.
fn in_a_row(neurons: u32, collaterals: u32, join_at_the_end: bool) -> Graph {
    let mut builder = GraphBuilder::new((neurons + 1) * collaterals);
    for neuron in 0..neurons {
        builder.neuron();
        let is_joined = join_at_the_end && neuron + 1 == neurons;
        for collateral in neuron * collaterals..(neuron + 1) * collaterals {
            builder.emits(collateral + collaterals).unwrap();
            builder.dendrite(collateral, is_joined.then_some(0));
        }
    }
    builder.build().unwrap()
}

/// Every neuron hears collateral 0; as a join each, if asked for.
fn fan(neurons: u32, joins: bool) -> Graph {
    let mut builder = GraphBuilder::new(1);
    for neuron in 0..neurons {
        builder.neuron();
        builder.dendrite(0, joins.then_some(neuron));
    }
    builder.build().unwrap()
}

/// Start everything, as handlers that emit on the next collateral, and return how many there were.
fn drive(run: &mut Run<u32, ()>, graph: &Graph, last: u32) -> u32 {
    let mut count = 0;
    while run.next(graph, u32::clone).is_some() {
        count += 1;
        run.enter();
        let Some(activation) = run.settle_current() else { break };
        if activation.signal < last {
            let after = activation.signal + 1;
            run.emit_now(graph, after, || after, activation.number, activation.hop + 1, u32::clone);
        }
        run.leave(graph, activation.dendrite);
    }
    assert!(run.close());
    count
}

#[test]
fn a_graph_takes_at_most_so_many_bytes_a_neuron_and_twice_as_many_while_it_is_built() {
    for (what, build) in [
        ("in a row", (|| in_a_row(NEURONS, 1, false)) as fn() -> Graph),
        ("in a row, four collaterals each", || in_a_row(NEURONS, 4, false)),
        ("in a row, to a join", || in_a_row(NEURONS, 1, true)),
        ("on one collateral", || fan(NEURONS, false)),
        ("on one collateral, joins", || fan(NEURONS, true)),
    ] {
        let mut graph = None;
        let built = measure(|| graph = Some(build()));
        assert_eq!(graph.as_ref().map(Graph::neurons), Some(NEURONS));
        let kept = u64::try_from(built.bytes_current).unwrap();
        assert!(kept <= BYTES_PER_NEURON * u64::from(NEURONS), "{what}: {built:?}");
        assert!(built.bytes_max <= 2 * BYTES_PER_NEURON * u64::from(NEURONS), "{what}, while it is built: {built:?}");
        let dropped = measure(|| drop(graph));
        assert_eq!(dropped.bytes_current, -built.bytes_current, "{what}: nothing is left behind");
    }
}

#[test]
fn a_run_of_one_allocates_nothing() {
    let graph = in_a_row(1, 1, false);
    let used = measure(|| {
        let mut run = Run::new(&graph, None);
        run.begin_turn();
        run.emit_now(&graph, 0, || 0, 0, 1, u32::clone);
        assert_eq!(drive(&mut run, &graph, 0), 1);
        run.end(&graph, u32::clone);
    });
    assert_eq!(used, AllocationInfo::default());
}

#[test]
fn a_chain_allocates_nothing_whatever_its_length() {
    let graph = in_a_row(NEURONS, 1, false);
    let used = measure(|| {
        let mut run = Run::new(&graph, None);
        run.begin_turn();
        run.emit_now(&graph, 0, || 0, 0, 1, u32::clone);
        assert_eq!(drive(&mut run, &graph, NEURONS), NEURONS);
    });
    assert_eq!(used, AllocationInfo::default());
}

/// What it takes to emit to as many, listen, and take every one of them.
fn fan_out(neurons: u32) -> AllocationInfo {
    let graph = fan(neurons, false);
    let mut run = Run::new(&graph, None);
    run.begin_turn();
    measure(|| {
        let count = run.emit(&graph, 0, || 0, 0, 1);
        assert_eq!(count, neurons as usize);
        let ticket = run.park(count);
        let count = run.emit(&graph, 0, || 0, 0, 1);
        run.deliver(&graph, count, u32::clone);
        run.emit_now(&graph, 0, || 0, 0, 1, u32::clone);
        run.unpark(&graph, ticket, u32::clone);
        let mut held = 0;
        run.for_each(&mut |_, _| held += 1);
        assert_eq!(held, 3, "one for each signal, however many hear it");
        assert_eq!(drive(&mut run, &graph, 0), 3 * neurons);
    })
}

#[test]
fn the_subscribers_of_a_signal_are_one_entry_however_many_they_are() {
    let (few, many) = (fan_out(2), fan_out(1_000_000));
    assert_eq!(few, many);
    assert!(many.bytes_max <= 4096, "{many:?}");
}

#[test]
fn a_garbage_collector_costs_no_memory() {
    let graph = fan(10, true);
    let mut run: Run<u32, ()> = Run::new(&graph, None);
    run.begin_turn();
    for signal in 0..100 {
        run.emit_now(&graph, 0, || signal, 0, 1, u32::clone);
    }
    run.emit(&graph, 0, || 100, 0, 1);
    let mut held = 0;
    let used = measure(|| run.for_each(&mut |_, _| held += 1));
    assert_eq!((held, used), (1001, AllocationInfo::default()));
}
