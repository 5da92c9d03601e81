//! Joins: signals are held until nothing unfinished can bring a further one (S25).

use super::{Activation, Run};
use crate::graph::{DendriteId, Graph, JoinId};
use std::collections::BTreeSet;

/// What a run knows of the joins of its graph; empty without any.
#[derive(Debug)]
pub(super) struct Joins<S> {
    /// By join: what has arrived.
    pub(super) held: Vec<Vec<Activation<S>>>,
    /// By join: how many unfinished activations can still reach its neuron, those included that are for the join and have
    /// not arrived because a listener keeps them back. A count, because asking every unfinished activation at every
    /// settlement would be quadratic.
    upstream: Vec<usize>,
    /// Those of which one of the two above has changed in a way that may make it their turn; ordered, so that several
    /// that come due together are activated in the order of the graph.
    due: BTreeSet<JoinId>,
}

// Not derived, because that would ask for `S: Default`.
impl<S> Default for Joins<S> {
    fn default() -> Self {
        Self { held: Vec::new(), upstream: Vec::new(), due: BTreeSet::new() }
    }
}

impl<S> Joins<S> {
    pub(super) fn resize(&mut self, joins: usize) {
        self.held.resize_with(joins, Vec::new);
        self.upstream.resize(joins, 0);
    }

    /// An activation is reserved that can reach these joins, or is on its way to one of its own.
    pub(super) fn expect(&mut self, reach: &[JoinId], own: Option<JoinId>) {
        for &join in reach.iter().chain(&own) {
            self.upstream[join as usize] += 1;
        }
    }

    /// One that was expected cannot bring anything more.
    fn discount(&mut self, join: JoinId) {
        self.upstream[join as usize] -= 1;
        if self.upstream[join as usize] == 0 {
            self.due.insert(join);
        }
    }

    /// An activation on its way to its join has arrived. It is held, unless it is what the join is activated with: that
    /// comes back.
    pub(super) fn arrive(&mut self, join: JoinId, activation: Activation<S>) -> Option<Activation<S>> {
        self.discount(join);
        if activation.joined.is_some() {
            return Some(activation);
        }
        self.held[join as usize].push(activation);
        None
    }
}

impl<S, E> Run<S, E> {
    /// What an activation of this dendrite caused is reserved: nothing more can come of it. To be called once for each
    /// activation that has settled, after its last response. Linear in the joins that it could reach.
    #[inline(always)]
    pub fn leave(&mut self, graph: &Graph, dendrite: DendriteId) {
        if graph.joins() > 0 && dendrite != super::UNKNOWN {
            self.leave_joins(graph, dendrite);
        }
    }

    fn leave_joins(&mut self, graph: &Graph, dendrite: DendriteId) {
        let joins = &mut self.rare().joins;
        for &join in graph.reach_of(graph.neuron_of(dendrite)) {
            joins.discount(join);
        }
    }

    /// Activate the joins that nothing unfinished can reach any more, in order (S25).
    pub(super) fn join(&mut self, graph: &Graph, copy: impl Fn(&S) -> S) {
        let due = std::mem::take(&mut self.rare().joins.due);
        for join in due {
            let joins = &mut self.rare().joins;
            if joins.held[join as usize].is_empty() || joins.upstream[join as usize] > 0 {
                continue;
            }
            let mut held = std::mem::take(&mut joins.held[join as usize]);
            // Barriers may have delivered them in another order.
            held.sort_unstable_by_key(|activation| activation.number);
            let hop = held.iter().map(|activation| activation.hop).max().unwrap_or(1);
            let Some(last) = held.last() else { continue };
            let (dendrite, cause) = (last.dendrite, last.cause);
            let mut activation = self.reserve(graph, dendrite, copy(&last.signal), cause, hop);
            self.pending -= held.len();
            // After the reservation, which can reach the same joins: none of them comes due in between.
            for part in &held {
                self.leave(graph, part.dendrite);
            }
            activation.joined = Some(Box::new(held));
            self.append(graph, activation);
        }
    }
}
