//! Feeding a run, and its turns, as the dispatch loop of an engine drives them (S3).

use super::{Driven, Job, Success, World, identity, units};
use crate::model::{Signal, State};
use cnstra_core::{Activation, Number, Phase, Taken, UNKNOWN};
use std::collections::BTreeSet;

impl World<'_> {
    pub(super) fn feed(&mut self, at: usize, job: Job) {
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
    pub(super) fn post(&mut self, at: usize) -> bool {
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

    pub(super) fn turn(&mut self, at: usize) {
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
            let Some(taken) = run.next(self.graph, Signal::clone) else {
                assert_eq!(expected, None);
                assert_eq!(run.phase, Phase::Draining);
                return;
            };
            let number = expected.expect("the run must not start anything");
            let entry = model.entry(number);
            assert_eq!((taken.number, taken.hop, taken.dendrite), (number, entry.hop, entry.dendrite));
            let was = std::mem::replace(&mut entry.state, State::Taken);
            assert_eq!(was, taken.granted.map_or(State::Queued, |granted| State::Granted(granted.err())));
            model.check(run, self.graph);
            if model.is_half_taken() {
                self.note("half taken");
            }
            self.take(at, taken);
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
                run.unpark(self.graph, ticket, Signal::clone);
            }
            Job::Settled(number) => assert!(run.settle_suspended(number).is_none()),
            Job::Unpark(ticket) => run.unpark(self.graph, ticket, Signal::clone),
            Job::Look => {}
        }
    }

    fn take(&mut self, at: usize, Taken { number, hop, dendrite, granted }: Taken<u64>) {
        let too_long = self.options.max_hops.is_some_and(|most| hop > most);
        let doom = granted.and_then(Result::err);
        let error = doom.or((dendrite == UNKNOWN).then_some(17)).or(too_long.then_some(14));
        if let Some(error) = error {
            self.note(if granted.is_some() { "doomed" } else { "refused" });
            if self.choices.rarely(8) {
                self.disturb(Some(at)); // while its error is worded
                self.check(at);
            }
            let Driven { run, model, .. } = &mut self.runs[at];
            let activation = run.settle_pending().unwrap();
            model.same(activation.view(), number);
            run.fail(activation, Some(error));
            model.fail(number, error);
            self.announce(at, &[]);
            self.runs[at].run.leave(self.graph, dendrite);
            return;
        }
        if granted.is_none()
            && let Some(ticket) = self.acquire((at, number), dendrite)
        {
            let Driven { run, model, .. } = &mut self.runs[at];
            model.entry(number).state = State::Waiting(ticket);
            run.wait(ticket);
            return;
        }
        let Driven { run, model, started, .. } = &mut self.runs[at];
        run.enter();
        let entry = model.entry(number);
        started.push((dendrite, entry.signal));
        if entry.parts.len() > 1 {
            *self.events.entry("joined several").or_insert(0) += 1;
        }
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
        model.same(activation.view(), number);
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

    pub(super) fn emit(&mut self, at: usize, signals: &[Signal], cause: Number, hop: u32) -> Vec<usize> {
        let Driven { run, model, .. } = &mut self.runs[at];
        let mut counts = Vec::new();
        for &signal in signals {
            let subscribers = self.plan.subscribers(signal.collateral);
            model.emit(&subscribers, signal, cause, hop);
            counts.push(run.emit(self.graph, signal.collateral, || signal, cause, hop));
            assert_eq!(counts.last(), Some(&subscribers.len()));
        }
        model.check(run, self.graph);
        counts
    }

    /// One response per signal, or one without output.
    fn announce(&mut self, at: usize, counts: &[usize]) {
        for &count in if counts.is_empty() { &[0][..] } else { counts } {
            let Driven { run, model, .. } = &self.runs[at];
            let reserved = model.numbers(|state| state == State::Reserved);
            let caused: Vec<Number> = run.caused(self.graph, count).map(|activation| activation.number).collect();
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
                run.deliver(self.graph, count, Signal::clone);
                model.deliver(count);
            }
            self.check(at);
        }
    }

    #[track_caller]
    pub(super) fn check(&self, at: usize) {
        let Driven { run, model, .. } = &self.runs[at];
        model.check(run, self.graph);
    }
}
