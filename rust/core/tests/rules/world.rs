//! Drives runs as an engine would, and compares each with its model after every step.
//!
//! Handlers and listeners do what the plan says and the choices add: they suspend, hold responses back, feed, abort and
//! start runs, their own included. Loops close, and slots are passed on between runs.

use crate::choices::Choices;
use crate::model::{Model, Signal, State};
use crate::plan::Plan;
use cnstra_core::{
    Activation, CollateralId, DendriteId, Graph, NeuronId, Number, Phase, Run, Slots, Taken, Ticket, UNKNOWN,
};
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

/// A run and a number in it.
type Holder = (usize, Number);

/// The slots of a neuron, and beside them who must have them.
struct Line {
    slots: Slots<Holder, ()>,
    limit: usize,
    holders: BTreeSet<Holder>,
    waiters: VecDeque<(Ticket, Holder)>,
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
        let line = |limit| Line { slots: Slots::new(limit), limit, holders: BTreeSet::new(), waiters: VecDeque::new() };
        Self {
            plan,
            graph,
            options,
            choices,
            runs: Vec::new(),
            lines: plan.neurons.iter().map(|neuron| neuron.limit.map(line)).collect(),
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
        let parts = |activation: &Activation<Signal>| -> Vec<(DendriteId, Signal)> {
            activation.joined.iter().flat_map(|parts| parts.iter()).map(|part| (part.dendrite, part.signal)).collect()
        };
        let task = |activation: &&Activation<Signal>| {
            let Activation { dendrite, signal, hop, .. } = **activation;
            Task { dendrite, signal, hop, parts: parts(activation) }
        };
        self.runs[at].run.frontier().iter().map(task).collect()
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
            assert!(line.holders.is_empty() && line.waiters.is_empty(), "slots are kept by nobody");
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
        model.check(run);
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

    // -- feeding (S3)

    fn feed(&mut self, at: usize, job: Job) {
        let driven = &mut self.runs[at];
        match driven.run.phase {
            Phase::Ended => {}
            Phase::Dispatching => driven.jobs.push_back(job),
            Phase::Draining => {
                driven.jobs.push_back(job);
                driven.run.fed = true;
            }
            Phase::Idle => {
                driven.jobs.push_back(job);
                self.turn(at);
            }
        }
    }

    /// Ask a run's loop for a turn; false if it is closed.
    fn post(&mut self, at: usize) -> bool {
        let driven = &mut self.runs[at];
        match driven.run.phase {
            Phase::Ended | Phase::Dispatching => {}
            Phase::Draining => driven.run.fed = true,
            Phase::Idle if driven.closed => return false,
            Phase::Idle => {
                driven.run.fed = true;
                if !std::mem::replace(&mut driven.scheduled, true) {
                    self.wakes.push_back(at);
                }
            }
        }
        true
    }

    // -- a turn (S3)

    fn turn(&mut self, at: usize) {
        loop {
            self.runs[at].run.begin_turn();
            self.dispatch(at);
            if self.choices.rarely(8) {
                self.disturb(Some(at)); // a drain listener
            }
            let Driven { run, model, .. } = &mut self.runs[at];
            let over = run.close();
            assert_eq!(over, model.is_over());
            if over {
                self.end(at);
                return;
            }
            if self.runs[at].run.end_turn() {
                return;
            }
            self.note("fed while draining");
        }
    }

    fn dispatch(&mut self, at: usize) {
        loop {
            while let Some(job) = self.runs[at].jobs.pop_front() {
                self.process(at, job);
                self.check(at);
            }
            let Driven { run, model, .. } = &mut self.runs[at];
            let expected = model.next();
            let taken = run.next(self.graph);
            let (activation, granted, error) = match taken {
                None => {
                    assert_eq!(expected, None);
                    assert_eq!(run.phase, Phase::Draining);
                    return;
                }
                Some(Taken::Queued(activation)) => (activation, false, None),
                Some(Taken::Granted(activation, error)) => (activation, true, error),
            };
            let number = expected.expect("the run must not start anything");
            model.same(&activation, number);
            let was = std::mem::replace(&mut model.entry(number).state, State::Taken);
            assert_eq!(was, if granted { State::Granted(error) } else { State::Queued });
            model.check(run);
            self.take(at, activation, granted, error);
            self.check(at);
        }
    }

    fn process(&mut self, at: usize, job: Job) {
        let Driven { run, model, .. } = &mut self.runs[at];
        match job {
            Job::Entry(signals) => {
                let counts = self.emit(at, &signals, 0, 1);
                self.announce(at, &counts);
            }
            Job::Tasks(tasks) => self.append(at, tasks),
            // It may have been fed twice, or settled by a handler in the meantime.
            Job::Settled(number) if model.entry(number).state == State::Suspended => {
                let activation = run.settle_suspended(number).unwrap();
                self.settle(at, activation);
            }
            Job::Unpark(ticket) if model.barriers.contains(&ticket) => {
                model.unpark(ticket);
                run.unpark(self.graph, ticket);
            }
            Job::Settled(number) => assert!(run.settle_suspended(number).is_none()),
            Job::Unpark(ticket) => run.unpark(self.graph, ticket),
            Job::Look => {}
        }
    }

    fn take(&mut self, at: usize, activation: Activation<Signal>, granted: bool, error: Option<u64>) {
        let too_long = self.options.max_hops.is_some_and(|most| activation.hop > most);
        let error = error.or((activation.dendrite == UNKNOWN).then_some(17)).or(too_long.then_some(14));
        let number = activation.number;
        if let Some(error) = error {
            self.note(if granted { "doomed" } else { "refused" });
            let Driven { run, model, .. } = &mut self.runs[at];
            let dendrite = activation.dendrite;
            run.settle_pending();
            run.fail(activation, Some(error));
            model.fail(number, error);
            self.announce(at, &[]);
            self.runs[at].run.leave(self.graph, dendrite);
            return;
        }
        if !granted && let Some(ticket) = self.acquire((at, number), activation.dendrite) {
            let Driven { run, model, .. } = &mut self.runs[at];
            model.entry(number).state = State::Waiting(ticket);
            run.wait(activation, ticket);
            return;
        }
        if activation.joined.as_ref().is_some_and(|parts| parts.len() > 1) {
            self.note("joined several");
        }
        let (dendrite, signal) = (activation.dendrite, activation.signal);
        let Driven { run, model, started, .. } = &mut self.runs[at];
        run.enter(activation);
        started.push((dendrite, signal));
        let entry = model.entry(number);
        entry.state = State::Current;
        entry.starts += 1;
        assert_eq!(entry.starts, 1, "entered twice");
        self.check(at);
        if self.choices.rarely(8) {
            self.disturb(Some(at)); // its handler
            self.check(at);
        }
        let Driven { run, model, .. } = &mut self.runs[at];
        if self.plan.dendrites()[dendrite as usize].1.does.suspends {
            run.suspend();
            model.entry(number).state = State::Suspended;
            if self.choices.rarely(9) {
                // It could not go on after all.
                run.unsuspend(number);
                model.entry(number).state = State::Current;
                let activation = run.settle_current().unwrap();
                self.settle(at, activation);
            }
        } else {
            let activation = run.settle_current().unwrap();
            self.settle(at, activation);
        }
    }

    /// A handler has finished (S4, S5).
    fn settle(&mut self, at: usize, activation: Activation<Signal>) {
        let (number, dendrite, hop) = (activation.number, activation.dendrite, activation.hop);
        let Driven { run, model, .. } = &mut self.runs[at];
        model.same(&activation, number);
        if run.cancelled {
            run.fail(activation, None);
            model.leave_undone(number);
            self.check(at);
        } else {
            let units = units(&activation);
            // A join is the same whatever the order in which its signals were emitted.
            let own = identity(units.iter().collect::<BTreeSet<_>>());
            let fuel = match &activation.joined {
                None => activation.signal.fuel,
                Some(parts) => parts.iter().map(|part| part.signal.fuel).max().unwrap(),
            };
            let does = self.plan.dendrites()[dendrite as usize].1.does.clone();
            let mut counts = Vec::new();
            if does.fails_at == Some(fuel) && self.failed.insert(own) {
                run.fail(activation, Some(number));
                model.fail(number, number);
            } else {
                model.entry(number).state = State::Succeeded;
                let emits = if fuel == 0 { &[][..] } else { &does.emits };
                let emitted: Vec<Signal> =
                    (0u64..).zip(emits).map(|(index, &to)| self.signal(to, fuel - 1, identity((own, index)))).collect();
                counts = self.emit(at, &emitted, number, hop + 1);
                self.runs[at].successes.push(Success { units, emitted });
            }
            self.check(at);
            self.announce(at, &counts);
        }
        self.release(at, number, dendrite);
        self.runs[at].run.leave(self.graph, dendrite);
    }

    fn emit(&mut self, at: usize, signals: &[Signal], cause: Number, hop: u32) -> Vec<usize> {
        let Driven { run, model, .. } = &mut self.runs[at];
        let mut counts = Vec::new();
        for &signal in signals {
            let subscribers = self.plan.subscribers(signal.collateral);
            model.emit(&subscribers, signal, cause, hop);
            counts.push(run.emit(self.graph, signal.collateral, || signal, cause, hop));
            assert_eq!(counts.last(), Some(&subscribers.len()));
        }
        model.check(run);
        counts
    }

    /// One response per signal, or one without output.
    fn announce(&mut self, at: usize, counts: &[usize]) {
        for &count in if counts.is_empty() { &[0][..] } else { counts } {
            let Driven { run, model, .. } = &self.runs[at];
            let reserved = model.numbers(|state| state == State::Reserved);
            let caused: Vec<Number> = run.caused(count).map(|activation| activation.number).collect();
            assert_eq!(caused, reserved[..count]);
            if self.choices.rarely(10) {
                self.disturb(Some(at)); // a response listener
            }
            let Driven { run, model, .. } = &mut self.runs[at];
            if self.options.barriers && self.choices.rarely(3) {
                *self.events.entry("parked").or_insert(0) += 1;
                let ticket = run.park(count);
                assert!(!model.barriers.contains(&ticket));
                model.park(count, ticket);
            } else {
                run.deliver(self.graph, count);
                model.deliver(count);
            }
            self.check(at);
        }
    }

    #[track_caller]
    fn check(&self, at: usize) {
        let Driven { run, model, .. } = &self.runs[at];
        model.check(run);
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
        let counters = (run.pending(), run.active());
        let granted: BTreeSet<Number> = model.numbers(|state| state == State::Granted(None)).into_iter().collect();
        let waiting: Vec<Number> = model.numbers(|state| matches!(state, State::Waiting(_)));
        let suspended: Vec<Number> = model.numbers(|state| state == State::Suspended);
        let left = run.end();
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
            run.unpark(self.graph, ticket);
        }
        model.check(run);
        for (dendrite, ticket) in left.waiting {
            self.forget(dendrite, ticket);
        }
        for (dendrite, number) in left.granted.into_iter().chain(left.suspended) {
            self.release(at, number, dendrite);
        }
        self.check(at);
    }

