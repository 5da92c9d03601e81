//! How an activation is entered and how it ends (S4, S9, S13).

use crate::abort::{abort_here, check_deadline};
use crate::announce::{Answered, announce};
use crate::callback::{self, Callback, watch};
use crate::engine::{Engine, Holder, items};
use crate::handler::{Called, Handler};
use crate::names;
use crate::signal::Signal;
use crate::slots::release;
use crate::stimulation::Stimulation;
use crate::task::{Cargo, TaskInfo};
use cnstra_core::Activation;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PySystemExit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyTuple};
use std::time::Instant;

/// What became of a coroutine's first step; `aio.Step`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Finished,
    Failed,
    Cancelled,
    Suspended,
}

impl Step {
    pub(crate) fn of(step: &Bound<'_, PyAny>) -> PyResult<Self> {
        static STEPS: PyOnceLock<[Py<PyAny>; 4]> = PyOnceLock::new();
        let py = step.py();
        let steps = STEPS.get_or_try_init(py, || {
            let steps = names::aio(py)?.getattr("Step")?;
            let get = |name: &str| steps.getattr(name).map(Bound::unbind);
            PyResult::Ok([get("FINISHED")?, get("FAILED")?, get("CANCELLED")?, get("SUSPENDED")?])
        })?;
        let all = [Self::Finished, Self::Failed, Self::Cancelled, Self::Suspended];
        let found = steps.iter().zip(all).find(|(known, _)| known.is(step));
        Ok(found.map_or(Self::Failed, |(_, step)| step))
    }
}

/// Call the handler of an activation that has been entered, and settle it unless it goes on.
#[inline]
pub(crate) fn enter(
    stim: &Bound<'_, Stimulation>,
    handler: &Handler,
    signal: &Bound<'_, Signal>,
    called: Called,
) -> PyResult<()> {
    let py = stim.py();
    let entered = handler.max_duration.map(|_| Instant::now());
    let mut result = if handler.is_async && stim.get().host(py)?.blocking {
        Err(names::fault(py, "no_event_loop", (&handler.name, handler.collateral_name())))
    } else if handler.offload && !handler.is_async {
        match offload(stim, handler, signal, &called) {
            Ok(()) => return Ok(()),
            Err(error) => Err(error),
        }
    } else {
        handler.invoke(stim, signal, &called)
    };
    if let Ok(value) = &result
        && !is_answer(value)
    {
        match go_on(stim, handler, &called, value, entered) {
            Ok(Some(finished)) => result = finished,
            Ok(None) => return Ok(()),
            Err(error) => result = Err(error),
        }
    }
    if let Err(error) = result {
        if !error.is_instance_of::<PyException>(py) {
            if !names::is_cancellation(py, &error) {
                leave_undone(stim, handler, &called)?;
                return Err(error);
            }
            result = Err(handler_cancelled(py, handler, error));
        } else {
            result = Err(error);
        }
    }
    let result = late(py, handler, entered, result);
    settle(stim, handler, &called, result)
}

/// Whether a value is what a handler may answer with, rather than something to be awaited.
#[inline]
fn is_answer(value: &Bound<'_, PyAny>) -> bool {
    value.is_none()
        || value.is_exact_instance_of::<Signal>()
        || value.is_instance_of::<PyList>()
        || value.is_instance_of::<PyTuple>()
}

/// What could not be interrupted fails after the fact (S13).
fn late<'py>(
    py: Python<'py>,
    handler: &Handler,
    entered: Option<Instant>,
    result: PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    match (handler.max_duration, entered) {
        (Some(limit), Some(entered)) if entered.elapsed().as_secs_f64() > limit => {
            let late = names::fault(py, "max_duration", (&handler.name, handler.collateral_name(), limit));
            late.set_cause(py, result.err());
            Err(late)
        }
        _ => result,
    }
}

fn handler_cancelled(py: Python<'_>, handler: &Handler, error: PyErr) -> PyErr {
    let wrapped = names::fault(py, "handler_cancelled", (&handler.name, handler.collateral_name()));
    wrapped.set_cause(py, Some(error));
    wrapped
}

