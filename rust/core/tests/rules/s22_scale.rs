//! S22: stack use does not grow with anything. All of this runs on 64 KiB of it.

use cnstra_core::{Graph, GraphBuilder, Run, Slots, components};
use std::cell::Cell;

const MILLION: u32 = 1_000_000;

fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(64 * 1024).spawn(test).unwrap().join().unwrap();
}

/// Each neuron hears the one before; the first hears collateral 0, which the last emits if it is a cycle.
fn in_a_row(neurons: u32, is_cycle: bool, join_at_the_end: bool) -> Graph {
    let mut builder = GraphBuilder::new(neurons + 1);
    for neuron in 0..neurons {
        builder.neuron();
        let last = neuron + 1 == neurons;
        builder.emits(if last && is_cycle { 0 } else { neuron + 1 }).unwrap();
        builder.dendrite(neuron, (last && join_at_the_end).then_some(0));
    }
    builder.build().unwrap()
}

/// Every neuron hears collateral 0; as joins of one collateral each, if asked for.
fn fan(neurons: u32, joins: bool) -> Graph {
    let mut builder = GraphBuilder::new(1);
    for neuron in 0..neurons {
        builder.neuron();
        builder.dendrite(0, joins.then_some(neuron));
    }
    builder.build().unwrap()
}

#[test]
fn a_chain_of_a_million_neurons_is_a_million_components_the_last_first() {
    on_a_small_stack(|| {
        let found = in_a_row(MILLION, false, false).components();
        assert_eq!(found.len(), MILLION as usize);
        assert!(found.iter().zip((0..MILLION).rev()).all(|(component, neuron)| *component == [neuron]));
    });
}

#[test]
fn a_cycle_of_a_million_neurons_is_one_component() {
    on_a_small_stack(|| {
        let found = in_a_row(MILLION, true, false).components();
        assert_eq!(found.len(), 1);
        assert!(found[0].iter().copied().eq(0..MILLION));
    });
}

#[test]
fn a_million_edges_of_one_node_are_looked_at_once() {
    on_a_small_stack(|| {
        let hub: Vec<u32> = (1..MILLION).collect();
        let found = components(MILLION, |node| if node == 0 { &hub } else { &[0] });
        assert_eq!(found.len(), 1);
    });
}

#[test]
fn a_million_neurons_can_reach_one_join() {
    on_a_small_stack(|| {
        let graph = in_a_row(MILLION, false, true);
        assert!((0..MILLION - 1).all(|neuron| graph.reach_of(neuron) == [0]));
        assert!(graph.reach_of(MILLION - 1).is_empty());
    });
}

/// Start everything, as handlers that emit on the next collateral, and return how many there were.
fn drive(run: &mut Run<u32, ()>, graph: &Graph, emits: impl Fn(u32) -> Option<u32>) -> u64 {
    let mut count = 0;
    while let Some(taken) = run.next(graph, Clone::clone) {
        count += 1;
        assert_eq!((taken.number, run.pending()), (count, 1), "the queue does not grow");
        run.enter();
        let activation = run.settle_current().unwrap();
        if let Some(collateral) = emits(activation.signal) {
            run.emit_now(
                graph,
                collateral,
                || activation.signal + 1,
                activation.number,
                activation.hop + 1,
                Clone::clone,
            );
        }
        run.leave(graph, activation.dendrite);
    }
    assert!(run.close());
    count
}

#[test]
fn a_chain_of_a_million_neurons_runs_through() {
    on_a_small_stack(|| {
        let graph = in_a_row(MILLION, false, false);
        let mut run = Run::new(&graph, None);
        run.begin_turn();
        run.emit_now(&graph, 0, || 0, 0, 1, Clone::clone);
        assert_eq!(drive(&mut run, &graph, |signal| Some(signal + 1)), u64::from(MILLION));
    });
}

#[test]
fn a_neuron_hears_itself_a_million_times() {
    on_a_small_stack(|| {
        let graph = in_a_row(1, true, false);
        let mut run = Run::new(&graph, None);
        run.begin_turn();
        run.emit_now(&graph, 0, || 1, 0, 1, Clone::clone);
        assert_eq!(drive(&mut run, &graph, |signal| (signal < MILLION).then_some(0)), u64::from(MILLION));
    });
}

