//! `cnstra._native`: the native engine as a Python module. Modules and the export list, nothing else.

mod build_info;

/// The native engine of `cnstra`. Import `cnstra`, not this module.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::build_info::build_info;
}
