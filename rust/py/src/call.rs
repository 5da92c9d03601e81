//! The raw calls: what PyO3 has no safe wrapper for. Every one is checked for an error before anything else happens.
#![allow(unsafe_code, reason = "the one file of raw calls; each has its own reason")]

use pyo3::ffi;
use pyo3::prelude::*;

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
