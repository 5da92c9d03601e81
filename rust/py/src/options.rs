//! What `stimulate` and `activate` can be told, checked at the call.

use crate::names;
use pyo3::PyTraverseError;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::time::{Duration, Instant};

/// How many keywords a call has.
pub(crate) const KEYWORDS: usize = 10;

/// Their names.
const NAMES: [&str; KEYWORDS] = [
    "on_response",
    "on_drain",
    "abort_signal",
    "timeout",
    "concurrency",
    "max_hops",
    "context_store",
    "modality",
    "afferent_path",
    "stimulation_context",
];

/// A listener of the library's own.
const TAP: &str = "_tap";

/// The options of one run.
pub(crate) struct Options {
    pub(crate) on_response: Option<Py<PyAny>>,
    pub(crate) on_drain: Option<Py<PyAny>>,
    pub(crate) abort_signal: Option<Py<PyAny>>,
    pub(crate) timeout: Option<Duration>,
    /// When that is over, counted from the call.
    pub(crate) deadline: Option<Instant>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) max_hops: Option<u32>,
    pub(crate) context_store: Option<Py<PyAny>>,
    pub(crate) modality: Option<Py<PyAny>>,
    pub(crate) afferent_path: Option<Py<PyAny>>,
    pub(crate) stimulation_context: Option<Py<PyAny>>,
    /// A listener of the library's own (query, stream): what it sees counts as seen by nobody.
    pub(crate) tap: Option<Py<PyAny>>,
}

impl Options {
    /// Of a run that was told nothing.
    pub(crate) const NONE: Self = Self {
        on_response: None,
        on_drain: None,
        abort_signal: None,
        timeout: None,
        deadline: None,
        concurrency: None,
        max_hops: None,
        context_store: None,
        modality: None,
        afferent_path: None,
        stimulation_context: None,
        tap: None,
    };

    /// Check the keywords of a call. None is as good as leaving one out.
    ///
    /// # Arguments
    /// - `given`: values, in the order of [`NAMES`]
    #[inline(never)]
    pub(crate) fn of_keywords(given: [Option<&Bound<'_, PyAny>>; KEYWORDS]) -> PyResult<Box<Self>> {
        let mut options = Box::new(Self::NONE);
        for (name, value) in NAMES.into_iter().zip(given) {
            if let Some(value) = value {
                options.set(name, value)?;
            }
        }
        options.check_modality(given.into_iter().flatten().next())?;
        Ok(options)
    }

    /// The same for keywords that came as a dictionary, which may have others in it.
    ///
    /// # Arguments
    /// - `call`: what was called
    pub(crate) fn of_dict(call: &str, given: Option<&Bound<'_, PyDict>>) -> PyResult<Option<Box<Self>>> {
        let Some(given) = given else { return Ok(None) };
        let mut options = Box::new(Self::NONE);
        for (name, value) in given {
            let name = name.cast_into::<PyString>()?;
            if !options.set(name.to_str()?, &value)? {
                let message = format!("{call}() got an unexpected keyword argument {}", name.repr()?);
                return Err(PyTypeError::new_err(message));
            }
        }
        options.check_modality(Some(given))?;
        Ok(Some(options))
    }

    fn check_modality(&self, any: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        match any {
            Some(any) if self.modality.is_some() || self.afferent_path.is_some() => {
                names::worded(any.py(), "check_modality", (&self.modality, &self.afferent_path)).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// False if there is no such option.
    fn set(&mut self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = value.py();
        if value.is_none() {
            return Ok(NAMES.contains(&name) || name == TAP);
        }
        let keep = || Some(value.clone().unbind());
        let check = |check: &str| names::worded(py, check, (name, value)).map(drop);
        match name {
            "on_response" => {
                check("check_callable")?;
                self.on_response = keep();
            }
            "on_drain" => {
                check("check_callable")?;
                self.on_drain = keep();
            }
            "abort_signal" => {
                names::worded(py, "check_abort_signal", (value,))?;
                self.abort_signal = keep();
            }
            "timeout" => {
                check("check_seconds")?;
                let timeout = seconds(value)?;
                self.timeout = Some(timeout);
                self.deadline = Instant::now().checked_add(timeout);
            }
            "concurrency" => {
                check("check_limit")?;
                self.concurrency = Some(limit(value)?);
            }
            "max_hops" => {
                check("check_limit")?;
                self.max_hops = Some(limit(value)?);
            }
            "context_store" => {
                names::worded(py, "check_context_store", (value,))?;
                self.context_store = keep();
            }
            "modality" => self.modality = keep(),
            "afferent_path" => self.afferent_path = keep(),
            "stimulation_context" => self.stimulation_context = keep(),
            TAP => self.tap = keep(),
            _ => return Ok(false),
        }
        Ok(true)
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
}
