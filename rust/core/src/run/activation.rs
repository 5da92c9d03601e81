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

/// An activation as whoever looks at a run sees it: one of an emission is none of its own before it is taken.
#[derive(Debug)]
pub struct ActivationRef<'a, S> {
    /// As for [`Activation`], like all that follow.
    pub number: Number,
    /// Its cause.
    pub cause: Number,
    /// Its hop.
    pub hop: u32,
    /// Its dendrite.
    pub dendrite: DendriteId,
    /// Its signal.
    pub signal: &'a S,
    /// What a join took over; empty for all others.
    pub joined: &'a [Activation<S>],
}

// Not derived, because that would ask for `S: Copy`.
impl<S> Clone for ActivationRef<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for ActivationRef<'_, S> {}

impl<S> Activation<S> {
    /// What there is to be seen of it.
    #[must_use]
    pub fn view(&self) -> ActivationRef<'_, S> {
        ActivationRef {
            number: self.number,
            cause: self.cause,
            hop: self.hop,
            dendrite: self.dendrite,
            signal: &self.signal,
            joined: self.joined.as_ref().map_or(&[], |joined| joined),
        }
    }
}

/// An activation that did not succeed.
#[derive(Debug)]
pub struct Failure<S, E> {
    /// What did not succeed.
    pub activation: Activation<S>,
    /// Why; without an error it was left undone by an abort (S10).
    pub error: Option<E>,
}
