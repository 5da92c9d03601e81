//! The state of one run: its queue, its counters, what is in flight, and when it is over.
//!
//! Nothing here calls a handler or a listener, or knows a thread or a clock: every method is a short step on plain data.
//! Each activation is in exactly one of the collections below from the moment it is reserved until it has settled;
//! together they are the frontier (S17).
//!
//! No method drops a signal or an error: what leaves the run is returned, because dropping it may run the caller's code,
//! which must not happen while the caller holds the lock of the run. Nor does one copy a signal by itself: the caller says
//! how, since it may know a way that costs less than `Clone`.
//!
//! The subscribers of one signal are one entry of the queue, an [`Emission`]: they are numbered in a row, and become
//! activations one by one when they are taken. So fan-out costs one entry and not thousands, and the queue of a run stays
//! in the processor's caches. (The pure-Python engine has an entry for each, which reads better.)
//!
//! The way of an activation: [`Run::reserve`] (or [`Run::emit`]), [`Run::append`] (or [`Run::deliver`], or
//! [`Run::park`] and [`Run::unpark`]), [`Run::next`], perhaps [`Run::wait`] and [`Run::grant`], [`Run::enter`], perhaps
//! [`Run::suspend`], one of the `settle` methods, perhaps [`Run::fail`], [`Run::leave`].

mod activation;
mod emission;
mod frontier;
mod joins;
mod queue;
mod taking;

pub use activation::{Activation, ActivationRef, Failure, Number, UNKNOWN};
pub use emission::Emission;
pub use frontier::Left;
pub use taking::Taken;

use crate::few::Few;
use crate::graph::{DendriteId, Graph};
use crate::slots::Ticket;
use joins::Joins;
use queue::{Queue, Queued};
use std::collections::{BTreeMap, VecDeque};

/// Where a run stands between two turns, or in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Between two turns: what feeds the run begins one.
    Idle,
    /// Activations are taken: what feeds the run now is seen before the next one.
    Dispatching,
    /// The queue is done with for this turn: what feeds the run now needs a further turn.
    Draining,
    /// Over: nothing feeds it any more.
    Ended,
}

/// The scheduler's view of one run. `S` is a signal, `E` an error.
///
/// Methods take constant time (logarithmic in what waits, is parked or suspended) where nothing else is said, and, in a
/// graph with joins, time linear in the joins that the activation could reach.
#[derive(Debug)]
pub struct Run<S, E> {
    /// Where it stands. Public with the three below, since feeding and aborting are the driver's: it knows threads.
    pub phase: Phase,
    /// Something waits for a turn: what fed the run while it was draining must not be lost.
    pub fed: bool,
    /// Nothing more is entered (S10).
    pub aborted: bool,
    /// Aborted, and whatever comes of what is in flight is dropped (S10). The driver's alone; no method looks at it.
    pub cancelled: bool,
    /// S11; `u32::MAX` for none, which saves the comparison with an `Option`.
    concurrency: u32,
    last_number: Number,
    /// S5's counter. Counted and not summed up over the collections: responses ask for it at every hop.
    pending: usize,
    /// S5's counter.
    active: usize,
    /// What may start, oldest first.
    queue: Queue<S>,
    /// It was taken last, and has neither settled nor gone on: its handler is on the stack, or about to be.
    current: Option<Activation<S>>,
    /// Boxed, and only when needed: a run that never waits stays small and allocates nothing for it.
    rare: Option<Box<Rare<S, E>>>,
}

/// What only runs that wait, fail or join have. Ordered maps, so that what is made of them has an order of its own and
/// not that of a hash.
#[derive(Debug)]
struct Rare<S, E> {
    /// Of the list that is being dispatched: it counts as pending from the list's first response on (S5).
    reserved: VecDeque<Emission<S>>,
    /// Of `parked`.
    last_ticket: u64,
    /// Behind a response's listeners, by ticket: the run is not over before these have settled (S6).
    parked: BTreeMap<u64, Option<Emission<S>>>,
    /// For a slot, by number.
    waiting: BTreeMap<Number, (Activation<S>, Ticket)>,
    /// In front of the queue (S12), in the order in which they were granted.
    granted: VecDeque<(Activation<S>, Option<E>)>,
    /// Its handler goes on as a task or in a worker.
    suspended: Few<Number, Activation<S>>,
    /// In the order in which they occurred.
    failures: Vec<Failure<S, E>>,
    joins: Joins<S>,
}

