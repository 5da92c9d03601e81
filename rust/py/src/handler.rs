//! A dendrite made ready to be called: everything that is decided once, when the graph is compiled.

use crate::context::Context;
use crate::names;
use crate::signal::{Collateral, Signal};
use crate::stimulation::Stimulation;
use crate::task::{Cargo, TaskInfo};
use cnstra_core::Activation;
use pyo3::exceptions::PyRuntimeError;
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
    /// Nothing but a call: see `enter`.
    pub(crate) is_plain: bool,
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
        let call = dendrite.getattr(intern!(py, "_handler"))?.unbind();
        let arity = dendrite.getattr(intern!(py, "_arity"))?.extract()?;
        let is_async = dendrite.getattr(intern!(py, "_is_async"))?.is_truthy()?;
        let (call, arity, is_async) = wrap(dendrite, middleware, (call, arity, is_async))?;
        let offload = neuron.getattr(intern!(py, "_offload"))?.is_truthy()?;
        let max_duration: Option<f64> = neuron.getattr(intern!(py, "_max_duration"))?.extract()?;
        Ok(Self {
            call,
            axon: neuron.getattr(intern!(py, "_axon"))?.unbind(),
            neuron: neuron.clone().unbind(),
            number,
            name: neuron.getattr(intern!(py, "_name"))?.cast_into::<PyString>()?.unbind(),
            collateral: dendrite.getattr(intern!(py, "_collateral"))?.cast_into::<Collateral>()?.unbind(),
            place,
            arity,
            is_plain: is_plain(is_async, offload, max_duration),
            is_async,
            is_join: !dendrite.getattr(intern!(py, "_join"))?.is_none(),
            offload,
            slots,
            max_duration,
        })
    }

    /// The same inside more middleware.
    pub(crate) fn inside(&self, dendrite: &Bound<'_, PyAny>, middleware: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let py = dendrite.py();
        let inner = (self.call.clone_ref(py), self.arity, self.is_async);
        let (call, arity, is_async) = wrap(dendrite, middleware, inner)?;
        Ok(Self {
            call,
            axon: self.axon.clone_ref(py),
            neuron: self.neuron.clone_ref(py),
            name: self.name.clone_ref(py),
            collateral: self.collateral.clone_ref(py),
            arity,
            is_plain: is_plain(is_async, self.offload, self.max_duration),
            is_async,
            ..*self
        })
    }

    /// Call it with as many arguments as it takes.
    #[inline]
    pub(crate) fn invoke<'py>(
        &self,
        stim: &Bound<'py, Stimulation>,
        signal: &Bound<'py, Signal>,
        called: Called,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = stim.py();
        let (call, axon) = (self.call.bind(py), self.axon.bind(py));
        match self.arity {
            2 if !self.is_join => call.call1((signal.get().payload.bind(py), axon)),
            1 if !self.is_join => call.call1((signal.get().payload.bind(py),)),
            1 => call.call1((called.payload(stim, self, signal)?,)),
            2 => call.call1((called.payload(stim, self, signal)?, axon)),
            _ => call.call1((called.payload(stim, self, signal)?, axon, called.context(stim, self)?)),
        }
    }

    /// The arguments as a tuple, for a worker thread.
    pub(crate) fn arguments<'py>(
        &self,
        stim: &Bound<'py, Stimulation>,
        signal: &Bound<'py, Signal>,
        called: Called,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let py = stim.py();
        let payload = called.payload(stim, self, signal)?;
        match self.arity {
            1 => (payload,).into_pyobject(py),
            2 => (payload, &self.axon).into_pyobject(py),
            _ => (payload, &self.axon, called.context(stim, self)?).into_pyobject(py),
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

/// What is called, with how many arguments, and whether it is known to be asynchronous.
type Callee = (Py<PyAny>, u8, bool);

/// What is to be called of a dendrite, inside middleware.
fn wrap(dendrite: &Bound<'_, PyAny>, middleware: &Bound<'_, PyTuple>, inner: Callee) -> PyResult<Callee> {
    if middleware.is_empty() {
        return Ok(inner);
    }
    let py = dendrite.py();
    let (call, arity, is_async) = inner;
    let arguments = (dendrite, middleware, call, arity, is_async);
    let wrapped = names::wrapping(py)?.getattr(intern!(py, "wrap"))?.call1(arguments)?;
    Ok((wrapped.get_item(0)?.unbind(), 3, wrapped.get_item(1)?.is_truthy()?))
}

/// Whether nothing but a call is needed: see `enter`.
fn is_plain(is_async: bool, offload: bool, max_duration: Option<f64>) -> bool {
    !is_async && !offload && max_duration.is_none()
}

/// What names an activation; the activation itself is with its run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called {
    pub(crate) number: u64,
    pub(crate) hop: u32,
    pub(crate) dendrite: u32,
}

impl Called {
    /// What a handler is given: its signal's payload, or those of what a join took over.
    fn payload(
        self,
        stim: &Bound<'_, Stimulation>,
        handler: &Handler,
        signal: &Bound<'_, Signal>,
    ) -> PyResult<Py<PyAny>> {
        let py = stim.py();
        if !handler.is_join {
            return Ok(signal.get().payload.clone_ref(py));
        }
        let payloads: Vec<Py<PyAny>> = self.look(stim, |current| {
            (current.view().joined.iter())
                .filter_map(|part| match &part.signal {
                    Cargo::Signal(signal) => Some(signal.get().payload.clone_ref(py)),
                    Cargo::Unknown(_) => None,
                })
                .collect()
        })?;
        Ok(PyList::new(py, payloads)?.into_any().unbind())
    }

    fn context(self, stim: &Bound<'_, Stimulation>, handler: &Handler) -> PyResult<Py<Context>> {
        let py = stim.py();
        let info = self.look(stim, |current| TaskInfo::of(py, current.view()))?;
        Py::new(py, Context::new(stim.clone().unbind(), handler.name.clone_ref(py), info))
    }

    /// Look at the activation, which has just been entered.
    fn look<T>(self, stim: &Bound<'_, Stimulation>, see: impl FnOnce(&Activation<Cargo>) -> T) -> PyResult<T> {
        let state = stim.get().lock(stim.py());
        let current = state.run.current().filter(|current| current.number == self.number);
        current.map(see).ok_or_else(|| PyRuntimeError::new_err("the run was ended while a handler of it was called"))
    }
}
