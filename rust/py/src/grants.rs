//! Slots over all runs of a CNS: giving them back, and telling who gets them (S12, S21).

use crate::abort;
use crate::engine::{Engine, Holder, lock};
use crate::feed;
use crate::names;
use crate::stimulation::Stimulation;
use cnstra_core::{DendriteId, Ticket};
use pyo3::prelude::*;
use pyo3::types::PySet;

/// Give a slot back, to the first waiter that can still use it.
pub(crate) fn release(py: Python<'_>, engine: &Engine, slots: u32, holder: Holder) -> PyResult<()> {
    let mut holder = holder;
    loop {
        let heir = lock(&engine.slots[slots as usize]).release(&holder);
        let Some((heir, ())) = heir else { return Ok(()) };
        if grant(heir.stimulation.bind(py), heir.number, None)? {
            return Ok(());
        }
        holder = heir;
    }
}

/// Leave the line; false if the slot was granted in the meantime.
pub(crate) fn forget(engine: &Engine, dendrite: DendriteId, ticket: Ticket) -> bool {
    let slots = engine.handlers.get(dendrite as usize).and_then(|handler| handler.slots);
    slots.is_some_and(|slots| lock(&engine.slots[slots as usize]).forget(ticket).is_some())
}

/// The activation has its slot (or never will); false if it has no use for it any more.
fn grant(stim: &Bound<'_, Stimulation>, number: u64, error: Option<Py<PyAny>>) -> PyResult<bool> {
    let this = stim.get();
    let refused = this.lock().run.grant(number, error);
    if refused.is_err() {
        return Ok(false);
    }
    if feed::feed(stim, None, false)? {
        if this.is_waiting(stim.py()) {
            names::deadlock(stim.py())?.getattr("recheck")?.call1((stim,))?;
        }
        return Ok(true);
    }
    let unused = this.lock().run.ungrant(number);
    drop(unused);
    abort::abandon(stim)?;
    Ok(false)
}

/// It would wait for ever: it fails instead.
pub(crate) fn doom(stim: &Bound<'_, Stimulation>, number: u64) -> PyResult<()> {
    let this = stim.get();
    let engine = this.engine.get();
    let found = {
        let state = this.lock();
        (state.run.waiting())
            .find(|(activation, _)| activation.number == number)
            .map(|(activation, ticket)| (activation.dendrite, ticket))
    };
    let Some((dendrite, ticket)) = found else { return Ok(()) };
    if forget(engine, dendrite, ticket) {
        let handler = &engine.handlers[dendrite as usize];
        let error = names::fault(stim.py(), "slot_deadlock", (&handler.name, handler.collateral_name()));
        grant(stim, number, Some(error.into_value(stim.py()).into_any()))?;
    }
    Ok(())
}

/// Who holds these slots, as the await graph wants it: a set of (stimulation, number).
pub(crate) fn held_by<'py>(py: Python<'py>, engine: &Engine, slots: u32) -> PyResult<Bound<'py, PySet>> {
    let holders: Vec<(Py<Stimulation>, u64)> = {
        let slots = lock(&engine.slots[slots as usize]);
        slots.holders().map(|holder| (holder.stimulation.clone_ref(py), holder.number)).collect()
    };
    let set = PySet::empty(py)?;
    for holder in holders {
        set.add(holder)?;
    }
    Ok(set)
}
