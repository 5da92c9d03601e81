//! The dispatch loop: one turn of a run, from what fed it to its drain (S3).
//!
//! Everything here is called on the run's own thread, by one turn at a time. The run is locked for single steps on its
//! state, never while a handler or a listener is called.

use crate::abort::{abort_here, cancel_here, check_deadline, end, give_up};
use crate::announce::{announce_entry, drain};
use crate::call::{self, Entered};
use crate::enter::{enter, finish_task, finish_worker};
use crate::family::Holder;
use crate::feed::Job;
use crate::grants::{self, held_by};
use crate::handler::{Called, Handler};
use crate::names;
use crate::settle::refuse;
use crate::state::Entry;
use crate::stimulation::Stimulation;
use crate::task::{Cargo, append_tasks};
use cnstra_core::{Run, Taken};
use pyo3::intern;
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Run a turn that has begun, in the run's context, and further ones while drain listeners feed the run.
pub(crate) fn turn(stim: &Bound<'_, Stimulation>, entry: Option<Entry<'_>>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let driven = {
        let _entered = Entered::enter(this.context(py))?;
        // Boxed: an error is five words to be moved, and there is none.
        catch_unwind(AssertUnwindSafe(|| call::drive(stim, 0, || turns(stim, entry)).map_err(Box::new)))
    };
    match driven {
        Ok(driven) => {
            if !this.is_done() {
                this.lock(py).held = true;
                this.host(py)?.hold(stim)?;
            }
            driven.map_err(|error| *error)
        }
        // S23: the run ends, and the panic goes on to be an exception where Python code called.
        Err(panic) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
            // The handler on the stack has gone; among those in flight, its slot is given back with theirs.
            this.lock(py).run.suspend();
            give_up(stim, format!("the engine panicked: {message}").into_pyobject(py)?.into_any().unbind())?;
            resume_unwind(panic)
        }
    }
}

fn turns(stim: &Bound<'_, Stimulation>, mut entry: Option<Entry<'_>>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let mut fatal: Option<PyErr> = None;
    // What has settled is still announced, then the error goes on to whoever drives; but nothing more is entered.
    let mut break_off = |error: PyErr| {
        abort_here(stim, Some(names::exception(py, &error)), false)?;
        fatal.get_or_insert(error);
        Ok::<_, PyErr>(())
    };
    loop {
        if let Err(error) = dispatch(stim, entry.take()) {
            break_off(error)?;
            continue;
        }
        if let Err(error) = drain(stim) {
            break_off(error)?;
        }
        let (over, idle) = {
            let mut state = this.lock(py);
            let over = state.run.close();
            (over, !over && state.run.end_turn())
        };
        if over {
            end(stim)?;
        }
        if over || idle {
            return fatal.map_or(Ok(()), Err);
        }
    }
}

fn dispatch(stim: &Bound<'_, Stimulation>, entry: Option<Entry<'_>>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine();
    this.lock(py).run.begin_turn();
    if let Some(entry) = entry {
        enter_run(stim, entry)?;
    }
    loop {
        let mut state = this.lock(py);
        if let Some(job) = state.next_job() {
            drop(state);
            process(stim, job)?;
            continue;
        }
        let Some(Taken { number, hop, dendrite, granted }) = state.run.next(&engine.graph, |cargo| cargo.clone_ref(py))
        else {
            return Ok(());
        };
        let called = Called { number, hop, dendrite };
        let (has_slot, error) = match granted {
            None => (false, None),
            Some(Ok(())) => (true, None),
            Some(Err(error)) => (false, Some(error)),
        };
        // There is none for an unknown dendrite.
        let handler = engine.handlers.get(dendrite as usize).filter(|_| error.is_none() && hop <= this.max_hops);
        let Some(handler) = handler else {
            drop(state);
            refuse(stim, called, error)?;
            continue;
        };
        if handler.slots.is_some() && !has_slot {
            // Locked as the run is: a grant from another thread finds the activation waiting.
            let waits = wait_for_slot(stim, &mut state.run, handler, number);
            if waits {
                drop(state);
                // From here on another thread may have to know where the run lives, which this one alone can find out.
                this.host(py)?;
                look_for_deadlock(stim, handler, number)?;
                continue;
            }
        }
        state.run.enter();
        let Some(Cargo::Signal(signal)) = state.run.current().map(|current| &current.signal) else { continue };
        let signal = signal.clone_ref(py).into_bound(py);
        drop(state);
        enter(stim, handler, &signal, called)?;
    }
}

/// Whether the current activation has to wait for a slot of its neuron (S12).
#[inline(never)]
fn wait_for_slot(
    stim: &Bound<'_, Stimulation>,
    run: &mut Run<Cargo, Py<PyAny>>,
    handler: &Handler,
    number: u64,
) -> bool {
    let Some(slots) = handler.slots else { return false };
    let slots = stim.get().engine().slots(slots);
    let ticket = slots.lock(stim.py()).acquire(Holder::new(stim, number), || ());
    if let Some(ticket) = ticket {
        run.wait(ticket);
    }
    ticket.is_some()
}

/// It waits: if that would be for ever, it fails.
#[inline(never)]
fn look_for_deadlock(stim: &Bound<'_, Stimulation>, handler: &Handler, number: u64) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    if let Some(slots) = handler.slots
        && this.is_awaited(py)
    {
        let holders = held_by(py, this.engine(), slots)?;
        if names::deadlock(py)?.getattr(intern!(py, "is_doomed"))?.call1((stim, holders))?.is_truthy()? {
            grants::doom(stim, number)?;
        }
    }
    Ok(())
}

fn enter_run(stim: &Bound<'_, Stimulation>, entry: Entry<'_>) -> PyResult<()> {
    match entry {
        Entry::Signals(signals) => announce_entry(stim, signals),
        Entry::Tasks(tasks) => append_tasks(stim, tasks.bind(stim.py())),
    }
}

#[inline(never)]
fn process(stim: &Bound<'_, Stimulation>, job: Job) -> PyResult<()> {
    match job {
        Job::Abort(reason) => abort_here(stim, reason, false),
        Job::Cancel(reason) => cancel_here(stim, reason, false),
        Job::Settled { called, ended } => finish_task(stim, called, ended),
        Job::Worker { called, value, error, entered } => finish_worker(stim, called, value, error, entered),
        Job::Unpark(ticket) => {
            let this = stim.get();
            let py = stim.py();
            this.lock(py).run.unpark(&this.engine().graph, ticket, |cargo| cargo.clone_ref(py));
            Ok(())
        }
    }?;
    check_deadline(stim)
}
