//! Collaterals and the signals that they mint.

use crate::names;
use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use pyo3::{PyTraverseError, intern};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A named, typed channel; signals are routed by its identity, never by its name.
#[pyclass(frozen, weakref, module = "cnstra")]
pub(crate) struct Collateral {
    pub(crate) name: Py<PyString>,
    payload_type: OnceLock<Py<PyAny>>,
    /// The graph that it was compiled into last, and its number there: routing finds it without a hash table.
    place: AtomicU64,
}

impl Collateral {
    /// Its number in the graph of this id, if that is the one it was compiled into last.
    #[inline]
    pub(crate) fn number_in(&self, graph: u32) -> Option<u32> {
        let place = self.place.load(Ordering::Relaxed);
        (place >> 32 == u64::from(graph)).then(|| u32::try_from(place & u64::from(u32::MAX)).unwrap_or(0))
    }

    pub(crate) fn put_in(&self, graph: u32, number: u32) {
        self.place.store(u64::from(graph) << 32 | u64::from(number), Ordering::Relaxed);
    }
}

#[pymethods]
impl Collateral {
    #[new]
    #[pyo3(signature = (name, payload_type = None, /))]
    fn new(name: &Bound<'_, PyAny>, payload_type: Option<Py<PyAny>>) -> PyResult<Self> {
        let Ok(text) = name.cast::<PyString>() else {
            let kind = name.get_type().name()?;
            return Err(PyTypeError::new_err(format!("a collateral's name must be a str, not {kind}")));
        };
        if text.len()? == 0 {
            return Err(PyValueError::new_err("a collateral needs a name that is not empty"));
        }
        let cell = OnceLock::new();
        if let Some(payload_type) = payload_type {
            let _ = cell.set(payload_type);
        }
        Ok(Self { name: text.clone().unbind(), payload_type: cell, place: AtomicU64::new(0) })
    }

    #[classmethod]
    #[pyo3(signature = (**_options))]
    fn __init_subclass__(_cls: &Bound<'_, PyType>, _options: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        Err(PyTypeError::new_err("Collateral is final and cannot be subclassed"))
    }

    #[classmethod]
    fn __class_getitem__<'py>(_cls: &Bound<'py, PyType>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        names::generic_alias::<Self>(item)
    }

    /// `Collateral[A | B]("name")` calls the class and then tells the object which alias made it.
    #[setter(__orig_class__)]
    fn set_orig_class(&self, alias: &Bound<'_, PyAny>) -> PyResult<()> {
        let argument = alias.getattr(intern!(alias.py(), "__args__"))?.get_item(0)?;
        let _ = self.payload_type.set(argument.unbind());
        Ok(())
    }

    #[getter]
    fn name(&self, py: Python<'_>) -> Py<PyString> {
        self.name.clone_ref(py)
    }

    #[getter]
    fn payload_type(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.payload_type.get().map(|kind| kind.clone_ref(py))
    }

    #[pyo3(signature = (payload = Payload(None), /))]
    fn create_signal(slf: &Bound<'_, Self>, payload: Payload<'_>) -> PyResult<Signal> {
        let payload = match payload.0 {
            Some(payload) => payload.unbind(),
            None => slf.get().no_payload(slf.py())?,
        };
        Ok(Signal { collateral: slf.clone().unbind(), payload })
    }

    #[pyo3(signature = (signal, /))]
    fn r#match<'py>(slf: &Bound<'py, Self>, signal: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if signal.is_none() {
            return Ok(None);
        }
        match signal.cast_exact::<Signal>() {
            Ok(found) => Ok(found.get().collateral.is(slf).then(|| signal.clone())),
            Err(_) => {
                let kind = signal.get_type().name()?;
                Err(PyTypeError::new_err(format!("match takes a Signal or None, not {kind}")))
            }
        }
    }

    fn __collateral__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("__collateral__ exists for type checkers alone"))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<Collateral {}>", self.name.bind(py).repr()?))
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let name = slf.repr()?;
        let message = format!("{name} cannot be pickled: it is its identity that routes; send its name and look it up");
        Err(PyTypeError::new_err(message))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.payload_type.get())
    }
}

