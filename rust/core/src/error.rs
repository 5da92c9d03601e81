//! Why a graph cannot be compiled. Errors carry numbers; whoever knows the names words the message.

use crate::graph::{CollateralId, NeuronId};
use std::fmt;

/// A graph that breaks rule S1 or S25.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GraphError {
    /// A collateral is on two axons: its signals would have two owners.
    OwnedTwice {
        /// The collateral.
        collateral: CollateralId,
        /// The neuron that owned it already.
        first: NeuronId,
        /// The neuron that claimed it too; the same one if it lists the collateral twice.
        second: NeuronId,
    },
    /// Signals of a join's neuron could come back to it: it could never be sure of having them all.
    JoinReachesItself {
        /// The first neuron of the cycle that has a join.
        neuron: NeuronId,
        /// The neurons of the strongly connected component that it is in, itself included, ascending.
        cycle: Vec<NeuronId>,
    },
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnedTwice { collateral, first, second } => {
                write!(f, "collateral {collateral} is on the axons of neurons {first} and {second}")
            }
            Self::JoinReachesItself { neuron, cycle } => {
                write!(f, "the join of neuron {neuron} could reach itself through neurons {cycle:?}")
            }
        }
    }
}

impl std::error::Error for GraphError {}
