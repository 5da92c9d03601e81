//! Drives runs as an engine would, and compares each with its model after every step.
//!
//! Handlers and listeners do what the plan says and the choices add: they suspend, hold responses back, feed, abort and
//! start runs, their own included. Loops close, and slots are passed on between runs.

mod lines;
mod turn;

use crate::choices::Choices;
use crate::model::{Model, Signal, State};
use crate::plan::Plan;
use cnstra_core::{Activation, ActivationRef, CollateralId, DendriteId, Graph, Number, Phase, Run, UNKNOWN};
use lines::Line;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::{Hash, Hasher};

/// What may happen beside what must.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) concurrency: Option<u32>,
    pub(crate) max_hops: Option<u32>,
    /// How many runs are started at first.
    pub(crate) runs: usize,
    /// How many more handlers, listeners or the outside may start.
    pub(crate) more_runs: usize,
    pub(crate) barriers: bool,
    pub(crate) aborts: bool,
    pub(crate) enqueues: bool,
    pub(crate) dooms: bool,
    pub(crate) closed_loops: bool,
    pub(crate) fuel: u8,
}

/// What a run is resumed with; the parts are of a join that had taken them over.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) dendrite: DendriteId,
    pub(crate) signal: Signal,
    pub(crate) hop: u32,
    pub(crate) parts: Vec<(DendriteId, Signal)>,
}

/// What a handler that succeeded was started for, and what it emitted.
#[derive(Debug)]
pub(crate) struct Success {
    /// One of an ordinary activation, one for each signal of a join.
    pub(crate) units: Vec<u64>,
    pub(crate) emitted: Vec<Signal>,
}

#[derive(Debug)]
enum Job {
    Entry(Vec<Signal>),
    Tasks(Vec<Task>),
    Settled(Number),
    Unpark(u64),
    Look,
}

/// One run, with what an engine keeps beside it.
#[derive(Debug)]
pub(crate) struct Driven {
    pub(crate) run: Run<Signal, u64>,
    pub(crate) model: Model,
    jobs: VecDeque<Job>,
    /// Its loop has been asked for a turn.
    scheduled: bool,
    /// Its loop is closed: nothing of it goes on.
    closed: bool,
    pub(crate) successes: Vec<Success>,
    /// What was started, in order.
    pub(crate) started: Vec<(DendriteId, Signal)>,
}

pub(crate) struct World<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) graph: &'a Graph,
    options: Options,
    choices: Choices,
    pub(crate) runs: Vec<Driven>,
    lines: Vec<Option<Line>>,
    wakes: VecDeque<usize>,
    emissions: u64,
    /// Activations that failed once; they do not do it again.
    failed: HashSet<u64>,
    /// How many tasks may still be fed from outside.
    feedings: usize,
    /// How often what happened.
    pub(crate) events: BTreeMap<&'static str, usize>,
}

