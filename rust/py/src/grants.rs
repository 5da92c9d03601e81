//! Slots over all runs of a CNS: giving them back, and telling who gets them (S12, S21).

use crate::abort;
use crate::engine::Engine;
use crate::family::Holder;
use crate::feed::{self, Where};
use crate::names;
use crate::stimulation::Stimulation;
use cnstra_core::{DendriteId, Ticket};
use pyo3::prelude::*;
use pyo3::types::PySet;

/// Give a slot back, to the first waiter that can still use it.
pub(crate) fn release(py: Python<'_>, engine: &Engine, slots: u32, holder: Holder) -> PyResult<()> {
    let mut holder = holder;
    loop {
        let heir = engine.slots(slots).lock(py).release(&holder);
        let Some((heir, ())) = heir else { return Ok(()) };
        if grant(heir.stimulation.bind(py), heir.number, None)? {
            return Ok(());
        }
        holder = heir;
    }
}

/// Leave the line; false if the slot was granted in the meantime.
pub(crate) fn forget(py: Python<'_>, engine: &Engine, dendrite: DendriteId, ticket: Ticket) -> bool {
    let slots = engine.handlers.get(dendrite as usize).and_then(|handler| handler.slots);
    slots.is_some_and(|slots| engine.slots(slots).lock(py).forget(ticket).is_some())
}

/// The activation has its slot (or never will); false if it has no use for it any more.
fn grant(stim: &Bound<'_, Stimulation>, number: u64, error: Option<Py<PyAny>>) -> PyResult<bool> {
    let this = stim.get();
    let refused = this.lock(stim.py()).run.grant(number, error);
    if refused.is_err() {
        return Ok(false);
    }
    if feed::feed(stim, None, Where::Elsewhere)? {
        if this.is_waiting(stim.py()) {
            names::deadlock(stim.py())?.getattr("recheck")?.call1((stim,))?;
        }
        return Ok(true);
    }
    let unused = this.lock(stim.py()).run.ungrant(number);
    drop(unused);
    abort::abandon(stim)?;
    Ok(false)
}

/// It would wait for ever: it fails instead.
pub(crate) fn doom(stim: &Bound<'_, Stimulation>, number: u64) -> PyResult<()> {
    let this = stim.get();
    let engine = this.engine();
    let found = {
        let state = this.lock(stim.py());
        (state.run.waiting())
            .find(|(activation, _)| activation.number == number)
            .map(|(activation, ticket)| (activation.dendrite, ticket))
    };
    let Some((dendrite, ticket)) = found else { return Ok(()) };
    if forget(stim.py(), engine, dendrite, ticket) {
        let handler = &engine.handlers[dendrite as usize];
        let error = names::fault(stim.py(), "slot_deadlock", (&handler.name, handler.collateral_name()));
        grant(stim, number, Some(error.into_value(stim.py()).into_any()))?;
    }
    Ok(())
}

/// Who holds these slots, as the await graph wants it: a set of (stimulation, number).
pub(crate) fn held_by<'py>(py: Python<'py>, engine: &Engine, slots: u32) -> PyResult<Bound<'py, PySet>> {
    let holders: Vec<(Py<Stimulation>, u64)> = {
        let slots = engine.slots(slots).lock(py);
        slots.holders().map(|holder| (holder.stimulation.clone_ref(py), holder.number)).collect()
    };
    let set = PySet::empty(py)?;
    for holder in holders {
        set.add(holder)?;
    }
    Ok(set)
}
