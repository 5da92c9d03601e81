//! Telling listeners: responses, which may hold their activations back, and drains (S6, S7).

use crate::abort::abort_here;
use crate::callback::{as_coroutine, watch};
use crate::carrier::Settled;
use crate::feed::{self, Ended, How, Job, Where};
use crate::names;
use crate::response::{Caused, Drain, Response};
use crate::signal::Signal;
use crate::starter::{Starter, Step};
use crate::stimulation::Stimulation;
use crate::task::{Cargo, TaskInfo};
use cnstra_core::UNKNOWN;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PySystemExit};
use pyo3::intern;
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The activation that a response is of.
pub(crate) struct Answered {
    pub(crate) info: TaskInfo,
    pub(crate) neuron: Py<PyAny>,
}

/// The run is entered: one response per signal, or one without output (S17).
pub(crate) fn announce_entry(stim: &Bound<'_, Stimulation>, signals: &[Py<Signal>]) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine();
    if this.is_quiet() {
        let mut state = this.lock(py);
        for signal in signals {
            if let Some(number) = engine.number_of(&signal.get().collateral) {
                let copy = |cargo: &Cargo| cargo.clone_ref(py);
                state.run.emit_now(&engine.graph, number, || Cargo::Signal(signal.clone_ref(py)), 0, 1, copy);
            }
        }
        return Ok(());
    }
    announce_entry_aloud(stim, signals)
}

#[inline(never)]
fn announce_entry_aloud(stim: &Bound<'_, Stimulation>, signals: &[Py<Signal>]) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine();
    let signals: Vec<_> = (signals.iter())
        .map(|signal| (signal.clone_ref(py).into_bound(py), engine.number_of(&signal.get().collateral)))
        .collect();
    let counts: Vec<usize> = {
        let mut state = this.lock(py);
        let mut emit = |signal: &Bound<'_, Signal>, number| {
            state.run.emit(&engine.graph, number, || Cargo::Signal(signal.clone().unbind()), 0, 1)
        };
        signals.iter().map(|(signal, number)| number.map_or(0, |number| emit(signal, number))).collect()
    };
    announce(stim, None, &signals, &counts, None)
}

