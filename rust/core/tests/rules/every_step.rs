//! Whatever happens to a run, after every step: counters (S5), numbers (S2), the frontier (S17), what is started next
//! (S3, S11), slots (S12), joins (S25), and how it ends (S8, S10). The world compares all of it with the model.

use crate::choices::Choices;
use crate::model::State;
use crate::plan::{Plan, plan};
use crate::world::{Options, World};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;

fn options() -> impl Strategy<Value = Options> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (option::weighted(0.3, 1..4u32), option::weighted(0.2, 1..4u32), 1..3usize, 0..3usize, flags, 0..6u8).prop_map(
        |(concurrency, max_hops, runs, more_runs, (barriers, aborts, enqueues, dooms, closed_loops), fuel)| Options {
            concurrency,
            max_hops,
            runs,
            more_runs,
            barriers,
            aborts,
            enqueues,
            dooms,
            closed_loops,
            fuel,
        },
    )
}

/// What happened, and how often.
fn play(plan: &Plan, mut options: Options, choices: Vec<u8>) -> BTreeMap<&'static str, usize> {
    let graph = plan.build().unwrap();
    options.fuel = plan.fuel(options.fuel, 80);
    let mut world = World::new(plan, &graph, options, Choices::new(choices));
    world.stimulate_and_play();
    for driven in &world.runs {
        for entry in &driven.model.entries {
            let accounted = matches!(entry.state, State::Succeeded | State::Failed | State::Undone | State::TakenOver);
            assert!(accounted, "never heard of again: {entry:?}");
        }
    }
    world.events
}

/// Many runs at a time whose handlers all go on, hardly any slots, and loops that close.
fn crowd() -> Options {
    Options { runs: 3, more_runs: 2, dooms: true, closed_loops: true, fuel: 5, ..Options::default() }
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

#[test]
fn the_cases_are_worth_their_time() {
    // If the strategies drew nothing but dull runs, the properties below would hold all the same.
    let mut runner = TestRunner::deterministic();
    let mut events = BTreeMap::new();
    for _ in 0..400 {
        let (plan, options, choices) = (plan(), options(), choices()).new_tree(&mut runner).unwrap().current();
        for (event, count) in
            play(&plan, options, choices.clone()).into_iter().chain(play(&plan.crowded(), crowd(), choices))
        {
            *events.entry(event).or_insert(0) += count;
        }
    }
    for (event, at_least) in [
        ("aborted", 50),
        ("cancelled", 50),
        ("doomed", 20),
        ("enqueued", 50),
        ("fed while draining", 20),
        ("granted", 500),
        ("half taken", 500),
        ("half taken at the end", 20),
        ("joined several", 200),
        ("loop closed", 50),
        ("parked", 200),
        ("passed over", 20),
        ("refused", 50),
        ("settled on another's stack", 50),
        ("started beside others", 50),
        ("taken back", 5),
    ] {
        assert!(events.get(event).is_some_and(|&count| count >= at_least), "{event} is too rare: {events:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_run_is_what_the_model_says(plan in plan(), options in options(), choices in choices()) {
        play(&plan, options, choices);
    }

    #[test]
    fn slots_go_round_between_runs(plan in plan(), choices in choices()) {
        play(&plan.crowded(), crowd(), choices);
    }
}