// Not derived, because that would ask for `S: Default` and `E: Default`.
impl<S, E> Default for Rare<S, E> {
    fn default() -> Self {
        Self {
            reserved: VecDeque::new(),
            last_ticket: 0,
            parked: BTreeMap::new(),
            waiting: BTreeMap::new(),
            granted: VecDeque::new(),
            suspended: Few::default(),
            failures: Vec::new(),
            joins: Joins::default(),
        }
    }
}

impl<S, E> Run<S, E> {
    /// A run that has not begun; allocates nothing, unless the graph has joins.
    ///
    /// # Arguments
    /// - `graph`: what it runs on; every method that takes a graph must be given this one
    /// - `concurrency`: how many activations may be active or wait for a slot at a time (S11), `None` for any number
    #[must_use]
    #[inline]
    pub fn new(graph: &Graph, concurrency: Option<u32>) -> Self {
        let mut run = Self {
            phase: Phase::Idle,
            fed: false,
            aborted: false,
            cancelled: false,
            concurrency: concurrency.unwrap_or(u32::MAX),
            last_number: 0,
            pending: 0,
            active: 0,
            queue: Queue::new(),
            current: None,
            rare: None,
        };
        if graph.joins() > 0 {
            run.rare().joins.resize(graph.joins());
        }
        run
    }

    /// Whether it has ended and has nothing left of a run in it, so that it can be renewed.
    #[inline]
    pub fn is_spent(&self) -> bool {
        self.phase == Phase::Ended && self.rare.is_none() && self.current.is_none() && self.queue.is_empty()
    }

    /// Make a spent run one that has not begun, on the same graph: what [`Run::new`] would, without the writing.
    #[inline]
    pub fn renew(&mut self, concurrency: Option<u32>) {
        debug_assert!(self.is_spent(), "only what has nothing in it can be renewed");
        self.phase = Phase::Idle;
        (self.fed, self.aborted, self.cancelled) = (false, false, false);
        self.concurrency = concurrency.unwrap_or(u32::MAX);
        self.last_number = 0;
        (self.pending, self.active) = (0, 0);
    }

    fn rare(&mut self) -> &mut Rare<S, E> {
        self.rare.get_or_insert_with(Box::default)
    }

    // -- reserving: an activation gets its number and is pending

    /// Number an activation and count it as pending; the caller keeps it until it is appended.
    ///
    /// # Arguments
    /// - `dendrite`: what reacts, or [`UNKNOWN`]
    /// - `signal`: what it reacts to
    /// - `cause`: the number of the activation that emitted the signal; 0 for none
    /// - `hop`: 1 on entry, that of a task when it is resumed, else one more than the cause's
    #[inline]
    pub fn reserve(
        &mut self,
        graph: &Graph,
        dendrite: DendriteId,
        signal: S,
        cause: Number,
        hop: u32,
    ) -> Activation<S> {
        self.last_number += 1;
        self.pending += 1;
        if graph.joins() > 0 && dendrite != UNKNOWN {
            self.rare().joins.expect(graph.reach_of(graph.neuron_of(dendrite)), graph.join_of(dendrite));
        }
        Activation { number: self.last_number, cause, hop, dendrite, signal, joined: None }
    }

    /// Make room for that many activations that are about to be appended.
    pub fn expect(&mut self, more: usize) {
        self.queue.reserve(more);
    }

    /// Reserve and append at once, in a graph without joins: `reserve` and `append` of an entry.
    #[inline(always)]
    pub fn append_entry(&mut self, graph: &Graph, dendrite: DendriteId, signal: S, hop: u32) {
        debug_assert_eq!(graph.joins(), 0, "where there are joins, all are reserved before the first is appended");
        self.last_number += 1;
        self.pending += 1;
        let number = self.last_number;
        self.queue.push(Queued::Activation(Activation { number, cause: 0, hop, dendrite, signal, joined: None }));
    }