/// One response per signal, or one without output; each signal's activations follow its listeners.
pub(crate) fn announce(
    stim: &Bound<'_, Stimulation>,
    answered: Option<&Answered>,
    signals: &[(Bound<'_, Signal>, Option<u32>)],
    counts: &[usize],
    error: Option<&Py<PyAny>>,
) -> PyResult<()> {
    if signals.is_empty() {
        return respond(stim, answered, None, (0, 0), Caused::default(), error);
    }
    for (index, ((signal, collateral), &count)) in signals.iter().zip(counts).enumerate() {
        let caused = Caused { collateral: *collateral, first: 0, count };
        respond(stim, answered, Some(signal), (index, signals.len()), caused, error)?;
    }
    Ok(())
}

#[inline(never)]
fn respond(
    stim: &Bound<'_, Stimulation>,
    answered: Option<&Answered>,
    signal: Option<&Bound<'_, Signal>>,
    (index, total): (usize, usize),
    caused: Caused,
    error: Option<&Py<PyAny>>,
) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine();
    let count = caused.count;
    let global = engine.family.get().response_listeners.snapshot(py);
    let local = [&this.options().tap, &this.options().on_response];
    let local = local.into_iter().flatten();
    let listeners: Vec<&Py<PyAny>> = local.chain(global.iter().map(|(_, listener)| &**listener)).collect();
    if listeners.is_empty() {
        this.lock(py).run.deliver(&engine.graph, count, |cargo| cargo.clone_ref(py));
        return Ok(());
    }
    let context_value = match (answered, this.store_if_made()) {
        (Some(answered), Some(store)) => {
            let name = answered.neuron.getattr(py, intern!(py, "_name"))?;
            match store.call_method1(py, intern!(py, "get"), (name,)) {
                Ok(value) => Some(value),
                // A store of the caller's is no better than a listener of the caller's.
                Err(error) => {
                    listener_failed(stim, error, "response")?;
                    None
                }
            }
        }
        _ => None,
    };
    let response = {
        let mut state = this.lock(py);
        if error.is_some() && this.options().on_response.is_some() {
            state.observed = true;
        }
        let (pending, active) = (state.run.pending(), state.run.active());
        let first = state.run.caused(&engine.graph, count).next().map_or(0, |activation| activation.number);
        Response {
            stimulation: stim.clone().unbind(),
            answered: answered.map(|answered| (answered.info.clone_ref(py), answered.neuron.clone_ref(py))),
            output_signal: signal.map(|signal| signal.clone().unbind()),
            output_index: index,
            output_count: total,
            caused: Caused { first, ..caused },
            error: error.map(|error| error.clone_ref(py)),
            pending_activations: pending,
            active_activations: active,
            context_value,
            is_final: pending == 0 && active == 0 && index + 1 >= total && !state.run.aborted,
        }
    };
    let response = Bound::new(py, response)?;
    let barrier = Arc::new(Barrier::default());
    let told = tell(stim, &listeners, &response, &barrier);
    let mut state = this.lock(py);
    if barrier.unsettled.load(Ordering::Relaxed) > 0 {
        barrier.ticket.store(state.run.park(count), Ordering::Relaxed);
    } else {
        state.run.deliver(&engine.graph, count, |cargo| cargo.clone_ref(py));
    }
    drop(state);
    told
}

/// Call all, then start what they returned.
fn tell(
    stim: &Bound<'_, Stimulation>,
    listeners: &[&Py<PyAny>],
    response: &Bound<'_, Response>,
    barrier: &Arc<Barrier>,
) -> PyResult<()> {
    let py = stim.py();
    let mut answers = Vec::new();
    for listener in listeners {
        match listener.bind(py).call1((response,)) {
            Ok(answer) if answer.is_none() => {}
            Ok(answer) => answers.push(answer),
            Err(error) => listener_failed(stim, error, "response")?,
        }
    }
    for answer in answers {
        if let Some(coroutine) = as_coroutine(&answer)? {
            barrier.start(stim, &coroutine)?;
        }
    }
    Ok(())
}

/// The listeners of one response that have not settled.
#[derive(Default)]
pub(crate) struct Barrier {
    unsettled: AtomicUsize,
    ticket: AtomicU64,
}

impl Barrier {
    fn start(self: &Arc<Self>, stim: &Bound<'_, Stimulation>, coroutine: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = stim.py();
        let Some(starter) = &stim.get().host(py)?.starter else {
            coroutine.call_method0(intern!(py, "close"))?;
            return listener_failed(stim, names::fault(py, "no_event_loop_listener", ()), "response");
        };
        match Starter::start(starter.bind(py), stim, coroutine, 0)? {
            Step::Finished(_) => Ok(()),
            Step::Suspended(carrier) => {
                self.unsettled.fetch_add(1, Ordering::Relaxed);
                watch(stim, &carrier, Settled::Listener(Arc::clone(self)))
            }
            Step::Failed(error) => listener_failed(stim, error, "response"),
            Step::Cancelled(error) => cancelled(stim, error),
        }
    }

    /// One of them has settled as a task.
    pub(crate) fn settled(&self, stim: &Bound<'_, Stimulation>, ended: Ended) -> PyResult<()> {
        let py = stim.py();
        let mut told = Ok(());
        if ended.how != How::Returned {
            let error = PyErr::from_value(ended.value.bind(py).clone());
            let is_out = error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<PySystemExit>(py);
            told = if is_out {
                // asyncio lets these two out of the loop itself.
                abort_here(stim, Some(ended.value), false)
            } else if ended.how == How::Cancelled {
                cancelled(stim, error)
            } else {
                let told = listener_failed(stim, error, "response");
                if told.is_err() {
                    abort_here(stim, Some(ended.value), false)?;
                }
                told
            };
        }
        if self.unsettled.fetch_sub(1, Ordering::Relaxed) == 1 {
            feed::feed(stim, Some(Job::Unpark(self.ticket.load(Ordering::Relaxed))), Where::Here)?;
        }
        told
    }
}

/// Somebody cancelled a listener: if it was not the engine, that aborts the run.
fn cancelled(stim: &Bound<'_, Stimulation>, error: PyErr) -> PyResult<()> {
    let py = stim.py();
    if stim.get().lock(py).run.cancelled {
        Ok(())
    } else {
        abort_here(stim, Some(error.into_value(py).into_any()), false)
    }
}

fn listener_failed(stim: &Bound<'_, Stimulation>, error: PyErr, kind: &str) -> PyResult<()> {
    let py = stim.py();
    let error = if names::is_cancellation(py, &error) {
        let wrapped = names::fault(py, "listener_cancelled", ());
        wrapped.set_cause(py, Some(error));
        wrapped
    } else {
        error
    };
    if !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    let error = error.into_value(py).into_any();
    names::worded(py, "annotate_listener", (&error, kind))?;
    stim.get().lock(stim.py()).more().errors.push(error);
    Ok(())
}

/// The turn is over: announce the batch boundary (S7).
#[inline]
pub(crate) fn drain(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let this = stim.get();
    let engine = this.engine();
    if engine.auto_cleanup && this.options().context_store.is_none() {
        clean_contexts(stim)?;
    }
    if this.options().on_drain.is_none() && engine.family.get().drain_listeners.is_empty() {
        Ok(())
    } else {
        tell_drain(stim)
    }
}

#[inline(never)]
fn tell_drain(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine();
    let global = engine.family.get().drain_listeners.snapshot(py);
    let local = this.options().on_drain.iter();
    let listeners: Vec<&Py<PyAny>> = local.chain(global.iter().map(|(_, listener)| &**listener)).collect();
    let event = {
        let state = this.lock(py);
        Drain {
            stimulation: stim.clone().unbind(),
            pending_activations: state.run.pending(),
            active_activations: state.run.active(),
            last_id: state.run.last_number(),
        }
    };
    let event = Bound::new(py, event)?;
    let discard = names::aio(py)?.getattr(intern!(py, "discard"))?;
    let mut fatal = Ok(());
    for listener in listeners {
        let told = listener.bind(py).call1((&event,)).and_then(|answer| {
            if !answer.is_none() && discard.call1((answer,))?.is_truthy()? {
                return Err(names::fault(py, "async_drain", ()));
            }
            Ok(())
        });
        if let Err(error) = told
            && let Err(error) = listener_failed(stim, error, "drain")
        {
            fatal = fatal.and(Err(error));
        }
    }
    fatal
}

/// S15: at the end of a turn, drop the values of neurons that nothing unfinished can reach.
#[inline(never)]
fn clean_contexts(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let Some(store) = this.store_if_made() else { return Ok(()) };
    let values = store.call_method0(py, intern!(py, "get_all"))?;
    let names: Vec<String> = values.bind(py).try_iter()?.map(|name| name?.extract()).collect::<PyResult<_>>()?;
    if names.is_empty() {
        return Ok(());
    }
    let engine = this.engine();
    let dendrites: Vec<u32> = {
        let state = this.lock(py);
        let unfinished = state.run.unfinished(&engine.graph).into_iter().map(|activation| activation.dendrite);
        unfinished.filter(|&dendrite| dendrite != UNKNOWN).collect()
    };
    for name in engine.unreachable(py, &dendrites, &names) {
        store.call_method1(py, intern!(py, "delete"), (name,))?;
    }
    Ok(())
}
