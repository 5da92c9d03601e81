//! How a handler is called, and how it comes back: with a value, as a task, from another thread (S13, S20).

use crate::abort::abort_here;
use crate::callback::{Callback, as_coroutine, watch};
use crate::carrier::Settled;
use crate::feed::{Ended, How};
use crate::handler::{Called, Handler};
use crate::names;
use crate::settle::{leave_undone, settle, settle_signal};
use crate::signal::Signal;
use crate::starter::{Starter, Step};
use crate::stimulation::Stimulation;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PySystemExit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::time::Instant;

/// Call the handler of an activation that has been entered, and settle it unless it goes on.
#[inline]
pub(crate) fn enter<'py>(
    stim: &Bound<'py, Stimulation>,
    handler: &Handler,
    signal: &Bound<'py, Signal>,
    called: Called,
) -> PyResult<()> {
    if handler.is_plain {
        match handler.invoke(stim, signal, called) {
            Ok(value) if value.is_none() => settle_signal(stim, handler, called, None),
            Ok(value) => match value.cast_into_exact::<Signal>() {
                Ok(signal) => settle_signal(stim, handler, called, Some(signal)),
                Err(other) => conclude(stim, handler, called, None, Ok(other.into_inner())),
            },
            Err(error) => conclude(stim, handler, called, None, Err(error)),
        }
    } else {
        enter_slowly(stim, handler, signal, called)
    }
}

/// The same for what takes more than a call.
#[inline(never)]
fn enter_slowly<'py>(
    stim: &Bound<'py, Stimulation>,
    handler: &Handler,
    signal: &Bound<'py, Signal>,
    called: Called,
) -> PyResult<()> {
    let py = stim.py();
    let entered = handler.max_duration.map(|_| Instant::now());
    let result = if handler.is_async && stim.get().host(py)?.is_blocking() {
        Err(names::fault(py, "no_event_loop", (&handler.name, handler.collateral_name())))
    } else if handler.offload && !handler.is_async {
        match offload(stim, handler, signal, called) {
            Ok(()) => return Ok(()),
            Err(error) => Err(error),
        }
    } else {
        handler.invoke(stim, signal, called)
    };
    conclude(stim, handler, called, entered, result)
}

/// A handler came back on the stack on which it was entered.
#[inline(never)]
fn conclude<'py>(
    stim: &Bound<'py, Stimulation>,
    handler: &Handler,
    called: Called,
    entered: Option<Instant>,
    result: PyResult<Bound<'py, PyAny>>,
) -> PyResult<()> {
    let py = stim.py();
    let mut result = result;
    if let Ok(value) = &result
        && !is_answer(value)
    {
        match go_on(stim, handler, called, value, entered) {
            Ok(Some(finished)) => result = finished,
            Ok(None) => return Ok(()),
            Err(error) => result = Err(error),
        }
    }
    if let Err(error) = result {
        if !error.is_instance_of::<PyException>(py) {
            if !names::is_cancellation(py, &error) {
                leave_undone(stim, handler, called)?;
                return Err(error);
            }
            result = Err(handler_cancelled(py, handler, error));
        } else {
            result = Err(error);
        }
    }
    let result = late(py, handler, entered, result);
    settle(stim, handler, called, result)
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
    called: Called,
    value: &Bound<'py, PyAny>,
    entered: Option<Instant>,
) -> PyResult<Option<PyResult<Bound<'py, PyAny>>>> {
    let (py, this) = (stim.py(), stim.get());
    let Some(coroutine) = as_coroutine(value)? else { return Ok(Some(Ok(value.clone()))) };
    let Some(starter) = &this.host(py)?.starter else {
        coroutine.call_method0(intern!(py, "close"))?;
        return Ok(Some(Err(names::fault(py, "no_event_loop", (&handler.name, handler.collateral_name())))));
    };
    match Starter::start(starter.bind(py), stim, &coroutine, called.number)? {
        Step::Finished(value) => Ok(Some(Ok(value))),
        Step::Failed(error) => Ok(Some(Err(error))),
        Step::Cancelled(error) => {
            abort_here(stim, Some(error.into_value(py).into_any()), false)?;
            leave_undone(stim, handler, called)?;
            Ok(None)
        }
        Step::Suspended(carrier) => {
            this.lock(py).run.suspend();
            let timer = match (handler.max_duration, entered) {
                (Some(limit), Some(entered)) => {
                    let left = (limit - entered.elapsed().as_secs_f64()).max(0.0);
                    let task = carrier.get().task(py)?.unbind();
                    let expire = Py::new(py, Callback::expire(stim, called.number, task))?;
                    let host = &this.host(py)?.object;
                    Some(host.call_method1(py, intern!(py, "call_later"), (left, expire))?)
                }
                _ => None,
            };
            watch(stim, &carrier, Settled::Handler { called, timer })?;
            Ok(None)
        }
    }
}

