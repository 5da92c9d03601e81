//! An activation as data, between the scheduler and `ActivationTask`.

use crate::engine::{Engine, each_task};
use crate::fields::Fields;
use crate::names;
use crate::signal::Signal;
use crate::stimulation::Stimulation;
use cnstra_core::{Activation, ActivationRef, Number, UNKNOWN};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use pyo3::{Borrowed, IntoPyObjectExt, PyTraverseError, intern};

/// What an activation of this binding carries.
#[derive(Debug)]
pub(crate) enum Cargo {
    Signal(Py<Signal>),
    /// The graph has no such dendrite: the `ActivationTask` as it was given.
    Unknown(Py<PyAny>),
}

impl Cargo {
    #[inline]
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Signal(signal) => Self::Signal(signal.clone_ref(py)),
            Self::Unknown(task) => Self::Unknown(task.clone_ref(py)),
        }
    }

    /// Let go of it, knowing that this thread is attached: what `drop` would have to find out.
    #[inline]
    pub(crate) fn drop_ref(self, py: Python<'_>) {
        match self {
            Self::Signal(signal) => drop(signal.into_bound(py)),
            Self::Unknown(task) => drop(task.into_bound(py)),
        }
    }

    pub(crate) fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Signal(signal) => visit.call(signal),
            Self::Unknown(task) => visit.call(task),
        }
    }
}

/// A copy of an activation that can be made while its run is locked: nothing is allocated in Python.
#[derive(Debug)]
pub(crate) struct TaskInfo {
    pub(crate) number: Number,
    pub(crate) cause: Number,
    pub(crate) hop: u32,
    pub(crate) dendrite: u32,
    pub(crate) cargo: Cargo,
    pub(crate) joined: Vec<Self>,
}

impl TaskInfo {
    pub(crate) fn of(py: Python<'_>, activation: ActivationRef<'_, Cargo>) -> Self {
        Self {
            number: activation.number,
            cause: activation.cause,
            hop: activation.hop,
            dendrite: activation.dendrite,
            cargo: activation.signal.clone_ref(py),
            joined: activation.joined.iter().map(|part| Self::of(py, part.view())).collect(),
        }
    }

    /// The `ActivationTask`.
    pub(crate) fn to_task<'py>(&self, py: Python<'py>, engine: &Engine) -> PyResult<Bound<'py, PyAny>> {
        let number = Some(self.number).filter(|&number| number > 0);
        let cause = Some(self.cause).filter(|&cause| cause > 0);
        match &self.cargo {
            Cargo::Unknown(task) => {
                let changes = PyDict::new(py);
                changes.set_item(intern!(py, "id"), number)?;
                changes.set_item(intern!(py, "cause"), cause)?;
                PyModule::import(py, "dataclasses")?.getattr("replace")?.call((task,), Some(&changes))
            }
            Cargo::Signal(signal) => {
                let handler = &engine.handlers[self.dendrite as usize];
                let joined = self.joined.iter().map(|part| part.to_task(py, engine)).collect::<PyResult<Vec<_>>>()?;
                task_fields(py)?.make(
                    py,
                    [
                        handler.neuron.bind(py).clone().into_any(),
                        signal.bind(py).clone().into_any(),
                        handler.place.into_bound_py_any(py)?,
                        self.hop.into_bound_py_any(py)?,
                        PyTuple::new(py, joined)?.into_any(),
                        number.into_bound_py_any(py)?,
                        cause.into_bound_py_any(py)?,
                    ],
                )
            }
        }
    }

    pub(crate) fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.cargo.visit(visit)?;
        self.joined.iter().try_for_each(|part| part.visit(visit))
    }
}

impl TaskInfo {
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self {
            cargo: self.cargo.clone_ref(py),
            joined: self.joined.iter().map(|part| part.clone_ref(py)).collect(),
            ..*self
        }
    }
}

/// Where an `ActivationTask` has what.
const FIELDS: [&str; 7] = ["neuron", "signal", "dendrite", "hop", "joined", "id", "cause"];
const NEURON: usize = 0;
const SIGNAL: usize = 1;
const DENDRITE: usize = 2;
const HOP: usize = 3;
const JOINED: usize = 4;

