//! First steps of coroutines in an event loop: at once, as a real task, and without one for those that finish (S20).
//!
//! The native form of `aio.Loop.start`, which says how it is done.

use crate::call::{self, Entered, Sent};
use crate::carrier::Carrier;
use crate::feed::{Ended, How};
use crate::guarded::Guarded;
use crate::names;
use crate::stimulation::Stimulation;
use pyo3::exceptions::{PyException, PyKeyError};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, intern};

/// What became of a coroutine.
pub(crate) enum Step<'py> {
    Finished(Bound<'py, PyAny>),
    Failed(PyErr),
    /// By a CancelledError, after somebody had cancelled its task.
    Cancelled(PyErr),
    /// It goes on as a task.
    Suspended(Bound<'py, Carrier>),
}

impl Step<'_> {
    /// How it has ended. One that has not counts as having returned nothing.
    pub(crate) fn ended(self, py: Python<'_>) -> Ended {
        let (value, how) = match self {
            Self::Finished(value) => (value.unbind(), How::Returned),
            Self::Failed(error) => (error.into_value(py).into_any(), How::Raised),
            Self::Cancelled(error) => (error.into_value(py).into_any(), How::Cancelled),
            Self::Suspended(_) => (py.None(), How::Returned),
        };
        Ended { value, how }
    }
}

/// What starts coroutines in one event loop.
#[pyclass(frozen, module = "cnstra")]
pub(crate) struct Starter {
    /// The `aio.Loop`.
    home: Py<PyAny>,
    pub(crate) event_loop: Py<PyAny>,
    /// The unfinished runs of the loop.
    live: Py<PyDict>,
    /// What makes a task, but for its coroutine.
    task_type: Py<PyAny>,
    task_options: Py<PyDict>,
    /// `asyncio.Future` and what makes one, where the loop does nothing else to make one.
    future: Option<(Py<PyAny>, Py<PyDict>)>,
    current: Current,
    spare: Guarded<Option<Py<Carrier>>>,
}

/// Puts the task back that was the current one.
pub(crate) struct MadeCurrent<'a, 'py> {
    starter: &'a Starter,
    py: Python<'py>,
    outer: Option<Bound<'py, PyAny>>,
}

impl Drop for MadeCurrent<'_, '_> {
    fn drop(&mut self) {
        if let Err(error) = self.starter.swap(self.py, self.outer.as_ref()) {
            error.write_unraisable(self.py, None);
        }
    }
}

/// Where asyncio keeps which task is the current one of a loop.
enum Current {
    /// `asyncio.tasks._swap_current_task(loop, task)`, from 3.12 on.
    Swap(Py<PyAny>),
    /// `asyncio.tasks._current_tasks`, before.
    Tasks(Py<PyDict>),
}

impl Starter {
    pub(crate) fn new(home: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = home.py();
        let tasks = PyModule::import(py, intern!(py, "asyncio.tasks"))?;
        let current = match tasks.getattr_opt(intern!(py, "_swap_current_task"))? {
            Some(swap) => Current::Swap(swap.unbind()),
            None => Current::Tasks(tasks.getattr(intern!(py, "_current_tasks"))?.cast_into::<PyDict>()?.unbind()),
        };
        let event_loop = home.getattr(intern!(py, "loop"))?;
        let task_options = PyDict::new(py);
        task_options.set_item(intern!(py, "loop"), &event_loop)?;
        // With a name, since asyncio would make one up for each.
        task_options.set_item(intern!(py, "name"), intern!(py, "cnstra handler"))?;
        Ok(Self {
            home: home.clone().unbind(),
            event_loop: event_loop.clone().unbind(),
            live: home.getattr(intern!(py, "live"))?.cast_into::<PyDict>()?.unbind(),
            task_type: tasks.getattr(intern!(py, "Task"))?.unbind(),
            task_options: task_options.unbind(),
            future: Self::plain_future(&event_loop)?,
            current,
            spare: Guarded::new(None),
        })
    }

    pub(crate) fn lives_in(&self, py: Python<'_>, running: &Bound<'_, PyAny>) -> bool {
        self.event_loop.bind(py).is(running)
    }

