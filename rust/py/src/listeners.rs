//! Listeners that hear all runs of a CNS (S6, S7), and what takes listeners and callbacks back.

use crate::family::Family;
use crate::guarded::Guarded;
use crate::stimulation::Stimulation;
use pyo3::PyTraverseError;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Listeners in order of registration; a snapshot is a reference to the slice.
pub(crate) struct Listeners {
    any: AtomicBool,
    list: Guarded<(u64, Arc<[Entrant]>)>,
}

type Entrant = (u64, Arc<Py<PyAny>>);

impl Default for Listeners {
    fn default() -> Self {
        Self { any: AtomicBool::new(false), list: Guarded::new((0, Arc::new([]))) }
    }
}

impl Listeners {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }

    pub(crate) fn snapshot(&self, py: Python<'_>) -> Arc<[Entrant]> {
        Arc::clone(&self.list.lock(py).1)
    }

    pub(crate) fn add(&self, py: Python<'_>, listener: Py<PyAny>) -> u64 {
        let mut list = self.list.lock(py);
        list.0 += 1;
        let key = list.0;
        let entrant = (key, Arc::new(listener));
        let before = std::mem::replace(&mut list.1, Arc::new([]));
        list.1 = before.iter().cloned().chain([entrant]).collect();
        self.any.store(true, Ordering::Relaxed);
        drop(list);
        drop(before);
        key
    }

    pub(crate) fn remove(&self, py: Python<'_>, key: u64) {
        let mut list = self.list.lock(py);
        let before = std::mem::replace(&mut list.1, Arc::new([]));
        list.1 = before.iter().filter(|(other, _)| *other != key).cloned().collect();
        self.any.store(!list.1.is_empty(), Ordering::Relaxed);
        drop(list);
        // Only now: dropping a listener may run its owner's code.
        drop(before);
    }

    pub(crate) fn clear(&self, py: Python<'_>) {
        let cleared = std::mem::replace(&mut self.list.lock(py).1, Arc::new([]));
        self.any.store(false, Ordering::Relaxed);
        drop(cleared);
    }

    pub(crate) fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(list) = self.list.look(&visit) else { return Ok(()) };
        list.1.iter().try_for_each(|(_, listener)| visit.call(&**listener))
    }
}

pub(crate) fn check_listener(listener: &Bound<'_, PyAny>) -> PyResult<()> {
    if listener.is_callable() {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!("a listener must be callable, not {}", listener.get_type().name()?)))
}

/// Takes a listener back; calling it again does nothing.
#[pyclass(frozen, module = "cnstra")]
pub(crate) struct Remover {
    pub(crate) family: Py<Family>,
    pub(crate) key: u64,
    pub(crate) drains: bool,
}

#[pymethods]
impl Remover {
    fn __call__(&self, py: Python<'_>) {
        let family = self.family.get();
        let listeners = if self.drains { &family.drain_listeners } else { &family.response_listeners };
        listeners.remove(py, self.key);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.family)
    }
}

/// Takes an `_on_end` callback back.
#[pyclass(frozen, module = "cnstra")]
pub(crate) struct Forget {
    pub(crate) stimulation: Py<Stimulation>,
    pub(crate) key: u64,
}

#[pymethods]
impl Forget {
    fn __call__(&self, py: Python<'_>) {
        self.stimulation.get().forget(py, self.key);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.stimulation)
    }
}
