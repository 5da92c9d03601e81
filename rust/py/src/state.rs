//! What changes while a run goes on, and where it lives.

use crate::call;
use crate::engine::Engine;
use crate::feed::Job;
use crate::guarded::{Guard, Guarded};
use crate::host::Host;
use crate::names;
use crate::options::Options;
use crate::signal::Signal;
use crate::stimulation::Stimulation;
use crate::task::Cargo;
use crate::waiter::Awaiting;
use cnstra_core::{Few, Run};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, intern};
use std::collections::{BTreeSet, VecDeque};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// What a run is entered with.
#[derive(Clone, Copy)]
pub(crate) enum Entry<'a> {
    Signals(&'a [Py<Signal>]),
    Tasks(&'a Py<PyAny>),
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

/// What a run knows of others, and the store that it was given or has made.
#[derive(Default)]
pub(crate) struct Links {
    pub(crate) store: OnceLock<Py<PyAny>>,
    pub(crate) awaited_by: OnceLock<Py<PyDict>>,
    pub(crate) awaits: OnceLock<Py<PyDict>>,
}

/// Who is to be told that a run has ended.
pub(crate) enum OnEnd {
    /// Called with the run.
    Call(Py<PyAny>),
    Wake(Awaiting),
}

impl OnEnd {
    pub(crate) fn tell(self, stim: &Bound<'_, Stimulation>) -> PyResult<()> {
        match self {
            Self::Call(callback) => callback.call1(stim.py(), (stim,)).map(drop),
            Self::Wake(awaiting) => awaiting.wake(stim.py()),
        }
    }

    fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Call(callback) => visit.call(callback),
            Self::Wake(awaiting) => awaiting.visit(visit),
        }
    }
}

/// What changes while a run goes on. It is locked for single steps, never while Python code can run.
pub(crate) struct State {
    pub(crate) run: Run<Cargo, Py<PyAny>>,
    /// A wake-up is under way to the run's own thread.
    pub(crate) scheduled: bool,
    /// Its host was told to keep it.
    pub(crate) held: bool,
    pub(crate) timed_out: bool,
    pub(crate) observed: bool,
    /// Boxed, and only when needed: a run that ends well in its first turn has nothing of it.
    pub(crate) more: Option<Box<More>>,
}

/// What only runs have that wait, fail, are aborted or looked at.
#[derive(Default)]
pub(crate) struct More {
    /// What it was fed with and has not processed, oldest first.
    pub(crate) fed: VecDeque<Job>,
    /// What a run is to be entered with that was prepared and has not begun.
    pub(crate) entry: Option<Vec<Py<Signal>>>,
    /// What activations and listeners raised, in order.
    pub(crate) errors: Vec<Py<PyAny>>,
    /// Of handlers and listeners in flight, in the order in which they were started: that of their cancellation.
    pub(crate) tasks: Few<u64, Py<PyAny>>,
    /// Numbers of the activations that are in a worker thread, and of those that `max_duration` cancelled.
    pub(crate) workers: BTreeSet<u64>,
    pub(crate) expired: BTreeSet<u64>,
    pub(crate) exception: Option<Py<PyAny>>,
    pub(crate) reason: Option<Py<PyAny>>,
    pub(crate) controller: Option<Py<PyAny>>,
    pub(crate) guard: Option<Py<PyAny>>,
    pub(crate) on_ended: Vec<(u64, OnEnd)>,
    /// Of `tasks` and `on_ended`.
    pub(crate) last_key: u64,
    pub(crate) timer: Option<Py<PyAny>>,
    pub(crate) forget_signal: Option<Py<PyAny>>,
}

impl State {
    /// Nothing has been written into it but what `Run::renew` makes good.
    pub(crate) fn is_spent(&self) -> bool {
        let is_clean = !(self.scheduled || self.held || self.timed_out || self.observed);
        is_clean && self.more.is_none() && self.run.is_spent()
    }

