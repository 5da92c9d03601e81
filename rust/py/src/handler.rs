//! A dendrite made ready to be called: everything that is decided once, when the graph is compiled.

use crate::context::Context;
use crate::names;
use crate::signal::{Collateral, Signal};
use crate::stimulation::Stimulation;
use crate::task::{Cargo, TaskInfo};
use cnstra_core::Activation;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use pyo3::{PyTraverseError, intern};

/// One compiled dendrite.
pub(crate) struct Handler {
    pub(crate) call: Py<PyAny>,
    pub(crate) axon: Py<PyAny>,
    /// The `Neuron`, and its number in the graph.
    pub(crate) neuron: Py<PyAny>,
    pub(crate) number: u32,
    pub(crate) name: Py<PyString>,
    pub(crate) collateral: Py<Collateral>,
    /// Which of its neuron's dendrites on that collateral it is.
    pub(crate) place: u32,
    pub(crate) arity: u8,
    pub(crate) is_async: bool,
    pub(crate) is_join: bool,
    pub(crate) offload: bool,
    /// The slots of its neuron, if that has a limit: their place in the engine.
    pub(crate) slots: Option<u32>,
    pub(crate) max_duration: Option<f64>,
}

impl Handler {
    /// Compile a `Dendrite` of the neuron with this number.
    pub(crate) fn new(
        dendrite: &Bound<'_, PyAny>,
        neuron: &Bound<'_, PyAny>,
        number: u32,
        place: u32,
        slots: Option<u32>,
        middleware: &Bound<'_, PyTuple>,
    ) -> PyResult<Self> {
        let py = dendrite.py();
        let mut call = dendrite.getattr(intern!(py, "_handler"))?;
        let mut arity = dendrite.getattr(intern!(py, "_arity"))?.extract()?;
        let mut is_async = dendrite.getattr(intern!(py, "_is_async"))?.is_truthy()?;
        if !middleware.is_empty() {
            let wrapped = names::wrapping(py)?.getattr(intern!(py, "wrap"))?.call1((dendrite, middleware))?;
            call = wrapped.get_item(0)?;
            is_async = wrapped.get_item(1)?.is_truthy()?;
            arity = 3;
        }
        Ok(Self {
            call: call.unbind(),
            axon: neuron.getattr(intern!(py, "_axon"))?.unbind(),
            neuron: neuron.clone().unbind(),
            number,
            name: neuron.getattr(intern!(py, "_name"))?.cast_into::<PyString>()?.unbind(),
            collateral: dendrite.getattr(intern!(py, "_collateral"))?.cast_into::<Collateral>()?.unbind(),
            place,
            arity,
            is_async,
            is_join: !dendrite.getattr(intern!(py, "_join"))?.is_none(),
            offload: neuron.getattr(intern!(py, "_offload"))?.is_truthy()?,
            slots,
            max_duration: neuron.getattr(intern!(py, "_max_duration"))?.extract()?,
        })
    }

    /// Call it with as many arguments as it takes.
    #[inline]
    pub(crate) fn invoke<'py>(
        &self,
        stim: &Bound<'py, Stimulation>,
        signal: &Bound<'py, Signal>,
        activation: &Called,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = stim.py();
        let call = self.call.bind(py);
        if self.is_join {
            let payload = activation.payload(py)?;
            return self.invoke_with(stim, call, payload.bind(py), signal, activation);
        }
        self.invoke_with(stim, call, signal.get().payload.bind(py), signal, activation)
    }

    #[inline]
    fn invoke_with<'py>(
        &self,
        stim: &Bound<'py, Stimulation>,
        call: &Bound<'py, PyAny>,
        payload: &Bound<'py, PyAny>,
        signal: &Bound<'py, Signal>,
        activation: &Called,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = stim.py();
        match self.arity {
            1 => call.call1((payload,)),
            2 => call.call1((payload, self.axon.bind(py))),
            _ => call.call1((payload, self.axon.bind(py), activation.context(stim, self, signal)?)),
        }
    }

    /// The arguments as a tuple, for a worker thread.
    pub(crate) fn arguments<'py>(
        &self,
        stim: &Bound<'py, Stimulation>,
        signal: &Bound<'py, Signal>,
        activation: &Called,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let py = stim.py();
        let payload = if self.is_join { activation.payload(py)? } else { signal.get().payload.clone_ref(py) };
        match self.arity {
            1 => (payload,).into_pyobject(py),
            2 => (payload, &self.axon).into_pyobject(py),
            _ => (payload, &self.axon, activation.context(stim, self, signal)?).into_pyobject(py),
        }
    }

    pub(crate) fn collateral_name(&self) -> &Py<PyString> {
        &self.collateral.get().name
    }

    pub(crate) fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.call)?;
        visit.call(&self.axon)?;
        visit.call(&self.neuron)?;
        visit.call(&self.collateral)
    }
}

/// What stays of an activation while its handler is called: the activation itself is with its run.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) number: u64,
    pub(crate) cause: u64,
    pub(crate) hop: u32,
    pub(crate) dendrite: u32,
    /// What a join took over.
    pub(crate) joined: Vec<TaskInfo>,
}

impl Called {
    #[inline]
    pub(crate) fn of(py: Python<'_>, activation: &Activation<Cargo>) -> Self {
        let joined = match &activation.joined {
            None => Vec::new(),
            Some(parts) => parts.iter().map(|part| TaskInfo::of(py, part)).collect(),
        };
        let Activation { number, cause, hop, dendrite, .. } = *activation;
        Self { number, cause, hop, dendrite, joined }
    }

    pub(crate) fn copy(&self, py: Python<'_>) -> Self {
        let joined = self.joined.iter().map(|part| part.clone_ref(py)).collect();
        Self { joined, ..*self }
    }

    /// The payloads of what a join took over.
    fn payload(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let payloads = self.joined.iter().filter_map(|part| match &part.cargo {
            Cargo::Signal(signal) => Some(signal.get().payload.bind(py)),
            Cargo::Unknown(_) => None,
        });
        Ok(PyList::new(py, payloads.collect::<Vec<_>>())?.into_any().unbind())
    }

    fn context(
        &self,
        stim: &Bound<'_, Stimulation>,
        handler: &Handler,
        signal: &Bound<'_, Signal>,
    ) -> PyResult<Py<Context>> {
        let py = stim.py();
        let info = self.info(py, Cargo::Signal(signal.clone().unbind()));
        Py::new(py, Context::new(stim.clone().unbind(), handler.name.clone_ref(py), info))
    }

    /// The activation as data, with what it carries.
    pub(crate) fn info(&self, py: Python<'_>, cargo: Cargo) -> TaskInfo {
        let Self { number, cause, hop, dendrite, .. } = *self;
        let joined = self.joined.iter().map(|part| part.clone_ref(py)).collect();
        TaskInfo { number, cause, hop, dendrite, cargo, joined }
    }

    pub(crate) fn visit(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.joined.iter().try_for_each(|part| part.visit(visit))
    }
}
