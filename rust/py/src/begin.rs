//! How a run begins, and how it waits where there is no loop: blocking its thread (S12, S20).

use crate::call::driving;
use crate::callback::Callback;
use crate::drive::turn;
use crate::names;
use crate::state::Entry;
use crate::stimulation::Stimulation;
use pyo3::intern;
use pyo3::prelude::*;
use std::time::Instant;

/// An activation that waits: its run and its number.
type Owner<'py> = (Bound<'py, Stimulation>, u64);

/// Who waits for whom if this run blocks the thread: each run that the thread is in, and the handler above it.
fn awaits<'py>(stim: &Bound<'py, Stimulation>) -> Vec<(Bound<'py, Stimulation>, Owner<'py>)> {
    let above: Vec<Owner<'py>> = driving(stim.py());
    let runs = above.iter().skip(1).map(|(run, _)| run.clone()).chain([stim.clone()]).collect::<Vec<_>>();
    runs.into_iter().zip(above).collect()
}

/// Drive the first turn; without a loop, drive the run to its end.
#[inline]
pub(crate) fn begin(stim: &Bound<'_, Stimulation>, entry: Entry<'_>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    if let Some(signal) = &this.options().abort_signal {
        let forget = signal.call_method1(py, intern!(py, "add_listener"), (stim.getattr(intern!(py, "abort"))?,))?;
        this.lock(py).more().forget_signal = Some(forget);
    }
    turn(stim, Some(entry))?;
    if this.is_done() { Ok(()) } else { wait(stim) }
}

/// It goes on after its first turn.
#[inline(never)]
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
    let awaits = awaits(stim);
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