/// A handler gave something to be awaited: run its first step. What it finished with, or `None` if it goes on as a task.
fn go_on<'py>(
    stim: &Bound<'py, Stimulation>,
    handler: &Handler,
    called: &Called,
    value: &Bound<'py, PyAny>,
    entered: Option<Instant>,
) -> PyResult<Option<PyResult<Bound<'py, PyAny>>>> {
    let (py, this) = (stim.py(), stim.get());
    let Some(coroutine) = callback::as_coroutine(value)? else { return Ok(Some(Ok(value.clone()))) };
    if this.host(py)?.blocking {
        coroutine.call_method0(intern!(py, "close"))?;
        return Ok(Some(Err(names::fault(py, "no_event_loop", (&handler.name, handler.collateral_name())))));
    }
    let (step, value) = callback::start(stim, &coroutine, called.number)?;
    match step {
        Step::Finished => Ok(Some(Ok(value))),
        Step::Failed => Ok(Some(Err(PyErr::from_value(value)))),
        Step::Cancelled => {
            abort_here(stim, Some(value.unbind()), false)?;
            leave_undone(stim, handler, called)?;
            Ok(None)
        }
        Step::Suspended => {
            this.lock().run.suspend();
            let timer = match (handler.max_duration, entered) {
                (Some(limit), Some(entered)) => {
                    let left = (limit - entered.elapsed().as_secs_f64()).max(0.0);
                    let expire = Py::new(py, Callback::expire(stim, called.number, value.clone().unbind()))?;
                    let host = &this.host(py)?.object;
                    Some(host.call_method1(py, intern!(py, "call_later"), (left, expire))?)
                }
                _ => None,
            };
            watch(stim, &value, |key| Callback::handler(stim, key, called.copy(py), timer))?;
            Ok(None)
        }
    }
}

fn offload(
    stim: &Bound<'_, Stimulation>,
    handler: &Handler,
    signal: &Bound<'_, Signal>,
    called: &Called,
) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let arguments = handler.arguments(stim, signal, called)?.unbind();
    let call = Py::new(py, Callback::offloaded(stim, called.copy(py), arguments))?;
    let done = Py::new(py, Callback::worker(stim, called.copy(py), Instant::now()))?;
    let lost = Py::new(py, Callback::lost(stim, called.copy(py)))?;
    let host = this.host(py)?;
    {
        let mut state = this.lock();
        state.run.suspend();
        state.workers.insert(called.number);
    }
    let offloaded = host.object.call_method1(py, intern!(py, "offload"), (call, done, lost));
    if offloaded.is_err() {
        let mut state = this.lock();
        state.workers.remove(&called.number);
        state.run.unsuspend(called.number);
    }
    offloaded.map(drop)
}

/// A handler that had gone on as a task is done.
pub(crate) fn finish_task(stim: &Bound<'_, Stimulation>, called: &Called, task: &Bound<'_, PyAny>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let handler = &this.engine.get().handlers[called.dendrite as usize];
    let mut result = task.call_method0(intern!(py, "result"));
    let (expired, cancelled) = {
        let mut state = this.lock();
        (state.expired.remove(&called.number), state.run.cancelled)
    };
    if let (true, Some(limit)) = (expired, handler.max_duration) {
        result = Err(names::fault(py, "max_duration", (&handler.name, handler.collateral_name(), limit)));
    }
    match result {
        Err(error) if !error.is_instance_of::<PyException>(py) && !cancelled => {
            if !names::is_cancellation(py, &error) {
                return break_off(stim, handler, called, error);
            }
            if task.call_method0(intern!(py, "cancelling"))?.is_truthy()? {
                abort_here(stim, Some(names::exception(py, &error)), false)?;
                return leave_undone(stim, handler, called);
            }
            settle(stim, handler, called, Err(handler_cancelled(py, handler, error)))
        }
        Err(error) if !error.is_instance_of::<PyException>(py) && !names::is_cancellation(py, &error) => {
            break_off(stim, handler, called, error)
        }
        result => settle(stim, handler, called, result),
    }
}

/// A handler has come back from its worker thread; what it returned may still have to be awaited (S4).
pub(crate) fn finish_worker(
    stim: &Bound<'_, Stimulation>,
    called: Called,
    value: Py<PyAny>,
    error: Option<Py<PyAny>>,
    entered: Instant,
) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let handler = &this.engine.get().handlers[called.dendrite as usize];
    let mut result = match error {
        None => Ok(value.into_bound(py)),
        Some(error) => Err(PyErr::from_value(error.into_bound(py))),
    };
    let cancelled = this.lock().run.cancelled;
    if let (Ok(value), true) = (&result, cancelled) {
        // Nobody will await what it may have returned.
        names::aio(py)?.getattr(intern!(py, "discard"))?.call1((value,))?;
    }
    if let (Ok(value), false) = (&result, cancelled)
        && !is_answer(value)
    {
        match go_on(stim, handler, &called, value, Some(entered)) {
            Ok(Some(finished)) => result = finished,
            Ok(None) => return Ok(()),
            Err(error) => result = Err(error),
        }
    }
    if let Err(error) = result {
        if error.is_instance_of::<PyException>(py) {
            result = Err(error);
        } else if names::is_cancellation(py, &error) {
            result = Err(handler_cancelled(py, handler, error));
        } else {
            return break_off(stim, handler, &called, error);
        }
    }
    settle(stim, handler, &called, late(py, handler, Some(entered), result))
}

