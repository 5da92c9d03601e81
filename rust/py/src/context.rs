//! What a handler of three arguments is given beside payload and axon.

use crate::names;
use crate::stimulation::Stimulation;
use crate::task::TaskInfo;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use pyo3::{PyTraverseError, intern};

/// One activation's view of its run.
#[pyclass(frozen, module = "cnstra")]
pub(crate) struct Context {
    stimulation: Py<Stimulation>,
    name: Py<PyString>,
    info: TaskInfo,
}

impl Context {
    pub(crate) fn new(stimulation: Py<Stimulation>, name: Py<PyString>, info: TaskInfo) -> Self {
        Self { stimulation, name, info }
    }

    fn store<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.stimulation.get().store(py)
    }
}

#[pymethods]
impl Context {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new_py(_args: &Bound<'_, PyAny>, _kwargs: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Err(PyTypeError::new_err("contexts are made by the engine, for handlers that take (payload, axon, ctx)"))
    }

    #[classmethod]
    #[pyo3(signature = (**_options))]
    fn __init_subclass__(_cls: &Bound<'_, PyType>, _options: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        Err(PyTypeError::new_err("Context is final and cannot be subclassed"))
    }

    #[classmethod]
    fn __class_getitem__<'py>(_cls: &Bound<'py, PyType>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        names::generic_alias::<Self>(item)
    }

    #[pyo3(signature = (default = None, /))]
    fn get<'py>(&self, py: Python<'py>, default: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        self.store(py)?.call_method1(intern!(py, "get"), (&self.name, default))
    }

    #[pyo3(signature = (value, /))]
    fn set(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.store(py)?.call_method1(intern!(py, "set"), (&self.name, value)).map(drop)
    }

    fn delete(&self, py: Python<'_>) -> PyResult<()> {
        self.store(py)?.call_method1(intern!(py, "delete"), (&self.name,)).map(drop)
    }

    #[getter]
    fn shared(&self, py: Python<'_>) -> Py<PyAny> {
        self.stimulation.get().engine().shared.clone_ref(py)
    }

    #[getter]
    fn stimulation_context(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.stimulation.get().options().stimulation_context.as_ref().map(|value| value.clone_ref(py))
    }

    #[getter]
    fn abort_signal(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.stimulation.get().abort_signal(py)
    }

    #[getter]
    fn cns(&self, py: Python<'_>) -> Py<PyAny> {
        self.stimulation.get().cns(py).into_any()
    }

    #[getter]
    fn stimulation(&self, py: Python<'_>) -> Py<Stimulation> {
        self.stimulation.clone_ref(py)
    }

    #[getter]
    fn task<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.info.to_task(py, self.stimulation.get().engine())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<Context of neuron {}>", self.name.bind(py).repr()?))
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let message = format!("{} cannot be pickled: it belongs to a run of this process", slf.repr()?);
        Err(PyTypeError::new_err(message))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.stimulation)?;
        self.info.visit(visit)
    }
}
