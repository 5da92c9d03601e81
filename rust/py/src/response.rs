//! What listeners are given.

use crate::signal::Signal;
use crate::stimulation::Stimulation;
use crate::task::{Cargo, TaskInfo};
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, intern};

/// What the subscribers of a response's signal were numbered.
#[derive(Clone, Copy, Default)]
pub(crate) struct Caused {
    pub(crate) collateral: Option<u32>,
    pub(crate) first: u64,
    pub(crate) count: usize,
}

/// An activation finished, or a run was entered.
#[pyclass(frozen, module = "cnstra")]
pub(crate) struct Response {
    #[pyo3(get)]
    pub(crate) stimulation: Py<Stimulation>,
    /// The activation that answered, with its neuron; `None` for the entry.
    pub(crate) answered: Option<(TaskInfo, Py<PyAny>)>,
    #[pyo3(get)]
    pub(crate) output_signal: Option<Py<Signal>>,
    #[pyo3(get)]
    pub(crate) output_index: usize,
    #[pyo3(get)]
    pub(crate) output_count: usize,
    pub(crate) caused: Caused,
    #[pyo3(get)]
    pub(crate) error: Option<Py<PyAny>>,
    #[pyo3(get)]
    pub(crate) pending_activations: usize,
    #[pyo3(get)]
    pub(crate) active_activations: usize,
    #[pyo3(get)]
    pub(crate) context_value: Option<Py<PyAny>>,
    #[pyo3(get, name = "final")]
    pub(crate) is_final: bool,
}

#[pymethods]
impl Response {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyAny>, _kwargs: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Err(PyTypeError::new_err("a Response is made by the engine, for listeners"))
    }

    #[getter]
    fn task<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let engine = self.stimulation.get().engine();
        self.answered.as_ref().map(|(info, _)| info.to_task(py, engine)).transpose()
    }

    #[getter]
    fn neuron(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.answered.as_ref().map(|(_, neuron)| neuron.clone_ref(py))
    }

    #[getter]
    fn input_signal(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Ok(match self.answered.as_ref().map(|(info, _)| &info.cargo) {
            None => None,
            Some(Cargo::Signal(signal)) => Some(signal.clone_ref(py).into_any()),
            Some(Cargo::Unknown(task)) => Some(task.getattr(py, intern!(py, "signal"))?),
        })
    }

    #[getter]
    fn caused<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let engine = self.stimulation.get().engine();
        let (cause, hop) = self.answered.as_ref().map_or((0, 0), |(info, _)| (info.number, info.hop));
        let mut tasks = Vec::with_capacity(self.caused.count);
        if let (Some(collateral), Some(signal)) = (self.caused.collateral, &self.output_signal) {
            let (first, end) = engine.graph.subscribers(collateral);
            for (number, place) in (self.caused.first..).zip(first..end).take(self.caused.count) {
                let info = TaskInfo {
                    number,
                    cause,
                    hop: hop + 1,
                    dendrite: engine.graph.subscriber(place),
                    cargo: Cargo::Signal(signal.clone_ref(py)),
                    joined: Vec::new(),
                };
                tasks.push(info.to_task(py, engine)?);
            }
        }
        PyTuple::new(py, tasks)
    }

    #[getter]
    fn hops(&self) -> u32 {
        self.answered.as_ref().map_or(0, |(info, _)| info.hop)
    }

    #[getter]
    fn queue_length(&self) -> usize {
        self.pending_activations + self.active_activations
    }

    fn __setattr__(&self, name: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyAttributeError::new_err(format!("a Response is read-only: {} cannot be set", name.repr()?)))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let who = match &self.answered {
            None => "the entry".into(),
            Some((_, neuron)) => neuron.bind(py).getattr(intern!(py, "name"))?.repr()?.to_string(),
        };
        let what = match (&self.error, &self.output_signal) {
            (Some(error), _) => error.bind(py).repr()?.to_string(),
            (None, Some(signal)) => signal.bind(py).repr()?.to_string(),
            (None, None) => "None".into(),
        };
        Ok(format!("<Response of {who}: {what}>"))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a Response cannot be pickled: it belongs to a run of this process"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.stimulation)?;
        if let Some((info, neuron)) = &self.answered {
            info.visit(visit)?;
            visit.call(neuron)?;
        }
        visit.call(&self.output_signal)?;
        visit.call(&self.error)?;
        visit.call(&self.context_value)
    }
}

/// A turn of a run ended.
#[pyclass(frozen, module = "cnstra")]
pub(crate) struct Drain {
    #[pyo3(get)]
    pub(crate) stimulation: Py<Stimulation>,
    #[pyo3(get)]
    pub(crate) pending_activations: usize,
    #[pyo3(get)]
    pub(crate) active_activations: usize,
    #[pyo3(get)]
    pub(crate) last_id: u64,
}

#[pymethods]
impl Drain {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyAny>, _kwargs: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Err(PyTypeError::new_err("a Drain is made by the engine, for listeners"))
    }

    #[getter]
    fn queue_length(&self) -> usize {
        self.pending_activations + self.active_activations
    }

    fn __setattr__(&self, name: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyAttributeError::new_err(format!("a Drain is read-only: {} cannot be set", name.repr()?)))
    }

    fn __repr__(&self) -> String {
        format!("<Drain: {} pending, {} active>", self.pending_activations, self.active_activations)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a Drain cannot be pickled: it belongs to a run of this process"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.stimulation)
    }
}
