//! The dispatch loop: one turn of a run, from what fed it to its drain (S3).
//!
//! Everything here is called on the run's own thread, by one turn at a time. The run is locked for single steps on its
//! state, never while a handler or a listener is called.

use crate::abort::{abort_here, cancel_here, check_deadline, end, give_up};
use crate::announce::{announce_entry, drain};
use crate::call::Entered;
use crate::callback::Callback;
use crate::engine::{Holder, lock};
use crate::enter::{enter, finish_task, finish_worker};
use crate::feed::Job;
use crate::grants::{self, held_by};
use crate::handler::Called;
use crate::names;
use crate::settle::refuse;
use crate::state::Entry;
use crate::stimulation::Stimulation;
use crate::task::{Cargo, Found, reserve_all};
use cnstra_core::{Taken, UNKNOWN};
use pyo3::intern;
use pyo3::prelude::*;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
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
pub(crate) fn begin(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    if let Some(signal) = &this.options.abort_signal {
        let forget = signal.call_method1(py, intern!(py, "add_listener"), (stim.getattr(intern!(py, "abort"))?,))?;
        this.lock().forget_signal = Some(forget);
    }
    turn(stim)?;
    if this.is_done() {
        return Ok(());
    }
    let host = this.host(py)?;
    if host.blocking {
        return block(stim);
    }
    if let Some(deadline) = this.deadline {
        let left = deadline.saturating_duration_since(Instant::now()).as_secs_f64();
        let callback = Py::new(py, Callback::time_out(stim))?;
        let timer = host.object.call_method1(py, intern!(py, "call_later"), (left, callback))?;
        this.lock().timer = Some(timer);
    }
    Ok(())
}

/// Wait for what feeds the run; the runs that this thread is in can go on with nothing before.
fn block(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let left = this.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()).as_secs_f64());
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

/// Run a turn that has begun, in the run's context, and further ones while drain listeners feed the run.
pub(crate) fn turn(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let driven = {
        let _entered = Entered::enter(this.context.bind(py))?;
        let _driving = Driving::push(stim, 0);
        catch_unwind(AssertUnwindSafe(|| turns(stim)))
    };
    match driven {
        Ok(driven) => {
            if !this.is_done() {
                this.host(py)?.object.call_method1(py, intern!(py, "hold"), (stim,))?;
            }
            driven
        }
        // S23: the run ends, and the panic goes on to be an exception where Python code called.
        Err(panic) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
            // The handler on the stack has gone; among those in flight, its slot is given back with theirs.
            this.lock().run.suspend();
            give_up(stim, format!("the engine panicked: {message}").into_pyobject(py)?.into_any().unbind())?;
            resume_unwind(panic)
        }
    }
}

fn turns(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let mut fatal: Option<PyErr> = None;
    loop {
        let dispatched = dispatch(stim);
        let again = dispatched.is_err();
        // What has settled is still announced, then the error goes on to whoever drives; but nothing more is entered.
        for result in [dispatched, if again { Ok(()) } else { drain(stim) }] {
            if let Err(error) = result {
                abort_here(stim, Some(names::exception(py, &error)), false)?;
                fatal.get_or_insert(error);
            }
        }
        if again {
            continue;
        }
        let (over, idle) = {
            let mut state = this.lock();
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

fn dispatch(stim: &Bound<'_, Stimulation>) -> PyResult<()> {
    let (py, this) = (stim.py(), stim.get());
    let engine = this.engine.get();
    let entry = {
        let mut state = this.lock();
        state.run.begin_turn();
        state.entry.take()
    };
    if let Some(entry) = entry {
        enter_run(stim, &entry)?;
    }
    loop {
        let mut state = this.lock();
        if let Some(job) = state.fed.pop_front() {
            drop(state);
            process(stim, job)?;
            continue;
        }
        let (activation, has_slot, error) = match state.run.next(&engine.graph) {
            None => return Ok(()),
            Some(Taken::Queued(activation)) => (activation, false, None),
            Some(Taken::Granted(activation, error)) => (activation, error.is_none(), error),
        };
        let known = activation.dendrite != UNKNOWN && error.is_none() && activation.hop <= this.max_hops;
        let (true, Cargo::Signal(signal)) = (known, &activation.signal) else {
            drop(state);
            refuse(stim, activation, error)?;
            continue;
        };
        let handler = &engine.handlers[activation.dendrite as usize];
        let signal = signal.clone_ref(py).into_bound(py);
        let called = Called::of(py, &activation);
        if let (Some(slots), false) = (handler.slots, has_slot) {
            // In one step with the run's own book-keeping: a grant from another thread finds the activation waiting.
            let ticket = lock(&engine.slots[slots as usize]).acquire(Holder::new(stim, called.number), || ());
            if let Some(ticket) = ticket {
                state.run.wait(activation, ticket);
                drop(state);
                if this.is_awaited(py) && is_doomed(stim, slots)? {
                    grants::doom(stim, called.number)?;
                }
                continue;
            }
        }
        state.run.enter(activation);
        drop(state);
        enter(stim, handler, &signal, called)?;
    }
}

fn is_doomed(stim: &Bound<'_, Stimulation>, slots: u32) -> PyResult<bool> {
    let py = stim.py();
    let holders = held_by(py, stim.get().engine.get(), slots)?;
    names::deadlock(py)?.getattr(intern!(py, "is_doomed"))?.call1((stim, holders))?.is_truthy()
}

fn enter_run(stim: &Bound<'_, Stimulation>, entry: &Entry) -> PyResult<()> {
    match entry {
        Entry::Signal(signal) => announce_entry(stim, std::slice::from_ref(signal)),
        Entry::Signals(signals) => announce_entry(stim, signals),
        Entry::Tasks(tasks) => {
            let (py, this) = (stim.py(), stim.get());
            let engine = this.engine.get();
            let found = tasks.iter().map(|task| Found::of(engine, task.bind(py))).collect::<PyResult<Vec<_>>>()?;
            reserve_all(&mut this.lock().run, engine, found);
            Ok(())
        }
    }
}

fn process(stim: &Bound<'_, Stimulation>, job: Job) -> PyResult<()> {
    match job {
        Job::Abort(reason) => abort_here(stim, reason, false),
        Job::Cancel(reason) => cancel_here(stim, reason, false),
        Job::Task { called, task } => finish_task(stim, &called, task.bind(stim.py())),
        Job::Worker { called, value, error, entered } => finish_worker(stim, called, value, error, entered),
        Job::Unpark(ticket) => {
            let this = stim.get();
            this.lock().run.unpark(&this.engine.get().graph, ticket);
            Ok(())
        }
    }?;
    check_deadline(stim)
}
