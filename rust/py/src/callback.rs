//! What event loops, worker threads and timers call.

use crate::abort;
use crate::call::{drive, is_coroutine};
use crate::carrier::{Carrier, Settled};
use crate::family::Holder;
use crate::feed::{self, Job, Where};
use crate::grants::release;
use crate::handler::Called;
use crate::names;
use crate::stimulation::Stimulation;
use cnstra_core::Phase;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, intern};
use std::time::Instant;

enum Kind {
    /// The run's own loop, at its next pass.
    Wake,
    /// The run's time is up.
    TimeOut,
    /// A handler took longer than its `max_duration`.
    Expire { number: u64, task: Py<PyAny> },
    /// In a worker thread: call the handler.
    Offloaded { called: Called, arguments: Py<PyTuple> },
    /// A handler came back from its worker thread.
    Worker { called: Called, entered: Instant },
    /// A worker came back to a run whose loop is closed.
    Lost { called: Called },
}

/// One of these things, to be called once.
#[pyclass(frozen, module = "cnstra")]
pub(crate) struct Callback {
    stimulation: Py<Stimulation>,
    kind: Kind,
}

impl Callback {
    fn of(stim: &Bound<'_, Stimulation>, kind: Kind) -> Self {
        Self { stimulation: stim.clone().unbind(), kind }
    }

    pub(crate) fn wake(stim: &Bound<'_, Stimulation>) -> Self {
        Self::of(stim, Kind::Wake)
    }

    pub(crate) fn time_out(stim: &Bound<'_, Stimulation>) -> Self {
        Self::of(stim, Kind::TimeOut)
    }

    pub(crate) fn expire(stim: &Bound<'_, Stimulation>, number: u64, task: Py<PyAny>) -> Self {
        Self::of(stim, Kind::Expire { number, task })
    }

    pub(crate) fn offloaded(stim: &Bound<'_, Stimulation>, called: Called, arguments: Py<PyTuple>) -> Self {
        Self::of(stim, Kind::Offloaded { called, arguments })
    }

    pub(crate) fn worker(stim: &Bound<'_, Stimulation>, called: Called, entered: Instant) -> Self {
        Self::of(stim, Kind::Worker { called, entered })
    }

    pub(crate) fn lost(stim: &Bound<'_, Stimulation>, called: Called) -> Self {
        Self::of(stim, Kind::Lost { called })
    }
}

#[pymethods]
impl Callback {
    #[pyo3(signature = (*arguments))]
    fn __call__(&self, py: Python<'_>, arguments: &Bound<'_, PyTuple>) -> PyResult<Option<Py<PyAny>>> {
        let stim = self.stimulation.bind(py);
        match &self.kind {
            Kind::Wake => feed::wake(stim)?,
            Kind::TimeOut => abort::time_out(stim)?,
            Kind::Expire { number, task } => {
                stim.get().lock(stim.py()).more().expired.insert(*number);
                task.call_method0(py, intern!(py, "cancel"))?;
            }
            Kind::Offloaded { called, arguments } => {
                let handler = &stim.get().engine().handlers[called.dendrite as usize];
                // A run that the worker starts and waits for is awaited by this activation.
                let call = || handler.call.call1(py, arguments.bind(py));
                return drive(stim, called.number, call).map(Some);
            }
            Kind::Worker { called, entered } => {
                let error = arguments.get_item(1)?;
                let error = (!error.is_none()).then(|| error.unbind());
                let ended = {
                    let mut state = stim.get().lock(stim.py());
                    state.more().workers.remove(&called.number);
                    state.run.phase == Phase::Ended
                };
                if ended {
                    lost(stim, *called)?;
                } else {
                    let value = arguments.get_item(0)?.unbind();
                    let job = Job::Worker { called: *called, value, error, entered: *entered };
                    feed::feed(stim, Some(job), Where::Perhaps)?;
                }
            }
            Kind::Lost { called } => lost(stim, *called)?,
        }
        Ok(None)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.stimulation)?;
        match &self.kind {
            Kind::Wake | Kind::TimeOut | Kind::Worker { .. } | Kind::Lost { .. } => Ok(()),
            Kind::Expire { task, .. } => visit.call(task),
            Kind::Offloaded { arguments, .. } => visit.call(arguments),
        }
    }
}

/// A worker came back to a run that is given up: all that is left to do is to pass its slot on.
fn lost(stim: &Bound<'_, Stimulation>, called: Called) -> PyResult<()> {
    let engine = stim.get().engine();
    if let Some(slots) = engine.handlers[called.dendrite as usize].slots {
        release(stim.py(), engine, slots, Holder::new(stim, called.number))?;
    }
    stim.get().lock(stim.py()).more().workers.remove(&called.number);
    abort::abandon(stim)
}

/// A handler or listener goes on as a task.
pub(crate) fn watch(stim: &Bound<'_, Stimulation>, carrier: &Bound<'_, Carrier>, settled: Settled) -> PyResult<()> {
    let py = stim.py();
    let task = carrier.get().task(py)?;
    let (key, cancelled) = {
        let mut state = stim.get().lock(py);
        let cancelled = state.run.cancelled;
        let more = state.more();
        more.last_key += 1;
        let key = more.last_key;
        more.tasks.insert(key, task.clone().unbind());
        (key, cancelled)
    };
    carrier.get().watch(py, key, settled);
    if cancelled {
        task.call_method0(intern!(py, "cancel"))?;
    }
    Ok(())
}

/// The value as a coroutine, if it can be awaited.
#[inline]
pub(crate) fn as_coroutine<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if is_coroutine(value) {
        return Ok(Some(value.clone()));
    }
    let py = value.py();
    let coroutine = names::aio(py)?.getattr(intern!(py, "as_coroutine"))?.call1((value,))?;
    Ok((!coroutine.is_none()).then_some(coroutine))
}
