//! The state of one run: its queue, its counters, what is in flight, and when it is over.
//!
//! Nothing here calls a handler or a listener, or knows a thread or a clock: every method is a short step on plain data.
//! Each activation is in exactly one of the collections below from the moment it is reserved until it has settled;
//! together they are the frontier (S17).
//!
//! No method drops a signal: what leaves the run is returned, because dropping it may run the caller's code, which must
//! not happen while the caller holds the lock of the run.

use crate::graph::{CollateralId, DendriteId, Graph, JoinId};
use crate::slots::Ticket;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The number of an activation in its run (S2); 0 means none.
pub type Number = u64;

/// A dendrite that the graph does not have: the activation fails when its turn comes.
pub const UNKNOWN: DendriteId = u32::MAX;

/// One (dendrite, signal) pair of a run.
#[derive(Debug)]
pub struct Activation<S> {
    pub number: Number,
    pub cause: Number,
    pub hop: u32,
    pub dendrite: DendriteId,
    pub signal: S,
    /// What a join took over, in order of emission (S25).
    #[allow(clippy::box_collection, reason = "a pointer, since hardly any activation is a join's")]
    pub joined: Option<Box<Vec<Activation<S>>>>,
}

/// An activation that did not succeed; without an error it was left undone by an abort.
#[derive(Debug)]
pub struct Failure<S, E> {
    pub activation: Activation<S>,
    pub error: Option<E>,
}

/// Where a run stands between two turns, or in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Idle,
    /// Activations are taken: what feeds the run now is seen before the next one.
    Dispatching,
    /// The queue is done with for this turn: what feeds the run now needs a further turn.
    Draining,
    Ended,
}

/// What a run wants started next.
#[derive(Debug)]
pub enum Taken<S, E> {
    /// From the queue: it may still have to wait for a slot.
    Queued(Activation<S>),
    /// It has waited for its slot, and has it; or, with an error, never will.
    Granted(Activation<S>, Option<E>),
}

/// The scheduler's view of one run. `S` is a signal, `E` an error.
#[derive(Debug)]
pub struct Run<S, E> {
    pub phase: Phase,
    /// Something waits for a turn.
    pub fed: bool,
    pub aborted: bool,
    pub cancelled: bool,
    concurrency: u32,
    last_number: Number,
    last_ticket: u64,
    // S5's counters
    pending: usize,
    active: usize,
    /// Responses whose listeners have not all settled.
    listening: usize,
    // where activations are
    queue: VecDeque<Activation<S>>,
    /// Its handler is on the stack.
    current: Option<Activation<S>>,
    /// Of the list that is being dispatched.
    reserved: VecDeque<Activation<S>>,
    rare: Option<Box<Rare<S, E>>>,
}

/// What only runs that wait, fail or join have.
#[derive(Debug)]
struct Rare<S, E> {
    /// Behind a response's listeners, by ticket.
    parked: BTreeMap<u64, Vec<Activation<S>>>,
    /// For a slot, by number.
    waiting: BTreeMap<Number, (Activation<S>, Ticket)>,
    granted: VecDeque<(Activation<S>, Option<E>)>,
    /// Its handler goes on as a task or in a worker.
    suspended: BTreeMap<Number, Activation<S>>,
    failures: Vec<Failure<S, E>>,
    joins: Joins<S>,
}

#[derive(Debug)]
struct Joins<S> {
    held: Vec<Vec<Activation<S>>>,
    /// How many unfinished activations can still reach each join's neuron.
    upstream: Vec<usize>,
    due: BTreeSet<JoinId>,
}

impl<S, E> Default for Rare<S, E> {
    fn default() -> Self {
        Self {
            parked: BTreeMap::new(),
            waiting: BTreeMap::new(),
            granted: VecDeque::new(),
            suspended: BTreeMap::new(),
            failures: Vec::new(),
            joins: Joins { held: Vec::new(), upstream: Vec::new(), due: BTreeSet::new() },
        }
    }
}

