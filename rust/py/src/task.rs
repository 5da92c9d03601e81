//! An activation as data, between the scheduler and `ActivationTask`.

use crate::engine::Engine;
use crate::names;
use crate::signal::Signal;
use cnstra_core::{Activation, ActivationRef, Number, Run, UNKNOWN};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, intern};

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
                let joined = PyTuple::new(py, joined)?;
                names::stimulation(py)?.getattr(intern!(py, "ActivationTask"))?.call1((
                    &handler.neuron,
                    signal,
                    handler.place,
                    self.hop,
                    number,
                    cause,
                    joined,
                ))
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

/// A task that was given, looked up in the graph.
pub(crate) struct Found {
    dendrite: u32,
    hop: u32,
    cargo: Cargo,
    joined: Vec<Self>,
}

impl Found {
    pub(crate) fn of(engine: &Engine, task: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = task.py();
        let dendrite = engine.find(task)?;
        let hop = task.getattr(intern!(py, "hop"))?.extract().unwrap_or(u32::MAX - 1);
        if dendrite == UNKNOWN {
            return Ok(Self { dendrite, hop, cargo: Cargo::Unknown(task.clone().unbind()), joined: Vec::new() });
        }
        let signal = task.getattr(intern!(py, "signal"))?.cast_into::<Signal>()?.unbind();
        let joined = task.getattr(intern!(py, "joined"))?.cast_into::<PyTuple>()?;
        let joined = joined.iter().map(|part| Self::of(engine, &part)).collect::<PyResult<_>>()?;
        Ok(Self { dendrite, hop, cargo: Cargo::Signal(signal), joined })
    }
}

/// Reserve an activation for each task; to be appended when all of them are.
pub(crate) fn reserve_all(run: &mut Run<Cargo, Py<PyAny>>, engine: &Engine, found: Vec<Found>) {
    let graph = &engine.graph;
    let mut reserved = Vec::with_capacity(found.len());
    for Found { dendrite, hop, cargo, joined } in found {
        let mut activation = run.reserve(graph, dendrite, cargo, 0, hop);
        if !joined.is_empty() {
            let part = |part: Found| Activation {
                number: 0,
                cause: 0,
                hop: part.hop,
                dendrite: part.dendrite,
                signal: part.cargo,
                joined: None,
            };
            activation.joined = Some(Box::new(joined.into_iter().map(part).collect()));
        }
        reserved.push(activation);
    }
    for activation in reserved {
        run.append(graph, activation);
    }
}
