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
    /// A handler that had gone on as a task has ended.
    Settled {
        called: Called,
        ended: Ended,
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

/// How a coroutine has ended.
pub(crate) struct Ended {
    /// What it returned or raised.
    pub(crate) value: Py<PyAny>,
    pub(crate) how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Returned,
    Raised,
    /// By a CancelledError, after somebody had cancelled its task.
    Cancelled,
}

impl Job {
    pub(crate) fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Abort(reason) | Self::Cancel(reason) => visit.call(reason),
            Self::Settled { ended, .. } => visit.call(&ended.value),
            Self::Worker { value, error, .. } => {
                visit.call(value)?;
                visit.call(error)
            }
            Self::Unpark(_) => Ok(()),
        }
    }
}

/// Where whatever feeds a run is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// In the run's own loop, with nothing of another run below it on the stack: a turn may begin.
    Here,
    /// That is to be found out.
    Perhaps,
    /// On the stack of something else: a turn has to wait for the loop's next pass.
    Elsewhere,
}

/// Have the run take a job, or look at what changed. False if its loop is closed.
pub(crate) fn feed(stim: &Bound<'_, Stimulation>, job: Option<Job>, place: Where) -> PyResult<bool> {
    let (py, this) = (stim.py(), stim.get());
    let here = match place {
        Where::Here => true,
        Where::Elsewhere => false,
        // Asked before the lock is taken, since it calls into Python, and only where the answer can matter.
        Where::Perhaps => {
            let idle = this.lock(py).run.phase == Phase::Idle;
            idle && this.is_here(py)?
        }
    };
    let now = {
        let mut state = this.lock(py);
        if state.run.phase == Phase::Ended {
            drop(state);
            drop(job);
            return Ok(true);
        }
        if job.is_some() {
            state.more().fed.extend(job);
        }
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
        drive::turn(stim, None)?;
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
    if feed(stim, job, Where::Perhaps)? { Ok(()) } else { abort::abandon(stim) }
}

/// The wake-up has arrived on the run's own thread.
pub(crate) fn wake(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    {
        let mut state = stim.get().lock(stim.py());
        state.scheduled = false;
        if state.run.phase != Phase::Idle || !state.run.fed {
            return Ok(());
        }
        state.run.begin_turn();
    }
    drive::turn(stim, None)
}
