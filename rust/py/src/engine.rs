//! The engine: compiles neurons to a graph, starts runs on it and keeps the listeners that hear them all.

use crate::begin::begin;
use crate::compile::{Compiled, Numbers, as_middleware, compile, rewrap};
use crate::family::{Family, NeuronSlots};
use crate::guarded::Guarded;
use crate::handler::Handler;
use crate::listeners::{Remover, check_listener};
use crate::names;
use crate::options::Options;
use crate::signal::{Collateral, Signal};
use crate::spares::Spares;
use crate::state::Entry;
use crate::stimulation::Stimulation;
use crate::task::task_fields;
use cnstra_core::{DendriteId, Graph};
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use pyo3::{PyTraverseError, intern};
use std::collections::HashMap;
use std::sync::Arc;

/// What a CNS is made of.
#[pyclass(frozen, subclass, weakref, module = "cnstra")]
pub(crate) struct Engine {
    /// What collaterals remember to have been compiled into.
    pub(crate) id: u32,
    pub(crate) graph: Arc<Graph>,
    pub(crate) handlers: Vec<Handler>,
    pub(crate) family: Py<Family>,
    pub(crate) shared: Py<PyAny>,
    pub(crate) enforce_ownership: bool,
    pub(crate) auto_cleanup: bool,
    pub(crate) neurons: Py<PyTuple>,
    collaterals: Vec<Py<Collateral>>,
    /// Of these neurons and collaterals.
    numbers: Arc<Numbers>,
    pub(crate) spares: Guarded<Spares>,
}

impl Engine {
    /// The same graph with more middleware around its handlers.
    fn wrapped(&self, py: Python<'_>, middleware: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self {
            id: self.id,
            graph: Arc::clone(&self.graph),
            handlers: rewrap(self.neurons.bind(py), &self.handlers, &as_middleware(py, middleware)?)?,
            family: self.family.clone_ref(py),
            shared: self.shared.clone_ref(py),
            enforce_ownership: self.enforce_ownership,
            auto_cleanup: self.auto_cleanup,
            neurons: self.neurons.clone_ref(py),
            collaterals: self.collaterals.iter().map(|collateral| collateral.clone_ref(py)).collect(),
            numbers: Arc::clone(&self.numbers),
            spares: Guarded::default(),
        })
    }

    /// The slots of a neuron, by their number in its handlers.
    pub(crate) fn slots(&self, number: u32) -> &Guarded<NeuronSlots> {
        &self.family.get().slots[number as usize]
    }

    /// `None` for a collateral that no neuron of this graph hears or owns.
    #[inline]
    pub(crate) fn number_of(&self, collateral: &Py<Collateral>) -> Option<u32> {
        collateral
            .get()
            .number_in(self.id)
            .or_else(|| self.numbers.collaterals.get(&(collateral.as_ptr() as usize)).copied())
    }

    /// The dendrite of a neuron that a task means: the so-manieth of those on the signal's collateral.
    #[inline]
    pub(crate) fn find(&self, neuron: &Bound<'_, PyAny>, signal: &Signal, place: usize) -> Option<DendriteId> {
        let number = *self.numbers.neurons.get(&(neuron.as_ptr() as usize))?;
        let first = self.numbers.first_dendrite[number as usize];
        let next = self.numbers.first_dendrite.get(number as usize + 1).copied();
        let end = next.or(u32::try_from(self.handlers.len()).ok())?;
        (first..end).filter(|&at| self.handlers[at as usize].collateral.is(&signal.collateral)).nth(place)
    }

    /// Those of the neurons named that no activation of these dendrites can reach (S15).
    pub(crate) fn unreachable(&self, py: Python<'_>, dendrites: &[DendriteId], names: &[String]) -> Vec<String> {
        let mut wanted: HashMap<u32, &String> = HashMap::new();
        for neuron in self.neurons.bind(py) {
            let Some(&number) = self.numbers.neurons.get(&(neuron.as_ptr() as usize)) else { continue };
            let name = neuron.getattr(intern!(py, "_name")).and_then(|name| name.extract::<String>());
            if let Some(name) = name.ok().and_then(|name| names.iter().find(|wanted| **wanted == name)) {
                wanted.insert(number, name);
            }
        }
        let mut seen: Vec<bool> = vec![false; self.graph.neurons() as usize];
        let mut stack = Vec::new();
        for &dendrite in dendrites {
            let neuron = self.graph.neuron_of(dendrite);
            if !std::mem::replace(&mut seen[neuron as usize], true) {
                stack.push(neuron);
                wanted.remove(&neuron);
            }
        }
        while let Some(neuron) = stack.pop() {
            if wanted.is_empty() {
                break;
            }
            for after in self.graph.successors(neuron) {
                if !std::mem::replace(&mut seen[after as usize], true) {
                    stack.push(after);
                    wanted.remove(&after);
                }
            }
        }
        wanted.into_values().cloned().collect()
    }
}

