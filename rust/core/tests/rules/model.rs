//! A naive run: every activation with the state that it is in, found by looking through all of them.
//!
//! It is told what happens to the run under test and says what must be seen of it. Nothing in it is fast, so that
//! everything in it is plain.

mod seen;

use crate::plan::{Plan, closure};
use cnstra_core::{CollateralId, DendriteId, JoinId, NeuronId, Number, Ticket, UNKNOWN};
use std::collections::VecDeque;

/// A signal with what identifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    pub(crate) collateral: CollateralId,
    /// How many hops it may still cause.
    pub(crate) fuel: u8,
    /// Of what it is made of: the same in a run that is resumed.
    pub(crate) id: u64,
    /// The place of its emission among all.
    pub(crate) emission: u64,
}

/// Where an activation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Reserved,
    Parked(u64),
    Queued,
    Held(JoinId),
    Waiting(Ticket),
    Granted(Option<u64>),
    /// By `next`, for its caller to do something with.
    Taken,
    Current,
    Suspended,
    TakenOver,
    Succeeded,
    Failed,
    Undone,
}

impl State {
    fn is_pending(self) -> bool {
        use State::{Granted, Held, Parked, Queued, Reserved, Taken, Waiting};
        matches!(self, Reserved | Parked(_) | Queued | Held(_) | Waiting(_) | Granted(_) | Taken)
    }

    fn is_active(self) -> bool {
        matches!(self, Self::Current | Self::Suspended)
    }

    pub(crate) fn is_unfinished(self) -> bool {
        self.is_pending() || self.is_active()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) dendrite: DendriteId,
    pub(crate) neuron: Option<NeuronId>,
    pub(crate) cause: Number,
    pub(crate) hop: u32,
    pub(crate) signal: Signal,
    /// The number of the first subscriber of its emission; its own of a task or a join.
    row: Number,
    pub(crate) state: State,
    /// The signals that it took over, of a join's.
    pub(crate) parts: Vec<Signal>,
    /// How often its handler was started.
    pub(crate) starts: u32,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) entries: Vec<Entry>,
    pub(crate) aborted: bool,
    pub(crate) ended: bool,
    concurrency: Option<u32>,
    queue: VecDeque<Number>,
    granted: VecDeque<Number>,
    reserved: VecDeque<Number>,
    /// Tickets of barriers that are down.
    pub(crate) barriers: Vec<u64>,
    /// In order, with the error.
    pub(crate) failures: Vec<(Number, Option<u64>)>,
    neuron_of: Vec<NeuronId>,
    join_of: Vec<Option<JoinId>>,
    join_neurons: Vec<NeuronId>,
    reaches: Vec<Vec<bool>>,
}

impl Model {
    pub(crate) fn new(plan: &Plan, concurrency: Option<u32>) -> Self {
        let dendrites = plan.dendrites();
        Self {
            entries: Vec::new(),
            aborted: false,
            ended: false,
            concurrency,
            queue: VecDeque::new(),
            granted: VecDeque::new(),
            reserved: VecDeque::new(),
            barriers: Vec::new(),
            failures: Vec::new(),
            neuron_of: dendrites.iter().map(|(neuron, _)| *neuron).collect(),
            join_of: dendrites.iter().map(|(_, dendrite)| dendrite.join).collect(),
            join_neurons: plan.join_neurons(),
            reaches: closure(&plan.edges()),
        }
    }

    pub(crate) fn entry(&mut self, number: Number) -> &mut Entry {
        &mut self.entries[usize::try_from(number).unwrap() - 1]
    }

    pub(crate) fn numbers(&self, is: impl Fn(State) -> bool) -> Vec<Number> {
        (1..).zip(&self.entries).filter(|(_, entry)| is(entry.state)).map(|(number, _)| number).collect()
    }

    // -- what happens to the run

    pub(crate) fn reserve(
        &mut self,
        dendrite: DendriteId,
        signal: Signal,
        cause: Number,
        hop: u32,
        parts: Vec<Signal>,
    ) -> Number {
        let neuron = (dendrite != UNKNOWN).then(|| self.neuron_of[dendrite as usize]);
        let (row, state) = (self.entries.len() as Number + 1, State::Reserved);
        self.entries.push(Entry { dendrite, neuron, cause, hop, signal, row, state, parts, starts: 0 });
        row
    }

    /// The subscribers of a signal that was emitted.
    pub(crate) fn emit(&mut self, subscribers: &[DendriteId], signal: Signal, cause: Number, hop: u32) {
        let row = self.entries.len() as Number + 1;
        for &dendrite in subscribers {
            let number = self.reserve(dendrite, signal, cause, hop, Vec::new());
            self.entry(number).row = row;
            self.reserved.push_back(number);
        }
    }