    pub(crate) fn home<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.home.bind(py)
    }

    fn plain_future(event_loop: &Bound<'_, PyAny>) -> PyResult<Option<(Py<PyAny>, Py<PyDict>)>> {
        let py = event_loop.py();
        let base = PyModule::import(py, intern!(py, "asyncio.base_events"))?
            .getattr(intern!(py, "BaseEventLoop"))?
            .getattr(intern!(py, "create_future"))?;
        if !event_loop.get_type().getattr(intern!(py, "create_future"))?.is(&base) {
            return Ok(None);
        }
        let options = PyDict::new(py);
        options.set_item(intern!(py, "loop"), event_loop)?;
        Ok(Some((
            PyModule::import(py, intern!(py, "asyncio"))?.getattr(intern!(py, "Future"))?.unbind(),
            options.unbind(),
        )))
    }

    /// What `loop.create_future()` gives.
    pub(crate) fn create_future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.future {
            Some((kind, options)) => kind.bind(py).call((), Some(options.bind(py))),
            None => self.event_loop.bind(py).call_method0(intern!(py, "create_future")),
        }
    }

    /// Make the task of a coroutine.
    pub(crate) fn task<'py>(&self, coroutine: &Bound<'py, Carrier>) -> PyResult<Bound<'py, PyAny>> {
        let py = coroutine.py();
        self.task_type.bind(py).call((coroutine,), Some(self.task_options.bind(py)))
    }

    /// `aio.Loop.hold`.
    pub(crate) fn hold(&self, stim: &Bound<'_, Stimulation>) -> PyResult<()> {
        let py = stim.py();
        self.live.bind(py).set_item(stim, py.None())?;
        if self.home.bind(py).getattr(intern!(py, "keeper"))?.is_none() {
            self.home.call_method0(py, intern!(py, "keep"))?;
        }
        Ok(())
    }

    /// `aio.Loop.let_go`.
    pub(crate) fn let_go(&self, stim: &Bound<'_, Stimulation>) -> PyResult<()> {
        let py = stim.py();
        let live = self.live.bind(py);
        match live.del_item(stim) {
            Err(error) if !error.is_instance_of::<PyKeyError>(py) => return Err(error),
            _ => {}
        }
        if live.is_empty() && !self.home.bind(py).getattr(intern!(py, "idle"))?.is_truthy()? {
            self.home.call_method0(py, intern!(py, "rest"))?;
        }
        Ok(())
    }

    /// It is the current task of the loop, none if it is none, for as long as what this returns lives.
    pub(crate) fn make_current<'py>(
        &self,
        py: Python<'py>,
        task: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<MadeCurrent<'_, 'py>> {
        let outer = self.swap(py, task)?;
        Ok(MadeCurrent { starter: self, py, outer })
    }

    /// Make it the current task of the loop; returns the one that was.
    fn swap<'py>(&self, py: Python<'py>, task: Option<&Bound<'py, PyAny>>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let before = match &self.current {
            Current::Swap(swap) => {
                let before = swap.bind(py).call1((&self.event_loop, task))?;
                (!before.is_none()).then_some(before)
            }
            Current::Tasks(tasks) => {
                let tasks = tasks.bind(py);
                let before = tasks.get_item(&self.event_loop)?;
                match task {
                    Some(task) => tasks.set_item(&self.event_loop, task)?,
                    None if before.is_some() => tasks.del_item(&self.event_loop)?,
                    None => {}
                }
                before
            }
        };
        Ok(before)
    }

    /// The current task of the loop.
    pub(crate) fn current_task<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match &self.current {
            Current::Tasks(tasks) => tasks.bind(py).get_item(&self.event_loop),
            Current::Swap(_) => {
                let tasks = PyModule::import(py, intern!(py, "asyncio.tasks"))?;
                let task = tasks.getattr(intern!(py, "current_task"))?.call1((&self.event_loop,))?;
                Ok((!task.is_none()).then_some(task))
            }
        }
    }

    /// Run the first step of a coroutine now, in a copy of the current context, as a task of this loop.
    ///
    /// # Arguments
    /// - `number`: of the activation whose handler it is; 0 for a listener
    pub(crate) fn start<'py>(
        slf: &Bound<'py, Self>,
        stim: &Bound<'py, Stimulation>,
        coroutine: &Bound<'py, PyAny>,
        number: u64,
    ) -> PyResult<Step<'py>> {
        let (py, this) = (slf.py(), slf.get());
        // Taken out while the step runs, since a handler may start others.
        let spare = this.spare.lock(py).take().map(|spare| spare.into_bound(py));
        let spare = spare.filter(|spare| !spare.get().is_over(py));
        let is_fresh = spare.is_none();
        let carrier = spare.map_or_else(|| Carrier::make(slf), Ok)?;
        let task = carrier.get().task(py)?;
        carrier.get().own(stim, number);
        let context = call::copy_context(py)?;
        let sent = {
            let _current = this.make_current(py, Some(&task))?;
            let _entered = Entered::enter(&context)?;
            call::send(coroutine, py.None().bind(py))
        };
        let step = match sent {
            Ok(Sent::Yielded(yielded)) => {
                carrier.get().adopt(coroutine, yielded, context)?;
                if !is_fresh {
                    task.setattr(intern!(py, "_log_destroy_pending"), true)?;
                }
                return Ok(Step::Suspended(carrier));
            }
            Ok(Sent::Returned(value)) => Ok(Step::Finished(value)),
            Err(error) if error.is_instance_of::<PyException>(py) => Ok(Step::Failed(error)),
            Err(error) => match names::is_cancellation(py, &error) {
                true if is_truthy(&task, intern!(py, "cancelling"))? => Ok(Step::Cancelled(error)),
                true => Ok(Step::Failed(error)),
                false => Err(error),
            },
        };
        carrier.get().disown(py);
        // One that was cancelled meanwhile would cancel whoever adopted it.
        if !task.getattr(intern!(py, "_must_cancel"))?.is_truthy()? {
            if is_fresh {
                // One that nobody needed when its loop was closed is not worth a warning.
                task.setattr(intern!(py, "_log_destroy_pending"), false)?;
            }
            let mut spare = this.spare.lock(py);
            if spare.is_none() {
                *spare = Some(carrier.unbind());
            }
        }
        step
    }
}

/// What a method of a task says, called without arguments.
pub(crate) fn is_truthy(task: &Bound<'_, PyAny>, method: &Bound<'_, pyo3::types::PyString>) -> PyResult<bool> {
    task.call_method0(method)?.is_truthy()
}

#[pymethods]
impl Starter {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.home)?;
        visit.call(&self.event_loop)?;
        visit.call(&self.live)?;
        visit.call(&self.task_options)?;
        visit.call(self.future.as_ref().map(|(_, options)| options))?;
        match &self.current {
            Current::Swap(swap) => visit.call(swap)?,
            Current::Tasks(tasks) => visit.call(tasks)?,
        }
        let Some(spare) = self.spare.look(&visit) else { return Ok(()) };
        visit.call(&*spare)
    }

    fn __clear__(&self) {
        let spare = Python::attach(|py| self.spare.lock(py).take());
        drop(spare);
    }
}
