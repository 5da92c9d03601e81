//! What of a run is not finished: while it goes on, and at its end (S10, S17).

use super::queue::Queued;
use super::{Activation, ActivationRef, Number, Phase, Run};
use crate::graph::{DendriteId, Graph};
use crate::slots::Ticket;

/// What a run leaves behind at its end, for its slots to be given back: dendrites with numbers or tickets.
#[derive(Debug)]
pub struct Left<E> {
    /// They got a slot and were not entered: the slot is to be released.
    pub granted: Vec<(DendriteId, Number)>,
    /// Their handlers had gone on: their slots, if they have any, are to be released, unless a worker still runs.
    pub suspended: Vec<(DendriteId, Number)>,
    /// They are still in line: their tickets are to be forgotten.
    pub waiting: Vec<(DendriteId, Ticket)>,
    /// Of grants that came to nothing; returned, since no method of a run drops what is the caller's.
    pub unused: Vec<E>,
}

// Not derived, because that would ask for `E: Default`.
impl<E> Default for Left<E> {
    fn default() -> Self {
        Self { granted: Vec::new(), suspended: Vec::new(), waiting: Vec::new(), unused: Vec::new() }
    }
}

impl<S, E> Run<S, E> {
    /// Close an aborted or completed run: what was not finished is recorded as left undone, in order of number.
    /// The counters stay as they are (S10).
    ///
    /// # Arguments
    /// - `copy`: makes a copy of a signal
    ///
    /// # Returns
    /// The activations that hold a slot they have no more use for, and the tickets of those still in line.
    pub fn end(&mut self, graph: &Graph, copy: impl Fn(&S) -> S) -> Left<E> {
        self.phase = Phase::Ended;
        let mut left = Left::default();
        let mut undone: Vec<Activation<S>> = self.current.take().into_iter().collect();
        for queued in self.queue.drain() {
            match queued {
                Queued::Emission(emission) => undone.extend(emission.into_activations(graph, &copy)),
                Queued::Activation(activation) => undone.push(activation),
            }
        }
        if let Some(rare) = self.rare.as_mut() {
            for (activation, error) in rare.granted.drain(..) {
                match error {
                    None => left.granted.push((activation.dendrite, activation.number)),
                    Some(error) => left.unused.push(error),
                }
                undone.push(activation);
            }
            for (activation, ticket) in std::mem::take(&mut rare.waiting).into_values() {
                left.waiting.push((activation.dendrite, ticket));
                undone.push(activation);
            }
            for activation in rare.suspended.drain() {
                left.suspended.push((activation.dendrite, activation.number));
                undone.push(activation);
            }
            let parked = std::mem::take(&mut rare.parked).into_values().flatten();
            undone.extend(
                parked.chain(rare.reserved.drain(..)).flat_map(|emission| emission.into_activations(graph, &copy)),
            );
            undone.extend(rare.joins.held.iter_mut().flat_map(std::mem::take));
        }
        undone.sort_unstable_by_key(|activation| activation.number);
        for activation in undone {
            self.fail(activation, None);
        }
        left
    }

    /// Every activation that is pending or active, in order of number. Collects and sorts them at every call.
    #[must_use]
    pub fn unfinished<'a>(&'a self, graph: &'a Graph) -> Vec<ActivationRef<'a, S>> {
        let rare = self.rare.iter().flat_map(|rare| {
            (rare.suspended.values())
                .chain(rare.waiting.values().map(|(activation, _)| activation))
                .chain(rare.granted.iter().map(|(activation, _)| activation))
                .chain(rare.joins.held.iter().flatten())
        });
        let queued = self.queue.iter().filter_map(|queued| match queued {
            Queued::Emission(_) => None,
            Queued::Activation(activation) => Some(activation),
        });
        let mut found: Vec<_> = self.current.iter().chain(queued).chain(rare).map(Activation::view).collect();
        found.extend(self.emissions().flat_map(|emission| emission.each(graph)));
        found.sort_unstable_by_key(|activation| activation.number);
        found
    }

    /// What is queued, parked or reserved together.
    fn emissions(&self) -> impl Iterator<Item = &super::Emission<S>> {
        let queued = self.queue.iter().filter_map(|queued| match queued {
            Queued::Emission(emission) => Some(emission),
            Queued::Activation(_) => None,
        });
        let rare = self.rare.iter().flat_map(|rare| rare.reserved.iter().chain(rare.parked.values().flatten()));
        queued.chain(rare)
    }

    /// Every activation that has not succeeded, in order of number: what is needed to resume the run (S17). Collects
    /// and sorts them at every call.
    #[must_use]
    pub fn frontier<'a>(&'a self, graph: &'a Graph) -> Vec<ActivationRef<'a, S>> {
        let mut found = self.unfinished(graph);
        found.extend(self.failures().iter().map(|failure| failure.activation.view()));
        found.sort_unstable_by_key(|activation| activation.number);
        found
    }

    /// Everything that the run holds, each thing as often as it holds it, for a garbage collector to look at. Allocates
    /// nothing.
    ///
    /// # Arguments
    /// - `visit`: called with a signal, and with the error that goes with it, if there is one
    pub fn for_each(&self, visit: &mut impl FnMut(&S, Option<&E>)) {
        for signal in self.emissions().flat_map(|emission| &emission.signal) {
            visit(signal, None);
        }
        let queued = self.queue.iter().filter_map(|queued| match queued {
            Queued::Emission(_) => None,
            Queued::Activation(activation) => Some((activation, None)),
        });
        let rare = self.rare.iter().flat_map(|rare| {
            (rare.suspended.values())
                .chain(rare.waiting.values().map(|(activation, _)| activation))
                .chain(rare.joins.held.iter().flatten())
                .map(|activation| (activation, None))
                .chain(rare.granted.iter().map(|(activation, error)| (activation, error.as_ref())))
                .chain(rare.failures.iter().map(|failure| (&failure.activation, failure.error.as_ref())))
        });
        for (activation, error) in self.current.iter().map(|activation| (activation, None)).chain(queued).chain(rare) {
            visit(&activation.signal, error);
            for part in activation.view().joined {
                visit(&part.signal, None);
            }
        }
    }
}
