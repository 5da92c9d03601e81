//! The bare loop: handlers called one after the other by native code, and nothing around them but what it takes to get at
//! the payload of a signal. What the engine costs is what it takes longer than this.
//!
//! | here | what of the engine is measured against it |
//! |---|---|
//! | [`Unwrapper::chain`] | a chain: each handler gets the payload of the signal that the one before it returned |
//! | [`fan_out`] | a fan-out: all handlers get one payload |
//! | [`repeat`] | a run of one sink: one handler, again and again |
//! | [`repeat_one`] | nothing: it calls `stimulate` for the last case, so that both are called from native code |
//!
//! It has no queue, no graph, no counters, and no check of what a handler may emit. It calls handlers as the engine
//! does, through the same wrappers of PyO3 and with both arguments on the stack, and it does the same with results: one
//! that is an error ends the loop. The payload it reads from the memory of the signal: an attribute look-up from outside
//! would be dearer than all the rest of the loop, and would flatter the engine, which knows its own signals from inside.
#![allow(unsafe_code, reason = "it reads a field of another module's object, which is what makes it bare")]

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyType};
use pyo3::{Borrowed, ffi};

/// Where a Signal keeps its payload, found by looking for it.
#[pyclass(frozen)]
struct Unwrapper {
    kind: Py<PyType>,
    /// In pointers from the start of the object.
    place: usize,
}

impl Unwrapper {
    fn payload<'a, 'py>(&self, signal: &'a Bound<'py, PyAny>) -> PyResult<Borrowed<'a, 'py, PyAny>> {
        if !signal.get_type().is(&self.kind) {
            return Err(PyTypeError::new_err(format!("not a signal: {signal:?}")));
        }
        // SAFETY: the type is that of the signal in which the pointer was found, its objects are immutable, and this one
        // outlives the borrow.
        Ok(unsafe { Borrowed::from_ptr(signal.py(), *signal.as_ptr().cast::<*mut ffi::PyObject>().add(self.place)) })
    }
}

#[pymethods]
impl Unwrapper {
    /// Find it in `signal`, whose payload is `payload`, an object that the signal refers to once.
    #[new]
    fn new(signal: &Bound<'_, PyAny>, payload: &Bound<'_, PyAny>) -> PyResult<Self> {
        let kind = signal.get_type();
        let words = kind.getattr("__basicsize__")?.extract::<usize>()? / size_of::<usize>();
        // SAFETY: an object has as many bytes as its type says, and pointers in it are aligned.
        let memory = unsafe { std::slice::from_raw_parts(signal.as_ptr().cast::<usize>(), words) };
        let mut places = (0..words).filter(|&at| memory[at] == payload.as_ptr() as usize);
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(Self { kind: kind.unbind(), place }),
            _ => Err(PyValueError::new_err("the payload is not in one place of the signal")),
        }
    }

    /// Call each handler with the payload of the signal that the one before it returned, and with its axon; return the
    /// payload of the last.
    fn chain(
        &self,
        handlers: &Bound<'_, PyList>,
        axons: &Bound<'_, PyList>,
        signal: Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let handlers: Vec<_> = handlers.iter().collect();
        let axons: Vec<_> = axons.iter().collect();
        let mut signal = signal;
        for (handler, axon) in handlers.iter().zip(&axons) {
            let payload = self.payload(&signal)?;
            signal = handler.call1((&*payload, axon))?;
        }
        Ok(self.payload(&signal)?.to_owned().unbind())
    }
}

/// Call each handler with the same payload and with its axon; each returns None. Return how many there were.
#[pyfunction]
fn fan_out(handlers: &Bound<'_, PyList>, axons: &Bound<'_, PyList>, payload: &Bound<'_, PyAny>) -> PyResult<usize> {
    let handlers: Vec<_> = handlers.iter().collect();
    let axons: Vec<_> = axons.iter().collect();
    for (handler, axon) in handlers.iter().zip(&axons) {
        if !handler.call1((payload, axon))?.is_none() {
            return Err(PyValueError::new_err("a sink returns None"));
        }
    }
    Ok(handlers.len())
}

/// Call one handler, `times` times; it returns None. Return `times`.
#[pyfunction]
fn repeat(
    handler: &Bound<'_, PyAny>,
    axon: &Bound<'_, PyAny>,
    payload: &Bound<'_, PyAny>,
    times: usize,
) -> PyResult<usize> {
    for _ in 0..times {
        if !handler.call1((payload, axon))?.is_none() {
            return Err(PyValueError::new_err("a sink returns None"));
        }
    }
    Ok(times)
}

/// Call anything with one argument, `times` times, and drop what it returns. Return `times`.
#[pyfunction]
fn repeat_one(call: &Bound<'_, PyAny>, argument: &Bound<'_, PyAny>, times: usize) -> PyResult<usize> {
    for _ in 0..times {
        call.call1((argument,))?;
    }
    Ok(times)
}

/// The bare loop of the benches.
#[pymodule]
mod bare {
    #[pymodule_export]
    use super::{Unwrapper, fan_out, repeat, repeat_one};
}
