//! One run, as its caller and its handlers see it.

use crate::engine::{Engine, lock};
use crate::feed::{self, Job};
use crate::names;
use crate::options::Options;
use crate::signal::Signal;
use crate::task::{Cargo, TaskInfo};
use crate::{abort, call};
use cnstra_core::{Activation, Phase, Run, UNKNOWN};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySet, PyTuple, PyType};
use pyo3::{PyTraverseError, intern};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU8, Ordering};
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

/// One propagation of signals through a CNS.
#[pyclass(frozen, weakref, module = "cnstra")]
pub(crate) struct Stimulation {
    pub(crate) engine: Py<Engine>,
    pub(crate) options: Options,
    pub(crate) context: Py<PyAny>,
    pub(crate) max_hops: u32,
    pub(crate) deadline: Option<Instant>,
    thread: usize,
    host: OnceLock<Host>,
    store: OnceLock<Py<PyAny>>,
    outcome: AtomicU8,
    awaited_by: OnceLock<Py<PyDict>>,
    awaits: OnceLock<Py<PyDict>>,
    state: Mutex<State>,
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
        let state = State {
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
        };
        let store = OnceLock::new();
        if let Some(given) = &options.context_store {
            let _ = store.set(given.clone_ref(py));
        }
        let stimulation = Self {
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
            state: Mutex::new(state),
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

    fn tasks_of<'py>(
        &self,
        py: Python<'py>,
        choose: impl FnOnce(&Run<Cargo, Py<PyAny>>) -> Vec<&Activation<Cargo>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let infos: Vec<TaskInfo> = {
            let state = self.lock();
            choose(&state.run).into_iter().map(|activation| TaskInfo::of(py, activation)).collect()
        };
        let engine = self.engine.get();
        PyList::new(py, infos.iter().map(|info| info.to_task(py, engine)).collect::<PyResult<Vec<_>>>()?)
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

    /// Reserve an activation for each task; to be appended when all of them are.
    pub(crate) fn reserve_all(state: &mut State, engine: &Engine, found: Vec<Found>) {
        let graph = &engine.graph;
        let mut reserved = Vec::with_capacity(found.len());
        for Found { dendrite, hop, cargo, joined } in found {
            let mut activation = state.run.reserve(graph, dendrite, cargo, 0, hop);
            if !joined.is_empty() {
                let part = |part: Found| Activation {
                    number: 0,
                    cause: 0,
                    hop: part.hop,
                    dendrite: part.dendrite,
                    signal: part.cargo,
                    joined: None,
                };
                activation.joined = Some(Box::new(joined.into_iter().map(part).collect()));
            }
            reserved.push(activation);
        }
        for activation in reserved {
            state.run.append(graph, activation);
        }
    }

    pub(crate) fn current_number(&self) -> u64 {
        self.lock().run.current().map_or(0, |activation| activation.number)
    }
}

/// A task that was given, looked up in the graph.
pub(crate) struct Found {
    dendrite: u32,
    hop: u32,
    cargo: Cargo,
    joined: Vec<Self>,
}

impl Found {
    pub(crate) fn of(engine: &Engine, task: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = task.py();
        let dendrite = engine.find(task)?;
        let hop = task.getattr(intern!(py, "hop"))?.extract().unwrap_or(u32::MAX - 1);
        if dendrite == UNKNOWN {
            return Ok(Self { dendrite, hop, cargo: Cargo::Unknown(task.clone().unbind()), joined: Vec::new() });
        }
        let signal = task.getattr(intern!(py, "signal"))?.cast_into::<Signal>()?.unbind();
        let joined = task.getattr(intern!(py, "joined"))?.cast_into::<PyTuple>()?;
        let joined = joined.iter().map(|part| Self::of(engine, &part)).collect::<PyResult<_>>()?;
        Ok(Self { dendrite, hop, cargo: Cargo::Signal(signal), joined })
    }
}

#[pymethods]
impl Stimulation {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyAny>, _kwargs: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Err(PyTypeError::new_err("a Stimulation is made by cns.stimulate(signal) or cns.activate(tasks)"))
    }

    #[classmethod]
    #[pyo3(signature = (**_options))]
    fn __init_subclass__(_cls: &Bound<'_, PyType>, _options: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        Err(PyTypeError::new_err("Stimulation is final and cannot be subclassed"))
    }

    #[getter]
    fn cns(&self, py: Python<'_>) -> Py<Engine> {
        self.engine.clone_ref(py)
    }

