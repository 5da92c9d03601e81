//! The subscribers of one signal, as long as they are on their way together: reserved, parked or queued (S5, S6).

use super::queue::Queued;
use super::{Activation, ActivationRef, Number, Run};
use crate::graph::{CollateralId, Graph};

/// The subscribers of a signal that have not been taken yet, in order (S1): activations with numbers in a row.
#[derive(Debug)]
pub struct Emission<S> {
    /// `None` only once the last of them has taken it along: so that what is taken is moved, and not the whole entry.
    pub(super) signal: Option<S>,
    /// Of the first of them.
    pub(super) number: Number,
    pub(super) cause: Number,
    pub(super) hop: u32,
    /// Places for [`Graph::subscriber`].
    pub(super) next: u32,
    pub(super) end: u32,
}

impl<S> Emission<S> {
    pub(super) fn len(&self) -> usize {
        (self.end - self.next) as usize
    }

    /// Take the first of them. There must be one.
    #[inline]
    pub(super) fn take(&mut self, graph: &Graph, copy: impl Fn(&S) -> S) -> Option<Activation<S>> {
        let Self { number, cause, hop, next, .. } = *self;
        self.number += 1;
        self.next += 1;
        let signal = if self.next == self.end { self.signal.take() } else { self.signal.as_ref().map(copy) };
        let dendrite = graph.subscriber(next);
        signal.map(|signal| Activation { number, cause, hop, dendrite, signal, joined: None })
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.next == self.end
    }

    /// Each of them, without taking it.
    pub(super) fn each<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = ActivationRef<'a, S>> {
        let signal = self.signal.as_ref();
        (self.number..).zip(self.next..self.end).filter_map(move |(number, place)| {
            let dendrite = graph.subscriber(place);
            signal.map(|signal| ActivationRef {
                number,
                cause: self.cause,
                hop: self.hop,
                dendrite,
                signal,
                joined: &[],
            })
        })
    }

    /// All of them, each with a signal of its own.
    pub(super) fn into_activations(
        mut self,
        graph: &Graph,
        copy: impl Fn(&S) -> S,
    ) -> impl Iterator<Item = Activation<S>> {
        std::iter::from_fn(move || if self.is_empty() { None } else { self.take(graph, &copy) })
    }
}

impl<S, E> Run<S, E> {
    /// Reserve the subscribers of one signal; they are kept until they are delivered or parked, in order. In a graph
    /// without joins it takes the same time for any number of them.
    ///
    /// # Arguments
    /// - `collateral`: the signal's
    /// - `signal`: makes the run's own; called only if anybody hears it
    /// - `cause`, `hop`: as for [`Run::reserve`]
    ///
    /// # Returns
    /// How many they are: what to give to [`Run::deliver`] or [`Run::park`].
    #[inline]
    pub fn emit(
        &mut self,
        graph: &Graph,
        collateral: CollateralId,
        signal: impl FnOnce() -> S,
        cause: Number,
        hop: u32,
    ) -> usize {
        let emission = self.reserve_all(graph, collateral, signal, cause, hop);
        let count = emission.as_ref().map_or(0, Emission::len);
        if let Some(emission) = emission {
            self.rare().reserved.push_back(emission);
        }
        count
    }

    /// Reserve the subscribers of one signal and append them at once: what `emit` and `deliver` do together, for those
    /// who tell nobody in between. Arguments as for [`Run::emit`] and [`Run::deliver`].
    #[inline]
    pub fn emit_now(
        &mut self,
        graph: &Graph,
        collateral: CollateralId,
        signal: impl FnOnce() -> S,
        cause: Number,
        hop: u32,
        copy: impl Fn(&S) -> S,
    ) {
        if let Some(emission) = self.reserve_all(graph, collateral, signal, cause, hop) {
            self.append_all(graph, emission, copy);
        }
    }

    #[inline(always)]
    fn reserve_all(
        &mut self,
        graph: &Graph,
        collateral: CollateralId,
        signal: impl FnOnce() -> S,
        cause: Number,
        hop: u32,
    ) -> Option<Emission<S>> {
        let (first, end) = graph.subscribers(collateral);
        let count = end - first;
        if count == 0 {
            return None;
        }
        let number = self.last_number + 1;
        self.last_number += u64::from(count);
        self.pending += count as usize;
        if graph.joins() > 0 {
            let joins = &mut self.rare().joins;
            for dendrite in (first..end).map(|place| graph.subscriber(place)) {
                joins.expect(graph.reach_of(graph.neuron_of(dendrite)), graph.join_of(dendrite));
            }
        }
        Some(Emission { signal: Some(signal()), number, cause, hop, next: first, end })
    }

    #[inline(always)]
    fn append_all(&mut self, graph: &Graph, emission: Emission<S>, copy: impl Fn(&S) -> S) {
        if graph.joins() == 0 {
            self.queue.push(Queued::Emission(emission));
            return;
        }
        // Some of them may be for a join, and these do not go into the queue.
        for activation in emission.into_activations(graph, copy) {
            self.append(graph, activation);
        }
    }

    /// The next `count` of what was emitted and neither delivered nor parked: all subscribers of one signal, or none.
    pub fn caused<'a>(&'a self, graph: &'a Graph, count: usize) -> impl Iterator<Item = ActivationRef<'a, S>> {
        let emission = self.rare.as_ref().and_then(|rare| rare.reserved.front()).filter(|_| count > 0);
        debug_assert_eq!(emission.map_or(0, Emission::len), count, "the subscribers of one signal, or none");
        emission.into_iter().flat_map(|emission| emission.each(graph))
    }

    /// Append the next `count` of what was emitted to the queue: all subscribers of one signal, or none. Linear in them
    /// in a graph with joins.
    ///
    /// # Arguments
    /// - `copy`: makes a copy of a signal
    pub fn deliver(&mut self, graph: &Graph, count: usize, copy: impl Fn(&S) -> S) {
        if let Some(emission) = self.take_reserved(count) {
            self.append_all(graph, emission, copy);
        }
    }

    fn take_reserved(&mut self, count: usize) -> Option<Emission<S>> {
        let emission = if count == 0 { None } else { self.rare().reserved.pop_front() };
        debug_assert_eq!(emission.as_ref().map_or(0, Emission::len), count, "the subscribers of one signal, or none");
        emission
    }

    /// Keep the next `count` of what was emitted back until its listeners have settled: all subscribers of one signal, or
    /// none. The run is not over before.
    ///
    /// # Returns
    /// The ticket for [`Run::unpark`].
    pub fn park(&mut self, count: usize) -> u64 {
        let parked = self.take_reserved(count);
        let rare = self.rare();
        rare.last_ticket += 1;
        rare.parked.insert(rare.last_ticket, parked);
        rare.last_ticket
    }

    /// The listeners have settled: append what was parked. A second time it does nothing, nor after the run's end.
    /// Arguments as for [`Run::deliver`].
    pub fn unpark(&mut self, graph: &Graph, ticket: u64, copy: impl Fn(&S) -> S) {
        let parked = self.rare.as_mut().and_then(|rare| rare.parked.remove(&ticket));
        if let Some(emission) = parked.flatten() {
            self.append_all(graph, emission, copy);
        }
    }
}
