//! The coroutine of a spare task: nothing at first, then the handler or listener that it adopts.
//!
//! The native form of `aio.Carrier`. When what it carries has ended it says so itself, before its task is done: what
//! waits for a handler goes on in the same pass of the loop.

use crate::announce::Barrier;
use crate::call::{self, Entered, Sent};
use crate::feed::{self, Job, Where};
use crate::guarded::Guarded;
use crate::handler::Called;
use crate::names;
use crate::starter::{Starter, Step, is_truthy};
use crate::stimulation::Stimulation;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PyStopIteration, PySystemExit};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{IntoPyObjectExt, PyTraverseError, intern};
use std::sync::Arc;

/// Who is to be told that what is carried has ended.
pub(crate) enum Settled {
    /// The handler of an activation; its `max_duration` timer, if any, is not needed any more.
    Handler { called: Called, timer: Option<Py<PyAny>> },
    /// A listener of a response.
    Listener(Arc<Barrier>),
}

/// What a carrier has got, all of it gone when that has ended.
#[derive(Default)]
struct Load {
    /// The carrier is its coroutine: a cycle for as long as there is something to be done.
    task: Option<Py<PyAny>>,
    coroutine: Option<Py<PyAny>>,
    context: Option<Py<PyAny>>,
    /// What the first step yielded, until the task's first pass.
    first: Option<Py<PyAny>>,
    /// The run, and the activation whose handler it is; 0 for a listener.
    owner: Option<(Py<Stimulation>, u64)>,
    /// With its key among the run's tasks.
    settled: Option<(u64, Settled)>,
    /// Its task had its first pass, or was thrown into, with nothing to carry: it will carry nothing.
    over: bool,
}

#[pyclass(frozen, weakref, module = "cnstra")]
pub(crate) struct Carrier {
    starter: Py<Starter>,
    load: Guarded<Load>,
}

impl Carrier {
    /// A spare, with its task.
    pub(crate) fn make<'py>(starter: &Bound<'py, Starter>) -> PyResult<Bound<'py, Self>> {
        let py = starter.py();
        let carrier = Self { starter: starter.clone().unbind(), load: Guarded::new(Load::default()) };
        let carrier = Bound::new(py, carrier)?;
        let task = starter.get().task(&carrier)?;
        carrier.get().load.lock(py).task = Some(task.unbind());
        Ok(carrier)
    }

    pub(crate) fn task<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let task = self.load.lock(py).task.as_ref().map(|task| task.bind(py).clone());
        task.ok_or_else(|| pyo3::exceptions::PyRuntimeError::new_err("a carrier has no task any more"))
    }

    pub(crate) fn is_over(&self, py: Python<'_>) -> bool {
        self.load.lock(py).over
    }

    pub(crate) fn own(&self, stim: &Bound<'_, Stimulation>, number: u64) {
        self.load.lock(stim.py()).owner = Some((stim.clone().unbind(), number));
    }

    pub(crate) fn disown(&self, py: Python<'_>) {
        let owner = self.load.lock(py).owner.take();
        drop(owner);
    }

    /// Carry a coroutine from here on, after its first step.
    pub(crate) fn adopt(
        &self,
        coroutine: &Bound<'_, PyAny>,
        yielded: Bound<'_, PyAny>,
        context: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        mark(&yielded, false)?;
        let mut load = self.load.lock(coroutine.py());
        load.coroutine = Some(coroutine.clone().unbind());
        load.context = Some(context.unbind());
        load.first = Some(yielded.unbind());
        Ok(())
    }

    /// Say whom to tell.
    ///
    /// # Arguments
    /// - `key`: where the run keeps the task
    pub(crate) fn watch(&self, py: Python<'_>, key: u64, settled: Settled) {
        self.load.lock(py).settled = Some((key, settled));
    }

    /// The activation whose handler this is, if it is one of a run's.
    pub(crate) fn owner(&self, py: Python<'_>) -> Option<(Py<Stimulation>, u64)> {
        self.load.lock(py).owner.as_ref().map(|(run, number)| (run.clone_ref(py), *number))
    }

    /// One step: what it yields next, `None` if there is nothing any more, whose value goes out as a StopIteration.
    fn step<'py>(
        slf: &Bound<'py, Self>,
        how: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<Sent<'py>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, this) = (slf.py(), slf.get());
        let carried = {
            let load = this.load.lock(py);
            let context = load.context.as_ref().map(|context| context.bind(py).clone());
            load.coroutine.as_ref().map(|coroutine| coroutine.bind(py).clone()).zip(context)
        };
        let Some((coroutine, context)) = carried else { return Ok(None) };
        let sent = match Entered::enter(&context) {
            Ok(_entered) => how(&coroutine),
            Err(error) => Err(error),
        };
        let task = this.task(py)?;
        let (step, out) = match sent {
            Ok(Sent::Yielded(yielded)) => return Ok(Some(yielded)),
            Ok(Sent::Returned(value)) => {
                let out = (!value.is_none()).then(|| value.clone());
                // If it was cancelled in its last step, its task will not have the value either.
                let step = if task.getattr(intern!(py, "_must_cancel"))?.is_truthy()? {
                    Step::Cancelled(PyErr::from_value(names::aio(py)?.call_method0(intern!(py, "cancelled"))?))
                } else {
                    Step::Finished(value)
                };
                (step, Ok(out))
            }
            Err(error) => {
                // The run has the error: it is not lost if nobody asks the task for it.
                let retrieve = names::aio(py)?.getattr(intern!(py, "retrieve"))?;
                task.call_method1(intern!(py, "add_done_callback"), (retrieve,))?;
                let is_cancelled = names::is_cancellation(py, &error) && is_truthy(&task, intern!(py, "cancelling"))?;
                let told = error.clone_ref(py);
                (if is_cancelled { Step::Cancelled(told) } else { Step::Failed(told) }, Err(error))
            }
        };
        Self::end(slf, step)?;
        match out? {
            None => Ok(None),
            Some(value) => {
                let stop = py.get_type::<PyStopIteration>().call1((value,))?;
                Err(PyErr::from_value(stop))
            }
        }
    }

    /// Tell that it has ended, while no task is the current one, and let go of everything.
    fn end<'py>(slf: &Bound<'py, Self>, step: Step<'py>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let load = std::mem::take(&mut *this.load.lock(py));
        let (Some((run, _)), Some((key, settled))) = (&load.owner, load.settled) else { return Ok(()) };
        let starter = this.starter.get();
        let told = {
            let _current = starter.make_current(py, None)?;
            settled.tell(run.bind(py), key, step)
        };
        match told {
            Err(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) => Err(error),
            Err(error) if error.is_instance_of::<PySystemExit>(py) => Err(error),
            // Not this task's to raise: nobody waits for it.
            Err(error) => names::aio(py)?.call_method1(intern!(py, "raise_soon"), (starter.home(py), error)).map(drop),
            Ok(()) => Ok(()),
        }
    }
}