#[test]
fn signals_with_a_million_subscribers_together_are_aborted_in_order() {
    on_a_small_stack(|| {
        let quarter = MILLION as usize / 4;
        let graph = fan(MILLION / 4, false);
        let mut run: Run<u32, ()> = Run::new(&graph, None);
        run.begin_turn();
        for signal in 0..4 {
            assert_eq!(run.emit(&graph, 0, || signal, 0, 1), quarter);
        }
        run.park(quarter);
        run.park(quarter);
        run.deliver(&graph, quarter, Clone::clone);
        for ticket in 1..=1000 {
            assert!(run.next(&graph, Clone::clone).is_some());
            run.wait(ticket);
        }
        run.aborted = true;
        assert_eq!(run.frontier(&graph).len(), MILLION as usize);
        assert_eq!(run.end(&graph, Clone::clone).waiting.len(), 1000);
        assert_eq!(run.pending(), MILLION as usize);
        assert!(run.failures().iter().map(|failure| failure.activation.number).eq(1..=u64::from(MILLION)));
    });
}

#[test]
fn a_signal_with_a_million_subscribers_is_one_in_the_queue_until_they_are_taken() {
    on_a_small_stack(|| {
        let graph = fan(MILLION, false);
        let copies = Cell::new(0);
        let copy = |signal: &u32| {
            copies.set(copies.get() + 1);
            *signal
        };
        let mut run: Run<u32, ()> = Run::new(&graph, None);
        run.begin_turn();
        run.emit_now(&graph, 0, || 7, 0, 1, copy);
        assert_eq!((run.pending(), references(&run), copies.get()), (MILLION as usize, 1, 0));
        for number in 1..=u64::from(MILLION) {
            assert_eq!(run.next(&graph, copy).map(|taken| taken.number), Some(number));
            run.enter();
            assert_eq!(references(&run), 1 + usize::from(number < u64::from(MILLION)), "the rest, and the current one");
            run.settle_current();
        }
        assert!(run.close());
        assert_eq!(copies.get(), MILLION - 1);
    });
}

fn references<S, E>(run: &Run<S, E>) -> usize {
    let mut count = 0;
    run.for_each(&mut |_, _| count += 1);
    count
}

#[test]
fn a_hundred_thousand_joins_come_due_together() {
    on_a_small_stack(|| {
        let count = 100_000;
        let graph = fan(count, true);
        let mut run: Run<u32, ()> = Run::new(&graph, None);
        run.begin_turn();
        for signal in 1..=3 {
            run.emit_now(&graph, 0, || signal, 0, 1, Clone::clone);
        }
        let mut expected = 0..count;
        while run.next(&graph, Clone::clone).is_some() {
            run.enter();
            let activation = run.settle_current().unwrap();
            assert_eq!(Some(activation.dendrite), expected.next());
            assert_eq!(activation.joined.as_ref().unwrap().len(), 3);
            run.leave(&graph, activation.dendrite);
        }
        assert!(expected.is_empty() && run.close());
    });
}

#[test]
fn a_join_takes_a_million_signals_over() {
    on_a_small_stack(|| {
        let graph = fan(1, true);
        let mut run: Run<u32, ()> = Run::new(&graph, None);
        run.begin_turn();
        for signal in 0..MILLION {
            run.emit_now(&graph, 0, || signal, 0, 1, Clone::clone);
        }
        assert!(run.next(&graph, Clone::clone).is_some());
        let activation = run.current().unwrap();
        assert!(activation.joined.as_ref().unwrap().iter().map(|part| part.signal).eq(0..MILLION));
        assert_eq!(run.pending(), 1);
    });
}

#[test]
fn a_million_wait_in_one_line() {
    on_a_small_stack(|| {
        let mut slots = Slots::new(1);
        assert_eq!(slots.acquire(0, || ()), None);
        for holder in 1..MILLION {
            assert_eq!(slots.acquire(holder, || ()), Some(u64::from(holder)));
        }
        for holder in 0..MILLION - 1 {
            assert_eq!(slots.release(&holder), Some((holder + 1, ())));
        }
        assert_eq!(slots.release(&(MILLION - 1)), None);
    });
}