    #[getter]
    fn outcome(&self) -> &'static str {
        match self.outcome_now() {
            Outcome::Running => "running",
            Outcome::Completed => "completed",
            Outcome::Failed => "failed",
            Outcome::Aborted => "aborted",
        }
    }

    #[getter]
    fn context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.store(py)
    }

    #[getter]
    fn stimulation_context(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.options.stimulation_context.as_ref().map(|value| value.clone_ref(py))
    }

    #[getter]
    fn modality(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.options.modality.as_ref().map(|value| value.clone_ref(py))
    }

    #[getter]
    fn afferent_path(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.options.afferent_path.as_ref().map(|value| value.clone_ref(py))
    }

    #[getter]
    fn activation_tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.tasks_of(py, Run::unfinished)
    }

    #[getter]
    fn outstanding_tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.tasks_of(py, Run::frontier)
    }

    #[getter]
    fn failed_tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.observe(py)?;
        let (failures, exception) = {
            let state = self.lock();
            let failures: Vec<(TaskInfo, Option<Py<PyAny>>)> = (state.run.failures().iter())
                .map(|failure| {
                    let error = failure.error.as_ref().map(|error| error.clone_ref(py));
                    (TaskInfo::of(py, &failure.activation), error)
                })
                .collect();
            (failures, state.exception.as_ref().map(|error| error.clone_ref(py)))
        };
        let aborted = match exception {
            Some(exception) => exception.into_bound(py),
            None => self.aborted_error(py)?,
        };
        let engine = self.engine.get();
        let kind = names::stimulation(py)?.getattr(intern!(py, "TaskFailure"))?;
        let made = failures.into_iter().map(|(info, error)| {
            let undone = error.is_none();
            let error = error.map_or_else(|| aborted.clone(), |error| error.into_bound(py));
            kind.call1((info.to_task(py, engine)?, error, undone))
        });
        PyList::new(py, made.collect::<PyResult<Vec<_>>>()?)
    }

    fn done(&self) -> bool {
        self.is_done()
    }

    fn exception(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if !self.is_done() {
            return Err(names::fault(py, "still_running", ()));
        }
        self.observe(py)?;
        Ok(self.lock().exception.as_ref().map(|error| error.clone_ref(py)))
    }

    fn raise_for_failure(&self, py: Python<'_>) -> PyResult<()> {
        match self.exception(py)? {
            Some(error) => Err(PyErr::from_value(error.into_bound(py))),
            None => Ok(()),
        }
    }

    #[pyo3(signature = (reason = None))]
    fn abort(slf: &Bound<'_, Self>, reason: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let reason = reason.map(Bound::unbind);
        if slf.get().is_here(slf.py())? {
            abort::abort_by(slf, reason)
        } else {
            feed::feed_or_abandon(slf, Some(Job::Abort(reason)))
        }
    }

    #[pyo3(signature = (reason = None))]
    fn cancel(slf: &Bound<'_, Self>, reason: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let reason = reason.map(Bound::unbind);
        if slf.get().is_here(slf.py())? {
            abort::cancel_by(slf, reason, false)
        } else {
            feed::feed_or_abandon(slf, Some(Job::Cancel(reason)))
        }
    }

    #[pyo3(signature = (tasks, /))]
    fn enqueue(slf: &Bound<'_, Self>, tasks: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let engine = this.engine.get();
        let tasks = Engine::check_tasks(py, tasks)?;
        let found = tasks.iter().map(|task| Found::of(engine, task)).collect::<PyResult<Vec<_>>>()?;
        {
            let mut state = this.lock();
            if state.run.phase == Phase::Ended || state.run.pending() + state.run.active() == 0 {
                drop(state);
                return Err(names::fault(py, "nothing_to_enqueue_to", ()));
            }
            Self::reserve_all(&mut state, engine, found);
        }
        if tasks.is_empty() { Ok(()) } else { feed::feed_or_abandon(slf, None) }
    }

    fn __await__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        names::aio(py)?.getattr(intern!(py, "await_run"))?.call1((slf,))
    }

    fn __repr__(&self) -> String {
        let outcome = self.outcome();
        if self.is_done() {
            return format!("<Stimulation {outcome}>");
        }
        let state = self.lock();
        format!("<Stimulation {outcome}, {} pending, {} active>", state.run.pending(), state.run.active())
    }

    fn __reduce__(&self) -> PyResult<()> {
        let message =
            format!("{} cannot be pickled: dump its outstanding_tasks with cns.network.dump(task)", self.__repr__());
        Err(PyTypeError::new_err(message))
    }

    // -- for the rest of the package

    fn _begin(slf: &Bound<'_, Self>) -> PyResult<()> {
        crate::drive::begin(slf)
    }

    /// Call back with the run when it has ended, on its own thread; at once if it has. Returns what undoes this.
    fn _on_end(slf: &Bound<'_, Self>, callback: Bound<'_, PyAny>) -> PyResult<Forget> {
        let this = slf.get();
        let key = {
            let mut state = this.lock();
            state.last_key += 1;
            let key = state.last_key;
            if !this.is_done() {
                state.on_ended.push((key, callback.clone().unbind()));
                drop(state);
                return Ok(Forget { stimulation: slf.clone().unbind(), key });
            }
            key
        };
        callback.call1((slf,))?;
        Ok(Forget { stimulation: slf.clone().unbind(), key })
    }

    fn _abort_by(slf: &Bound<'_, Self>, reason: Py<PyAny>) -> PyResult<()> {
        abort::abort_by(slf, Some(reason))
    }

    fn _time_out(slf: &Bound<'_, Self>) -> PyResult<()> {
        abort::time_out(slf)
    }

    fn _abandon(slf: &Bound<'_, Self>) -> PyResult<()> {
        abort::abandon(slf)
    }

    fn _begin_await(slf: &Bound<'_, Self>, owner: &Bound<'_, PyAny>) -> PyResult<()> {
        names::deadlock(slf.py())?.getattr("begin_await")?.call1((slf, owner)).map(drop)
    }

    fn _end_await(slf: &Bound<'_, Self>, owner: &Bound<'_, PyAny>) -> PyResult<()> {
        names::deadlock(slf.py())?.getattr("end_await")?.call1((slf, owner)).map(drop)
    }

    #[getter]
    fn _awaited_by(&self, py: Python<'_>) -> Py<PyDict> {
        self.awaited_by.get_or_init(|| PyDict::new(py).unbind()).clone_ref(py)
    }

    #[getter]
    fn _awaits(&self, py: Python<'_>) -> Py<PyDict> {
        self.awaits.get_or_init(|| PyDict::new(py).unbind()).clone_ref(py)
    }

    /// The activations that wait for a slot, each with who holds those slots.
    fn _waiters<'py>(&self, py: Python<'py>) -> PyResult<Vec<(u64, Bound<'py, PySet>)>> {
        let waiting: Vec<(u64, u32)> = {
            let state = self.lock();
            state.run.waiting().map(|(activation, _)| (activation.number, activation.dendrite)).collect()
        };
        let mut found = Vec::new();
        for (number, dendrite) in waiting {
            if let Some(slots) = self.engine.get().handlers[dendrite as usize].slots {
                found.push((number, held_by(py, self.engine.get(), slots)?));
            }
        }
        Ok(found)
    }

    fn _doom(slf: &Bound<'_, Self>, number: u64) -> PyResult<()> {
        crate::slots::doom(slf, number)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.engine)?;
        visit.call(&self.context)?;
        self.options.visit(visit)?;
        visit.call(self.host.get().map(|host| &host.object))?;
        visit.call(self.store.get())?;
        visit.call(self.awaited_by.get())?;
        visit.call(self.awaits.get())?;
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        state.visit(visit)
    }

    fn __clear__(&self) {
        let cleared = {
            let mut state = self.lock();
            let state = &mut *state;
            (
                std::mem::take(&mut state.fed),
                std::mem::take(&mut state.tasks),
                std::mem::take(&mut state.on_ended),
                (state.entry.take(), state.exception.take(), state.reason.take(), state.controller.take()),
                (state.guard.take(), state.timer.take(), state.forget_signal.take()),
                std::mem::take(&mut state.errors),
                std::mem::replace(&mut state.run, Run::new(&self.engine.get().graph, None)),
            )
        };
        drop(cleared);
    }
}

