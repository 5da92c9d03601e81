//! The places of a neuron with a `concurrency`, shared by all runs of a CNS (S12).
//!
//! A place passes from its holder straight to the first waiter, so that while anybody waits none is ever free.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;

/// A waiter's place in the line; tickets are handed out in ascending order, from 1.
pub type Ticket = u64;

/// The slots of one neuron. `K` identifies what holds or waits, `W` is what is needed to tell a waiter.
///
/// It knows no lock: whoever shares it between threads wraps it in one, and tells heirs after having let go of it.
///
/// ```
/// use cnstra_core::Slots;
/// let mut slots = Slots::new(1);
/// assert_eq!(slots.acquire("a", || ()), None);
/// assert_eq!(slots.acquire("b", || ()), Some(1));
/// assert_eq!(slots.release(&"a"), Some(("b", ())));
/// assert_eq!(slots.release(&"b"), None);
/// ```
#[derive(Debug)]
pub struct Slots<K, W> {
    limit: usize,
    /// Who has a place, by identity and not as a count: S12's deadlocks are told by who they are.
    holders: HashSet<K>,
    /// A map and no queue, because a waiter leaves from the middle when its run ends; ordered, because the first one in
    /// line is served first.
    waiters: BTreeMap<Ticket, (K, W)>,
    last_ticket: Ticket,
}

impl<K: Eq + Hash + Clone, W> Slots<K, W> {
    /// Slots that are all free.
    ///
    /// # Arguments
    /// - `limit`: how many there are; at least 1, or nobody would ever be served
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, holders: HashSet::new(), waiters: BTreeMap::new(), last_ticket: 0 }
    }

    /// Take a place, or wait in line. Logarithmic in those who wait.
    ///
    /// # Arguments
    /// - `holder`: who asks; it must neither hold a place nor wait for one
    /// - `waiter`: makes what is needed to tell it later; called only if it has to wait
    ///
    /// # Returns
    /// `None` if it has a place now, else its ticket.
    pub fn acquire(&mut self, holder: K, waiter: impl FnOnce() -> W) -> Option<Ticket> {
        if self.holders.len() < self.limit {
            self.holders.insert(holder);
            return None;
        }
        self.last_ticket += 1;
        self.waiters.insert(self.last_ticket, (holder, waiter()));
        Some(self.last_ticket)
    }

    /// Give a place back. Logarithmic in those who wait.
    ///
    /// # Returns
    /// The first in line, who has the place from now on and must be told; `None` if nobody waits, or the place was given
    /// back before: who releases twice must not let in one more than the limit.
    pub fn release(&mut self, holder: &K) -> Option<(K, W)> {
        if !self.holders.remove(holder) {
            return None;
        }
        let (_, (heir, waiter)) = self.waiters.pop_first()?;
        self.holders.insert(heir.clone());
        Some((heir, waiter))
    }

    /// Leave the line. Logarithmic in those who wait.
    ///
    /// # Returns
    /// What was given to tell the waiter; `None` if it has been served in the meantime. Then whoever released the place
    /// is about to tell it, and passes the place on when it learns that nobody waits for it any more.
    pub fn forget(&mut self, ticket: Ticket) -> Option<W> {
        self.waiters.remove(&ticket).map(|(_, waiter)| waiter)
    }

    /// Whether every place is held by something of which `holds` is true. Linear in the holders.
    pub fn held_only_by(&self, mut holds: impl FnMut(&K) -> bool) -> bool {
        self.holders.iter().all(&mut holds)
    }

    /// Who has a place, in no particular order.
    pub fn holders(&self) -> impl Iterator<Item = &K> {
        self.holders.iter()
    }

    /// Who waits in line, first come first.
    pub fn waiting_holders(&self) -> impl Iterator<Item = &K> {
        self.waiters.values().map(|(holder, _)| holder)
    }

    /// How many wait in line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Everything that waits, first come first, for a garbage collector to look at.
    pub fn waiters(&self) -> impl Iterator<Item = &W> {
        self.waiters.values().map(|(_, waiter)| waiter)
    }

    /// Forget everybody in line, and return what was given to tell them.
    pub fn clear(&mut self) -> Vec<W> {
        std::mem::take(&mut self.waiters).into_values().map(|(_, waiter)| waiter).collect()
    }
}