    /// Append a reserved activation to the queue; what is for a join is held instead, until its time has come (S25).
    #[inline]
    pub fn append(&mut self, graph: &Graph, mut activation: Activation<S>) {
        if graph.joins() > 0
            && activation.dendrite != UNKNOWN
            && let Some(join) = graph.join_of(activation.dendrite)
        {
            let Some(due) = self.rare().joins.arrive(join, activation) else { return };
            activation = due;
        }
        self.queue.push(Queued::Activation(activation));
    }

    // -- entering and settling; taking is in a file of its own

    /// What was taken is started: its handler is called next, and it is active.
    #[inline]
    pub fn enter(&mut self) {
        debug_assert!(self.current.is_some(), "what is entered was taken");
        self.pending -= 1;
        self.active += 1;
    }

    /// The activation that was taken last, while its handler is on the stack or about to be.
    #[inline]
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

    /// The handler on the stack has returned: its activation leaves the frontier, before its responses (S17). `None` if
    /// there is none.
    #[inline]
    pub fn settle_current(&mut self) -> Option<Activation<S>> {
        let activation = self.current.take();
        if activation.is_some() {
            self.active -= 1;
        }
        activation
    }

    /// A handler that had gone on has settled: its activation leaves the frontier. `None` if it had done so before, or
    /// the run has ended.
    pub fn settle_suspended(&mut self, number: Number) -> Option<Activation<S>> {
        let activation = self.rare.as_mut()?.suspended.remove(&number);
        if activation.is_some() {
            self.active -= 1;
        }
        activation
    }

    /// What was taken fails without having been entered. `None` if the run has ended since.
    pub fn settle_pending(&mut self) -> Option<Activation<S>> {
        let activation = self.current.take();
        if activation.is_some() {
            self.pending -= 1;
        }
        activation
    }

    /// The activations whose handlers go on, in order of number.
    pub fn suspended(&self) -> impl Iterator<Item = &Activation<S>> {
        self.rare.iter().flat_map(|rare| rare.suspended.values())
    }

    /// Record that an activation did not succeed: it is back in the frontier.
    ///
    /// # Arguments
    /// - `activation`: what has settled
    /// - `error`: why; `None` if an abort left it undone
    pub fn fail(&mut self, activation: Activation<S>, error: Option<E>) {
        self.rare().failures.push(Failure { activation, error });
    }

    /// What has failed so far, in the order in which it occurred; [`Run::end`] adds what an abort left undone.
    #[must_use]
    pub fn failures(&self) -> &[Failure<S, E>] {
        self.rare.as_ref().map_or(&[], |rare| &rare.failures)
    }

    // -- the end of a turn

    /// A turn begins, with all that has fed the run until now.
    #[inline]
    pub fn begin_turn(&mut self) {
        self.fed = false;
        self.phase = Phase::Dispatching;
    }

    /// The turn's drain is announced and the run is not over. Returns whether it goes idle; otherwise a further turn has
    /// begun, because it was fed in the meantime.
    pub fn end_turn(&mut self) -> bool {
        if self.fed {
            self.begin_turn();
            return false;
        }
        self.phase = Phase::Idle;
        true
    }

    /// How many activations have not been entered (S5): queued, parked, waiting, held by a join, or reserved.
    #[inline]
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// How many activations have been entered and have not settled (S5).
    #[inline]
    #[must_use]
    pub fn active(&self) -> usize {
        self.active
    }

    /// The number of the activation that was reserved last (S2); 0 if none was.
    #[must_use]
    pub fn last_number(&self) -> Number {
        self.last_number
    }

    /// Entered handlers and unsettled listeners: what an abort has to wait for (S10).
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.active + self.rare.as_ref().map_or(0, |rare| rare.parked.len())
    }

    /// Whether the run is over: nothing can feed it from here on (S8, S10). If so it counts as ended; [`Run::end`] is
    /// to follow.
    pub fn close(&mut self) -> bool {
        let over = self.in_flight() == 0 && (self.aborted || self.pending == 0);
        if over {
            self.phase = Phase::Ended;
        }
        over
    }
}
