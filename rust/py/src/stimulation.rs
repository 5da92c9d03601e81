//! One run, as its caller and its handlers see it.

use crate::abort;
use crate::engine::{Engine, check_tasks};
use crate::feed::{self, Job};
use crate::grants::held_by;
use crate::host::Host;
use crate::listeners::Forget;
use crate::names;
use crate::options::Options;
use crate::spares::BoxedState;
use crate::state::{Entry, Links, OnEnd, Outcome, gone};
use crate::task::{Cargo, TaskInfo, append_tasks};
use crate::waiter::Waiter;
use cnstra_core::{ActivationRef, Graph, Phase, Run};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySet, PyType};
use pyo3::{PyTraverseError, intern};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU8;

/// Some of a run's activations.
type Choice = for<'a> fn(&'a Run<Cargo, Py<PyAny>>, &'a Graph) -> Vec<ActivationRef<'a, Cargo>>;

/// One propagation of signals through a CNS.
#[pyclass(frozen, weakref, module = "cnstra")]
pub(crate) struct Stimulation {
    /// Which of all runs it is: later ones have higher numbers.
    pub(crate) serial: u64,
    /// `None` only while it is dropped, like the two that say so below.
    pub(crate) engine: Option<Py<Engine>>,
    /// Boxed, and only if there are any: most runs are told nothing.
    pub(crate) options: Option<Box<Options>>,
    /// Somebody listens to its responses, and to no other run's.
    pub(crate) has_listener: bool,
    /// See the engine.
    pub(crate) context: Option<Py<PyAny>>,
    pub(crate) max_hops: u32,
    pub(crate) host: OnceLock<Host>,
    /// Boxed, and only when needed, like the options.
    pub(crate) links: OnceLock<Box<Links>>,
    pub(crate) outcome: AtomicU8,
    /// See the engine.
    pub(crate) state: Option<BoxedState>,
}

impl Stimulation {
    fn tasks_of<'py>(&self, py: Python<'py>, choose: Choice) -> PyResult<Bound<'py, PyList>> {
        let engine = self.engine();
        let infos: Vec<TaskInfo> = {
            let state = self.lock(py);
            choose(&state.run, &engine.graph).into_iter().map(|activation| TaskInfo::of(py, activation)).collect()
        };
        PyList::new(py, infos.iter().map(|info| info.to_task(py, engine)).collect::<PyResult<Vec<_>>>()?)
    }
}

impl Stimulation {
    /// Tell somebody of the run's end.
    ///
    /// # Returns
    /// The key for [`Stimulation::forget`].
    ///
    /// # Errors
    /// It comes back if the run has ended: another thread may have seen to that since the caller looked.
    pub(crate) fn on_end(&self, py: Python<'_>, told: OnEnd) -> Result<u64, OnEnd> {
        let mut state = self.lock(py);
        if self.is_done() {
            return Err(told);
        }
        let more = state.more();
        more.last_key += 1;
        more.on_ended.push((more.last_key, told));
        Ok(more.last_key)
    }

    /// Tell nobody of it.
    pub(crate) fn forget(&self, py: Python<'_>, key: u64) {
        let forgotten = {
            let mut state = self.lock(py);
            let on_ended = &mut state.more().on_ended;
            let place = on_ended.iter().position(|(other, _)| *other == key);
            place.map(|place| on_ended.remove(place))
        };
        drop(forgotten);
    }
}