    // -- slots (S12)

    fn line(&mut self, dendrite: DendriteId) -> Option<&mut Line> {
        let neuron: NeuronId = self.graph.neuron_of(dendrite);
        self.lines[neuron as usize].as_mut()
    }

    /// Its ticket, if it has to wait.
    fn acquire(&mut self, holder: Holder, dendrite: DendriteId) -> Option<Ticket> {
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

    fn forget(&mut self, dendrite: DendriteId, ticket: Ticket) -> bool {
        let Some(line) = self.line(dendrite) else { return false };
        let waits = line.waiters.iter().any(|(other, _)| *other == ticket);
        assert_eq!(line.slots.forget(ticket).is_some(), waits);
        line.waiters.retain(|(other, _)| *other != ticket);
        line.check();
        waits
    }

    /// Give a slot back, to the first waiter that can still use it.
    fn release(&mut self, at: usize, number: Number, dendrite: DendriteId) {
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
    fn grant(&mut self, (at, number): Holder, error: Option<u64>) -> bool {
        let Driven { run, model, .. } = &mut self.runs[at];
        let waits = model.grant(number, error);
        assert_eq!(run.grant(number, error), if waits { Ok(()) } else { Err(error) });
        model.check(run);
        if !waits || self.post(at) {
            return waits;
        }
        self.note("taken back");
        let Driven { run, model, .. } = &mut self.runs[at];
        assert_eq!(run.ungrant(number), error);
        model.ungrant(number);
        model.check(run);
        self.abandon(at);
        false
    }
}

impl Line {
    #[track_caller]
    fn check(&self) {
        assert!(self.holders.len() <= self.limit, "over the limit");
        assert!(self.waiters.is_empty() || self.holders.len() == self.limit, "a slot is free while somebody waits");
        assert_eq!(self.slots.waiting(), self.waiters.len());
        assert_eq!(self.slots.holders().copied().collect::<BTreeSet<_>>(), self.holders);
    }
}
