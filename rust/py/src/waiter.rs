//! Waiting for a run in any event loop: what `await stimulation` does. The native form of `aio.await_run`.

use crate::call::{self, Sent};
use crate::carrier::{Carrier, thrown};
use crate::guarded::Guarded;
use crate::host::{Host, running_loop};
use crate::names;
use crate::starter::Starter;
use crate::state::OnEnd;
use crate::stimulation::Stimulation;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, intern};

/// Who waits, and for how long.
enum Stage {
    Fresh,
    /// For a future, through its iterator; with the handler that waits, if one does.
    Waiting {
        iterator: Py<PyAny>,
        key: u64,
        owner: Option<(Py<Stimulation>, i64)>,
    },
    Over,
}

/// The iterator of `await stimulation`.
#[pyclass(frozen, module = "cnstra")]
pub(crate) struct Waiter {
    run: Py<Stimulation>,
    stage: Guarded<Stage>,
}

/// A future that is to be told of the end of a run.
pub(crate) struct Awaiting {
    future: Py<PyAny>,
    event_loop: Py<PyAny>,
}

impl Awaiting {
    /// The run has ended, on whatever thread this is.
    pub(crate) fn wake(self, py: Python<'_>) -> PyResult<()> {
        let here = running_loop(py)?.is_some_and(|running| running.is(&self.event_loop));
        if here {
            if !self.future.call_method0(py, intern!(py, "done"))?.is_truthy(py)? {
                self.future.call_method1(py, intern!(py, "set_result"), (py.None(),))?;
            }
            return Ok(());
        }
        let settle = names::aio(py)?.getattr(intern!(py, "settle"))?;
        match self.event_loop.call_method1(py, intern!(py, "call_soon_threadsafe"), (settle, self.future)) {
            // The loop of whoever waited is closed: nobody waits any more.
            Err(error) if error.is_instance_of::<PyRuntimeError>(py) => Ok(()),
            told => told.map(drop),
        }
    }

    pub(crate) fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.future)?;
        visit.call(&self.event_loop)
    }
}

/// (stimulation, activation number) of the handler whose own task is running; -1 for a listener. None elsewhere.
fn owner_of_current_task(py: Python<'_>, starter: &Starter) -> PyResult<Option<(Py<Stimulation>, i64)>> {
    let Some(task) = starter.current_task(py)? else { return Ok(None) };
    let Some(coroutine) = task.getattr_opt(intern!(py, "get_coro"))? else { return Ok(None) };
    let coroutine = coroutine.call0()?;
    let Ok(carrier) = coroutine.cast_exact::<Carrier>() else { return Ok(None) };
    let owner = carrier.get().owner(py);
    Ok(owner.map(|(run, number)| (run, if number == 0 { -1 } else { number.cast_signed() })))
}

impl Waiter {
    pub(crate) fn new(run: &Bound<'_, Stimulation>) -> Self {
        Self { run: run.clone().unbind(), stage: Guarded::new(Stage::Fresh) }
    }

    /// Begin to wait; what to yield, `None` if there is nothing to wait for.
    fn begin<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let run = self.run.bind(py);
        let host = if run.get().is_done() { None } else { Some(Host::here(py)?) };
        // To meet a loop for the first time ends the runs of loops that were closed: this may be one of them.
        let Some(host) = host.filter(|_| !run.get().is_done()) else { return self.over(py) };
        let Some(starter) = host.starter else {
            return Err(PyRuntimeError::new_err("no running event loop"));
        };
        let starter = starter.get();
        let event_loop = starter.event_loop.bind(py);
        let owner = owner_of_current_task(py, starter)?;
        if let Some(owner) = &owner {
            names::deadlock(py)?.getattr(intern!(py, "begin_await"))?.call1((run, (&owner.0, owner.1)))?;
        }
        let future = starter.create_future(py)?;
        let iterator = future.try_iter()?.into_any();
        let awaiting = Awaiting { future: future.unbind(), event_loop: event_loop.clone().unbind() };
        let registered = run.get().on_end(py, OnEnd::Wake(awaiting));
        let key = *registered.as_ref().unwrap_or(&0);
        *self.stage.lock(py) = Stage::Waiting { iterator: iterator.clone().unbind(), key, owner };
        if registered.is_err() {
            self.stop(py)?;
            return self.over(py);
        }
        self.go_on(py, call::send(&iterator, py.None().bind(py)))
    }

    fn go_on<'py>(&self, py: Python<'py>, sent: PyResult<Sent<'py>>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match sent {
            Ok(Sent::Yielded(yielded)) => Ok(Some(yielded)),
            Ok(Sent::Returned(_)) => {
                self.stop(py)?;
                self.over(py)
            }
            Err(error) => {
                self.stop(py)?;
                Err(error)
            }
        }
    }

    /// It waits no more.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let stage = std::mem::replace(&mut *self.stage.lock(py), Stage::Over);
        if let Stage::Waiting { key, owner, .. } = stage {
            self.run.get().forget(py, key);
            if let Some((run, number)) = owner {
                names::deadlock(py)?.getattr(intern!(py, "end_await"))?.call1((&self.run, (run, number)))?;
            }
        }
        Ok(())
    }

    fn over<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        *self.stage.lock(py) = Stage::Over;
        self.run.get().raise_for_failure(py).map(|()| None)
    }

    fn iterator<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match &*self.stage.lock(py) {
            Stage::Waiting { iterator, .. } => Some(iterator.bind(py).clone()),
            Stage::Fresh | Stage::Over => None,
        }
    }

    fn is_fresh(&self, py: Python<'_>) -> bool {
        matches!(*self.stage.lock(py), Stage::Fresh)
    }
}

#[pymethods]
impl Waiter {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.iterator(py) {
            Some(iterator) => self.go_on(py, call::send(&iterator, py.None().bind(py))),
            None if self.is_fresh(py) => self.begin(py),
            None => Ok(None),
        }
    }

    fn send<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let yielded = match self.iterator(py) {
            Some(iterator) => self.go_on(py, call::send(&iterator, value))?,
            None if self.is_fresh(py) => self.begin(py)?,
            None => None,
        };
        yielded.ok_or_else(|| PyStopIteration::new_err(()))
    }

    #[pyo3(signature = (*arguments))]
    fn throw<'py>(&self, py: Python<'py>, arguments: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let Some(iterator) = self.iterator(py) else {
            *self.stage.lock(py) = Stage::Over;
            return Err(PyErr::from_value(thrown(arguments)?));
        };
        self.go_on(py, call::throw(&iterator, arguments))?.ok_or_else(|| PyStopIteration::new_err(()))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.stop(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.run)?;
        let Some(stage) = self.stage.look(&visit) else { return Ok(()) };
        if let Stage::Waiting { iterator, owner, .. } = &*stage {
            visit.call(iterator)?;
            visit.call(owner.as_ref().map(|(run, _)| run))?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        let stage = Python::attach(|py| std::mem::replace(&mut *self.stage.lock(py), Stage::Over));
        drop(stage);
    }
}