impl<S, E> Run<S, E> {
    pub fn new(graph: &Graph, concurrency: Option<u32>) -> Self {
        let mut run = Self {
            phase: Phase::Idle,
            fed: false,
            aborted: false,
            cancelled: false,
            concurrency: concurrency.unwrap_or(u32::MAX),
            last_number: 0,
            last_ticket: 0,
            pending: 0,
            active: 0,
            listening: 0,
            queue: VecDeque::new(),
            current: None,
            reserved: VecDeque::new(),
            rare: None,
        };
        if graph.joins() > 0 {
            let joins = &mut run.rare().joins;
            joins.held.resize_with(graph.joins(), Vec::new);
            joins.upstream.resize(graph.joins(), 0);
        }
        run
    }

    fn rare(&mut self) -> &mut Rare<S, E> {
        self.rare.get_or_insert_with(Box::default)
    }

    // -- reserving: an activation gets its number and is pending

    #[inline]
    pub fn reserve(&mut self, graph: &Graph, dendrite: DendriteId, signal: S, cause: Number, hop: u32) -> Activation<S> {
        self.last_number += 1;
        self.pending += 1;
        if graph.joins() > 0 && dendrite != UNKNOWN {
            let upstream = &mut self.rare().joins.upstream;
            for &join in graph.reach_of(graph.neuron_of(dendrite)) {
                upstream[join as usize] += 1;
            }
        }
        Activation { number: self.last_number, cause, hop, dendrite, signal, joined: None }
    }

    /// Reserve the subscribers of one signal and tell how many they are; they wait until they are delivered or parked.
    pub fn emit(
        &mut self,
        graph: &Graph,
        collateral: CollateralId,
        mut signal: impl FnMut() -> S,
        cause: Number,
        hop: u32,
    ) -> usize {
        let places = graph.subscribers(collateral);
        let count = places.len();
        for place in places {
            let activation = self.reserve(graph, graph.subscriber(place), signal(), cause, hop);
            self.reserved.push_back(activation);
        }
        count
    }

    /// Reserve the subscribers of one signal and append them at once: what `emit` and `deliver` do together.
    #[inline]
    pub fn emit_now(
        &mut self,
        graph: &Graph,
        collateral: CollateralId,
        mut signal: impl FnMut() -> S,
        cause: Number,
        hop: u32,
    ) {
        for place in graph.subscribers(collateral) {
            let activation = self.reserve(graph, graph.subscriber(place), signal(), cause, hop);
            self.append(graph, activation);
        }
    }

    /// The next `count` of what was emitted.
    pub fn caused(&self, count: usize) -> impl Iterator<Item = &Activation<S>> {
        self.reserved.iter().take(count)
    }

    /// Append the next `count` of what was emitted to the queue.
    pub fn deliver(&mut self, graph: &Graph, count: usize) {
        for _ in 0..count {
            if let Some(activation) = self.reserved.pop_front() {
                self.append(graph, activation);
            }
        }
    }

    #[inline]
    pub fn append(&mut self, graph: &Graph, activation: Activation<S>) {
        if graph.joins() > 0 && activation.dendrite != UNKNOWN && activation.joined.is_none() {
            if let Some(join) = graph.join_of(activation.dendrite) {
                let joins = &mut self.rare().joins;
                joins.held[join as usize].push(activation);
                joins.due.insert(join);
                return;
            }
        }
        self.queue.push_back(activation);
    }

    // -- response listeners as barriers (S6)

    /// Keep the next `count` of what was emitted back until the returned ticket is unparked.
    pub fn park(&mut self, count: usize) -> u64 {
        self.last_ticket += 1;
        self.listening += 1;
        let ticket = self.last_ticket;
        let parked = self.reserved.drain(..count).collect();
        self.rare().parked.insert(ticket, parked);
        ticket
    }

    pub fn unpark(&mut self, graph: &Graph, ticket: u64) {
        let parked = self.rare.as_mut().and_then(|rare| rare.parked.remove(&ticket));
        if let Some(parked) = parked {
            self.listening -= 1;
            for activation in parked {
                self.append(graph, activation);
            }
        }
    }

    // -- taking, waiting for slots, entering