/// The items of a list or tuple, `None` for anything else.
pub(crate) fn items<'py>(value: &Bound<'py, PyAny>) -> Option<Vec<Bound<'py, PyAny>>> {
    if let Ok(list) = value.cast::<PyList>() {
        return Some(list.iter().collect());
    }
    value.cast::<PyTuple>().ok().map(|tuple| tuple.iter().collect())
}

/// Check what a call was given as tasks: a list or tuple of them. It is not copied, which for many would take as long as
/// to run them.
pub(crate) fn check_tasks(tasks: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = tasks.py();
    if !tasks.is_instance_of::<PyList>() && !tasks.is_instance_of::<PyTuple>() {
        return Err(names::fault(py, "not_a_task", (tasks,)));
    }
    let kind = task_fields(py)?.kind(py);
    let mut wrong = None;
    each_task(tasks, |task| {
        if wrong.is_none() && !task.is_exact_instance(kind) {
            wrong = Some(task);
        }
    });
    wrong.map_or(Ok(()), |wrong| Err(names::fault(py, "not_a_task", (wrong,))))
}

/// Do something with each item of a list or tuple.
pub(crate) fn each_task<'py>(tasks: &Bound<'py, PyAny>, mut each: impl FnMut(Bound<'py, PyAny>)) {
    if let Ok(list) = tasks.cast::<PyList>() {
        list.iter().for_each(&mut each);
    } else if let Ok(tuple) = tasks.cast::<PyTuple>() {
        tuple.iter().for_each(&mut each);
    }
}

/// What a call was given as signals, each of which is one.
#[inline(never)]
fn check_signals(signals: &Bound<'_, PyAny>) -> PyResult<Vec<Py<Signal>>> {
    let py = signals.py();
    if let Ok(signal) = signals.cast_exact::<Signal>() {
        return Ok(vec![signal.clone().unbind()]);
    }
    let Some(items) = items(signals) else { return Err(names::fault(py, "not_a_signal", (signals,))) };
    let one = |item: Bound<'_, PyAny>| match item.cast_into_exact::<Signal>() {
        Ok(signal) => Ok(signal.unbind()),
        Err(error) => Err(names::fault(py, "not_a_signal", (error.into_inner(),))),
    };
    items.into_iter().map(one).collect()
}