/// S9: what is no ordinary exception aborts the run and goes on to whoever drives it.
fn break_off(stim: &Bound<'_, Stimulation>, handler: &Handler, called: &Called, error: PyErr) -> PyResult<()> {
    let py = stim.py();
    leave_undone(stim, handler, called)?;
    abort_here(stim, Some(names::exception(py, &error)), false)?;
    // asyncio lets these two out of the loop itself when a task raises them.
    let is_out = error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<PySystemExit>(py);
    if is_out && !stim.get().host(py)?.blocking { Ok(()) } else { Err(error) }
}

/// What a handler returned, checked whole before any of it is emitted (S4): signals with their collaterals' numbers.
enum Answer<'py> {
    None,
    One((Bound<'py, Signal>, Option<u32>)),
    Many(Vec<(Bound<'py, Signal>, Option<u32>)>),
}

impl<'py> Answer<'py> {
    #[inline]
    fn of(engine: &Engine, handler: &Handler, value: Bound<'py, PyAny>) -> PyResult<Self> {
        if value.is_none() {
            return Ok(Self::None);
        }
        if value.is_exact_instance_of::<Signal>() {
            return Self::check(engine, handler, value, None).map(Self::One);
        }
        let Some(items) = items(&value) else {
            return Err(Self::invalid(handler, &value, None));
        };
        let checked = items.into_iter().enumerate().map(|(at, item)| Self::check(engine, handler, item, Some(at)));
        checked.collect::<PyResult<_>>().map(Self::Many)
    }

    #[inline]
    fn check(
        engine: &Engine,
        handler: &Handler,
        value: Bound<'py, PyAny>,
        place: Option<usize>,
    ) -> PyResult<(Bound<'py, Signal>, Option<u32>)> {
        let signal = match value.cast_into_exact::<Signal>() {
            Ok(signal) => signal,
            Err(error) => return Err(Self::invalid(handler, &error.into_inner(), place)),
        };
        let number = engine.number_of(&signal.get().collateral);
        let owned = number.is_some_and(|number| engine.graph.owner_of(number) == Some(handler.number));
        if !owned && engine.enforce_ownership {
            let foreign = &signal.get().collateral.get().name;
            return Err(names::fault(signal.py(), "not_owned", (&handler.name, foreign)));
        }
        Ok((signal, number))
    }

    #[cold]
    fn invalid(handler: &Handler, value: &Bound<'_, PyAny>, place: Option<usize>) -> PyErr {
        names::fault(value.py(), "invalid_response", (&handler.name, handler.collateral_name(), value, place))
    }

    #[inline]
    fn signals(&self) -> &[(Bound<'py, Signal>, Option<u32>)] {
        match self {
            Self::None => &[],
            Self::One(signal) => std::slice::from_ref(signal),
            Self::Many(signals) => signals,
        }
    }
}

/// A handler has finished: take its activation out of the frontier, announce it, append what it caused (S4, S5).
#[inline]
fn settle<'py>(
    stim: &Bound<'py, Stimulation>,
    handler: &Handler,
    called: &Called,
    result: PyResult<Bound<'py, PyAny>>,
) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine.get();
    let graph = &engine.graph;
    let quiet = engine.response_listeners.is_empty() && !this.options.has_local_listener();
    let answer = result.and_then(|value| Answer::of(engine, handler, value));
    let mut state = this.lock();
    if state.run.cancelled {
        drop(state);
        return leave_undone(stim, handler, called);
    }
    match answer {
        Ok(answer) if quiet => {
            let settled = take(&mut state.run, called);
            for (signal, number) in answer.signals() {
                if let Some(number) = *number {
                    let cargo = || Cargo::Signal(signal.clone().unbind());
                    state.run.emit_now(graph, number, cargo, called.number, called.hop + 1);
                }
            }
            state.run.leave(graph, called.dendrite);
            drop(state);
            drop(settled);
        }
        answer => {
            drop(state);
            settle_aloud(stim, handler, called, answer)?;
        }
    }
    if let Some(slots) = handler.slots {
        release(py, engine, slots, Holder::new(stim, called.number))?;
    }
    check_deadline(stim)
}

#[inline]
fn take(run: &mut cnstra_core::Run<Cargo, Py<PyAny>>, called: &Called) -> Option<Activation<Cargo>> {
    if run.current().is_some_and(|current| current.number == called.number) {
        run.settle_current()
    } else {
        run.settle_suspended(called.number)
    }
}

/// The same, with an error or for listeners.
fn settle_aloud<'py>(
    stim: &Bound<'py, Stimulation>,
    handler: &Handler,
    called: &Called,
    answer: PyResult<Answer<'py>>,
) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine.get();
    let error = match &answer {
        Ok(_) => None,
        Err(error) => {
            let error = names::exception(py, error).into_bound(py);
            let arguments = (&error, &handler.name, handler.collateral_name(), called.hop);
            names::worded(py, "annotate", arguments)?;
            Some(error.unbind())
        }
    };
    let answer = answer.unwrap_or(Answer::None);
    let mut counts = Vec::with_capacity(answer.signals().len());
    let settled = {
        let mut state = this.lock();
        let settled = take(&mut state.run, called);
        for (signal, number) in answer.signals() {
            let cargo = || Cargo::Signal(signal.clone().unbind());
            let graph = &engine.graph;
            counts.push(number.map_or(0, |number| state.run.emit(graph, number, cargo, called.number, called.hop + 1)));
        }
        settled
    };
    let cargo = settled.as_ref().map(|settled| settled.signal.clone_ref(py));
    if let (Some(error), Some(settled)) = (&error, settled) {
        let mut state = this.lock();
        state.errors.push(error.clone_ref(py));
        state.run.fail(settled, Some(error.clone_ref(py)));
    }
    let info = cargo.map(|cargo| called.info(py, cargo));
    let answered = info.map(|info| Answered { info, neuron: handler.neuron.clone_ref(py) });
    announce(stim, answered.as_ref(), answer.signals(), &counts, error.as_ref())?;
    this.lock().run.leave(&engine.graph, called.dendrite);
    Ok(())
}

