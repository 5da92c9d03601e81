//! What changes while a run goes on, and where it lives.

use crate::call;
use crate::engine::{Engine, lock};
use crate::feed::Job;
use crate::names;
use crate::options::Options;
use crate::signal::Signal;
use crate::stimulation::Stimulation;
use crate::task::Cargo;
use cnstra_core::Run;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, intern};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// What a run is entered with.
pub(crate) enum Entry {
    Signal(Py<Signal>),
    Signals(Vec<Py<Signal>>),
    Tasks(Vec<Py<PyAny>>),
}

/// How a run stands.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Outcome {
    Running,
    Completed,
    Failed,
    Aborted,
}

/// Where a run lives: an `aio.Loop` or a `blocking.Blocking`.
pub(crate) struct Host {
    pub(crate) object: Py<PyAny>,
    pub(crate) blocking: bool,
}

/// What changes while a run goes on. It is locked for single steps, never while Python code can run.
pub(crate) struct State {
    pub(crate) run: Run<Cargo, Py<PyAny>>,
    pub(crate) entry: Option<Entry>,
    pub(crate) fed: VecDeque<Job>,
    /// A wake-up is under way to the run's own thread.
    pub(crate) scheduled: bool,
    /// What activations and listeners raised, in order.
    pub(crate) errors: Vec<Py<PyAny>>,
    /// Of handlers and listeners in flight, in the order in which they were started: that of their cancellation.
    pub(crate) tasks: BTreeMap<u64, Py<PyAny>>,
    /// Numbers of the activations that are in a worker thread, and of those that `max_duration` cancelled.
    pub(crate) workers: BTreeSet<u64>,
    pub(crate) expired: BTreeSet<u64>,
    pub(crate) exception: Option<Py<PyAny>>,
    pub(crate) reason: Option<Py<PyAny>>,
    pub(crate) timed_out: bool,
    pub(crate) controller: Option<Py<PyAny>>,
    pub(crate) observed: bool,
    pub(crate) guard: Option<Py<PyAny>>,
    pub(crate) on_ended: Vec<(u64, Py<PyAny>)>,
    /// Of `tasks` and `on_ended`.
    pub(crate) last_key: u64,
    pub(crate) timer: Option<Py<PyAny>>,
    pub(crate) forget_signal: Option<Py<PyAny>>,
}

impl State {
    pub(crate) fn new(run: Run<Cargo, Py<PyAny>>, entry: Entry) -> Self {
        Self {
            run,
            entry: Some(entry),
            fed: VecDeque::new(),
            scheduled: false,
            errors: Vec::new(),
            tasks: BTreeMap::new(),
            workers: BTreeSet::new(),
            expired: BTreeSet::new(),
            exception: None,
            reason: None,
            timed_out: false,
            controller: None,
            observed: false,
            guard: None,
            on_ended: Vec::new(),
            last_key: 0,
            timer: None,
            forget_signal: None,
        }
    }

    pub(crate) fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let mut result = Ok(());
        self.run.for_each(&mut |cargo, error| {
            if result.is_ok() {
                result = cargo.visit(visit).and_then(|()| visit.call(error));
            }
        });
        result?;
        match &self.entry {
            None => {}
            Some(Entry::Signal(signal)) => visit.call(signal)?,
            Some(Entry::Signals(signals)) => signals.iter().try_for_each(|signal| visit.call(signal))?,
            Some(Entry::Tasks(tasks)) => tasks.iter().try_for_each(|task| visit.call(task))?,
        }
        self.fed.iter().try_for_each(|job| job.visit(visit))?;
        self.errors.iter().try_for_each(|error| visit.call(error))?;
        self.tasks.values().try_for_each(|task| visit.call(task))?;
        self.on_ended.iter().try_for_each(|(_, callback)| visit.call(callback))?;
        for value in [&self.exception, &self.reason, &self.controller, &self.guard, &self.timer, &self.forget_signal] {
            visit.call(value)?;
        }
        Ok(())
    }
}

thread_local! {
    static HERE: u8 = const { 0 };
}

/// A number that no two living threads share.
fn this_thread() -> usize {
    HERE.with(|here| std::ptr::from_ref(here) as usize)
}

