//! What `stimulate` and `activate` can be told, checked at the call.

use crate::names;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use std::time::Duration;

/// The options of one run.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) on_response: Option<Py<PyAny>>,
    pub(crate) on_drain: Option<Py<PyAny>>,
    pub(crate) abort_signal: Option<Py<PyAny>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) max_hops: Option<u32>,
    pub(crate) context_store: Option<Py<PyAny>>,
    pub(crate) modality: Option<Py<PyAny>>,
    pub(crate) afferent_path: Option<Py<PyAny>>,
    pub(crate) stimulation_context: Option<Py<PyAny>>,
    /// A listener of the library's own (query, stream): what it sees counts as seen by nobody.
    pub(crate) tap: Option<Py<PyAny>>,
}

/// The keywords as they were given.
pub(crate) struct Given<'a, 'py> {
    pub(crate) on_response: Option<&'a Bound<'py, PyAny>>,
    pub(crate) on_drain: Option<&'a Bound<'py, PyAny>>,
    pub(crate) abort_signal: Option<&'a Bound<'py, PyAny>>,
    pub(crate) timeout: Option<&'a Bound<'py, PyAny>>,
    pub(crate) concurrency: Option<&'a Bound<'py, PyAny>>,
    pub(crate) max_hops: Option<&'a Bound<'py, PyAny>>,
    pub(crate) context_store: Option<&'a Bound<'py, PyAny>>,
    pub(crate) modality: Option<&'a Bound<'py, PyAny>>,
    pub(crate) afferent_path: Option<&'a Bound<'py, PyAny>>,
    pub(crate) stimulation_context: Option<&'a Bound<'py, PyAny>>,
    pub(crate) tap: Option<&'a Bound<'py, PyAny>>,
}

impl Given<'_, '_> {
    pub(crate) fn check(&self, py: Python<'_>) -> PyResult<Options> {
        fn keep(value: Option<&Bound<'_, PyAny>>) -> Option<Py<PyAny>> {
            value.map(|value| value.clone().unbind())
        }
        let check = |check: &str, name: &str, value: Option<&Bound<'_, PyAny>>| match value {
            Some(value) => names::worded(py, check, (name, value)).map(drop),
            None => Ok(()),
        };
        check("check_callable", "on_response", self.on_response)?;
        check("check_callable", "on_drain", self.on_drain)?;
        check("check_seconds", "timeout", self.timeout)?;
        check("check_limit", "concurrency", self.concurrency)?;
        check("check_limit", "max_hops", self.max_hops)?;
        if let Some(signal) = self.abort_signal {
            names::worded(py, "check_abort_signal", (signal,))?;
        }
        if let Some(store) = self.context_store {
            names::worded(py, "check_context_store", (store,))?;
        }
        if self.modality.is_some() || self.afferent_path.is_some() {
            names::worded(py, "check_modality", (self.modality, self.afferent_path))?;
        }
        Ok(Options {
            on_response: keep(self.on_response),
            on_drain: keep(self.on_drain),
            abort_signal: keep(self.abort_signal),
            timeout: self.timeout.map(seconds).transpose()?,
            concurrency: self.concurrency.map(limit).transpose()?,
            max_hops: self.max_hops.map(limit).transpose()?,
            context_store: keep(self.context_store),
            modality: keep(self.modality),
            afferent_path: keep(self.afferent_path),
            stimulation_context: keep(self.stimulation_context),
            tap: keep(self.tap),
        })
    }
}

/// A count of at least 1; beyond what fits it is no limit at all.
pub(crate) fn limit(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    Ok(value.extract().unwrap_or(u32::MAX))
}

/// Beyond what fits, some hundred thousand years, there is no difference.
fn seconds(value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    Ok(Duration::try_from_secs_f64(value.extract()?).unwrap_or(Duration::MAX))
}

impl Options {
    pub(crate) fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Self { on_response, on_drain, abort_signal, context_store, modality, afferent_path, .. } = self;
        for value in [on_response, on_drain, abort_signal, context_store, modality, afferent_path] {
            visit.call(value)?;
        }
        visit.call(&self.stimulation_context)?;
        visit.call(&self.tap)
    }

    pub(crate) fn has_local_listener(&self) -> bool {
        self.on_response.is_some() || self.tap.is_some()
    }
}
