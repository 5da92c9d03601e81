//! Aborting, cancelling and ending (S8, S10); called on the run's own thread unless it says otherwise.

use crate::family::Holder;
use crate::feed::{self, Where};
use crate::grants::release;
use crate::names;
use crate::state::Outcome;
use crate::stimulation::Stimulation;
use cnstra_core::{Left, Phase};
use pyo3::intern;
use pyo3::prelude::*;
use std::time::Instant;

/// Nothing more is entered.
#[inline(never)]
pub(crate) fn abort_here(stim: &Bound<'_, Stimulation>, reason: Option<Py<PyAny>>, timed_out: bool) -> PyResult<()> {
    let py = stim.py();
    let controller = {
        let mut state = stim.get().lock(stim.py());
        if state.run.aborted || state.run.phase == Phase::Ended {
            drop(state);
            drop(reason);
            return Ok(());
        }
        state.run.aborted = true;
        state.timed_out = timed_out;
        let more = state.more();
        more.reason = reason;
        let reason = more.reason.as_ref().map(|reason| reason.clone_ref(py));
        more.controller.as_ref().map(|controller| (controller.clone_ref(py), reason))
    };
    if let Some((controller, reason)) = controller {
        controller.call_method1(py, intern!(py, "abort"), (reason,))?;
    }
    Ok(())
}

pub(crate) fn abort_by(stim: &Bound<'_, Stimulation>, reason: Option<Py<PyAny>>) -> PyResult<()> {
    abort_here(stim, reason, false)?;
    feed_if_over(stim)
}

pub(crate) fn cancel_here(stim: &Bound<'_, Stimulation>, reason: Option<Py<PyAny>>, timed_out: bool) -> PyResult<()> {
    let py = stim.py();
    {
        let mut state = stim.get().lock(stim.py());
        if state.run.cancelled || state.run.phase == Phase::Ended {
            return Ok(());
        }
        state.run.cancelled = true;
    }
    abort_here(stim, reason, timed_out)?;
    let tasks: Vec<Py<PyAny>> =
        stim.get().lock(stim.py()).more().tasks.values().map(|task| task.clone_ref(py)).collect();
    for task in tasks {
        task.call_method0(py, intern!(py, "cancel"))?;
    }
    Ok(())
}

pub(crate) fn cancel_by(stim: &Bound<'_, Stimulation>, reason: Option<Py<PyAny>>, timed_out: bool) -> PyResult<()> {
    cancel_here(stim, reason, timed_out)?;
    feed_if_over(stim)
}

/// With nothing in flight nobody else would notice that the run is over.
fn feed_if_over(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let over = {
        let state = stim.get().lock(stim.py());
        state.run.phase == Phase::Idle && state.run.in_flight() == 0
    };
    if over { feed::feed(stim, None, Where::Perhaps).map(drop) } else { Ok(()) }
}

pub(crate) fn time_out(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let seconds = stim.get().timeout().map_or(0.0, |timeout| timeout.as_secs_f64());
    let reason = names::worded(stim.py(), "timed_out", (seconds,))?;
    cancel_by(stim, Some(reason.unbind()), true)
}

#[inline]
pub(crate) fn check_deadline(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    match stim.get().deadline() {
        Some(deadline) if Instant::now() > deadline => time_out(stim),
        _ => Ok(()),
    }
}

/// Nothing can drive the run any more: its loop is closed. It ends aborted, from whatever thread this is.
pub(crate) fn abandon(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let py = stim.py();
    let closed = names::worded(py, "loop_closed", ())?.unbind();
    give_up(stim, closed)
}

/// It ends aborted for this reason whatever is in flight.
pub(crate) fn give_up(stim: &Bound<'_, Stimulation>, reason: Py<PyAny>) -> PyResult<()> {
    let unused = {
        let mut state = stim.get().lock(stim.py());
        if state.run.phase == Phase::Ended {
            drop(state);
            drop(reason);
            return Ok(());
        }
        state.run.phase = Phase::Ended;
        if std::mem::replace(&mut state.run.aborted, true) { Some(reason) } else { state.more().reason.replace(reason) }
    };
    drop(unused);
    end(stim)
}

/// The run is over: say how it ended, give back what it holds, tell who waits for it.
#[inline]
pub(crate) fn end(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let this = stim.get();
    let state = this.lock(stim.py());
    // Nothing has waited or failed, nobody looks: a run that completed has left nothing undone.
    if state.more.is_none() && !state.held && !state.run.aborted {
        this.set_outcome(Outcome::Completed);
        return Ok(());
    }
    drop(state);
    end_slowly(stim)
}

#[inline(never)]
fn end_slowly(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine();
    let (left, in_worker) = {
        let mut state = this.lock(py);
        // Only what is cut short leaves something behind.
        let left =
            if state.run.aborted { state.run.end(&engine.graph, |cargo| cargo.clone_ref(py)) } else { Left::default() };
        let workers = &state.more().workers;
        let in_worker: Vec<bool> = left.suspended.iter().map(|(_, number)| workers.contains(number)).collect();
        (left, in_worker)
    };
    let (aborted, errors): (bool, Vec<Py<PyAny>>) = {
        let mut state = this.lock(py);
        (state.run.aborted, state.more().errors.iter().map(|error| error.clone_ref(py)).collect())
    };
    let (outcome, exception) = if aborted {
        (Outcome::Aborted, Some(this.aborted_error(py)?))
    } else if errors.is_empty() {
        (Outcome::Completed, None)
    } else {
        let message = names::worded(py, "run_failed", (errors.len(),))?;
        let kind = names::errors(py)?.getattr(intern!(py, "StimulationFailed"))?;
        (Outcome::Failed, Some(kind.call1((message, errors))?))
    };
    let unobserved = outcome == Outcome::Failed && !this.lock(py).observed;
    let guard = match &exception {
        Some(exception) if unobserved => {
            let kind = names::stimulation(py)?.getattr(intern!(py, "UnobservedFailure"))?;
            Some(kind.call1((exception,))?.unbind())
        }
        _ => None,
    };
    let (callbacks, timer, forget) = {
        let mut state = this.lock(py);
        this.set_outcome(outcome);
        let more = state.more();
        more.exception = exception.map(Bound::unbind);
        more.guard = guard;
        (std::mem::take(&mut more.on_ended), more.timer.take(), more.forget_signal.take())
    };
    for (dendrite, ticket) in left.waiting {
        crate::grants::forget(py, engine, dendrite, ticket);
    }
    let suspended = left.suspended.into_iter().zip(in_worker).filter(|(_, in_worker)| !in_worker);
    for (dendrite, number) in left.granted.into_iter().chain(suspended.map(|(activation, _)| activation)) {
        if let Some(slots) = engine.handlers.get(dendrite as usize).and_then(|handler| handler.slots) {
            release(py, engine, slots, Holder::new(stim, number))?;
        }
    }
    if let Some(timer) = timer {
        timer.call_method0(py, intern!(py, "cancel"))?;
    }
    if let Some(forget) = forget {
        forget.call0(py)?;
    }
    let held = this.lock(py).held;
    if held && let Some(host) = this.host_if_known() {
        host.let_go(stim)?;
    }
    for (_, told) in callbacks {
        told.tell(stim)?;
    }
    Ok(())
}