    #[inline]
    pub(crate) fn new(run: Run<Cargo, Py<PyAny>>) -> Self {
        Self { run, scheduled: false, held: false, timed_out: false, observed: false, more: None }
    }

    #[inline]
    pub(crate) fn next_job(&mut self) -> Option<Job> {
        self.more.as_mut()?.fed.pop_front()
    }

    pub(crate) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    pub(crate) fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let mut result = Ok(());
        self.run.for_each(&mut |cargo, error| {
            if result.is_ok() {
                result = cargo.visit(visit).and_then(|()| visit.call(error));
            }
        });
        result?;
        self.more.as_ref().map_or(Ok(()), |more| more.visit(visit))
    }
}

impl More {
    fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.entry.iter().flatten().try_for_each(|signal| visit.call(signal))?;
        self.fed.iter().try_for_each(|job| job.visit(visit))?;
        self.errors.iter().try_for_each(|error| visit.call(error))?;
        self.tasks.values().try_for_each(|task| visit.call(task))?;
        self.on_ended.iter().try_for_each(|(_, told)| told.visit(visit))?;
        for value in [&self.exception, &self.reason, &self.controller, &self.guard, &self.timer, &self.forget_signal] {
            visit.call(value)?;
        }
        Ok(())
    }
}

static NONE: Options = Options::NONE;

#[cold]
pub(crate) fn gone() -> ! {
    unreachable!("a run has its engine, its context and its state until it is dropped")
}

impl Drop for Stimulation {
    fn drop(&mut self) {
        // All at once: dropped one by one, each would have to find out that the thread is attached.
        Python::attach(|py| {
            let Some(engine) = self.engine.take() else { return };
            if let Some(state) = self.state.take() {
                let left = engine.get().spares.lock(py).give(state);
                drop(left);
            }
            drop(self.context.take().map(|context| context.into_bound(py)));
            drop(engine.into_bound(py));
        });
    }
}

