//! How a run begins, and how it waits where there is no loop: blocking its thread (S12, S20).

use crate::callback::Callback;
use crate::drive::turn;
use crate::names;
use crate::state::Entry;
use crate::stimulation::Stimulation;
use pyo3::intern;
use pyo3::prelude::*;
use std::cell::RefCell;
use std::time::Instant;

thread_local! {
    /// The handlers that this thread is in, the innermost last; the number is 0 for a run whose turn it drives: its
    /// handler is whatever that run has on the stack.
    static DRIVING: RefCell<Vec<(Py<Stimulation>, u64)>> = const { RefCell::new(Vec::new()) };
}

/// An activation that waits: its run and its number.
type Owner<'py> = (Bound<'py, Stimulation>, u64);

/// This thread is in a handler of a run for as long as this lives.
pub(crate) struct Driving;

impl Driving {
    pub(crate) fn push(stim: &Bound<'_, Stimulation>, number: u64) -> Self {
        let entry = (stim.clone().unbind(), number);
        DRIVING.with(|driving| driving.borrow_mut().push(entry));
        Self
    }

    /// Who waits for whom if this run blocks the thread: each run that the thread is in, and the handler above it.
    fn awaits<'py>(stim: &Bound<'py, Stimulation>) -> Vec<(Bound<'py, Stimulation>, Owner<'py>)> {
        let py = stim.py();
        let above: Vec<Owner<'py>> = DRIVING.with(|driving| {
            driving.borrow().iter().map(|(run, number)| (run.clone_ref(py).into_bound(py), *number)).collect()
        });
        let runs = above.iter().skip(1).map(|(run, _)| run.clone()).chain([stim.clone()]).collect::<Vec<_>>();
        runs.into_iter().zip(above).collect()
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        let popped = DRIVING.with(|driving| driving.borrow_mut().pop());
        drop(popped);
    }
}

/// Drive the first turn; without a loop, drive the run to its end.
#[inline]
pub(crate) fn begin(stim: &Bound<'_, Stimulation>, entry: Entry) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    if let Some(signal) = &this.options().abort_signal {
        let forget = signal.call_method1(py, intern!(py, "add_listener"), (stim.getattr(intern!(py, "abort"))?,))?;
        this.lock(py).more().forget_signal = Some(forget);
    }
    turn(stim, Some(&entry))?;
    if this.is_done() { Ok(()) } else { wait(stim) }
}

/// It goes on after its first turn.
fn wait(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let host = this.host(py)?;
    if host.is_blocking() {
        return block(stim);
    }
    if let Some(deadline) = this.deadline() {
        let left = deadline.saturating_duration_since(Instant::now()).as_secs_f64();
        let callback = Py::new(py, Callback::time_out(stim))?;
        let timer = host.object.call_method1(py, intern!(py, "call_later"), (left, callback))?;
        this.lock(py).more().timer = Some(timer);
    }
    Ok(())
}

/// Wait for what feeds the run; the runs that this thread is in can go on with nothing before.
fn block(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let left = this.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()).as_secs_f64());
    let graph = names::deadlock(py)?;
    let awaits = Driving::awaits(stim);
    let mut begun = 0;
    let mut driven = Ok(());
    for (awaited, owner) in &awaits {
        driven = graph.getattr(intern!(py, "begin_await"))?.call1((awaited, owner)).map(drop);
        if driven.is_err() {
            break;
        }
        begun += 1;
    }
    if driven.is_ok() {
        driven = this.host(py)?.object.call_method1(py, intern!(py, "drive"), (stim, left)).map(drop);
    }
    for (awaited, owner) in awaits.iter().take(begun) {
        graph.getattr(intern!(py, "end_await"))?.call1((awaited, owner))?;
    }
    driven
}