#[pymethods]
impl Engine {
    /// `_inner` is of `with_middleware`: the engine around whose handlers the middleware goes. All else is taken from it.
    #[new]
    #[pyo3(signature = (neurons, *, shared = None, auto_cleanup_contexts = None, enforce_ownership = None,
        middleware = None, _inner = None))]
    fn new(
        py: Python<'_>,
        neurons: &Bound<'_, PyAny>,
        shared: Option<Py<PyAny>>,
        auto_cleanup_contexts: Option<&Bound<'_, PyAny>>,
        enforce_ownership: Option<&Bound<'_, PyAny>>,
        middleware: Option<&Bound<'_, PyAny>>,
        _inner: Option<&Bound<'_, Self>>,
    ) -> PyResult<Self> {
        if let Some(inner) = _inner {
            return inner.get().wrapped(py, middleware);
        }
        let truth = |value: Option<&Bound<'_, PyAny>>, default: bool| match value {
            Some(value) => value.is_truthy(),
            None => Ok(default),
        };
        let Compiled { id, graph, handlers, slots, neurons, collaterals, numbers } = compile(py, neurons, middleware)?;
        Ok(Self {
            id,
            graph: Arc::new(graph),
            handlers,
            family: Py::new(py, Family::new(slots))?,
            shared: shared.unwrap_or_else(|| py.None()),
            enforce_ownership: truth(enforce_ownership, true)?,
            auto_cleanup: truth(auto_cleanup_contexts, false)?,
            neurons,
            collaterals,
            numbers: Arc::new(numbers),
            spares: Guarded::default(),
        })
    }

    #[getter]
    fn neurons(&self, py: Python<'_>) -> Py<PyTuple> {
        self.neurons.clone_ref(py)
    }

    #[getter]
    fn shared(&self, py: Python<'_>) -> Py<PyAny> {
        self.shared.clone_ref(py)
    }

    #[getter]
    fn enforce_ownership(&self) -> bool {
        self.enforce_ownership
    }

    // Each keyword is a parameter, though the others take a dictionary: with one, PyO3 has the interpreter make a tuple for
    // every call, which a run of one handler would notice.
    #[pyo3(signature = (signal, /, *, on_response = None, on_drain = None, abort_signal = None, timeout = None,
        concurrency = None, max_hops = None, context_store = None, modality = None, afferent_path = None,
        stimulation_context = None))]
    #[allow(clippy::too_many_arguments, reason = "they are the keywords of the public call")]
    fn stimulate<'py>(
        slf: &Bound<'py, Self>,
        signal: &Bound<'py, PyAny>,
        on_response: Option<&Bound<'py, PyAny>>,
        on_drain: Option<&Bound<'py, PyAny>>,
        abort_signal: Option<&Bound<'py, PyAny>>,
        timeout: Option<&Bound<'py, PyAny>>,
        concurrency: Option<&Bound<'py, PyAny>>,
        max_hops: Option<&Bound<'py, PyAny>>,
        context_store: Option<&Bound<'py, PyAny>>,
        modality: Option<&Bound<'py, PyAny>>,
        afferent_path: Option<&Bound<'py, PyAny>>,
        stimulation_context: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Stimulation>> {
        let (one, several);
        let signals = match signal.cast_exact::<Signal>() {
            Ok(signal) => {
                one = signal.as_unbound();
                std::slice::from_ref(one)
            }
            Err(_) => {
                several = check_signals(signal)?;
                &several
            }
        };
        let given = [
            on_response,
            on_drain,
            abort_signal,
            timeout,
            concurrency,
            max_hops,
            context_store,
            modality,
            afferent_path,
            stimulation_context,
        ];
        let options = match given {
            [None, None, None, None, None, None, None, None, None, None] => None,
            _ => Some(Options::of_keywords(given)?),
        };
        let stim = Stimulation::make(slf, options)?;
        begin(&stim, Entry::Signals(signals))?;
        Ok(stim)
    }

    #[pyo3(
        signature = (tasks, /, **options),
        text_signature = "($self, tasks, /, *, on_response=None, on_drain=None, abort_signal=None, timeout=None, concurrency=None, max_hops=None, context_store=None, modality=None, afferent_path=None, stimulation_context=None)"
    )]
    fn activate<'py>(
        slf: &Bound<'py, Self>,
        tasks: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, Stimulation>> {
        check_tasks(tasks)?;
        let stim = Stimulation::make(slf, Options::of_dict("activate", options)?)?;
        begin(&stim, Entry::Tasks(tasks.as_unbound()))?;
        Ok(stim)
    }

    /// A run that has not begun; `_begin` drives its first turn.
    #[pyo3(
        signature = (signal, /, **options),
        text_signature = "($self, signal, /, *, on_response=None, on_drain=None, abort_signal=None, timeout=None, concurrency=None, max_hops=None, context_store=None, modality=None, afferent_path=None, stimulation_context=None, _tap=None)"
    )]
    fn _prepare<'py>(
        slf: &Bound<'py, Self>,
        signal: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, Stimulation>> {
        let signals = check_signals(signal)?;
        let stim = Stimulation::make(slf, Options::of_dict("stimulate", options)?)?;
        stim.get().lock(slf.py()).more().entry = Some(signals);
        Ok(stim)
    }

    #[pyo3(signature = (listener, /))]
    fn add_response_listener(slf: &Bound<'_, Self>, listener: &Bound<'_, PyAny>) -> PyResult<Remover> {
        check_listener(listener)?;
        let family = &slf.get().family;
        let key = family.get().response_listeners.add(slf.py(), listener.clone().unbind());
        Ok(Remover { family: family.clone_ref(slf.py()), key, drains: false })
    }

    #[pyo3(signature = (listener, /))]
    fn add_drain_listener(slf: &Bound<'_, Self>, listener: &Bound<'_, PyAny>) -> PyResult<Remover> {
        check_listener(listener)?;
        let family = &slf.get().family;
        let key = family.get().drain_listeners.add(slf.py(), listener.clone().unbind());
        Ok(Remover { family: family.clone_ref(slf.py()), key, drains: true })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.neurons)?;
        visit.call(&self.shared)?;
        for handler in &self.handlers {
            handler.visit(visit)?;
        }
        for collateral in &self.collaterals {
            visit.call(collateral)?;
        }
        visit.call(&self.family)
    }
}
