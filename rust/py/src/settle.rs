//! How an activation ends: checked, announced, and what it caused appended (S4, S5).

use crate::abort::check_deadline;
use crate::announce::{Answered, announce};
use crate::engine::{Engine, items};
use crate::family::Holder;
use crate::grants::release;
use crate::handler::{Called, Handler};
use crate::names;
use crate::signal::Signal;
use crate::stimulation::Stimulation;
use crate::task::{Cargo, TaskInfo};
use cnstra_core::Activation;
use pyo3::intern;
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

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

/// A handler has finished with a signal or with None, as most do: `settle` without what these do not need.
#[inline]
pub(crate) fn settle_signal<'py>(
    stim: &Bound<'py, Stimulation>,
    handler: &Handler,
    called: Called,
    signal: Option<Bound<'py, Signal>>,
) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine();
    let mut collateral = 0;
    let owns = signal.as_ref().is_none_or(|signal| {
        let number = engine.number_of(&signal.get().collateral);
        collateral = number.unwrap_or_default();
        number.is_some_and(|number| engine.graph.owner_of(number) == Some(handler.number))
    });
    if !owns || !this.is_quiet() || handler.slots.is_some() {
        let value = signal.map_or_else(|| py.None().into_bound(py), Bound::into_any);
        return settle(stim, handler, called, Ok(value));
    }
    let mut state = this.lock(py);
    if state.run.cancelled {
        drop(state);
        return leave_undone(stim, handler, called);
    }
    let settled = take(&mut state.run, called);
    if let Some(signal) = &signal {
        let cargo = || Cargo::Signal(signal.clone().unbind());
        let copy = |cargo: &Cargo| cargo.clone_ref(py);
        state.run.emit_now(&engine.graph, collateral, cargo, called.number, called.hop + 1, copy);
    }
    state.run.leave(&engine.graph, called.dendrite);
    drop(state);
    if let Some(Activation { signal, joined, .. }) = settled {
        signal.drop_ref(py);
        drop(joined);
    }
    check_deadline(stim)
}

/// A handler has finished: take its activation out of the frontier, announce it, append what it caused (S4, S5).
#[inline(never)]
pub(crate) fn settle<'py>(
    stim: &Bound<'py, Stimulation>,
    handler: &Handler,
    called: Called,
    result: PyResult<Bound<'py, PyAny>>,
) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine();
    let graph = &engine.graph;
    let answer = result.and_then(|value| Answer::of(engine, handler, value));
    let mut state = this.lock(py);
    if state.run.cancelled {
        drop(state);
        return leave_undone(stim, handler, called);
    }
    let told = match answer {
        Ok(answer) if this.is_quiet() => {
            let settled = take(&mut state.run, called);
            for (signal, number) in answer.signals() {
                if let Some(number) = *number {
                    let cargo = || Cargo::Signal(signal.clone().unbind());
                    let copy = |cargo: &Cargo| cargo.clone_ref(py);
                    state.run.emit_now(graph, number, cargo, called.number, called.hop + 1, copy);
                }
            }
            state.run.leave(graph, called.dendrite);
            drop(state);
            drop(settled);
            Ok(Ok(()))
        }
        answer => {
            drop(state);
            // Whatever a listener lets out, a panic included, the slot is not its to keep.
            catch_unwind(AssertUnwindSafe(|| settle_aloud(stim, handler, called, answer)))
        }
    };
    if let Some(slots) = handler.slots {
        release(py, engine, slots, Holder::new(stim, called.number))?;
    }
    told.unwrap_or_else(|panic| resume_unwind(panic))?;
    check_deadline(stim)
}

#[inline]
fn take(run: &mut cnstra_core::Run<Cargo, Py<PyAny>>, called: Called) -> Option<Activation<Cargo>> {
    if run.current().is_some_and(|current| current.number == called.number) {
        run.settle_current()
    } else {
        run.settle_suspended(called.number)
    }
}

/// The same, with an error or for listeners.
#[inline(never)]
fn settle_aloud<'py>(
    stim: &Bound<'py, Stimulation>,
    handler: &Handler,
    called: Called,
    answer: PyResult<Answer<'py>>,
) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine();
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
        let mut state = this.lock(py);
        let settled = take(&mut state.run, called);
        for (signal, number) in answer.signals() {
            let cargo = || Cargo::Signal(signal.clone().unbind());
            let graph = &engine.graph;
            counts.push(number.map_or(0, |number| state.run.emit(graph, number, cargo, called.number, called.hop + 1)));
        }
        settled
    };
    let info = settled.as_ref().map(|settled| TaskInfo::of(py, settled.view()));
    if let (Some(error), Some(settled)) = (&error, settled) {
        let mut state = this.lock(py);
        state.more().errors.push(error.clone_ref(py));
        state.run.fail(settled, Some(error.clone_ref(py)));
    }
    let answered = info.map(|info| Answered { info, neuron: handler.neuron.clone_ref(py) });
    let told = announce(stim, answered.as_ref(), answer.signals(), &counts, error.as_ref());
    this.lock(py).run.leave(&engine.graph, called.dendrite);
    told
}

/// It was entered but does not count as finished: it stays in the frontier as aborted (S9, S10).
#[inline(never)]
pub(crate) fn leave_undone(stim: &Bound<'_, Stimulation>, handler: &Handler, called: Called) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine();
    {
        let mut state = this.lock(py);
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

/// The current activation fails without having been entered: its dendrite is unknown, it lies too far from the entry, or
/// it would wait for its slot for ever (S12, S14, S17).
#[inline(never)]
pub(crate) fn refuse(stim: &Bound<'_, Stimulation>, called: Called, error: Option<Py<PyAny>>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine();
    let Called { hop, dendrite, .. } = called;
    let info = {
        let state = this.lock(py);
        let current = state.run.current().filter(|current| current.number == called.number);
        current.map(|current| TaskInfo::of(py, current.view()))
    };
    let Some(info) = info else { return Ok(()) };
    let (neuron, name, collateral, error) = match &info.cargo {
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
        let mut state = this.lock(py);
        if let Some(activation) = state.run.settle_pending() {
            state.more().errors.push(error.clone_ref(py));
            state.run.fail(activation, Some(error.clone_ref(py)));
        }
    }
    let told = announce(stim, Some(&Answered { info, neuron }), &[], &[], Some(&error));
    this.lock(py).run.leave(&engine.graph, dendrite);
    told?;
    check_deadline(stim)
}
