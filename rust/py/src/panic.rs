//! A way for tests to see that a panic ends a run and not the process (S23).

use pyo3::prelude::*;

/// Panic with this message.
#[pyfunction]
#[pyo3(signature = (message, /))]
pub(crate) fn _panic(message: &str) {
    panic!("{message}");
}
