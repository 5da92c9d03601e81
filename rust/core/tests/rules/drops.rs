//! What the caller gave is never dropped inside of a method: dropping it may run the caller's code, while the caller
//! holds the lock of the run. Nor is anything held that a garbage collector is not shown.

use crate::choices::Choices;
use crate::plan::{Plan, plan};
use cnstra_core::{Activation, Graph, GraphBuilder, Left, Number, Run, UNKNOWN};
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

thread_local! {
    /// Whether a method is going on.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// How many values there are.
    static ALIVE: Cell<isize> = const { Cell::new(0) };
}

/// A signal or an error.
#[derive(Debug)]
struct Value;

impl Value {
    fn new() -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Self
    }

    fn copy(&self) -> Self {
        Self::new()
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
        assert!(!INSIDE.get() || std::thread::panicking(), "dropped inside");
    }
}

/// Call a method; what it gives is the caller's again.
fn inside<T>(method: impl FnOnce() -> T) -> T {
    INSIDE.set(true);
    let result = method();
    INSIDE.set(false);
    result
}

/// A run to which anything happens that may happen, in any order.
struct Stage<'a> {
    plan: &'a Plan,
    graph: Graph,
    run: Run<Value, Value>,
    choices: Choices,
    /// What was emitted and is neither delivered nor parked.
    reserved: VecDeque<usize>,
    tickets: u64,
    /// Whether the current one has been entered, if there is one.
    entered: bool,
    /// The greatest number that was taken.
    last: Number,
}

impl Stage<'_> {
    fn number(&mut self) -> Number {
        self.choices.below(usize::try_from(self.last).unwrap() + 1) as Number
    }

    fn collateral(&mut self) -> u32 {
        u32::try_from(self.choices.below(self.plan.collaterals as usize)).unwrap()
    }

    fn task(&mut self) {
        let (graph, dendrites) = (&self.graph, self.plan.dendrites());
        let pick = self.choices.below(dendrites.len() + 1);
        let dendrite = if pick < dendrites.len() { u32::try_from(pick).unwrap() } else { UNKNOWN };
        let mut activation = inside(|| self.run.reserve(graph, dendrite, Value::new(), 0, 1));
        if dendrite != UNKNOWN && graph.join_of(dendrite).is_some() && self.choices.rarely(2) {
            let part = || Activation { number: 0, cause: 0, hop: 1, dendrite, signal: Value::new(), joined: None };
            activation.joined = Some(Box::new(vec![part(), part()]));
        }
        inside(|| self.run.append(graph, activation));
    }

    /// It has settled: it fails, or is the caller's to drop.
    fn settled(&mut self, activation: Option<Activation<Value>>) {
        let Some(activation) = activation else { return };
        let dendrite = activation.dendrite;
        match self.choices.below(3) {
            0 => drop(activation),
            1 => inside(|| self.run.fail(activation, None)),
            _ => inside(|| self.run.fail(activation, Some(Value::new()))),
        }
        inside(|| self.run.leave(&self.graph, dendrite));
    }

    fn step(&mut self) {
        let is_free = self.run.current().is_none();
        let (is_taken, is_entered) = (!is_free && !self.entered, !is_free && self.entered);
        let (pick, collateral, number) = (self.choices.below(15), self.collateral(), self.number());
        let ticket = self.choices.below(usize::try_from(self.tickets).unwrap() + 1) as u64;
        let Self { graph, run, .. } = self;
        match pick {
            0 => {
                let count = inside(|| run.emit(graph, collateral, Value::new, 0, 1));
                self.reserved.push_back(count);
            }
            1 => inside(|| run.emit_now(graph, collateral, Value::new, 0, 1, Value::copy)),
            2 => self.task(),
            3 => {
                let count = self.reserved.pop_front().unwrap_or(0);
                inside(|| run.deliver(graph, count, Value::copy));
            }
            4 => {
                let count = self.reserved.pop_front().unwrap_or(0);
                self.tickets = inside(|| run.park(count));
            }
            5 => inside(|| run.unpark(graph, ticket, Value::copy)),
            6 | 7 if is_free => {
                let taken = inside(|| run.next(graph, Value::copy));
                self.entered = false;
                self.last = taken.map_or(self.last, |taken| self.last.max(taken.number));
            }
            6 | 8 if is_taken => {
                inside(|| run.enter());
                self.entered = true;
            }
            7 if is_taken => inside(|| run.wait(ticket)),
            8 if is_free => {
                inside(|| run.unsuspend(number));
                self.entered = true;
            }
            9 if is_taken => {
                let activation = inside(|| run.settle_pending());
                self.settled(activation);
            }
            9 | 10 if is_entered => {
                let activation = inside(|| run.settle_current());
                self.settled(activation);
            }
            11 if is_entered => inside(|| run.suspend()),
            12 => {
                let activation = inside(|| run.settle_suspended(number));
                self.settled(activation);
            }
            13 => {
                let error = self.choices.rarely(2).then(Value::new);
                drop(inside(|| run.grant(number, error)));
            }
            14 => drop(inside(|| run.ungrant(number))),
            _ => {
                inside(|| {
                    let count = self.reserved.front().copied().unwrap_or(0);
                    run.caused(graph, count).count() + run.unfinished(graph).len() + run.frontier(graph).len()
                });
            }
        }
    }

    #[track_caller]
    fn check(&self) {
        let mut held = 0;
        self.run.for_each(&mut |_, error| held += 1 + isize::from(error.is_some()));
        assert_eq!(ALIVE.get(), held, "a garbage collector is shown as many as there are");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_dropped_inside_whatever_happens(plan in plan(), choices in vec(any::<u8>(), 0..600)) {
        // A case that failed left them as they were.
        INSIDE.set(false);
        ALIVE.set(0);
        let graph = plan.build().unwrap();
        let run = Run::new(&graph, None);
        let steps = choices.len() / 5;
        let choices = Choices::new(choices);
        let mut stage =
            Stage { plan: &plan, graph, run, choices, reserved: VecDeque::new(), tickets: 0, entered: false, last: 0 };
        stage.run.begin_turn();
        for _ in 0..steps {
            stage.step();
            stage.check();
        }
        let Stage { graph, run, .. } = &mut stage;
        run.aborted = true;
        drop(inside(|| run.end(graph, Value::copy)));
        stage.check();
        drop(stage);
        prop_assert_eq!(ALIVE.get(), 0);
    }
}

