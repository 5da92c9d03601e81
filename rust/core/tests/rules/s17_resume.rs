//! S17: a run that was broken off is resumed from its frontier, and everything has succeeded exactly once in the end.

use crate::choices::Choices;
use crate::model::Signal;
use crate::plan::{Plan, plan};
use crate::world::{Options, Success, World, unit};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Play, resume until nothing is left, and return how often everything succeeded.
fn succeeded(plan: &Plan, options: Options, choices: Vec<u8>) -> BTreeMap<u64, usize> {
    let graph = plan.build().unwrap();
    let fuel = options.fuel;
    let mut world = World::new(plan, &graph, options, Choices::new(choices));
    world.stimulate_and_play();
    let mut last = 0;
    loop {
        let tasks = world.frontier(last);
        if tasks.is_empty() {
            break;
        }
        last = world.resume_and_play(tasks);
        assert!(last < 400, "it never ends");
    }
    let successes: Vec<&Success> = world.runs.iter().flat_map(|driven| &driven.successes).collect();
    let mut counts = BTreeMap::new();
    for unit in successes.iter().flat_map(|success| &success.units) {
        *counts.entry(*unit).or_insert(0) += 1;
    }
    // What had to succeed: all that hears an entry, or what a success emitted; and nothing else.
    let entry = |collateral| Signal { collateral, fuel, id: u64::from(collateral), emission: 0 };
    let emitted = successes.iter().flat_map(|success| success.emitted.iter().copied());
    let expected: BTreeMap<u64, usize> = ((0..plan.entries).map(entry).chain(emitted))
        .flat_map(|signal| {
            plan.subscribers(signal.collateral).into_iter().map(move |heard_by| (unit(heard_by, signal), 1))
        })
        .collect();
    assert_eq!(counts, expected);
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2500, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_broke_it_off_everything_succeeds_exactly_once(
        plan in plan(), fuel in 0..6u8, barriers in any::<bool>(), concurrency in option::of(1..3u32),
        choices in vec(any::<u8>(), 0..400),
    ) {
        let fuel = plan.fuel(fuel, 80);
        let options = Options {
            runs: 1, concurrency, barriers, fuel, aborts: true, closed_loops: true, dooms: true, ..Options::default()
        };
        succeeded(&plan, options, choices);
    }

    #[test]
    fn aborts_change_nothing_of_what_is_done(
        plan in plan(), fuel in 0..6u8, barriers in any::<bool>(), choices in vec(any::<u8>(), 0..400),
    ) {
        // Joins included: all that they collect is in the frontier together.
        let plan = plan.without_failures();
        let fuel = plan.fuel(fuel, 80);
        let options = || Options { runs: 1, barriers, fuel, ..Options::default() };
        let interrupted = Options { aborts: true, closed_loops: true, ..options() };
        prop_assert_eq!(succeeded(&plan, interrupted, choices), succeeded(&plan, options(), Vec::new()));
    }
}
