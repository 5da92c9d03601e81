//! S1: the graph is compiled once and checked.

use crate::plan::{any_plan, closure, plan};
use cnstra_core::{CollateralId, DendriteId, Graph, GraphBuilder, GraphError};
use proptest::prelude::*;

fn heard(graph: &Graph, collateral: CollateralId) -> Vec<DendriteId> {
    let (first, end) = graph.subscribers(collateral);
    (first..end).map(|place| graph.subscriber(place)).collect()
}

#[test]
fn subscribers_are_ordered_by_neuron_then_by_dendrite() {
    let mut builder = GraphBuilder::new(2);
    builder.neuron();
    assert_eq!(builder.dendrite(1, None), 0);
    assert_eq!(builder.dendrite(0, None), 1);
    assert_eq!(builder.dendrite(1, None), 2);
    builder.neuron();
    assert_eq!(builder.dendrite(1, None), 3);
    let graph = builder.build().unwrap();
    assert_eq!(heard(&graph, 1), [0, 2, 3]);
    assert_eq!(heard(&graph, 0), [1]);
}

#[test]
fn a_collateral_on_two_axons_is_an_error_that_names_the_culprits() {
    let mut builder = GraphBuilder::new(3);
    builder.neuron();
    builder.emits(2).unwrap();
    builder.neuron();
    builder.emits(0).unwrap();
    let error = builder.emits(2).unwrap_err();
    assert_eq!(error, GraphError::OwnedTwice { collateral: 2, first: 0, second: 1 });
    assert_eq!(error.to_string(), "collateral 2 is on the axons of neurons 0 and 1");
    let mut builder = GraphBuilder::new(1);
    builder.neuron();
    builder.emits(0).unwrap();
    assert_eq!(builder.emits(0).unwrap_err(), GraphError::OwnedTwice { collateral: 0, first: 0, second: 0 });
}

#[test]
fn a_graph_without_neurons_or_collaterals_is_a_graph() {
    let graph = GraphBuilder::new(0).build().unwrap();
    assert_eq!((graph.neurons(), graph.joins()), (0, 0));
    assert!(graph.components().is_empty());
    let graph = GraphBuilder::new(1).build().unwrap();
    assert_eq!(graph.subscribers(0), (0, 0));
    assert_eq!(graph.owner_of(0), None);
}

#[test]
#[should_panic(expected = "begin a neuron before what it emits and hears")]
fn a_dendrite_needs_a_neuron() {
    GraphBuilder::new(1).dendrite(0, None);
}

#[test]
#[should_panic(expected = "join 0 is of neuron 0, and neuron 1 collects for it")]
fn a_join_belongs_to_one_neuron() {
    let mut builder = GraphBuilder::new(1);
    builder.neuron();
    builder.dendrite(0, Some(0));
    builder.neuron();
    builder.dendrite(0, Some(0));
}

#[test]
#[should_panic(expected = "there is no join 0, but a greater one")]
fn joins_are_numbered_without_gaps() {
    let mut builder = GraphBuilder::new(1);
    builder.neuron();
    builder.dendrite(0, Some(1));
    let _ = builder.build();
}

proptest! {
    #[test]
    fn the_graph_is_what_was_described(plan in plan()) {
        let graph = plan.build().unwrap();
        prop_assert_eq!(graph.neurons() as usize, plan.neurons.len());
        for collateral in 0..plan.collaterals {
            prop_assert_eq!(heard(&graph, collateral), plan.subscribers(collateral));
            let owner = (0..).zip(&plan.neurons).find(|(_, neuron)| neuron.emits.contains(&collateral));
            prop_assert_eq!(graph.owner_of(collateral), owner.map(|(number, _)| number));
        }
        for (number, (neuron, dendrite)) in (0..).zip(plan.dendrites()) {
            prop_assert_eq!(graph.neuron_of(number), neuron);
            prop_assert_eq!(graph.join_of(number), dendrite.join);
        }
        for (neuron, after) in (0..).zip(plan.edges()) {
            prop_assert_eq!(graph.successors(neuron), after);
        }
    }

    #[test]
    fn joins_are_refused_exactly_where_they_could_reach_themselves(plan in any_plan()) {
        let reaches = closure(&plan.edges());
        let impossible = plan.impossible_joins();
        match plan.build() {
            Ok(_) => prop_assert!(impossible.is_empty()),
            Err(GraphError::JoinReachesItself { neuron, cycle }) => {
                prop_assert!(impossible.contains(&neuron));
                let both = |other: u32| {
                    reaches[neuron as usize][other as usize] && reaches[other as usize][neuron as usize]
                };
                let expected: Vec<u32> = (0..).zip(&plan.neurons).map(|(n, _)| n).filter(|&n| both(n)).collect();
                prop_assert_eq!(cycle, expected);
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn reach_is_what_brute_force_finds(plan in plan()) {
        let graph = plan.build().unwrap();
        let reaches = closure(&plan.edges());
        let joins = plan.join_neurons();
        prop_assert_eq!(graph.joins(), joins.len());
        for (neuron, reached) in (0..).zip(&reaches) {
            let expected: Vec<u32> =
                (0..).zip(&joins).filter(|(_, at)| reached[**at as usize]).map(|(join, _)| join).collect();
            prop_assert_eq!(graph.reach_of(neuron), expected);
        }
    }
}
