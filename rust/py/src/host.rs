//! Where a run lives: in a running event loop, or in a thread without one (S20).

use crate::names;
use crate::starter::Starter;
use crate::stimulation::Stimulation;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule};
use pyo3::{PyTraverseError, intern};
use std::cell::RefCell;

/// An `aio.Loop` or a `blocking.Blocking`.
pub(crate) struct Host {
    pub(crate) object: Py<PyAny>,
    /// None where there is no loop.
    pub(crate) starter: Option<Py<Starter>>,
}

thread_local! {
    /// The loop that this thread was in last: there is hardly ever another.
    static HERE: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// The loop that runs in this thread. Without asyncio in `sys.modules` none can.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let get = match GET.get(py) {
        Some(get) => get.bind(py),
        None => {
            let modules = PyModule::import(py, "sys")?.getattr(intern!(py, "modules"))?.cast_into::<PyDict>()?;
            let Some(asyncio) = modules.get_item(intern!(py, "asyncio"))? else { return Ok(None) };
            // None while the module is being imported by somebody.
            let Some(get) = asyncio.getattr_opt(intern!(py, "_get_running_loop"))? else { return Ok(None) };
            GET.get_or_init(py, || get.unbind()).bind(py)
        }
    };
    let running = get.call0()?;
    Ok((!running.is_none()).then_some(running))
}

impl Host {
    /// This thread's.
    pub(crate) fn here(py: Python<'_>) -> PyResult<Self> {
        let Some(running) = running_loop(py)? else {
            let object = names::blocking(py)?.getattr(intern!(py, "Blocking"))?.call0()?.unbind();
            return Ok(Self { object, starter: None });
        };
        let known = HERE.with(|here| {
            let here = here.borrow();
            here.as_ref().filter(|host| host.lives_in(py, &running)).map(|host| host.clone_ref(py))
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let object = names::aio(py)?.getattr(intern!(py, "current"))?.call0()?;
        let starter = object.getattr(intern!(py, "starter"))?;
        let starter = if starter.is_none() {
            let made = Bound::new(py, Starter::new(&object)?)?;
            object.setattr(intern!(py, "starter"), &made)?;
            made
        } else {
            starter.cast_into::<Starter>()?
        };
        let found = Self { object: object.unbind(), starter: Some(starter.unbind()) };
        let before = HERE.with(|here| here.replace(Some(found.clone_ref(py))));
        drop(before);
        Ok(found)
    }

    fn clone_ref(&self, py: Python<'_>) -> Self {
        Self { object: self.object.clone_ref(py), starter: self.starter.as_ref().map(|starter| starter.clone_ref(py)) }
    }

    /// It waits by blocking its thread.
    pub(crate) fn is_blocking(&self) -> bool {
        self.starter.is_none()
    }

    fn lives_in(&self, py: Python<'_>, running: &Bound<'_, PyAny>) -> bool {
        self.starter.as_ref().is_some_and(|starter| starter.get().lives_in(py, running))
    }

    /// Whether this is its thread, and its loop the one that runs.
    pub(crate) fn is_here(&self, py: Python<'_>) -> PyResult<bool> {
        if self.is_blocking() {
            return self.object.call_method0(py, intern!(py, "is_here"))?.is_truthy(py);
        }
        Ok(running_loop(py)?.is_some_and(|running| self.lives_in(py, &running)))
    }

    /// Keep an unfinished run alive; where there is no loop the caller's stack does.
    pub(crate) fn hold(&self, stim: &Bound<'_, Stimulation>) -> PyResult<()> {
        self.starter.as_ref().map_or(Ok(()), |starter| starter.get().hold(stim))
    }

    /// It has ended.
    pub(crate) fn let_go(&self, stim: &Bound<'_, Stimulation>) -> PyResult<()> {
        self.starter.as_ref().map_or(Ok(()), |starter| starter.get().let_go(stim))
    }

    pub(crate) fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.object)?;
        visit.call(&self.starter)
    }
}
