//! The Python side of the engine, looked up once: what is worded, wrapped or awaited there for both engines.

use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyModule;
use pyo3::{PyTypeInfo, intern};

/// A module of the package, imported when it is first needed: the package is not ready when this one is imported.
pub(crate) fn module<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyModule>>,
    name: &str,
) -> PyResult<&'py Bound<'py, PyModule>> {
    cell.get_or_try_init(py, || PyModule::import(py, name).map(Bound::unbind)).map(|module| module.bind(py))
}

macro_rules! modules {
    ($($function:ident = $name:literal;)*) => {$(
        pub(crate) fn $function(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
            static CELL: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
            module(py, &CELL, $name)
        }
    )*};
}

modules! {
    abort = "cnstra.abort";
    aio = "cnstra.aio";
    blocking = "cnstra.blocking";
    contexts = "cnstra.context";
    deadlock = "cnstra.deadlock";
    errors = "cnstra.errors";
    faults = "cnstra.faults";
    neurons = "cnstra.graph";
    stimulation = "cnstra.stimulation";
    wrapping = "cnstra.wrapping";
}

/// The error that `cnstra.faults` words under this name.
#[cold]
pub(crate) fn fault<'py>(py: Python<'py>, name: &str, arguments: impl PyCallArgs<'py>) -> PyErr {
    match worded(py, name, arguments) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// What `cnstra.faults` gives for this name: an error, a text, or a check that raises.
#[cold]
pub(crate) fn worded<'py>(py: Python<'py>, name: &str, arguments: impl PyCallArgs<'py>) -> PyResult<Bound<'py, PyAny>> {
    faults(py)?.getattr(name)?.call1(arguments)
}

/// The exception object, with its traceback.
pub(crate) fn exception(py: Python<'_>, error: &PyErr) -> Py<PyAny> {
    error.clone_ref(py).into_value(py).into_any()
}

/// Whether it is asyncio's CancelledError.
pub(crate) fn is_cancellation(py: Python<'_>, error: &PyErr) -> bool {
    // An ordinary exception cannot be one: CancelledError is a BaseException.
    !error.is_instance_of::<pyo3::exceptions::PyException>(py)
        && aio(py)
            .and_then(|aio| aio.getattr(intern!(py, "is_cancellation")))
            .and_then(|check| check.call1((error.value(py),)))
            .is_ok_and(|answer| answer.is_truthy().unwrap_or(false))
}

/// `types.GenericAlias(cls, item)`: what makes `Collateral[int]` work at run time.
pub(crate) fn generic_alias<'py, T: PyTypeInfo>(item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static CELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = item.py();
    CELL.get_or_try_init(py, || PyModule::import(py, "types")?.getattr("GenericAlias").map(Bound::unbind))?
        .bind(py)
        .call1((T::type_object(py), item))
}
