//! What this extension is and what it was built with.

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// What the native engine was built with, all values `str`: engine, profile, version, pyo3, rustc.
#[pyfunction]
pub(crate) fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("engine", "native")?;
    info.set_item("profile", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    info.set_item("version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("pyo3", env!("CNSTRA_PYO3"))?;
    info.set_item("rustc", env!("CNSTRA_RUSTC"))?;
    Ok(info)
}