    pub(crate) fn append(&mut self, number: Number) {
        let entry = &self.entries[usize::try_from(number).unwrap() - 1];
        let join = if entry.neuron.is_some() { self.join_of[entry.dendrite as usize] } else { None };
        match join {
            Some(join) if entry.parts.is_empty() => self.entry(number).state = State::Held(join),
            _ => {
                self.entry(number).state = State::Queued;
                self.queue.push_back(number);
            }
        }
    }

    pub(crate) fn deliver(&mut self, count: usize) {
        for _ in 0..count {
            let number = self.reserved.pop_front().unwrap();
            self.append(number);
        }
    }

    pub(crate) fn park(&mut self, count: usize, ticket: u64) {
        self.barriers.push(ticket);
        for _ in 0..count {
            let number = self.reserved.pop_front().unwrap();
            self.entry(number).state = State::Parked(ticket);
        }
    }

    pub(crate) fn unpark(&mut self, ticket: u64) {
        self.barriers.retain(|&other| other != ticket);
        for number in self.numbers(|state| state == State::Parked(ticket)) {
            self.append(number);
        }
    }

    /// What is to be taken, if anything.
    pub(crate) fn next(&mut self) -> Option<Number> {
        if self.aborted {
            return None;
        }
        self.join();
        if let Some(number) = self.granted.pop_front() {
            return Some(number);
        }
        let started = self.numbers(|state| state.is_active() || matches!(state, State::Waiting(_))).len();
        if self.concurrency.is_some_and(|limit| started >= limit as usize) {
            return None;
        }
        self.queue.pop_front()
    }

    /// S25, in the words of the rule.
    fn join(&mut self) {
        for (join, neuron) in (0..).zip(self.join_neurons.clone()) {
            let held = self.numbers(|state| state == State::Held(join));
            let more_may_come = self.entries.iter().any(|entry| {
                let reaches = entry.neuron.is_some_and(|from| self.reaches[from as usize][neuron as usize]);
                // Signals of its own that are kept back are on their way too.
                let is_on_its_way = matches!(entry.state, State::Reserved | State::Parked(_))
                    && entry.neuron.is_some()
                    && self.join_of[entry.dendrite as usize] == Some(join);
                is_on_its_way || (reaches && entry.state.is_unfinished())
            });
            if held.is_empty() || more_may_come {
                continue;
            }
            let parts: Vec<Entry> = held.iter().map(|&number| self.entry(number).clone()).collect();
            let (last, hop) = (parts[parts.len() - 1].clone(), parts.iter().map(|part| part.hop).max().unwrap());
            let signals = parts.iter().map(|part| part.signal).collect();
            let number = self.reserve(last.dendrite, last.signal, last.cause, hop, signals);
            for part in held {
                self.entry(part).state = State::TakenOver;
            }
            self.append(number);
        }
    }

    /// What is granted is next; false if it does not wait.
    pub(crate) fn grant(&mut self, number: Number, error: Option<u64>) -> bool {
        let aborted = self.aborted;
        let entry = self.entry(number);
        let waits = matches!(entry.state, State::Waiting(_)) && !aborted;
        if waits {
            entry.state = State::Granted(error);
            self.granted.push_back(number);
        }
        waits
    }

    pub(crate) fn ungrant(&mut self, number: Number) {
        self.granted.retain(|&other| other != number);
        self.entry(number).state = State::Waiting(0);
    }

    pub(crate) fn fail(&mut self, number: Number, error: u64) {
        self.entry(number).state = State::Failed;
        self.failures.push((number, Some(error)));
    }

    /// A cancelled run's handler has come back.
    pub(crate) fn leave_undone(&mut self, number: Number) {
        self.entry(number).state = State::Undone;
        self.failures.push((number, None));
    }

    /// The run has ended: what was not finished is left undone.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        for number in self.numbers(State::is_unfinished) {
            self.leave_undone(number);
        }
        self.queue.clear();
        self.granted.clear();
        self.reserved.clear();
    }

    /// Whether some of one signal's subscribers have been taken and others have not.
    pub(crate) fn is_half_taken(&self) -> bool {
        let first = self.queue.front().map(|&number| (number, &self.entries[usize::try_from(number).unwrap() - 1]));
        self.join_neurons.is_empty() && first.is_some_and(|(number, entry)| entry.row < number)
    }

    /// Whether the run is over.
    pub(crate) fn is_over(&self) -> bool {
        let active = self.entries.iter().any(|entry| entry.state.is_active());
        let pending = self.entries.iter().any(|entry| entry.state.is_pending());
        !active && self.barriers.is_empty() && (self.aborted || !pending)
    }
}
