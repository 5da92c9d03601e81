//! Whatever happens to a run, after every step: counters (S5), numbers (S2), the frontier (S17), what is started next
//! (S3, S11), slots (S12), joins (S25), and how it ends (S8, S10). The world compares all of it with the model.

use crate::choices::Choices;
use crate::model::State;
use crate::plan::{Plan, plan};
use crate::world::{Options, World};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

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

fn play(plan: &Plan, mut options: Options, choices: Vec<u8>) {
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
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_run_is_what_the_model_says(plan in plan(), options in options(), choices in vec(any::<u8>(), 0..300)) {
        play(&plan, options, choices);
    }

    #[test]
    fn slots_go_round_between_runs(plan in plan(), choices in vec(any::<u8>(), 0..300)) {
        let options = Options { runs: 3, more_runs: 2, dooms: true, closed_loops: true, fuel: 5, ..Options::default() };
        play(&plan.crowded(), options, choices);
    }
}
