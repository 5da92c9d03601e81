//! How a run is fed (S3): in the turn that is going on, now, or at the next pass of its own loop.

use crate::abort;
use crate::callback::Callback;
use crate::drive;
use crate::handler::Called;
use crate::stimulation::Stimulation;
use cnstra_core::Phase;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, intern};
use std::time::Instant;

/// What a run is fed with, to be processed in a turn of it.
pub(crate) enum Job {
    Abort(Option<Py<PyAny>>),
    Cancel(Option<Py<PyAny>>),
    /// A handler that had gone on as a task is done.
    Task {
        called: Called,
        task: Py<PyAny>,
    },
    /// A handler has come back from its worker thread.
    Worker {
        called: Called,
        value: Py<PyAny>,
        error: Option<Py<PyAny>>,
        entered: Instant,
    },
    /// The last listener of a response has settled.
    Unpark(u64),
}

impl Job {
    pub(crate) fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Abort(reason) | Self::Cancel(reason) => visit.call(reason),
            Self::Task { called, task } => {
                called.visit(visit)?;
                visit.call(task)
            }
            Self::Worker { called, value, error, .. } => {
                called.visit(visit)?;
                visit.call(value)?;
                visit.call(error)
            }
            Self::Unpark(_) => Ok(()),
        }
    }
}

/// Have the run take a job, or look at what changed. False if its loop is closed.
pub(crate) fn feed(stim: &Bound<'_, Stimulation>, job: Option<Job>, here: bool) -> PyResult<bool> {
    let (py, this) = (stim.py(), stim.get());
    // Asked before the lock is taken, since it calls into Python, and only where the answer can matter.
    let idle = this.lock().run.phase == Phase::Idle;
    let here = here && idle && this.is_here(py)?;
    let now = {
        let mut state = this.lock();
        if state.run.phase == Phase::Ended {
            drop(state);
            drop(job);
            return Ok(true);
        }
        state.fed.extend(job);
        if state.run.phase == Phase::Dispatching {
            return Ok(true);
        }
        state.run.fed = true;
        if state.run.phase == Phase::Draining {
            return Ok(true);
        }
        if here {
            state.run.begin_turn();
        } else if std::mem::replace(&mut state.scheduled, true) {
            drop(state);
            // A wake-up that is under way arrives nowhere if the loop has been closed meanwhile.
            return Ok(!this.host(py)?.object.call_method0(py, intern!(py, "is_closed"))?.is_truthy(py)?);
        }
        here
    };
    if now {
        drive::turn(stim)?;
        return Ok(true);
    }
    let wake = Py::new(py, Callback::wake(stim))?;
    match this.host(py)?.object.call_method1(py, intern!(py, "post"), (wake,)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_instance_of::<PyRuntimeError>(py) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(crate) fn feed_or_abandon(stim: &Bound<'_, Stimulation>, job: Option<Job>) -> PyResult<()> {
    if feed(stim, job, true)? { Ok(()) } else { abort::abandon(stim) }
}

/// The wake-up has arrived on the run's own thread.
pub(crate) fn wake(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    {
        let mut state = stim.get().lock();
        state.scheduled = false;
        if state.run.phase != Phase::Idle || !state.run.fed {
            return Ok(());
        }
        state.run.begin_turn();
    }
    drive::turn(stim)
}
