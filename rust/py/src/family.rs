//! What a CNS has in common with those that `with_middleware` makes of it: the slots of neurons, and the listeners.

use crate::guarded::Guarded;
use crate::listeners::Listeners;
use crate::stimulation::Stimulation;
use cnstra_core::Slots;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use std::hash::{Hash, Hasher};

/// An activation of some run, as holder of a slot or in line for one.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) stimulation: Py<Stimulation>,
    pub(crate) number: u64,
}

impl Holder {
    pub(crate) fn new(stimulation: &Bound<'_, Stimulation>, number: u64) -> Self {
        Self { stimulation: stimulation.clone().unbind(), number }
    }
}

impl Clone for Holder {
    fn clone(&self) -> Self {
        Self { stimulation: Python::attach(|py| self.stimulation.clone_ref(py)), number: self.number }
    }
}

impl PartialEq for Holder {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number && self.stimulation.is(&other.stimulation)
    }
}

impl Eq for Holder {}

impl Hash for Holder {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.stimulation.as_ptr() as usize, self.number).hash(state);
    }
}

pub(crate) type NeuronSlots = Slots<Holder, ()>;

/// An object of Python's, so that the garbage collector finds what it holds once, and not once for each CNS.
#[pyclass(frozen, module = "cnstra")]
pub(crate) struct Family {
    /// Of the neurons that have a limit.
    pub(crate) slots: Vec<Guarded<NeuronSlots>>,
    pub(crate) response_listeners: Listeners,
    pub(crate) drain_listeners: Listeners,
}

impl Family {
    pub(crate) fn new(slots: Vec<Guarded<NeuronSlots>>) -> Self {
        Self { slots, response_listeners: Listeners::default(), drain_listeners: Listeners::default() }
    }
}

#[pymethods]
impl Family {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for slots in &self.slots {
            let Some(slots) = slots.look(&visit) else { continue };
            for holder in slots.holders().chain(slots.waiting_holders()) {
                visit.call(&holder.stimulation)?;
            }
        }
        self.response_listeners.visit(visit)?;
        self.drain_listeners.visit(visit)
    }

    fn __clear__(&self) {
        Python::attach(|py| {
            self.response_listeners.clear(py);
            self.drain_listeners.clear(py);
        });
    }
}