    /// Take the activation that is to be started now. `None` ends the dispatch: from here on what feeds the run needs a
    /// further turn. `hold_back` receives what a join took over from.
    #[inline]
    pub fn next(&mut self, graph: &Graph) -> Option<Taken<S, E>>
    where
        S: Clone,
    {
        if !self.aborted {
            let mut waiting = 0;
            if self.rare.is_some() {
                if graph.joins() > 0 {
                    self.join(graph);
                }
                let rare = self.rare();
                if let Some((activation, error)) = rare.granted.pop_front() {
                    return Some(Taken::Granted(activation, error));
                }
                waiting = rare.waiting.len();
            }
            if self.active + waiting < self.concurrency as usize {
                if let Some(activation) = self.queue.pop_front() {
                    return Some(Taken::Queued(activation));
                }
            }
        }
        self.phase = Phase::Draining;
        None
    }

    pub fn wait(&mut self, activation: Activation<S>, ticket: Ticket) {
        self.rare().waiting.insert(activation.number, (activation, ticket));
    }

    /// A waiter got its slot (or, with an error, never will); the error comes back if it does not wait any more.
    pub fn grant(&mut self, number: Number, error: Option<E>) -> Result<(), Option<E>> {
        if self.aborted {
            return Err(error);
        }
        let Some(rare) = self.rare.as_mut() else { return Err(error) };
        let Some((activation, _)) = rare.waiting.remove(&number) else { return Err(error) };
        rare.granted.push_back((activation, error));
        Ok(())
    }

    /// Take the grants back that have not been used: their slots belong to others now.
    pub fn ungrant(&mut self) {
        if let Some(rare) = self.rare.as_mut() {
            while let Some((activation, _)) = rare.granted.pop_front() {
                rare.waiting.insert(activation.number, (activation, 0));
            }
        }
    }

    pub fn waiting(&self) -> impl Iterator<Item = (&Activation<S>, Ticket)> {
        self.rare.iter().flat_map(|rare| rare.waiting.values()).map(|(activation, ticket)| (activation, *ticket))
    }

    #[inline]
    pub fn enter(&mut self, activation: Activation<S>) {
        self.pending -= 1;
        self.active += 1;
        self.current = Some(activation);
    }

    pub fn current(&self) -> Option<&Activation<S>> {
        self.current.as_ref()
    }

    /// The handler that is on the stack goes on as a task or in a worker.
    pub fn suspend(&mut self) {
        if let Some(activation) = self.current.take() {
            self.rare().suspended.insert(activation.number, activation);
        }
    }

    /// Undo `suspend`: the handler could not go on after all.
    pub fn unsuspend(&mut self, number: Number) {
        let activation = self.rare.as_mut().and_then(|rare| rare.suspended.remove(&number));
        if let Some(activation) = activation {
            self.current = Some(activation);
        }
    }

    /// The handler on the stack has returned: it has left the frontier, before its responses (S17).
    #[inline]
    pub fn settle_current(&mut self) -> Option<Activation<S>> {
        let activation = self.current.take();
        if activation.is_some() {
            self.active -= 1;
        }
        activation
    }

    /// A handler that had gone on has settled.
    pub fn settle_suspended(&mut self, number: Number) -> Option<Activation<S>> {
        let activation = self.rare.as_mut()?.suspended.remove(&number);
        if activation.is_some() {
            self.active -= 1;
        }
        activation
    }

    /// An activation fails without having been entered.
    pub fn settle_pending(&mut self) {
        self.pending -= 1;
    }

    pub fn suspended(&self) -> impl Iterator<Item = &Activation<S>> {
        self.rare.iter().flat_map(|rare| rare.suspended.values())
    }

    pub fn fail(&mut self, activation: Activation<S>, error: Option<E>) {
        self.rare().failures.push(Failure { activation, error });
    }

    pub fn failures(&self) -> &[Failure<S, E>] {
        self.rare.as_ref().map_or(&[], |rare| &rare.failures)
    }

    /// What an activation of this dendrite caused is reserved: nothing more can come of it.
    #[inline]
    pub fn leave(&mut self, graph: &Graph, dendrite: DendriteId) {
        if graph.joins() > 0 && dendrite != UNKNOWN {
            let joins = &mut self.rare().joins;
            for &join in graph.reach_of(graph.neuron_of(dendrite)) {
                joins.upstream[join as usize] -= 1;
                if joins.upstream[join as usize] == 0 {
                    joins.due.insert(join);
                }
            }
        }
    }