fn identity(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// What a signal is to one of its subscribers, in whichever run.
pub(crate) fn unit(dendrite: DendriteId, signal: Signal) -> u64 {
    identity((dendrite, signal.id))
}

fn units(activation: &Activation<Signal>) -> Vec<u64> {
    match &activation.joined {
        None => vec![unit(activation.dendrite, activation.signal)],
        Some(parts) => parts.iter().map(|part| unit(part.dendrite, part.signal)).collect(),
    }
}

impl<'a> World<'a> {
    pub(crate) fn new(plan: &'a Plan, graph: &'a Graph, options: Options, choices: Choices) -> Self {
        Self {
            plan,
            graph,
            options,
            choices,
            runs: Vec::new(),
            lines: plan.neurons.iter().map(|neuron| neuron.limit.map(Line::new)).collect(),
            wakes: VecDeque::new(),
            emissions: 0,
            failed: HashSet::new(),
            feedings: 6,
            events: BTreeMap::new(),
        }
    }

    pub(crate) fn signal(&mut self, collateral: CollateralId, fuel: u8, id: u64) -> Signal {
        self.emissions += 1;
        Signal { collateral, fuel, id, emission: self.emissions }
    }

    /// Start runs with a signal on every entry, and go on until nothing moves.
    pub(crate) fn stimulate_and_play(&mut self) {
        for _ in 0..self.options.runs {
            self.stimulate();
        }
        self.play();
    }

    pub(crate) fn resume_and_play(&mut self, tasks: Vec<Task>) -> usize {
        let at = self.start(Job::Tasks(tasks));
        self.play();
        at
    }

    fn stimulate(&mut self) {
        let fuel = self.options.fuel;
        let signals = (0..self.plan.entries).map(|entry| self.signal(entry, fuel, u64::from(entry))).collect();
        self.start(Job::Entry(signals));
    }

    fn start(&mut self, job: Job) -> usize {
        let at = self.runs.len();
        self.runs.push(Driven {
            run: Run::new(self.graph, self.options.concurrency),
            model: Model::new(self.plan, self.options.concurrency),
            jobs: VecDeque::from([job]),
            scheduled: false,
            closed: false,
            successes: Vec::new(),
            started: Vec::new(),
        });
        self.turn(at);
        at
    }

    /// What is needed to resume a run.
    pub(crate) fn frontier(&self, at: usize) -> Vec<Task> {
        let task = |ActivationRef { dendrite, signal, hop, joined, .. }: ActivationRef<'_, Signal>| {
            let parts = joined.iter().map(|part| (part.dendrite, part.signal)).collect();
            Task { dendrite, signal: *signal, hop, parts }
        };
        self.runs[at].run.frontier(self.graph).into_iter().map(task).collect()
    }

    fn note(&mut self, event: &'static str) {
        *self.events.entry(event).or_insert(0) += 1;
    }

    // -- what happens from outside of turns

    fn play(&mut self) {
        loop {
            if self.choices.rarely(6) {
                self.disturb(None);
            }
            let mut moves: Vec<(usize, Option<Job>)> = self.wakes.front().map(|&at| (at, None)).into_iter().collect();
            for (at, driven) in self.runs.iter().enumerate().filter(|(_, driven)| !driven.closed) {
                let suspended = driven.model.numbers(|state| state == State::Suspended);
                moves.extend(suspended.into_iter().map(|number| (at, Some(Job::Settled(number)))));
                moves.extend(driven.model.barriers.iter().map(|&ticket| (at, Some(Job::Unpark(ticket)))));
            }
            if moves.is_empty() {
                let closed = self.runs.iter().position(|driven| driven.closed && driven.run.phase != Phase::Ended);
                let Some(closed) = closed else { break };
                self.abandon(closed);
                continue;
            }
            let (at, job) = moves.swap_remove(self.choices.below(moves.len()));
            match job {
                Some(job) => self.feed(at, job),
                None => self.wake(),
            }
        }
        for driven in &self.runs {
            assert_eq!(driven.run.phase, Phase::Ended, "nothing moves, but the run is not over: {driven:#?}");
        }
        for line in self.lines.iter().flatten() {
            assert!(line.is_empty(), "slots are kept by nobody");
        }
    }

    fn wake(&mut self) {
        let Some(at) = self.wakes.pop_front() else { return };
        let driven = &mut self.runs[at];
        driven.scheduled = false;
        if !driven.closed && driven.run.phase == Phase::Idle && driven.run.fed {
            self.turn(at);
        }
    }

    /// Something that nobody asked for; of one run, or of any that no turn is going on of.
    fn disturb(&mut self, only: Option<usize>) {
        let living = |driven: &Driven| driven.run.phase != Phase::Ended && !driven.closed;
        let Some(at) = only.or_else(|| {
            let living: Vec<usize> = (0..self.runs.len()).filter(|&at| living(&self.runs[at])).collect();
            (!living.is_empty()).then(|| living[self.choices.below(living.len())])
        }) else {
            return;
        };
        match self.choices.below(7) {
            0 if self.options.aborts => self.abort(at, false),
            1 if self.options.aborts => self.abort(at, true),
            2 if self.options.enqueues => self.enqueue(at),
            3 if self.options.more_runs > 0 => {
                self.options.more_runs -= 1;
                self.note("started beside others");
                self.stimulate();
            }
            4 if self.options.dooms => self.doom(at),
            5 if self.options.closed_loops && self.runs[at].run.phase == Phase::Idle => self.runs[at].closed = true,
            _ => self.settle_another(at),
        }
    }

    /// A handler of another run settles while one of this is on the stack.
    fn settle_another(&mut self, but: usize) {
        let found = self.runs.iter().enumerate().filter(|(at, driven)| *at != but && !driven.closed).find_map(
            |(at, driven)| {
                let suspended = driven.model.numbers(|state| state == State::Suspended);
                suspended.first().map(|&number| (at, number))
            },
        );
        if let Some((at, number)) = found
            && self.runs[at].run.phase == Phase::Idle
        {
            self.note("settled on another's stack");
            self.feed(at, Job::Settled(number));
        }
    }

    fn abort(&mut self, at: usize, cancel: bool) {
        self.note(if cancel { "cancelled" } else { "aborted" });
        let driven = &mut self.runs[at];
        driven.run.aborted = true;
        driven.run.cancelled |= cancel;
        driven.model.aborted = true;
        // With nothing in flight nobody else would notice that the run is over.
        if driven.run.phase == Phase::Idle && driven.run.in_flight() == 0 {
            self.feed(at, Job::Look);
        }
    }

    fn enqueue(&mut self, at: usize) {
        let driven = &self.runs[at];
        if self.feedings == 0 || driven.run.pending() + driven.run.active() == 0 {
            return;
        }
        self.feedings -= 1;
        self.note("enqueued");
        let dendrites = self.plan.dendrites();
        let mut tasks = Vec::new();
        for _ in 0..=self.choices.below(2) {
            let pick = self.choices.below(dendrites.len() + 1);
            let (dendrite, collateral) = match dendrites.get(pick) {
                Some((_, dendrite)) => (u32::try_from(pick).unwrap(), dendrite.collateral),
                None => (UNKNOWN, 0),
            };
            let id = 1000 + self.emissions;
            let (fuel, hop) = (self.options.fuel.min(1), u32::try_from(self.choices.below(3)).unwrap() + 1);
            tasks.push(Task { dendrite, signal: self.signal(collateral, fuel, id), hop, parts: Vec::new() });
        }
        self.append(at, tasks);
        self.feed(at, Job::Look);
    }

    /// Count all tasks before the first starts (S17).
    fn append(&mut self, at: usize, tasks: Vec<Task>) {
        let Driven { run, model, .. } = &mut self.runs[at];
        let mut reserved = Vec::new();
        for Task { dendrite, signal, hop, parts } in tasks {
            let mut activation = run.reserve(self.graph, dendrite, signal, 0, hop);
            let signals = parts.iter().map(|(_, signal)| *signal).collect();
            let number = model.reserve(dendrite, signal, 0, hop, signals);
            assert_eq!(activation.number, number);
            if !parts.is_empty() {
                let part = |(dendrite, signal)| Activation { number: 0, cause: 0, hop, dendrite, signal, joined: None };
                activation.joined = Some(Box::new(parts.into_iter().map(part).collect()));
            }
            reserved.push(activation);
        }
        for activation in reserved {
            model.append(activation.number);
            run.append(self.graph, activation);
        }
        model.check(run, self.graph);
    }

    /// A waiter would wait for ever, and fails instead.
    fn doom(&mut self, at: usize) {
        let Driven { run, model, .. } = &self.runs[at];
        let found = run.waiting().next().map(|(activation, ticket)| (activation.number, activation.dendrite, ticket));
        let Some((number, dendrite, ticket)) = found else { return };
        assert!(model.numbers(|state| matches!(state, State::Waiting(_))).contains(&number));
        if self.forget(dendrite, ticket) && !self.grant((at, number), Some(13)) {
            // It is aborted: the activation stays where it is, with a ticket that has been used up.
            assert!(self.runs[at].run.aborted || self.runs[at].run.phase == Phase::Ended);
        }
    }

    // -- ending (S10)

    /// Its loop is closed: it ends whatever is in flight.
    fn abandon(&mut self, at: usize) {
        self.note("loop closed");
        let Driven { run, model, .. } = &mut self.runs[at];
        (run.aborted, model.aborted) = (true, true);
        self.end(at);
    }

    fn end(&mut self, at: usize) {
        let Driven { run, model, .. } = &mut self.runs[at];
        if model.is_half_taken() {
            *self.events.entry("half taken at the end").or_insert(0) += 1;
        }
        let counters = (run.pending(), run.active());
        let granted: BTreeSet<Number> = model.numbers(|state| state == State::Granted(None)).into_iter().collect();
        let waiting: Vec<Number> = model.numbers(|state| matches!(state, State::Waiting(_)));
        let suspended: Vec<Number> = model.numbers(|state| state == State::Suspended);
        let left = run.end(self.graph, Signal::clone);
        assert_eq!(left.granted.iter().map(|(_, number)| *number).collect::<BTreeSet<_>>(), granted);
        assert_eq!(left.waiting.len(), waiting.len());
        assert_eq!(left.suspended.iter().map(|(_, number)| *number).collect::<Vec<_>>(), suspended);
        model.end();
        assert_eq!((run.pending(), run.active()), counters);
        assert_eq!(run.phase, Phase::Ended);
        for &number in &suspended {
            assert!(run.settle_suspended(number).is_none());
        }
        for ticket in std::mem::take(&mut model.barriers) {
            run.unpark(self.graph, ticket, Signal::clone);
        }
        model.check(run, self.graph);
        for (dendrite, ticket) in left.waiting {
            self.forget(dendrite, ticket);
        }
        for (dendrite, number) in left.granted.into_iter().chain(left.suspended) {
            self.release(at, number, dendrite);
        }
        self.check(at);
    }
}