fn offload(
    stim: &Bound<'_, Stimulation>,
    handler: &Handler,
    signal: &Bound<'_, Signal>,
    called: Called,
) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let arguments = handler.arguments(stim, signal, called)?.unbind();
    let call = Py::new(py, Callback::offloaded(stim, called, arguments))?;
    let done = Py::new(py, Callback::worker(stim, called, Instant::now()))?;
    let lost = Py::new(py, Callback::lost(stim, called))?;
    let host = this.host(py)?;
    {
        let mut state = this.lock(py);
        state.run.suspend();
        state.more().workers.insert(called.number);
    }
    let offloaded = host.object.call_method1(py, intern!(py, "offload"), (call, done, lost));
    if offloaded.is_err() {
        let mut state = this.lock(py);
        state.more().workers.remove(&called.number);
        state.run.unsuspend(called.number);
    }
    offloaded.map(drop)
}

/// A handler that had gone on as a task has ended.
pub(crate) fn finish_task(stim: &Bound<'_, Stimulation>, called: Called, ended: Ended) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let handler = &this.engine().handlers[called.dendrite as usize];
    let value = ended.value.into_bound(py);
    let (expired, cancelled) = {
        let mut state = this.lock(py);
        (state.more().expired.remove(&called.number), state.run.cancelled)
    };
    let error = match (handler.max_duration, ended.how) {
        (Some(limit), _) if expired => {
            names::fault(py, "max_duration", (&handler.name, handler.collateral_name(), limit))
        }
        (_, How::Returned) => {
            return settle(stim, handler, called, Ok(value));
        }
        _ => PyErr::from_value(value),
    };
    if error.is_instance_of::<PyException>(py) {
        return settle(stim, handler, called, Err(error));
    }
    if !names::is_cancellation(py, &error) {
        return break_off(stim, handler, called, error);
    }
    if cancelled {
        return settle(stim, handler, called, Err(error));
    }
    if ended.how == How::Cancelled {
        abort_here(stim, Some(names::exception(py, &error)), false)?;
        return leave_undone(stim, handler, called);
    }
    settle(stim, handler, called, Err(handler_cancelled(py, handler, error)))
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
    let handler = &this.engine().handlers[called.dendrite as usize];
    let mut result = match error {
        None => Ok(value.into_bound(py)),
        Some(error) => Err(PyErr::from_value(error.into_bound(py))),
    };
    let cancelled = this.lock(py).run.cancelled;
    if let (Ok(value), true) = (&result, cancelled) {
        // Nobody will await what it may have returned.
        names::aio(py)?.getattr(intern!(py, "discard"))?.call1((value,))?;
    }
    if let (Ok(value), false) = (&result, cancelled)
        && !is_answer(value)
    {
        match go_on(stim, handler, called, value, Some(entered)) {
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
            return break_off(stim, handler, called, error);
        }
    }
    settle(stim, handler, called, late(py, handler, Some(entered), result))
}

/// S9: what is no ordinary exception aborts the run and goes on to whoever drives it.
fn break_off(stim: &Bound<'_, Stimulation>, handler: &Handler, called: Called, error: PyErr) -> PyResult<()> {
    let py = stim.py();
    leave_undone(stim, handler, called)?;
    abort_here(stim, Some(names::exception(py, &error)), false)?;
    // asyncio lets these two out of the loop itself when a task raises them.
    let is_out = error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<PySystemExit>(py);
    if is_out && !stim.get().host(py)?.is_blocking() { Ok(()) } else { Err(error) }
}