/// It was entered but does not count as finished: it stays in the frontier as aborted (S9, S10).
fn leave_undone(stim: &Bound<'_, Stimulation>, handler: &Handler, called: &Called) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine.get();
    {
        let mut state = this.lock();
        if let Some(activation) = take(&mut state.run, called) {
            state.run.fail(activation, None);
        }
        state.run.leave(&engine.graph, called.dendrite);
    }
    match handler.slots {
        Some(slots) => release(py, engine, slots, Holder::new(stim, called.number)),
        None => Ok(()),
    }
}

/// An activation fails without having been entered: its dendrite is unknown, it lies too far from the entry, or it
/// would wait for its slot for ever (S12, S14, S17).
pub(crate) fn refuse(
    stim: &Bound<'_, Stimulation>,
    activation: Activation<Cargo>,
    error: Option<Py<PyAny>>,
) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine.get();
    let info = TaskInfo::of(py, &activation);
    let (dendrite, hop) = (activation.dendrite, activation.hop);
    let (neuron, name, collateral, error) = match &activation.signal {
        Cargo::Unknown(task) => {
            let task = task.bind(py);
            let neuron = task.getattr(intern!(py, "neuron"))?;
            let name = neuron.getattr(intern!(py, "name"))?;
            let collateral = task.getattr(intern!(py, "signal"))?.getattr(intern!(py, "collateral_name"))?;
            let place = task.getattr(intern!(py, "dendrite"))?;
            let error = names::fault(py, "unknown_subscriber", (&name, &collateral, place));
            (neuron.unbind(), name.unbind(), collateral.unbind(), error)
        }
        Cargo::Signal(_) => {
            let handler = &engine.handlers[dendrite as usize];
            let (name, collateral) = (&handler.name, handler.collateral_name());
            let error = match error {
                Some(error) => PyErr::from_value(error.into_bound(py)),
                None => names::fault(py, "max_hops", (name, collateral, hop, this.max_hops)),
            };
            (handler.neuron.clone_ref(py), name.clone_ref(py).into_any(), collateral.clone_ref(py).into_any(), error)
        }
    };
    let error = error.into_value(py).into_any();
    names::worded(py, "annotate", (&error, name, collateral, hop))?;
    {
        let mut state = this.lock();
        state.run.settle_pending();
        state.errors.push(error.clone_ref(py));
        state.run.fail(activation, Some(error.clone_ref(py)));
    }
    announce(stim, Some(&Answered { info, neuron }), &[], &[], Some(&error))?;
    this.lock().run.leave(&engine.graph, dendrite);
    check_deadline(stim)
}