impl Stimulation {
    #[inline]
    pub(crate) fn make<'py>(engine: &Bound<'py, Engine>, options: Option<Box<Options>>) -> PyResult<Bound<'py, Self>> {
        let py = engine.py();
        let given = options.as_deref().unwrap_or(&NONE);
        let mut state = engine.get().spares.lock(py).take(&engine.get().graph, given.concurrency);
        // Until it begins it stands at the start of its first turn: what feeds it waits there.
        state.get_mut().run.begin_turn();
        let links = OnceLock::new();
        if let Some(given) = &given.context_store {
            let given = OnceLock::from(given.clone_ref(py));
            let _ = links.set(Box::new(Links { store: given, ..Links::default() }));
        }
        static LAST: Guarded<u64> = Guarded::new(0);
        let serial = {
            let mut last = LAST.lock(py);
            *last += 1;
            *last
        };
        let stimulation = Self {
            serial,
            engine: Some(engine.clone().unbind()),
            context: Some(call::copy_context(py)?.unbind()),
            max_hops: given.max_hops.unwrap_or(u32::MAX),
            has_listener: given.on_response.is_some() || given.tap.is_some(),
            options,
            host: OnceLock::new(),
            links,
            outcome: AtomicU8::new(Outcome::Running as u8),
            state: Some(state),
        };
        Bound::new(py, stimulation)
    }

    /// What its turns run in (S16).
    #[inline]
    pub(crate) fn context<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        match &self.context {
            Some(context) => context.bind(py),
            None => gone(),
        }
    }

    #[inline]
    pub(crate) fn engine(&self) -> &Engine {
        match &self.engine {
            Some(engine) => engine.get(),
            None => gone(),
        }
    }

    /// What it was told.
    pub(crate) fn options(&self) -> &Options {
        self.options.as_deref().unwrap_or(&NONE)
    }

    #[inline]
    pub(crate) fn lock<'py>(&self, py: Python<'py>) -> Guard<'_, 'py, State> {
        match &self.state {
            Some(state) => state.lock(py),
            None => gone(),
        }
    }

    /// Nobody hears its responses: neither a local listener nor one of the CNS.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.engine().family.get().response_listeners.is_empty() && !self.has_listener
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
        let found = Host::here(py)?;
        Ok(self.host.get_or_init(|| found))
    }

    pub(crate) fn host_if_known(&self) -> Option<&Host> {
        self.host.get()
    }

    /// Whether this is the run's own thread, and its loop the one that runs.
    pub(crate) fn is_here(&self, py: Python<'_>) -> PyResult<bool> {
        match self.host.get() {
            // It has not begun, or is in its first turn: on this thread's stack, or on another's.
            None => {
                let begun = self.lock(py).more.as_ref().is_none_or(|more| more.entry.is_none());
                Ok(!begun || call::driving(py).iter().any(|(run, _)| std::ptr::eq(run.get(), self)))
            }
            Some(host) => host.is_here(py),
        }
    }

    /// The run's context store, made when it is first needed.
    pub(crate) fn store<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(store) = self.store_if_made() {
            return Ok(store.bind(py).clone());
        }
        let made = names::contexts(py)?.getattr(intern!(py, "MemoryContextStore"))?.call0()?;
        Ok(self.links().store.get_or_init(|| made.unbind()).bind(py).clone())
    }

    pub(crate) fn store_if_made(&self) -> Option<&Py<PyAny>> {
        self.links.get()?.store.get()
    }

    pub(crate) fn abort_signal(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let known = self
            .lock(py)
            .more
            .as_ref()
            .and_then(|more| more.controller.as_ref())
            .map(|controller| controller.clone_ref(py));
        let controller = match known {
            Some(controller) => controller,
            None => {
                let made = names::abort(py)?.getattr(intern!(py, "AbortController"))?.call0()?.unbind();
                let mut state = self.lock(py);
                let aborted = state.run.aborted;
                let more = state.more();
                let controller = more.controller.get_or_insert_with(|| made.clone_ref(py)).clone_ref(py);
                let raised = aborted.then(|| more.reason.as_ref().map(|reason| reason.clone_ref(py)));
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
            let mut state = self.lock(py);
            state.observed = true;
            state.more().guard.as_ref().map(|guard| guard.clone_ref(py))
        };
        if let Some(guard) = guard {
            guard.call_method0(py, intern!(py, "disarm"))?;
        }
        Ok(())
    }

    /// An exception of `cnstra.errors` for a run that was aborted.
    pub(crate) fn aborted_error<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (reason, errors, timed_out) = {
            let mut state = self.lock(py);
            let timed_out = state.timed_out;
            let more = state.more();
            let errors: Vec<Py<PyAny>> = more.errors.iter().map(|error| error.clone_ref(py)).collect();
            (more.reason.as_ref().map(|reason| reason.clone_ref(py)), errors, timed_out)
        };
        let kind = if timed_out { intern!(py, "StimulationTimeout") } else { intern!(py, "StimulationAborted") };
        names::errors(py)?.getattr(kind)?.call1((reason, errors))
    }

    /// Whether a handler of this run waits for another run.
    pub(crate) fn is_waiting(&self, py: Python<'_>) -> bool {
        self.links.get().and_then(|links| links.awaits.get()).is_some_and(|awaits| !awaits.bind(py).is_empty())
    }

    /// Whether a handler's own task waits for this run.
    pub(crate) fn is_awaited(&self, py: Python<'_>) -> bool {
        self.links
            .get()
            .and_then(|links| links.awaited_by.get())
            .is_some_and(|awaited_by| !awaited_by.bind(py).is_empty())
    }

    pub(crate) fn links(&self) -> &Links {
        self.links.get_or_init(Box::default)
    }

    #[inline]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.options.as_ref()?.deadline
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.options().timeout
    }
}
