//! Telling listeners: responses, which may hold their activations back, and drains (S6, S7).

use crate::abort::abort_here;
use crate::callback::{self, Callback, watch};
use crate::enter::Step;
use crate::feed::{self, Job};
use crate::names;
use crate::response::{Caused, Drain, Response};
use crate::signal::Signal;
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
    let engine = this.engine.get();
    let quiet = engine.response_listeners.is_empty() && !this.options.has_local_listener();
    if quiet {
        let mut state = this.lock();
        for signal in signals {
            if let Some(number) = engine.number_of(&signal.get().collateral) {
                state.run.emit_now(&engine.graph, number, || Cargo::Signal(signal.clone_ref(py)), 0, 1);
            }
        }
        return Ok(());
    }
    let signals: Vec<_> = (signals.iter())
        .map(|signal| (signal.clone_ref(py).into_bound(py), engine.number_of(&signal.get().collateral)))
        .collect();
    let counts: Vec<usize> = {
        let mut state = this.lock();
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

fn respond(
    stim: &Bound<'_, Stimulation>,
    answered: Option<&Answered>,
    signal: Option<&Bound<'_, Signal>>,
    (index, total): (usize, usize),
    caused: Caused,
    error: Option<&Py<PyAny>>,
) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine.get();
    let count = caused.count;
    let global = engine.response_listeners.snapshot();
    let local = [&this.options.tap, &this.options.on_response];
    let local = local.into_iter().flatten();
    let listeners: Vec<&Py<PyAny>> = local.chain(global.iter().map(|(_, listener)| &**listener)).collect();
    if listeners.is_empty() {
        this.lock().run.deliver(&engine.graph, count);
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
        let mut state = this.lock();
        if error.is_some() && this.options.on_response.is_some() {
            state.observed = true;
        }
        let (pending, active) = (state.run.pending(), state.run.active());
        let first = state.run.caused(count).next().map_or(0, |activation| activation.number);
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
    let mut state = this.lock();
    if barrier.unsettled.load(Ordering::Relaxed) > 0 {
        barrier.ticket.store(state.run.park(count), Ordering::Relaxed);
    } else {
        state.run.deliver(&engine.graph, count);
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
        if let Some(coroutine) = callback::as_coroutine(&answer)? {
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
        if stim.get().host(py)?.blocking {
            coroutine.call_method0(intern!(py, "close"))?;
            return listener_failed(stim, names::fault(py, "no_event_loop_listener", ()), "response");
        }
        let (step, value) = callback::start(stim, coroutine, 0)?;
        match step {
            Step::Finished => Ok(()),
            Step::Suspended => {
                self.unsettled.fetch_add(1, Ordering::Relaxed);
                watch(stim, &value, |key| Callback::listener(stim, key, Arc::clone(self)))
            }
            Step::Failed => listener_failed(stim, PyErr::from_value(value), "response"),
            Step::Cancelled => cancelled(stim, value),
        }
    }

    /// One of them has settled as a task.
    pub(crate) fn settled(&self, stim: &Bound<'_, Stimulation>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = stim.py();
        let mut told = Ok(());
        if let Some(error) = failure_of(task)? {
            let is_out = error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<PySystemExit>(py);
            let value = names::exception(py, &error).into_bound(py);
            told = if is_out {
                // asyncio has let these two out of the loop already.
                abort_here(stim, Some(value.unbind()), false)
            } else if names::is_cancellation(py, &error) && task.call_method0(intern!(py, "cancelling"))?.is_truthy()? {
                cancelled(stim, value)
            } else {
                let told = listener_failed(stim, error, "response");
                if told.is_err() {
                    abort_here(stim, Some(value.unbind()), false)?;
                }
                told
            };
        }
        if self.unsettled.fetch_sub(1, Ordering::Relaxed) == 1 {
            feed::feed(stim, Some(Job::Unpark(self.ticket.load(Ordering::Relaxed))), true)?;
        }
        told
    }
}

/// What a task that is done has raised. It is not asked for its result: raised here, a panic would go on as a panic, past
/// the book-keeping.
fn failure_of(task: &Bound<'_, PyAny>) -> PyResult<Option<PyErr>> {
    let py = task.py();
    if task.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
        return Ok(task.call_method0(intern!(py, "result")).err());
    }
    let error = task.call_method0(intern!(py, "exception"))?;
    Ok((!error.is_none()).then(|| PyErr::from_value(error)))
}

/// Somebody cancelled a listener: if it was not the engine, that aborts the run.
fn cancelled(stim: &Bound<'_, Stimulation>, error: Bound<'_, PyAny>) -> PyResult<()> {
    if stim.get().lock().run.cancelled { Ok(()) } else { abort_here(stim, Some(error.unbind()), false) }
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
    stim.get().lock().errors.push(error);
    Ok(())
}

/// The turn is over: announce the batch boundary (S7).
pub(crate) fn drain(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine.get();
    if engine.auto_cleanup && this.options.context_store.is_none() {
        clean_contexts(stim)?;
    }
    if this.options.on_drain.is_none() && engine.drain_listeners.is_empty() {
        return Ok(());
    }
    let global = engine.drain_listeners.snapshot();
    let local = this.options.on_drain.iter();
    let listeners: Vec<&Py<PyAny>> = local.chain(global.iter().map(|(_, listener)| &**listener)).collect();
    let (pending, active) = {
        let state = this.lock();
        (state.run.pending(), state.run.active())
    };
    let stimulation = stim.clone().unbind();
    let event = Bound::new(py, Drain { stimulation, pending_activations: pending, active_activations: active })?;
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
fn clean_contexts(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let Some(store) = this.store_if_made() else { return Ok(()) };
    let values = store.call_method0(py, intern!(py, "get_all"))?;
    let names: Vec<String> = values.bind(py).try_iter()?.map(|name| name?.extract()).collect::<PyResult<_>>()?;
    if names.is_empty() {
        return Ok(());
    }
    let dendrites: Vec<u32> = {
        let state = this.lock();
        let unfinished = state.run.unfinished().into_iter().map(|activation| activation.dendrite);
        unfinished.filter(|&dendrite| dendrite != UNKNOWN).collect()
    };
    for name in this.engine.get().unreachable(py, &dendrites, &names) {
        store.call_method1(py, intern!(py, "delete"), (name,))?;
    }
    Ok(())
}