impl Collateral {
    /// The payload of `create_signal()`: None, where that is what the collateral carries.
    fn no_payload(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let Some(kind) = self.payload_type.get().map(|kind| kind.bind(py)) else { return Ok(py.None()) };
        if kind.is_none() || kind.is(py.None().bind(py).get_type()) {
            return Ok(py.None());
        }
        let expected = kind.getattr(intern!(py, "__name__")).or_else(|_| kind.str().map(Bound::into_any))?;
        let name = self.name.bind(py).repr()?;
        let message = format!("collateral {name} carries {expected}: create_signal needs a payload");
        Err(PyTypeError::new_err(message))
    }
}

/// An argument of which None is a value like any other, so that it cannot stand for a missing one.
struct Payload<'py>(Option<Bound<'py, PyAny>>);

impl<'py> FromPyObject<'_, 'py> for Payload<'py> {
    type Error = PyErr;

    #[inline]
    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(Some(value.to_owned())))
    }
}

/// A collateral and a payload; immutable.
#[pyclass(frozen, module = "cnstra")]
pub(crate) struct Signal {
    pub(crate) collateral: Py<Collateral>,
    pub(crate) payload: Py<PyAny>,
}

#[pymethods]
impl Signal {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyAny>, _kwargs: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Err(PyTypeError::new_err("signals are made by a collateral: use collateral.create_signal(payload)"))
    }

    #[classmethod]
    #[pyo3(signature = (**_options))]
    fn __init_subclass__(_cls: &Bound<'_, PyType>, _options: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        Err(PyTypeError::new_err("Signal is final and cannot be subclassed"))
    }

    #[classmethod]
    fn __class_getitem__<'py>(_cls: &Bound<'py, PyType>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        names::generic_alias::<Self>(item)
    }

    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("collateral", "payload")
    }

    #[getter]
    fn collateral(&self, py: Python<'_>) -> Py<Collateral> {
        self.collateral.clone_ref(py)
    }

    #[getter]
    fn collateral_name(&self, py: Python<'_>) -> Py<PyString> {
        self.collateral.get().name.clone_ref(py)
    }

    #[getter]
    fn payload(&self, py: Python<'_>) -> Py<PyAny> {
        self.payload.clone_ref(py)
    }

    fn __setattr__(&self, name: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyAttributeError::new_err(format!("a Signal is immutable: {} cannot be set", name.repr()?)))
    }

    fn __delattr__(&self, name: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyAttributeError::new_err(format!("a Signal is immutable: {} cannot be deleted", name.repr()?)))
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let Ok(other) = other.cast_exact::<Self>() else { return Ok(py.NotImplemented()) };
        let other = other.get();
        let equal = self.collateral.is(&other.collateral) && self.payload.bind(py).eq(&other.payload)?;
        Ok(equal.into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        let place = self.collateral.as_ptr() as isize;
        Ok(self.payload.bind(py).hash()? ^ (place >> 4))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<Signal {} {}>", self.collateral.get().name.bind(py).repr()?, self.payload.bind(py).repr()?))
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(&self, py: Python<'_>, memo: &Bound<'_, PyAny>) -> PyResult<Self> {
        let payload = PyModule::import(py, "copy")?.getattr("deepcopy")?.call1((&self.payload, memo))?;
        Ok(Self { collateral: self.collateral.clone_ref(py), payload: payload.unbind() })
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let name = slf.repr()?;
        let message = format!("{name} cannot be pickled: use cns.network.dump(signal), which carries it by name");
        Err(PyTypeError::new_err(message))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.collateral)?;
        visit.call(&self.payload)
    }
}
