//! The raw calls: what PyO3 has no safe wrapper for. Every one is checked for an error before anything else happens.
#![allow(unsafe_code, reason = "the one file of raw calls; each has its own reason")]

use crate::stimulation::Stimulation;
use pyo3::exceptions::{PyStopIteration, PySystemError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{ffi, intern};
use std::cell::Cell;

/// The current context (`contextvars`), copied.
pub(crate) fn copy_context(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: the thread is attached; the call returns a new reference or null with an error set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }
}

/// A context is the current one for as long as this lives.
pub(crate) struct Entered<'a, 'py>(&'a Bound<'py, PyAny>);

impl<'a, 'py> Entered<'a, 'py> {
    pub(crate) fn enter(context: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        // SAFETY: the thread is attached; anything but a context object is refused with an error.
        if unsafe { ffi::PyContext_Enter(context.as_ptr()) } < 0 {
            return Err(PyErr::fetch(context.py()));
        }
        Ok(Self(context))
    }
}

impl Drop for Entered<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: it was entered above, on this thread, and what was entered since then has been left.
        if unsafe { ffi::PyContext_Exit(self.0.as_ptr()) } < 0 {
            PyErr::fetch(self.0.py()).write_unraisable(self.0.py(), None);
        }
    }
}

/// What a coroutine gave.
pub(crate) enum Sent<'py> {
    /// It waits for this.
    Yielded(Bound<'py, PyAny>),
    /// It has ended with this.
    Returned(Bound<'py, PyAny>),
}

/// Go on with a coroutine, or anything else that can be sent to, without an exception for its end.
#[inline]
pub(crate) fn send<'py>(coroutine: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<Sent<'py>> {
    let py = coroutine.py();
    let mut sent = std::ptr::null_mut();
    // SAFETY: the thread is attached, and both are objects; for two of the three results `sent` is a new reference.
    unsafe {
        match ffi::PyIter_Send(coroutine.as_ptr(), value.as_ptr(), &raw mut sent) {
            ffi::PySendResult::PYGEN_RETURN => Ok(Sent::Returned(Bound::from_owned_ptr(py, sent))),
            ffi::PySendResult::PYGEN_NEXT => Ok(Sent::Yielded(Bound::from_owned_ptr(py, sent))),
            ffi::PySendResult::PYGEN_ERROR => Err(raised(py)),
        }
    }
}

/// Raise something in a coroutine. What it yields or returns next, as for [`send`].
pub(crate) fn throw<'py>(coroutine: &Bound<'py, PyAny>, arguments: &Bound<'py, PyTuple>) -> PyResult<Sent<'py>> {
    let py = coroutine.py();
    let throw = coroutine.getattr(intern!(py, "throw"))?;
    // SAFETY: the thread is attached, and both are objects; the result is a new reference, or null with an error set.
    let thrown = unsafe { ffi::PyObject_CallObject(throw.as_ptr(), arguments.as_ptr()) };
    if !thrown.is_null() {
        // SAFETY: as above.
        return Ok(Sent::Yielded(unsafe { Bound::from_owned_ptr(py, thrown) }));
    }
    let error = raised(py);
    if error.is_instance_of::<PyStopIteration>(py) {
        return Ok(Sent::Returned(error.value(py).getattr(intern!(py, "value"))?));
    }
    Err(error)
}

/// The exception that has been raised. `PyErr::fetch` makes a panic of one that was a panic (S23), and would unwind past
/// whoever has to be told of it.
fn raised(py: Python<'_>) -> PyErr {
    #[cfg(Py_3_12)]
    // SAFETY: the thread is attached; it gives a new reference to what was raised, and clears it.
    let value = unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyErr_GetRaisedException()) };
    #[cfg(not(Py_3_12))]
    // SAFETY: the thread is attached; the three are new references or null, and with a type there is a value once they
    // are normalized.
    let value = unsafe {
        let (mut kind, mut value, mut traceback) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        ffi::PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut traceback);
        ffi::PyErr_NormalizeException(&raw mut kind, &raw mut value, &raw mut traceback);
        if !traceback.is_null() && !value.is_null() {
            ffi::PyException_SetTraceback(value, traceback);
        }
        drop(Bound::from_owned_ptr_or_opt(py, kind));
        drop(Bound::from_owned_ptr_or_opt(py, traceback));
        Bound::from_owned_ptr_or_opt(py, value)
    };
    value.map_or_else(|| PySystemError::new_err("an error without an exception"), PyErr::from_value)
}

/// Whether it is what calling an `async def` gives.
#[inline]
pub(crate) fn is_coroutine(value: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the thread is attached, and it is an object.
    unsafe { ffi::PyCoro_CheckExact(value.as_ptr()) != 0 }
}

thread_local! {
    /// The handler that this thread is in, the innermost one.
    static INNERMOST: Cell<*const Driven> = const { Cell::new(std::ptr::null()) };
}

/// A handler of a run on this thread's stack, and the one below it.
struct Driven {
    run: *mut ffi::PyObject,
    number: u64,
    outer: *const Self,
}

/// Call something while this thread is in a handler of a run. The number is 0 for a run whose turn it drives: its handler
/// is whatever that run has on the stack.
///
/// A list on the stack, since every turn is entered here, and hardly anybody ever looks.
#[inline]
pub(crate) fn drive<T>(run: &Bound<'_, Stimulation>, number: u64, call: impl FnOnce() -> T) -> T {
    /// Put back also if the call unwinds.
    struct Leave(*const Driven);
    impl Drop for Leave {
        #[inline]
        fn drop(&mut self) {
            INNERMOST.set(self.0);
        }
    }
    let driven = Driven { run: run.as_ptr(), number, outer: INNERMOST.get() };
    let _leave = Leave(driven.outer);
    INNERMOST.set(&raw const driven);
    call()
}

/// The handlers that this thread is in, the innermost last.
pub(crate) fn driving(py: Python<'_>) -> Vec<(Bound<'_, Stimulation>, u64)> {
    let mut found = Vec::new();
    let mut next = INNERMOST.get();
    // SAFETY: what the list names is on this thread's stack below us, in `drive`, which takes it off before it returns;
    // and its caller holds the run.
    while let Some(driven) = unsafe { next.as_ref() } {
        // SAFETY: as above; it was a run when it was put there.
        let run = unsafe { Bound::from_borrowed_ptr(py, driven.run).cast_into_unchecked::<Stimulation>() };
        found.push((run, driven.number));
        next = driven.outer;
    }
    found.reverse();
    found
}
