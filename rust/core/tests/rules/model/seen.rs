//! What must be seen of a run, whatever has happened to it.

use super::{Model, Signal, State};
use cnstra_core::{Activation, ActivationRef, Graph, Number, Run};
use std::collections::BTreeSet;

impl Model {
    /// Whether this is the activation of that number.
    #[track_caller]
    pub(crate) fn same(&self, activation: ActivationRef<'_, Signal>, number: Number) {
        let entry = &self.entries[usize::try_from(number).unwrap() - 1];
        let ActivationRef { number: found, cause, hop, dendrite, signal, joined } = activation;
        assert_eq!(
            (found, cause, hop, dendrite, *signal),
            (number, entry.cause, entry.hop, entry.dendrite, entry.signal)
        );
        let parts: Vec<Signal> = joined.iter().map(|part| part.signal).collect();
        assert_eq!(parts, entry.parts);
        assert!(parts.is_sorted_by_key(|part| part.emission), "not in order of emission: {parts:?}");
    }

    /// Compare everything that can be seen of the run.
    #[track_caller]
    pub(crate) fn check(&self, run: &Run<Signal, u64>, graph: &Graph) {
        self.check_counters(run);
        let see = |seen: Vec<ActivationRef<'_, Signal>>, expected: Vec<Number>, what: &str| {
            let numbers: Vec<Number> = seen.iter().map(|activation| activation.number).collect();
            assert_eq!(numbers, expected, "{what}");
            for activation in seen {
                self.same(activation, activation.number);
            }
        };
        see(run.unfinished(graph), self.numbers(State::is_unfinished), "unfinished");
        let is_open = |state: State| state.is_unfinished() || matches!(state, State::Failed | State::Undone);
        see(run.frontier(graph), self.numbers(is_open), "frontier");
        see(
            run.suspended().map(Activation::view).collect(),
            self.numbers(|state| state == State::Suspended),
            "suspended",
        );
        let is_current = |state| matches!(state, State::Taken | State::Current);
        see(run.current().into_iter().map(Activation::view).collect(), self.numbers(is_current), "current");
        see(
            run.waiting().map(|(activation, _)| activation.view()).collect(),
            self.numbers(|s| matches!(s, State::Waiting(_))),
            "waiting",
        );
        for (activation, ticket) in run.waiting() {
            let entry = &self.entries[usize::try_from(activation.number).unwrap() - 1];
            assert_eq!(entry.state, State::Waiting(ticket));
        }
        let failures: Vec<_> =
            run.failures().iter().map(|failure| (failure.activation.number, failure.error)).collect();
        assert_eq!(failures, self.failures);
        self.check_references(run);
    }

    /// What a garbage collector must be shown: as many references as there are.
    #[track_caller]
    fn check_references(&self, run: &Run<Signal, u64>) {
        let mut expected = Vec::new();
        let mut rows = BTreeSet::new();
        for (number, entry) in (1..).zip(&self.entries) {
            let error = match entry.state {
                State::TakenOver | State::Succeeded => continue,
                State::Granted(error) => error,
                _ => self.failures.iter().find(|(failed, _)| *failed == number).and_then(|(_, error)| *error),
            };
            let is_in_a_row = match entry.state {
                State::Reserved | State::Parked(_) => true,
                // Where there are joins, the subscribers part when they are appended.
                State::Queued => self.join_neurons.is_empty(),
                _ => false,
            };
            if !is_in_a_row || rows.insert(entry.row) {
                expected.push((entry.signal.emission, error));
                expected.extend(entry.parts.iter().map(|part| (part.emission, None)));
            }
        }
        let mut found = Vec::new();
        run.for_each(&mut |signal, error| found.push((signal.emission, error.copied())));
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "references");
    }

    #[track_caller]
    fn check_counters(&self, run: &Run<Signal, u64>) {
        // They stay as they are when a run ends with something undone (S10).
        if self.ended {
            return;
        }
        assert_eq!(run.pending(), self.numbers(State::is_pending).len(), "pending");
        assert_eq!(run.active(), self.numbers(State::is_active).len(), "active");
        assert_eq!(run.in_flight(), run.active() + self.barriers.len(), "in flight");
    }
}