impl State {
    fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
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

/// Who holds these slots, as the await graph wants it: a set of (stimulation, number).
pub(crate) fn held_by<'py>(py: Python<'py>, engine: &Engine, slots: u32) -> PyResult<Bound<'py, PySet>> {
    let holders: Vec<(Py<Stimulation>, u64)> = {
        let slots = lock(&engine.slots[slots as usize]);
        slots.holders().map(|holder| (holder.stimulation.clone_ref(py), holder.number)).collect()
    };
    let set = PySet::empty(py)?;
    for holder in holders {
        set.add(holder)?;
    }
    Ok(set)
}

impl Stimulation {
    /// Whether a handler's own task waits for this run.
    pub(crate) fn is_awaited(&self, py: Python<'_>) -> bool {
        self.awaited_by.get().is_some_and(|awaited_by| !awaited_by.bind(py).is_empty())
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.options.timeout
    }
}

/// Takes an `_on_end` callback back.
#[pyclass(frozen, module = "cnstra")]
pub(crate) struct Forget {
    stimulation: Py<Stimulation>,
    key: u64,
}

#[pymethods]
impl Forget {
    fn __call__(&self) {
        let forgotten = {
            let mut state = self.stimulation.get().lock();
            let place = state.on_ended.iter().position(|(key, _)| *key == self.key);
            place.map(|place| state.on_ended.remove(place))
        };
        drop(forgotten);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.stimulation)
    }
}
