//! The unit of work: one dendrite and the signal that it reacts to.

use crate::graph::DendriteId;

/// The number of an activation in its run (S2); 0 means none.
pub type Number = u64;

/// A dendrite that the graph does not have: the activation fails when its turn comes (S17).
pub const UNKNOWN: DendriteId = u32::MAX;

/// One (dendrite, signal) pair of a run.
#[derive(Debug)]
pub struct Activation<S> {
    /// 1, 2, … in the order in which they are reserved (S2).
    pub number: Number,
    /// The activation that emitted the signal; 0 on entry.
    pub cause: Number,
    /// 1 on entry, then one more than its cause (S14).
    pub hop: u32,
    /// What reacts; [`UNKNOWN`] if the graph has nothing that does.
    pub dendrite: DendriteId,
    /// What it reacts to.
    pub signal: S,
    /// What a join took over, in order of emission (S25); `None` for a signal that it still has to take over.
    #[allow(clippy::box_collection, reason = "a pointer, since hardly any activation is a join's")]
    pub joined: Option<Box<Vec<Activation<S>>>>,
}

/// An activation that did not succeed.
#[derive(Debug)]
pub struct Failure<S, E> {
    /// What did not succeed.
    pub activation: Activation<S>,
    /// Why; without an error it was left undone by an abort (S10).
    pub error: Option<E>,
}