impl Settled {
    fn tell<'py>(self, stim: &Bound<'py, Stimulation>, key: u64, step: Step<'py>) -> PyResult<()> {
        let py = stim.py();
        let task = stim.get().lock(py).more().tasks.remove(&key);
        drop(task);
        match self {
            Self::Handler { called, timer } => {
                if let Some(timer) = timer {
                    timer.call_method0(py, intern!(py, "cancel"))?;
                }
                feed::feed(stim, Some(Job::Settled { called, ended: step.ended(py) }), Where::Here).map(drop)
            }
            Self::Listener(barrier) => barrier.settled(stim, step.ended(py)),
        }
    }

    fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Handler { timer, .. } => visit.call(timer),
            Self::Listener(_) => Ok(()),
        }
    }
}

/// What the coroutine of a task has.
#[pymethods]
impl Carrier {
    fn send<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        match slf.get().begin(py) {
            Some(first) => handed_over(first),
            None => Self::step(slf, |coroutine| call::send(coroutine, value)),
        }
        .and_then(|yielded| yielded.map(Some).ok_or_else(|| PyStopIteration::new_err(())))
    }

    // The interpreter goes on with a task through this, rather than through `send`.
    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        match slf.get().begin(py) {
            Some(first) => handed_over(first),
            None => Self::step(slf, |coroutine| call::send(coroutine, py.None().bind(py))),
        }
    }

    /// An exception, or the three arguments that it had before 3.12.
    #[pyo3(signature = (*arguments))]
    fn throw<'py>(slf: &Bound<'py, Self>, arguments: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let error = thrown(arguments)?;
        let error = &error;
        let first = match slf.get().begin(py) {
            Some(None) => return Err(PyErr::from_value(error.clone())),
            Some(first) => first,
            None => None,
        };
        if let Some(yielded) = first
            && let Some(yielded) = cancel_first(yielded, error)?
        {
            mark(&yielded, true)?;
            return Ok(yielded);
        }
        let step = Self::step(slf, |coroutine| call::throw(coroutine, arguments))?;
        step.ok_or_else(|| PyStopIteration::new_err(()))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let coroutine = self.load.lock(py).coroutine.as_ref().map(|coroutine| coroutine.clone_ref(py));
        coroutine.map_or(Ok(()), |coroutine| coroutine.call_method0(py, intern!(py, "close")).map(drop))
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// (stimulation, activation number) of the handler or listener that it runs.
    #[getter]
    fn cnstra_owner<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.owner(py).map(|owner| owner.into_pyobject(py)).transpose()
    }

    #[getter]
    fn __name__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.of_coroutine(py, "__qualname__", "cnstra handler")
    }

    #[getter]
    fn __qualname__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.of_coroutine(py, "__qualname__", "cnstra handler")
    }

    // What inspect.getcoroutinestate and task.get_stack look at.
    #[getter]
    fn cr_running(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.of_coroutine(py, "cr_running", false)
    }

    #[getter]
    fn cr_suspended(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.of_coroutine(py, "cr_suspended", false)
    }

    #[getter]
    fn cr_frame(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.of_coroutine(py, "cr_frame", py.None())
    }

    #[getter]
    fn cr_await(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.of_coroutine(py, "cr_await", py.None())
    }

    #[getter]
    fn cr_code(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.of_coroutine(py, "cr_code", names::aio(py)?.getattr(intern!(py, "no_code"))?.unbind())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<Carrier of {}>", self.__qualname__(py)?.bind(py)))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.starter)?;
        let Some(load) = self.load.look(&visit) else { return Ok(()) };
        for value in [&load.task, &load.coroutine, &load.context, &load.first] {
            visit.call(value)?;
        }
        if let Some((run, _)) = &load.owner {
            visit.call(run)?;
        }
        load.settled.as_ref().map_or(Ok(()), |(_, settled)| settled.visit(visit))
    }

    fn __clear__(&self) {
        let load = Python::attach(|py| std::mem::take(&mut *self.load.lock(py)));
        drop(load);
    }
}

