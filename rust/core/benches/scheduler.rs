//! What the scheduler costs by itself: `cargo bench --locked -p cnstra-core`, with `-- --quick` for a first look.
//!
//! Signals are reference counted, as those of the binding are. Each bench asserts what it computes before it times it.

use cnstra_core::{CollateralId, Graph, GraphBuilder, Number, Run};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use std::rc::Rc;

/// The collateral that is emitted next.
type Signal = Rc<CollateralId>;

const CHAIN: u32 = 1000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    chain(&mut criterion);
    fan_out(&mut criterion);
    run_of_one(&mut criterion);
    barrier(&mut criterion);
    frontier(&mut criterion);
    build(&mut criterion);
    criterion.final_summary();
}

/// Each neuron hears the one before.
fn in_a_row(neurons: u32) -> Graph {
    let mut builder = GraphBuilder::new(neurons + 1);
    for neuron in 0..neurons {
        builder.neuron();
        builder.emits(neuron + 1).unwrap();
        builder.dendrite(neuron, None);
    }
    builder.build().unwrap()
}

/// Every neuron hears collateral 0.
fn fan(neurons: u32) -> Graph {
    let mut builder = GraphBuilder::new(1);
    for _ in 0..neurons {
        builder.neuron();
        builder.dendrite(0, None);
    }
    builder.build().unwrap()
}

fn begin(graph: &Graph) -> Run<Signal, ()> {
    let mut run = Run::new(graph, None);
    run.begin_turn();
    run
}

/// Start all that is queued, and what it causes: handlers that emit on the collateral that their signal names, if there
/// is one. Returns the number and the hop of the last.
fn drive(run: &mut Run<Signal, ()>, graph: &Graph, collaterals: CollateralId) -> (Number, u32) {
    let mut last = (0, 0);
    while let Some(taken) = run.next(graph, Rc::clone) {
        run.enter();
        let Some(activation) = run.settle_current() else { break };
        last = (taken.number, taken.hop);
        let to = *activation.signal;
        if to < collaterals {
            run.emit_now(graph, to, || Rc::new(to + 1), taken.number, taken.hop + 1, Rc::clone);
        }
        run.leave(graph, activation.dendrite);
    }
    last
}

/// A hop: an activation that emits to one other.
fn chain(criterion: &mut Criterion) {
    let graph = in_a_row(CHAIN);
    let run_through = || {
        let mut run = begin(&graph);
        run.emit_now(&graph, 0, || Rc::new(1), 0, 1, Rc::clone);
        let last = drive(&mut run, &graph, CHAIN);
        (last, run.close())
    };
    assert_eq!(run_through(), ((u64::from(CHAIN), CHAIN), true));
    let mut group = criterion.benchmark_group("chain");
    group.throughput(Throughput::Elements(u64::from(CHAIN)));
    group.bench_function("hop", |bencher| bencher.iter(run_through));
    group.finish();
}

/// An activation that is one of many on one signal, and emits nothing.
fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan-out");
    for neurons in [2, 10, 1000, 100_000] {
        let graph = fan(neurons);
        let signal = Rc::new(1);
        let run_through = || {
            let mut run = begin(&graph);
            run.emit_now(&graph, 0, || Rc::clone(&signal), 0, 1, Rc::clone);
            let last = drive(&mut run, &graph, 1);
            (last, run.close())
        };
        assert_eq!(run_through(), ((u64::from(neurons), 1), true));
        group.throughput(Throughput::Elements(u64::from(neurons)));
        group.bench_function(BenchmarkId::new("activation", neurons), |bencher| bencher.iter(run_through));
    }
    group.finish();
}

/// From [`Run::new`] to [`Run::end`].
fn run_of_one(criterion: &mut Criterion) {
    let graph = in_a_row(1);
    let signal = Rc::new(1);
    let run_through = || {
        let mut run = begin(&graph);
        run.emit_now(&graph, 0, || Rc::clone(&signal), 0, 1, Rc::clone);
        let last = drive(&mut run, &graph, 1);
        let over = run.close();
        let left = run.end(&graph, Rc::clone);
        (last, over, left.waiting.len(), run.failures().len())
    };
    assert_eq!(run_through(), ((1, 1), true, 0, 0));
    criterion.bench_function("run of one", |bencher| bencher.iter(run_through));
}

/// A response whose listener keeps back what it caused until it has settled.
fn barrier(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("barrier");
    for neurons in [1, 1000] {
        let graph = fan(neurons);
        let signal = Rc::new(1);
        let mut run = begin(&graph);
        let mut round = || {
            let count = run.emit(&graph, 0, || Rc::clone(&signal), 0, 1);
            let ticket = run.park(count);
            assert!(run.next(&graph, Rc::clone).is_none(), "nothing starts behind a barrier");
            run.unpark(&graph, ticket, Rc::clone);
            let last = drive(&mut run, &graph, 1);
            (last, run.pending(), run.in_flight())
        };
        assert_eq!(round(), ((u64::from(neurons), 1), 0, 0));
        group.throughput(Throughput::Elements(u64::from(neurons)));
        group.bench_function(BenchmarkId::new("activation", neurons), |bencher| bencher.iter(&mut round));
    }
    group.finish();
}

/// The frontier of as many queued activations: on one signal, or on one each.
fn frontier(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frontier");
    for size in [10, 100, 1000, 10_000, 100_000] {
        let (together, alone) = (fan(size), fan(1));
        for (what, graph, signals) in [("of one signal", &together, 1), ("of as many signals", &alone, size)] {
            let mut run = begin(graph);
            for _ in 0..signals {
                run.emit_now(graph, 0, || Rc::new(1), 0, 1, Rc::clone);
            }
            let found = run.frontier(graph);
            assert!(found.iter().map(|activation| activation.number).eq(1..=u64::from(size)));
            group.throughput(Throughput::Elements(u64::from(size)));
            group.bench_function(BenchmarkId::new(what, size), |bencher| bencher.iter(|| run.frontier(graph).len()));
        }
    }
    group.finish();
}

/// A graph, from its description to what runs go by.
fn build(criterion: &mut Criterion) {
    const NEURONS: u32 = 100_000;
    let graph = in_a_row(NEURONS);
    assert_eq!((graph.neurons(), graph.successors(0), graph.successors(NEURONS - 1)), (NEURONS, vec![1], vec![]));
    let mut group = criterion.benchmark_group("build");
    group.throughput(Throughput::Elements(u64::from(NEURONS)));
    // What is built is dropped outside of the time.
    group.bench_function(BenchmarkId::new("neuron", NEURONS), |bencher| {
        bencher.iter_batched(|| (), |()| in_a_row(black_box(NEURONS)), BatchSize::PerIteration);
    });
    group.finish();
}
