//! Strongly connected components, against brute force.

use crate::plan::{closure, plan};
use cnstra_core::components;
use proptest::collection::vec;
use proptest::prelude::*;

/// Nodes that reach each other, in no particular order.
fn naive(edges: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let reaches = closure(edges);
    let nodes = u32::try_from(edges.len()).unwrap();
    let together = |a: u32, b: u32| a == b || (reaches[a as usize][b as usize] && reaches[b as usize][a as usize]);
    let mut found: Vec<Vec<u32>> =
        (0..nodes).map(|node| (0..nodes).filter(|&other| together(node, other)).collect()).collect();
    found.sort();
    found.dedup();
    found
}

/// Up to 14 nodes; parallel edges and loops included.
fn edges() -> impl Strategy<Value = Vec<Vec<u32>>> {
    (1..15usize).prop_flat_map(|nodes| vec(vec(0..u32::try_from(nodes).unwrap(), 0..4), nodes))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nodes_are_together_exactly_if_they_reach_each_other(edges in edges()) {
        let mut found = components(u32::try_from(edges.len()).unwrap(), |node| &edges[node as usize]);
        found.sort();
        prop_assert_eq!(found, naive(&edges));
    }

    #[test]
    fn what_can_be_reached_comes_first(edges in edges()) {
        let found = components(u32::try_from(edges.len()).unwrap(), |node| &edges[node as usize]);
        let place = |node: u32| found.iter().position(|component| component.contains(&node)).unwrap();
        for (from, after) in (0..).zip(&edges) {
            for &to in after {
                prop_assert!(place(to) <= place(from), "{to} is after {from}: {found:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn a_graph_gives_those_of_its_neurons(plan in plan()) {
        let mut found = plan.build().unwrap().components();
        found.sort();
        prop_assert_eq!(found, naive(&plan.edges()));
    }
}
