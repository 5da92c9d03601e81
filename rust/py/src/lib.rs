//! `cnstra._native`: the native engine as a Python module. Modules and the export list, nothing else.
//!
//! - `engine` compiles neurons to a graph and starts runs; `options` is what a run can be told
//! - `drive` is the dispatch loop; `settle` is how an activation ends; `announce` tells listeners
//! - `stimulation` is a run as Python sees it; `feed` is how it is fed; `callback` is what asyncio and threads call
//! - `handler`, `signal`, `context`, `response` and `task` are what Python code sees of graphs and runs
//! - `call` has the raw calls; `names` the Python side, looked up once

mod abort;
mod announce;
mod build_info;
mod call;
mod callback;
mod compile;
mod components;
mod context;
mod drive;
mod engine;
mod feed;
mod handler;
mod names;
mod options;
mod panic;
mod response;
mod settle;
mod signal;
mod slots;
mod stimulation;
mod task;

/// The native engine of `cnstra`. Import `cnstra`, not this module.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::build_info::build_info;
    #[pymodule_export]
    use crate::components::components;
    #[pymodule_export]
    use crate::context::Context;
    #[pymodule_export]
    use crate::engine::Engine;
    #[pymodule_export]
    use crate::panic::_panic;
    #[pymodule_export]
    use crate::response::{Drain, Response};
    #[pymodule_export]
    use crate::signal::{Collateral, Signal};
    #[pymodule_export]
    use crate::stimulation::Stimulation;
}