#[pymethods]
impl Stimulation {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyAny>, _kwargs: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Err(PyTypeError::new_err("a Stimulation is made by cns.stimulate(signal) or cns.activate(tasks)"))
    }

    #[classmethod]
    #[pyo3(signature = (**_options))]
    fn __init_subclass__(_cls: &Bound<'_, PyType>, _options: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        Err(PyTypeError::new_err("Stimulation is final and cannot be subclassed"))
    }

    #[getter]
    pub(crate) fn cns(&self, py: Python<'_>) -> Py<Engine> {
        match &self.engine {
            Some(engine) => engine.clone_ref(py),
            None => gone(),
        }
    }

    #[getter]
    fn _serial(&self) -> u64 {
        self.serial
    }

    #[getter]
    fn outcome(&self) -> &'static str {
        match self.outcome_now() {
            Outcome::Running => "running",
            Outcome::Completed => "completed",
            Outcome::Failed => "failed",
            Outcome::Aborted => "aborted",
        }
    }

    #[getter(context)]
    fn context_store<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.store(py)
    }

    #[getter]
    fn stimulation_context(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.options().stimulation_context.as_ref().map(|value| value.clone_ref(py))
    }

    #[getter]
    fn modality(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.options().modality.as_ref().map(|value| value.clone_ref(py))
    }

    #[getter]
    fn afferent_path(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.options().afferent_path.as_ref().map(|value| value.clone_ref(py))
    }

    #[getter]
    fn activation_tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.tasks_of(py, Run::unfinished)
    }

    #[getter]
    fn outstanding_tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.tasks_of(py, Run::frontier)
    }

    #[getter]
    fn failed_tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.observe(py)?;
        let (failures, exception) = {
            let state = self.lock(py);
            let failures: Vec<(TaskInfo, Option<Py<PyAny>>)> = (state.run.failures().iter())
                .map(|failure| {
                    let error = failure.error.as_ref().map(|error| error.clone_ref(py));
                    (TaskInfo::of(py, failure.activation.view()), error)
                })
                .collect();
            (failures, state.more.as_ref().and_then(|more| more.exception.as_ref()).map(|error| error.clone_ref(py)))
        };
        let aborted = match exception {
            Some(exception) => exception.into_bound(py),
            None => self.aborted_error(py)?,
        };
        let engine = self.engine();
        let kind = names::stimulation(py)?.getattr(intern!(py, "TaskFailure"))?;
        let made = failures.into_iter().map(|(info, error)| {
            let undone = error.is_none();
            let error = error.map_or_else(|| aborted.clone(), |error| error.into_bound(py));
            kind.call1((info.to_task(py, engine)?, error, undone))
        });
        PyList::new(py, made.collect::<PyResult<Vec<_>>>()?)
    }

    fn done(&self) -> bool {
        self.is_done()
    }

    fn exception(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if !self.is_done() {
            return Err(names::fault(py, "still_running", ()));
        }
        self.observe(py)?;
        Ok(self.lock(py).more().exception.as_ref().map(|error| error.clone_ref(py)))
    }

    pub(crate) fn raise_for_failure(&self, py: Python<'_>) -> PyResult<()> {
        match self.exception(py)? {
            Some(error) => {
                let error = error.into_bound(py);
                // Without what it was raised through before: that would pile up, and keep alive whoever looked.
                error.setattr(intern!(py, "__traceback__"), py.None())?;
                Err(PyErr::from_value(error))
            }
            None => Ok(()),
        }
    }

    #[pyo3(signature = (reason = None))]
    fn abort(slf: &Bound<'_, Self>, reason: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let reason = reason.map(Bound::unbind);
        if slf.get().is_here(slf.py())? {
            abort::abort_by(slf, reason)
        } else {
            feed::feed_or_abandon(slf, Some(Job::Abort(reason)))
        }
    }

    #[pyo3(signature = (reason = None))]
    fn cancel(slf: &Bound<'_, Self>, reason: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let reason = reason.map(Bound::unbind);
        if slf.get().is_here(slf.py())? {
            abort::cancel_by(slf, reason, false)
        } else {
            feed::feed_or_abandon(slf, Some(Job::Cancel(reason)))
        }
    }

    #[pyo3(signature = (tasks, /))]
    fn enqueue(slf: &Bound<'_, Self>, tasks: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        check_tasks(tasks)?;
        {
            let state = this.lock(py);
            if state.run.phase == Phase::Ended || state.run.pending() + state.run.active() == 0 {
                drop(state);
                return Err(names::fault(py, "nothing_to_enqueue_to", ()));
            }
        }
        append_tasks(slf, tasks)?;
        if tasks.is_empty()? { Ok(()) } else { feed::feed_or_abandon(slf, None) }
    }

    fn __await__(slf: &Bound<'_, Self>) -> Waiter {
        Waiter::new(slf)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let outcome = self.outcome();
        if self.is_done() {
            return format!("<Stimulation {outcome}>");
        }
        let state = self.lock(py);
        format!("<Stimulation {outcome}, {} pending, {} active>", state.run.pending(), state.run.active())
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<()> {
        let message =
            format!("{} cannot be pickled: dump its outstanding_tasks with cns.network.dump(task)", self.__repr__(py));
        Err(PyTypeError::new_err(message))
    }

    // -- for the rest of the package

    fn _begin(slf: &Bound<'_, Self>) -> PyResult<()> {
        let entry = slf.get().lock(slf.py()).more().entry.take();
        entry.map_or(Ok(()), |signals| crate::begin::begin(slf, Entry::Signals(&signals)))
    }

    /// Call back with the run when it has ended, on its own thread; at once if it has. Returns what undoes this.
    fn _on_end(slf: &Bound<'_, Self>, callback: Bound<'_, PyAny>) -> PyResult<Forget> {
        let key = match slf.get().on_end(slf.py(), OnEnd::Call(callback.unbind())) {
            Ok(key) => key,
            Err(told) => {
                told.tell(slf)?;
                0
            }
        };
        Ok(Forget { stimulation: slf.clone().unbind(), key })
    }

    fn _abort_by(slf: &Bound<'_, Self>, reason: Py<PyAny>) -> PyResult<()> {
        abort::abort_by(slf, Some(reason))
    }

    fn _time_out(slf: &Bound<'_, Self>) -> PyResult<()> {
        abort::time_out(slf)
    }

    fn _abandon(slf: &Bound<'_, Self>) -> PyResult<()> {
        abort::abandon(slf)
    }

    fn _begin_await(slf: &Bound<'_, Self>, owner: &Bound<'_, PyAny>) -> PyResult<()> {
        names::deadlock(slf.py())?.getattr("begin_await")?.call1((slf, owner)).map(drop)
    }

    fn _end_await(slf: &Bound<'_, Self>, owner: &Bound<'_, PyAny>) -> PyResult<()> {
        names::deadlock(slf.py())?.getattr("end_await")?.call1((slf, owner)).map(drop)
    }

    #[getter]
    fn _awaited_by(&self, py: Python<'_>) -> Py<PyDict> {
        self.links().awaited_by.get_or_init(|| PyDict::new(py).unbind()).clone_ref(py)
    }

    #[getter]
    fn _awaits(&self, py: Python<'_>) -> Py<PyDict> {
        self.links().awaits.get_or_init(|| PyDict::new(py).unbind()).clone_ref(py)
    }

    /// The activations that wait for a slot, each with who holds those slots.
    fn _waiters<'py>(&self, py: Python<'py>) -> PyResult<Vec<(u64, Bound<'py, PySet>)>> {
        let waiting: Vec<(u64, u32)> = {
            let state = self.lock(py);
            state.run.waiting().map(|(activation, _)| (activation.number, activation.dendrite)).collect()
        };
        let mut found = Vec::new();
        for (number, dendrite) in waiting {
            if let Some(slots) = self.engine().handlers[dendrite as usize].slots {
                found.push((number, held_by(py, self.engine(), slots)?));
            }
        }
        Ok(found)
    }

    fn _doom(slf: &Bound<'_, Self>, number: u64) -> PyResult<()> {
        crate::grants::doom(slf, number)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.engine)?;
        visit.call(&self.context)?;
        self.options().visit(visit)?;
        self.host.get().map_or(Ok(()), |host| host.visit(visit))?;
        if let Some(links) = self.links.get() {
            visit.call(links.store.get())?;
            visit.call(links.awaited_by.get())?;
            visit.call(links.awaits.get())?;
        }
        let Some(state) = self.state.as_ref().and_then(|state| state.look(&visit)) else { return Ok(()) };
        state.visit(visit)
    }

    fn __clear__(&self) {
        let cleared = Python::attach(|py| {
            let mut state = self.lock(py);
            let state = &mut *state;
            (state.more.take(), std::mem::replace(&mut state.run, Run::new(&self.engine().graph, None)))
        });
        drop(cleared);
    }
}
