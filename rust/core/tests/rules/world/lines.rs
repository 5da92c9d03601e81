//! Slots over all runs: giving them back, and telling who gets them (S12).

use super::{Driven, World};
use cnstra_core::{DendriteId, NeuronId, Number, Slots, Ticket};
use std::collections::{BTreeSet, VecDeque};

/// A run and a number in it.
pub(super) type Holder = (usize, Number);

/// The slots of a neuron, and beside them who must have them.
pub(super) struct Line {
    slots: Slots<Holder, ()>,
    limit: usize,
    holders: BTreeSet<Holder>,
    waiters: VecDeque<(Ticket, Holder)>,
}

impl World<'_> {
    fn line(&mut self, dendrite: DendriteId) -> Option<&mut Line> {
        let neuron: NeuronId = self.graph.neuron_of(dendrite);
        self.lines[neuron as usize].as_mut()
    }

    /// Its ticket, if it has to wait.
    pub(super) fn acquire(&mut self, holder: Holder, dendrite: DendriteId) -> Option<Ticket> {
        let line = self.line(dendrite)?;
        let ticket = line.slots.acquire(holder, || ());
        assert_eq!(ticket.is_none(), line.holders.len() < line.limit);
        match ticket {
            None => assert!(line.holders.insert(holder)),
            Some(ticket) => {
                line.waiters.push_back((ticket, holder));
            }
        }
        line.check();
        ticket
    }

    pub(super) fn forget(&mut self, dendrite: DendriteId, ticket: Ticket) -> bool {
        let Some(line) = self.line(dendrite) else { return false };
        let waits = line.waiters.iter().any(|(other, _)| *other == ticket);
        assert_eq!(line.slots.forget(ticket).is_some(), waits);
        line.waiters.retain(|(other, _)| *other != ticket);
        line.check();
        waits
    }

    /// Give a slot back, to the first waiter that can still use it.
    pub(super) fn release(&mut self, at: usize, number: Number, dendrite: DendriteId) {
        let mut holder = (at, number);
        loop {
            let Some(line) = self.line(dendrite) else { return };
            assert!(line.holders.remove(&holder), "it has no slot");
            let heir = line.slots.release(&holder).map(|(heir, ())| heir);
            assert_eq!(heir, line.waiters.pop_front().map(|(_, waiter)| waiter));
            let Some(heir) = heir else { return };
            line.holders.insert(heir);
            line.check();
            if self.grant(heir, None) {
                self.note("granted");
                return;
            }
            self.note("passed over");
            holder = heir;
        }
    }

    /// False if it has no use for it any more.
    pub(super) fn grant(&mut self, (at, number): Holder, error: Option<u64>) -> bool {
        let Driven { run, model, .. } = &mut self.runs[at];
        let waits = model.grant(number, error);
        assert_eq!(run.grant(number, error), if waits { Ok(()) } else { Err(error) });
        model.check(run, self.graph);
        if !waits || self.post(at) {
            return waits;
        }
        self.note("taken back");
        let Driven { run, model, .. } = &mut self.runs[at];
        assert_eq!(run.ungrant(number), error);
        model.ungrant(number);
        model.check(run, self.graph);
        self.abandon(at);
        false
    }
}

impl Line {
    pub(super) fn new(limit: usize) -> Self {
        Self { slots: Slots::new(limit), limit, holders: BTreeSet::new(), waiters: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.waiters.is_empty()
    }

    #[track_caller]
    fn check(&self) {
        assert!(self.holders.len() <= self.limit, "over the limit");
        assert!(self.waiters.is_empty() || self.holders.len() == self.limit, "a slot is free while somebody waits");
        assert_eq!(self.slots.waiting(), self.waiters.len());
        assert_eq!(self.slots.holders().copied().collect::<BTreeSet<_>>(), self.holders);
    }
}
