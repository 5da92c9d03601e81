//! `cnstra._native`: the native engine as a Python module. Modules and the export list, nothing else.
//!
//! - `engine` starts runs on what `compile` made of neurons; `options` is what a run can be told, `family` what is shared
//!   with the same graph inside more middleware
//! - `begin` is how a run begins and `drive` its dispatch loop; `enter`, `settle` and `announce` are an activation's life
//! - `feed`, `grants` and `abort` are what reaches a run from outside, and how it ends; `callback` is what asyncio,
//!   timers and threads call
//! - `host` is where a run lives, `starter` and `carrier` how coroutines go on there, `waiter` who awaits a run
//! - `stimulation` is a run as Python sees it, `state` what changes in it, `spares` those that are kept for the next runs
//! - `handler`, `signal`, `context`, `response`, `task` and `listeners` are what Python code sees of graphs and runs
//! - `call` has the raw calls, `guarded` the lock of what runs share; `fields` and `addresses` are what is found without a
//!   look-up, `names` the Python side, looked up once

mod abort;
mod addresses;
mod announce;
mod begin;
mod build_info;
mod call;
mod callback;
mod carrier;
mod compile;
mod components;
mod context;
mod drive;
mod engine;
mod enter;
mod family;
mod feed;
mod fields;
mod grants;
mod guarded;
mod handler;
mod host;
mod listeners;
mod names;
mod options;
mod panic;
mod response;
mod settle;
mod signal;
mod spares;
mod starter;
mod state;
mod stimulation;
mod task;
mod waiter;

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