pub(crate) fn task_fields(py: Python<'_>) -> PyResult<&'static Fields<7>> {
    static FOUND: PyOnceLock<Fields<7>> = PyOnceLock::new();
    FOUND.get_or_try_init(py, || {
        let kind = names::stimulation(py)?.getattr("ActivationTask")?.cast_into::<PyType>()?;
        Fields::of(&kind, FIELDS)
    })
}

/// A task that was given, looked up in the graph.
struct Found {
    dendrite: u32,
    hop: u32,
    cargo: Cargo,
    joined: Vec<Activation<Cargo>>,
}

impl Found {
    /// Nothing in it can run Python code: a task is immutable, and has checked what it was made of.
    fn of(fields: &Fields<7>, engine: &Engine, task: &Bound<'_, PyAny>) -> Self {
        let hop = hop_of(fields, task);
        if let Some((dendrite, signal)) = plain(fields, engine, task) {
            return Self { dendrite, hop, cargo: Cargo::Signal(signal.to_owned().unbind()), joined: Vec::new() };
        }
        let known = || {
            let (dendrite, signal) = target(fields, engine, task)?;
            let signal = signal.to_owned();
            let parts = fields.get(task, JOINED)?.cast_exact::<PyTuple>().ok()?.to_owned();
            let parts: Option<Vec<Activation<Cargo>>> =
                parts.iter().map(|part| Self::of(fields, engine, &part).into_part()).collect();
            let is_join = engine.handlers[dendrite as usize].is_join;
            parts.filter(|_| is_join).map(|parts| (dendrite, signal, parts))
        };
        match known() {
            Some((dendrite, signal, joined)) => Self { dendrite, hop, cargo: Cargo::Signal(signal.unbind()), joined },
            None => Self { dendrite: UNKNOWN, hop, cargo: Cargo::Unknown(task.clone().unbind()), joined: Vec::new() },
        }
    }

    /// As what a join has taken over; `None` if the graph does not know it.
    fn into_part(self) -> Option<Activation<Cargo>> {
        let Self { dendrite, hop, cargo, .. } = self;
        (dendrite != UNKNOWN).then_some(Activation { number: 0, cause: 0, hop, dendrite, signal: cargo, joined: None })
    }
}

/// Beyond what fits there is no difference.
#[inline]
fn hop_of(fields: &Fields<7>, task: &Bound<'_, PyAny>) -> u32 {
    fields.number(task, HOP).and_then(|hop| u32::try_from(hop).ok()).unwrap_or(u32::MAX - 1)
}

/// The dendrite that a task means, if the graph has it, and its signal.
#[inline]
fn target<'a, 'py>(
    fields: &Fields<7>,
    engine: &Engine,
    task: &'a Bound<'py, PyAny>,
) -> Option<(u32, Borrowed<'a, 'py, Signal>)> {
    let signal = fields.get(task, SIGNAL)?.cast_exact::<Signal>().ok()?;
    let place = usize::try_from(fields.number(task, DENDRITE)?).ok()?;
    let dendrite = engine.find(&*fields.get(task, NEURON)?, signal.get(), place)?;
    Some((dendrite, signal))
}

/// The same if it is not a join's that had taken over what it waited for.
#[inline]
fn plain<'a, 'py>(
    fields: &Fields<7>,
    engine: &Engine,
    task: &'a Bound<'py, PyAny>,
) -> Option<(u32, Borrowed<'a, 'py, Signal>)> {
    let joined = fields.get(task, JOINED)?;
    let is_plain = joined.cast_exact::<PyTuple>().is_ok_and(|joined| joined.is_empty());
    if is_plain { target(fields, engine, task) } else { None }
}

/// Reserve an activation for each task, and append them when all are (S17).
#[inline(never)]
pub(crate) fn append_tasks(stim: &Bound<'_, Stimulation>, tasks: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = stim.py();
    let fields = task_fields(py)?;
    let engine = stim.get().engine();
    let graph = &engine.graph;
    let count = tasks.len()?;
    let mut state = stim.get().lock(py);
    let run = &mut state.run;
    run.expect(count);
    // In a graph with joins an activation that has arrived must not look like the last one that could.
    let mut reserved = Vec::with_capacity(if graph.joins() > 0 { count } else { 0 });
    // Nothing here runs Python code: nobody can change the list meanwhile.
    each_task(tasks, |task| {
        if graph.joins() == 0
            && let Some((dendrite, signal)) = plain(fields, engine, &task)
        {
            run.append_entry(graph, dendrite, Cargo::Signal(signal.to_owned().unbind()), hop_of(fields, &task));
            return;
        }
        let Found { dendrite, hop, cargo, joined } = Found::of(fields, engine, &task);
        let mut activation = run.reserve(graph, dendrite, cargo, 0, hop);
        if !joined.is_empty() {
            activation.joined = Some(Box::new(joined));
        }
        if graph.joins() > 0 {
            reserved.push(activation);
        } else {
            run.append(graph, activation);
        }
    });
    for activation in reserved {
        run.append(graph, activation);
    }
    Ok(())
}
