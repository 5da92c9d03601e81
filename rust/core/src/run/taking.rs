//! What is started next, and what has to wait for a slot before (S3, S11, S12).

use super::queue::Queued;
use super::{Activation, Emission, Number, Phase, Run};
use crate::graph::{DendriteId, Graph};
use crate::slots::Ticket;

/// What a run wants started next: its [`Run::current`], in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken<E> {
    /// Its number.
    pub number: Number,
    /// Its hop.
    pub hop: u32,
    /// Its dendrite.
    pub dendrite: DendriteId,
    /// Whether it has waited for its slot: `Ok` if it has it, the error if it never will. `None` for what comes from the
    /// queue, and may still have to wait.
    pub granted: Option<Result<(), E>>,
}

impl<S, E> Run<S, E> {
    /// Take the activation that is to be started now: one that was granted its slot, else the oldest of the queue, if
    /// the run may start one (S3, S11). It is the current one until it is set to wait, goes on, or settles.
    ///
    /// # Arguments
    /// - `copy`: makes a copy of a signal
    ///
    /// # Returns
    /// `None` ends the dispatch: from here on what feeds the run needs a further turn.
    #[inline]
    pub fn next(&mut self, graph: &Graph, copy: impl Fn(&S) -> S) -> Option<Taken<E>> {
        if !self.aborted {
            debug_assert!(self.current.is_none(), "no handler is entered from inside the processing of another (S3)");
            let mut waiting = 0;
            if self.rare.is_some() {
                if graph.joins() > 0 {
                    self.join(graph, &copy);
                }
                let rare = self.rare();
                if let Some((activation, error)) = rare.granted.pop_front() {
                    return Some(self.take(activation, Some(error.map_or(Ok(()), Err))));
                }
                waiting = rare.waiting.len();
            }
            if self.active + waiting < self.concurrency as usize {
                let taken = self.take_queued(graph, copy);
                if taken.is_some() {
                    return taken;
                }
            }
        }
        self.phase = Phase::Draining;
        None
    }

    /// Each branch writes the current activation where it belongs. Put together in one place and moved from there it costs
    /// more than all the rest of this, because the processor has to wait for its own stores.
    #[inline(always)]
    fn take_queued(&mut self, graph: &Graph, copy: impl Fn(&S) -> S) -> Option<Taken<E>> {
        let emission = match self.queue.first_mut()? {
            Queued::Emission(emission) => emission,
            Queued::Activation(_) => {
                let Some(Queued::Activation(activation)) = self.queue.pop() else { return None };
                return Some(self.take(activation, None));
            }
        };
        let Emission { number, cause, hop, next, end, .. } = *emission;
        let dendrite = graph.subscriber(next);
        if next + 1 < end {
            let signal = copy(emission.signal.as_ref()?);
            emission.number += 1;
            emission.next += 1;
            self.current = Some(Activation { number, cause, hop, dendrite, signal, joined: None });
        } else {
            // The last one takes the signal along.
            let signal = emission.signal.take()?;
            self.current = Some(Activation { number, cause, hop, dendrite, signal, joined: None });
            self.queue.advance();
        }
        Some(Taken { number, hop, dendrite, granted: None })
    }

    #[inline]
    fn take(&mut self, activation: Activation<S>, granted: Option<Result<(), E>>) -> Taken<E> {
        let Activation { number, hop, dendrite, .. } = activation;
        self.current = Some(activation);
        Taken { number, hop, dendrite, granted }
    }

    /// What was taken waits for a slot.
    ///
    /// # Arguments
    /// - `ticket`: its place in the line, which [`Run::end`] gives back
    pub fn wait(&mut self, ticket: Ticket) {
        if let Some(activation) = self.current.take() {
            self.rare().waiting.insert(activation.number, (activation, ticket));
        }
    }

    /// A waiter got its slot (or, with an error, never will): it is next.
    ///
    /// # Errors
    /// The error comes back if it does not wait any more, or the run is aborted: the slot is for somebody else then.
    pub fn grant(&mut self, number: Number, error: Option<E>) -> Result<(), Option<E>> {
        if self.aborted {
            return Err(error);
        }
        let Some(rare) = self.rare.as_mut() else { return Err(error) };
        let Some((activation, _)) = rare.waiting.remove(&number) else { return Err(error) };
        rare.granted.push_back((activation, error));
        Ok(())
    }

    /// Take back a grant that nothing can come of, because the run's loop is closed: the activation waits again, without
    /// a ticket, and its slot is for somebody else. Only this one: others that were granted keep their slots until they
    /// are started or the run ends. Linear in what is granted.
    ///
    /// # Returns
    /// The error that it was granted with, if there was one.
    #[must_use = "it is the caller's, and not to be dropped while the run is locked"]
    pub fn ungrant(&mut self, number: Number) -> Option<E> {
        let rare = self.rare.as_mut()?;
        let place = rare.granted.iter().position(|(activation, _)| activation.number == number)?;
        let (activation, error) = rare.granted.remove(place)?;
        rare.waiting.insert(number, (activation, 0));
        error
    }

    /// What waits for a slot, with its ticket, in order of number.
    pub fn waiting(&self) -> impl Iterator<Item = (&Activation<S>, Ticket)> {
        self.rare.iter().flat_map(|rare| rare.waiting.values()).map(|(activation, ticket)| (activation, *ticket))
    }
}