    /// Activate the joins that nothing unfinished can reach any more, in order (S25).
    fn join(&mut self, graph: &Graph)
    where
        S: Clone,
    {
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
            let mut activation = self.reserve(graph, dendrite, last.signal.clone(), cause, hop);
            self.pending -= held.len();
            for part in &held {
                self.leave(graph, part.dendrite);
            }
            activation.joined = Some(Box::new(held));
            self.queue.push_back(activation);
        }
    }

    // -- the end of a turn

    #[inline]
    pub fn begin_turn(&mut self) {
        self.fed = false;
        self.phase = Phase::Dispatching;
    }

    /// Whether the run goes idle; otherwise a further turn has begun.
    pub fn end_turn(&mut self) -> bool {
        if self.fed {
            self.begin_turn();
            return false;
        }
        self.phase = Phase::Idle;
        true
    }

    pub fn pending(&self) -> usize {
        self.pending
    }

    pub fn active(&self) -> usize {
        self.active
    }

    /// Entered handlers and unsettled listeners.
    pub fn in_flight(&self) -> usize {
        self.active + self.listening
    }

    /// Whether the run is over: nothing can feed it from here on (S8, S10).
    pub fn close(&mut self) -> bool {
        let over = self.in_flight() == 0 && (self.aborted || self.pending == 0);
        if over {
            self.phase = Phase::Ended;
        }
        over
    }

    /// Close an aborted or completed run: what was not finished is left undone, in order of number. Returns the
    /// activations that hold a slot they have no more use for, and the tickets of those still in line.
    pub fn end(&mut self) -> Left {
        self.phase = Phase::Ended;
        let mut left = Left::default();
        let mut undone: Vec<Activation<S>> = self.current.take().into_iter().collect();
        undone.extend(self.queue.drain(..));
        undone.extend(self.reserved.drain(..));
        if let Some(rare) = self.rare.as_mut() {
            for (activation, error) in rare.granted.drain(..) {
                if error.is_none() {
                    left.granted.push((activation.dendrite, activation.number));
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

    /// Every activation that is pending or active, in order of number.
    pub fn unfinished(&self) -> Vec<&Activation<S>> {
        let mut found: Vec<&Activation<S>> = self.current.iter().chain(&self.queue).chain(&self.reserved).collect();
        if let Some(rare) = self.rare.as_ref() {
            found.extend(rare.suspended.values());
            found.extend(rare.granted.iter().map(|(activation, _)| activation));
            found.extend(rare.waiting.values().map(|(activation, _)| activation));
            found.extend(rare.parked.values().flatten());
            found.extend(rare.joins.held.iter().flatten());
        }
        found.sort_unstable_by_key(|activation| activation.number);
        found
    }

    /// Every activation that has not succeeded, in order of number.
    pub fn frontier(&self) -> Vec<&Activation<S>> {
        let mut found = self.unfinished();
        found.extend(self.failures().iter().map(|failure| &failure.activation));
        found.sort_unstable_by_key(|activation| activation.number);
        found
    }

    /// Everything that the run holds, for a garbage collector to look at.
    pub fn for_each(&self, visit: &mut impl FnMut(&S, Option<&E>)) {
        fn each<S, E>(activation: &Activation<S>, error: Option<&E>, visit: &mut impl FnMut(&S, Option<&E>)) {
            visit(&activation.signal, error);
            for part in activation.joined.iter().flat_map(|joined| joined.iter()) {
                visit(&part.signal, None);
            }
        }
        for activation in self.unfinished() {
            each::<S, E>(activation, None, visit);
        }
        for failure in self.failures() {
            each(&failure.activation, failure.error.as_ref(), visit);
        }
        if let Some(rare) = self.rare.as_ref() {
            for (activation, error) in &rare.granted {
                if let Some(error) = error {
                    visit(&activation.signal, Some(error));
                }
            }
        }
    }
}

/// What a run leaves behind at its end, for its slots to be given back: dendrites with numbers or tickets.
#[derive(Debug, Default)]
pub struct Left {
    pub granted: Vec<(DendriteId, Number)>,
    pub suspended: Vec<(DendriteId, Number)>,
    pub waiting: Vec<(DendriteId, Ticket)>,
}