impl Carrier {
    /// At the task's first pass: what the first step yielded; `Some(None)` if there is nothing to carry. After it `None`.
    fn begin<'py>(&self, py: Python<'py>) -> Option<Option<Bound<'py, PyAny>>> {
        let mut load = self.load.lock(py);
        if load.coroutine.is_none() {
            load.over = true;
            let task = load.task.take();
            drop(load);
            drop(task);
            return Some(None);
        }
        let first = load.first.take();
        drop(load);
        first.map(|first| Some(first.into_bound(py)))
    }

    /// An attribute of what is carried.
    fn of_coroutine<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        default: impl IntoPyObjectExt<'py>,
    ) -> PyResult<Py<PyAny>> {
        let coroutine = self.load.lock(py).coroutine.as_ref().map(|coroutine| coroutine.clone_ref(py));
        let found = coroutine.map(|coroutine| coroutine.bind(py).getattr_opt(name)).transpose()?.flatten();
        match found {
            Some(found) => Ok(found.unbind()),
            None => default.into_py_any(py),
        }
    }
}

/// What is to be raised by a `throw` with these arguments.
pub(crate) fn thrown<'py>(arguments: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    let value = arguments.get_item(1).ok().filter(|value| !value.is_none());
    value.map_or_else(|| arguments.get_item(0), Ok)
}

/// The task gets what the first step yielded.
fn handed_over(first: Option<Bound<'_, PyAny>>) -> PyResult<Option<Bound<'_, PyAny>>> {
    if let Some(yielded) = &first {
        mark(yielded, true)?;
    }
    Ok(first)
}

/// Set or take back the mark by which a task sees that a future that it was given is to be waited for. A task takes it back
/// in the step that gave it the future. Here the task gets the future a pass later, and others may begin to wait for it in
/// between.
fn mark(yielded: &Bound<'_, PyAny>, is_waited_for: bool) -> PyResult<()> {
    let name = intern!(yielded.py(), "_asyncio_future_blocking");
    if yielded.is_none() || yielded.getattr_opt(name)?.is_none_or(|mark| mark.is_none()) {
        return Ok(());
    }
    yielded.setattr(name, is_waited_for)
}

/// The task was cancelled before its first pass: it behaves as one that waits for what the first step yielded.
fn cancel_first<'py>(yielded: Bound<'py, PyAny>, error: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = yielded.py();
    let raised = PyErr::from_value(error.clone());
    if raised.is_instance_of::<PyException>(py) || !names::is_cancellation(py, &raised) {
        return Ok(None);
    }
    let Some(cancel) = yielded.getattr_opt(intern!(py, "cancel"))? else { return Ok(None) };
    let arguments = error.getattr(intern!(py, "args"))?.cast_into::<PyTuple>()?;
    if cancel.call1(arguments)?.is_truthy()? {
        return Ok(Some(yielded));
    }
    // It is done already: its result is lost to the cancellation, as it is in a task.
    Ok(None)
}