impl Stimulation {
    pub(crate) fn make<'py>(engine: &Bound<'py, Engine>, options: Options, entry: Entry) -> PyResult<Bound<'py, Self>> {
        let py = engine.py();
        let mut run = Run::new(&engine.get().graph, options.concurrency);
        // Until it begins it stands at the start of its first turn: what feeds it waits there.
        run.begin_turn();
        let store = OnceLock::new();
        if let Some(given) = &options.context_store {
            let _ = store.set(given.clone_ref(py));
        }
        static LAST: AtomicU64 = AtomicU64::new(0);
        let stimulation = Self {
            serial: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            engine: engine.clone().unbind(),
            context: call::copy_context(py)?.unbind(),
            max_hops: options.max_hops.unwrap_or(u32::MAX),
            deadline: options.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            options,
            thread: this_thread(),
            host: OnceLock::new(),
            store,
            outcome: AtomicU8::new(Outcome::Running as u8),
            awaited_by: OnceLock::new(),
            awaits: OnceLock::new(),
            state: Mutex::new(State::new(run, entry)),
        };
        Bound::new(py, stimulation)
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn outcome_now(&self) -> Outcome {
        match self.outcome.load(Ordering::Acquire) {
            0 => Outcome::Running,
            1 => Outcome::Completed,
            2 => Outcome::Failed,
            _ => Outcome::Aborted,
        }
    }

    pub(crate) fn set_outcome(&self, outcome: Outcome) {
        self.outcome.store(outcome as u8, Ordering::Release);
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.outcome_now() != Outcome::Running
    }

    /// Where it lives. Looked for when it is first needed, which is in its first turn, on its own thread: a run that
    /// never waits has no use for it.
    pub(crate) fn host(&self, py: Python<'_>) -> PyResult<&Host> {
        if let Some(host) = self.host.get() {
            return Ok(host);
        }
        let found = names::aio(py)?.getattr(intern!(py, "current"))?.call0()?;
        let blocking = found.is_none();
        let object = if blocking { names::blocking(py)?.getattr(intern!(py, "Blocking"))?.call0()? } else { found };
        Ok(self.host.get_or_init(|| Host { object: object.unbind(), blocking }))
    }

    pub(crate) fn host_if_known(&self) -> Option<&Host> {
        self.host.get()
    }

    /// Whether this is the run's own thread, and its loop the one that runs.
    pub(crate) fn is_here(&self, py: Python<'_>) -> PyResult<bool> {
        match self.host.get() {
            // It is in its first turn, or has not begun.
            None => Ok(self.thread == this_thread()),
            Some(host) => host.object.call_method0(py, intern!(py, "is_here"))?.is_truthy(py),
        }
    }

    /// The run's context store, made when it is first needed.
    pub(crate) fn store<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(store) = self.store.get() {
            return Ok(store.bind(py).clone());
        }
        let made = names::contexts(py)?.getattr(intern!(py, "MemoryContextStore"))?.call0()?;
        Ok(self.store.get_or_init(|| made.unbind()).bind(py).clone())
    }

    pub(crate) fn store_if_made(&self) -> Option<&Py<PyAny>> {
        self.store.get()
    }

    pub(crate) fn abort_signal(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let known = self.lock().controller.as_ref().map(|controller| controller.clone_ref(py));
        let controller = match known {
            Some(controller) => controller,
            None => {
                let made = names::abort(py)?.getattr(intern!(py, "AbortController"))?.call0()?.unbind();
                let mut state = self.lock();
                let controller = state.controller.get_or_insert_with(|| made.clone_ref(py)).clone_ref(py);
                let raised = state.run.aborted.then(|| state.reason.as_ref().map(|reason| reason.clone_ref(py)));
                drop(state);
                drop(made);
                if let Some(reason) = raised {
                    controller.call_method1(py, intern!(py, "abort"), (reason,))?;
                }
                controller
            }
        };
        controller.getattr(py, intern!(py, "signal"))
    }

    /// Somebody has looked at how the run ended (S9).
    pub(crate) fn observe(&self, py: Python<'_>) -> PyResult<()> {
        let guard = {
            let mut state = self.lock();
            state.observed = true;
            state.guard.as_ref().map(|guard| guard.clone_ref(py))
        };
        if let Some(guard) = guard {
            guard.call_method0(py, intern!(py, "disarm"))?;
        }
        Ok(())
    }

    /// An exception of `cnstra.errors` for a run that was aborted.
    pub(crate) fn aborted_error<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (reason, errors, timed_out) = {
            let state = self.lock();
            let errors: Vec<Py<PyAny>> = state.errors.iter().map(|error| error.clone_ref(py)).collect();
            (state.reason.as_ref().map(|reason| reason.clone_ref(py)), errors, state.timed_out)
        };
        let kind = if timed_out { intern!(py, "StimulationTimeout") } else { intern!(py, "StimulationAborted") };
        names::errors(py)?.getattr(kind)?.call1((reason, errors))
    }

    /// Whether a handler of this run waits for another run.
    pub(crate) fn is_waiting(&self, py: Python<'_>) -> bool {
        self.awaits.get().is_some_and(|awaits| !awaits.bind(py).is_empty())
    }

    /// Whether a handler's own task waits for this run.
    pub(crate) fn is_awaited(&self, py: Python<'_>) -> bool {
        self.awaited_by.get().is_some_and(|awaited_by| !awaited_by.bind(py).is_empty())
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.options.timeout
    }
}