/// Tells when it is dropped.
#[derive(Clone)]
struct Dropped(&'static str, Rc<RefCell<Vec<&'static str>>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

#[test]
fn what_the_caller_gave_is_given_back_or_kept() {
    let mut builder = GraphBuilder::new(1);
    builder.neuron();
    builder.dendrite(0, None);
    let graph = builder.build().unwrap();
    let log = Rc::default();
    let value = |name| Dropped(name, Rc::clone(&log));
    let mut run: Run<Dropped, Dropped> = Run::new(&graph, None);
    run.begin_turn();
    for name in ["waits", "is granted", "is doomed", "is refused", "is queued"] {
        run.emit_now(&graph, 0, || value(name), 0, 1, Clone::clone);
    }
    for ticket in 1..=4 {
        assert!(run.next(&graph, Clone::clone).is_some());
        run.wait(ticket);
    }
    assert!(run.grant(2, None).is_ok());
    assert!(run.grant(3, Some(value("doom"))).is_ok());
    assert!(run.grant(4, Some(value("refusal"))).is_ok());
    let refusal = run.ungrant(4);
    assert!(refusal.as_ref().is_some_and(|error| error.0 == "refusal"));
    assert!(run.ungrant(4).is_none());
    run.aborted = true;
    let late = run.grant(1, Some(value("too late"))).unwrap_err();
    let left = run.end(&graph, Clone::clone);
    assert_eq!(*log.borrow(), [""; 0]);
    let Left { granted, waiting, suspended, unused } = left;
    assert_eq!((granted, waiting, suspended), (vec![(0, 2)], vec![(0, 1), (0, 0)], vec![]));
    assert_eq!(unused.iter().map(|error| error.0).collect::<Vec<_>>(), ["doom"]);
    assert_eq!(run.frontier(&graph).iter().map(|activation| activation.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(run.failures().iter().all(|failure| failure.error.is_none()));
    drop((refusal, late, unused));
    assert_eq!(log.take(), ["refusal", "too late", "doom"]);
    drop(run);
    assert_eq!(log.take(), ["waits", "is granted", "is doomed", "is refused", "is queued"]);
}
