//! The places of a neuron with a `concurrency`, shared by all runs of a CNS (S12).
//!
//! A place passes from its holder straight to the first waiter, so that while anybody waits none is ever free.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A waiter's place in the line; tickets are handed out in ascending order.
pub type Ticket = u64;

/// The slots of one neuron. `K` identifies what holds or waits, `W` is what is needed to tell a waiter.
#[derive(Debug)]
pub struct Slots<K, W> {
    limit: usize,
    holders: HashMap<K, ()>,
    waiters: BTreeMap<Ticket, (K, W)>,
    last_ticket: Ticket,
}

impl<K: Eq + Hash + Clone, W> Slots<K, W> {
    pub fn new(limit: usize) -> Self {
        Self { limit, holders: HashMap::new(), waiters: BTreeMap::new(), last_ticket: 0 }
    }

    /// Take a place and get `None`, or wait in line and get a ticket.
    pub fn acquire(&mut self, holder: K, waiter: impl FnOnce() -> W) -> Option<Ticket> {
        if self.holders.len() < self.limit {
            self.holders.insert(holder, ());
            return None;
        }
        self.last_ticket += 1;
        self.waiters.insert(self.last_ticket, (holder, waiter()));
        Some(self.last_ticket)
    }

    /// Give a place back; whoever is returned has it from now on and must be told.
    pub fn release(&mut self, holder: &K) -> Option<(K, W)> {
        self.holders.remove(holder);
        let (_, (heir, waiter)) = self.waiters.pop_first()?;
        self.holders.insert(heir.clone(), ());
        Some((heir, waiter))
    }

    /// Leave the line; `None` if the place was granted in the meantime, and is now the caller's to release.
    pub fn forget(&mut self, ticket: Ticket) -> Option<W> {
        self.waiters.remove(&ticket).map(|(_, waiter)| waiter)
    }

    /// Whether every place is held by something of which `holds` is true.
    pub fn held_only_by(&self, mut holds: impl FnMut(&K) -> bool) -> bool {
        self.holders.keys().all(&mut holds)
    }

    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Everything that waits, for a garbage collector to look at.
    pub fn waiters(&self) -> impl Iterator<Item = &W> {
        self.waiters.values().map(|(_, waiter)| waiter)
    }

    /// Forget everybody in line.
    pub fn clear(&mut self) -> Vec<W> {
        std::mem::take(&mut self.waiters).into_values().map(|(_, waiter)| waiter).collect()
    }
}
