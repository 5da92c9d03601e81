//! What of a run is not finished: while it goes on, and at its end (S10, S17).

use super::{Activation, Number, Phase, Run};
use crate::graph::DendriteId;
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
    /// # Returns
    /// The activations that hold a slot they have no more use for, and the tickets of those still in line.
    pub fn end(&mut self) -> Left<E> {
        self.phase = Phase::Ended;
        let mut left = Left::default();
        let mut undone: Vec<Activation<S>> = self.current.take().into_iter().collect();
        undone.extend(self.queue.drain(..));
        undone.extend(self.reserved.drain(..));
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
            for activation in std::mem::take(&mut rare.suspended).into_values() {
                left.suspended.push((activation.dendrite, activation.number));
                undone.push(activation);
            }
            undone.extend(std::mem::take(&mut rare.parked).into_values().flatten());
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
    pub fn unfinished(&self) -> Vec<&Activation<S>> {
        let mut found: Vec<&Activation<S>> = self.each_unfinished().map(|(activation, _)| activation).collect();
        found.sort_unstable_by_key(|activation| activation.number);
        found
    }

    /// In no particular order, with the errors that they were granted with.
    fn each_unfinished(&self) -> impl Iterator<Item = (&Activation<S>, Option<&E>)> {
        let rare = self.rare.iter().flat_map(|rare| {
            (rare.suspended.values())
                .chain(rare.waiting.values().map(|(activation, _)| activation))
                .chain(rare.parked.values().flatten())
                .chain(rare.joins.held.iter().flatten())
        });
        let granted = self.rare.iter().flat_map(|rare| &rare.granted);
        (self.current.iter().chain(&self.queue).chain(&self.reserved).chain(rare))
            .map(|activation| (activation, None))
            .chain(granted.map(|(activation, error)| (activation, error.as_ref())))
    }

    /// Every activation that has not succeeded, in order of number: what is needed to resume the run (S17). Collects
    /// and sorts them at every call.
    #[must_use]
    pub fn frontier(&self) -> Vec<&Activation<S>> {
        let mut found = self.unfinished();
        found.extend(self.failures().iter().map(|failure| &failure.activation));
        found.sort_unstable_by_key(|activation| activation.number);
        found
    }

    /// Everything that the run holds, each thing once, for a garbage collector to look at. Allocates nothing.
    ///
    /// # Arguments
    /// - `visit`: called with a signal, and with the error that goes with it, if there is one
    pub fn for_each(&self, visit: &mut impl FnMut(&S, Option<&E>)) {
        let failures = self.failures().iter().map(|failure| (&failure.activation, failure.error.as_ref()));
        for (activation, error) in self.each_unfinished().chain(failures) {
            visit(&activation.signal, error);
            for part in activation.joined.iter().flat_map(|joined| joined.iter()) {
                visit(&part.signal, None);
            }
        }
    }
}
