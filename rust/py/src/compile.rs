//! From neurons to a graph: numbers for objects, and the errors of rule S1 with their names.

use crate::addresses::ByAddress;
use crate::family::NeuronSlots;
use crate::guarded::Guarded;
use crate::handler::Handler;
use crate::names;
use crate::options::limit;
use crate::signal::Collateral;
use cnstra_core::{DendriteId, Graph, GraphBuilder, GraphError};
use pyo3::exceptions::PyOverflowError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicU32, Ordering};

/// Everything about a CNS that does not change once it is made.
pub(crate) struct Compiled {
    pub(crate) id: u32,
    pub(crate) graph: Graph,
    pub(crate) handlers: Vec<Handler>,
    pub(crate) slots: Vec<Guarded<NeuronSlots>>,
    pub(crate) neurons: Py<PyTuple>,
    pub(crate) collaterals: Vec<Py<Collateral>>,
    pub(crate) numbers: Numbers,
}

/// What finds a number in the graph for an object.
pub(crate) struct Numbers {
    /// By the addresses of the objects, which whoever has this holds.
    pub(crate) neurons: ByAddress<u32>,
    pub(crate) collaterals: ByAddress<u32>,
    /// The first dendrite of each neuron.
    pub(crate) first_dendrite: Vec<DendriteId>,
}

pub(crate) fn compile(
    py: Python<'_>,
    neurons: &Bound<'_, PyAny>,
    middleware: Option<&Bound<'_, PyAny>>,
) -> PyResult<Compiled> {
    let neurons = check_neurons(py, neurons)?;
    let middleware = as_middleware(py, middleware)?;
    let mut collaterals = Collaterals::default();
    for neuron in &neurons {
        for collateral in neuron.getattr(intern!(py, "_emits"))?.try_iter()? {
            collaterals.number(&collateral?.cast_into::<Collateral>()?, &neuron)?;
        }
        for dendrite in neuron.getattr(intern!(py, "_dendrites"))?.try_iter()? {
            let collateral = dendrite?.getattr(intern!(py, "_collateral"))?;
            collaterals.number(&collateral.cast_into::<Collateral>()?, &neuron)?;
        }
    }
    let graph = build(&neurons, &collaterals)?;
    let mut compiled = Compiled {
        id: next_id(),
        graph,
        handlers: Vec::new(),
        slots: Vec::new(),
        neurons: neurons.clone().unbind(),
        collaterals: collaterals.objects,
        numbers: Numbers {
            neurons: ByAddress::with_capacity_and_hasher(neurons.len(), BuildHasherDefault::default()),
            collaterals: collaterals.numbers,
            first_dendrite: Vec::with_capacity(neurons.len()),
        },
    };
    for (number, neuron) in (0u32..).zip(&neurons) {
        compiled.numbers.neurons.insert(neuron.as_ptr() as usize, number);
        compiled.numbers.first_dendrite.push(count(compiled.handlers.len())?);
        let concurrency = neuron.getattr(intern!(py, "_concurrency"))?;
        let slots = if concurrency.is_none() {
            None
        } else {
            compiled.slots.push(Guarded::new(NeuronSlots::new(limit(&concurrency)? as usize)));
            Some(count(compiled.slots.len())? - 1)
        };
        let mut places: Vec<(usize, u32)> = Vec::new();
        for dendrite in neuron.getattr(intern!(py, "_dendrites"))?.try_iter()? {
            let dendrite = dendrite?;
            let address = dendrite.getattr(intern!(py, "_collateral"))?.as_ptr() as usize;
            let place = match places.iter_mut().find(|(other, _)| *other == address) {
                Some((_, count)) => {
                    *count += 1;
                    *count
                }
                None => {
                    places.push((address, 0));
                    0
                }
            };
            compiled.handlers.push(Handler::new(&dendrite, &neuron, number, place, slots, &middleware)?);
        }
    }
    // Only now: a graph that did not compile leaves its neurons as they were.
    for (number, collateral) in (0u32..).zip(&compiled.collaterals) {
        collateral.get().put_in(compiled.id, number);
    }
    for neuron in &neurons {
        neuron.setattr(intern!(py, "_frozen"), true)?;
    }
    Ok(compiled)
}

/// The handlers of a graph inside more middleware.
pub(crate) fn rewrap(
    neurons: &Bound<'_, PyTuple>,
    handlers: &[Handler],
    middleware: &Bound<'_, PyTuple>,
) -> PyResult<Vec<Handler>> {
    let py = neurons.py();
    let mut wrapped = Vec::with_capacity(handlers.len());
    for neuron in neurons {
        // They are those that were compiled: the neuron takes no more since.
        for dendrite in neuron.getattr(intern!(py, "_dendrites"))?.try_iter()? {
            wrapped.push(handlers[wrapped.len()].inside(&dendrite?, middleware)?);
        }
    }
    Ok(wrapped)
}

/// Middleware as it was given, checked.
pub(crate) fn as_middleware<'py>(py: Python<'py>, given: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyTuple>> {
    let Some(given) = given else { return Ok(PyTuple::empty(py)) };
    let middleware = PyTuple::new(py, given.try_iter()?.collect::<PyResult<Vec<_>>>()?)?;
    for wrapper in &middleware {
        names::worded(py, "check_callable", ("middleware", wrapper))?;
    }
    Ok(middleware)
}

/// Numbers of a graph are 32 bits wide.
fn count(length: usize) -> PyResult<u32> {
    u32::try_from(length).map_err(|_| PyOverflowError::new_err("a graph can have no more than 2^32 parts of a kind"))
}

/// Graphs are told apart by a number that is never 0 and not used twice before four thousand million graphs.
fn next_id() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    loop {
        let id = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if id != 0 {
            return id;
        }
    }
}

fn check_neurons<'py>(py: Python<'py>, neurons: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let kind = names::neurons(py)?.getattr(intern!(py, "Neuron"))?;
    let Ok(given) = neurons.try_iter() else { return Err(names::fault(py, "not_a_neuron", (neurons,))) };
    let found = PyList::empty(py);
    let by_name = PyDict::new(py);
    for neuron in given {
        let neuron = neuron?;
        if !neuron.get_type().is(&kind) {
            return Err(names::fault(py, "not_a_neuron", (neuron,)));
        }
        let name = neuron.getattr(intern!(py, "_name"))?;
        match by_name.get_item(&name)? {
            Some(known) if known.is(&neuron) => return Err(names::fault(py, "duplicate_neuron", (name,))),
            Some(_) => return Err(names::fault(py, "duplicate_neuron_name", (name,))),
            None => by_name.set_item(name, &neuron)?,
        }
        found.append(neuron)?;
    }
    Ok(found.to_tuple())
}

/// Every collateral that is owned or heard, numbered; they are held, so that no other object can have their address.
#[derive(Default)]
struct Collaterals {
    objects: Vec<Py<Collateral>>,
    numbers: ByAddress<u32>,
    /// Where a name was first seen.
    names: HashMap<String, Py<PyAny>>,
}

impl Collaterals {
    fn number(&mut self, collateral: &Bound<'_, Collateral>, neuron: &Bound<'_, PyAny>) -> PyResult<()> {
        let address = collateral.as_ptr() as usize;
        if self.numbers.contains_key(&address) {
            return Ok(());
        }
        let py = collateral.py();
        let name = collateral.get().name.bind(py);
        if let Some(first) = self.names.insert(name.to_string(), neuron.clone().unbind()) {
            let of = |neuron: &Bound<'_, PyAny>| neuron.getattr(intern!(py, "_name")).map(Bound::unbind);
            return Err(names::fault(py, "duplicate_collateral_name", (name, of(first.bind(py))?, of(neuron)?)));
        }
        self.numbers.insert(address, count(self.objects.len())?);
        self.objects.push(collateral.clone().unbind());
        Ok(())
    }
}

fn build(neurons: &Bound<'_, PyTuple>, collaterals: &Collaterals) -> PyResult<Graph> {
    let py = neurons.py();
    let mut builder = GraphBuilder::new(count(collaterals.objects.len())?);
    let mut joins: ByAddress<u32> = ByAddress::default();
    for neuron in neurons {
        builder.neuron();
        for collateral in neuron.getattr(intern!(py, "_emits"))?.try_iter()? {
            let number = collaterals.numbers[&(collateral?.as_ptr() as usize)];
            builder.emits(number).map_err(|error| worded(neurons, collaterals, &error))?;
        }
        for dendrite in neuron.getattr(intern!(py, "_dendrites"))?.try_iter()? {
            let dendrite = dendrite?;
            let collateral = dendrite.getattr(intern!(py, "_collateral"))?.as_ptr() as usize;
            let join = dendrite.getattr(intern!(py, "_join"))?;
            let join = if join.is_none() {
                None
            } else {
                let next = count(joins.len())?;
                Some(*joins.entry(join.as_ptr() as usize).or_insert(next))
            };
            builder.dendrite(collaterals.numbers[&collateral], join);
        }
    }
    builder.build().map_err(|error| worded(neurons, collaterals, &error))
}

fn worded(neurons: &Bound<'_, PyTuple>, collaterals: &Collaterals, error: &GraphError) -> PyErr {
    let py = neurons.py();
    let name = |number: u32| -> PyResult<Bound<'_, PyString>> {
        let name = neurons.get_item(number as usize)?.getattr(intern!(py, "_name"))?;
        Ok(name.cast_into::<PyString>()?)
    };
    let made = || -> PyResult<PyErr> {
        Ok(match error {
            GraphError::OwnedTwice { collateral, first, second } => {
                let owned = &collaterals.objects[*collateral as usize].get().name;
                names::fault(py, "owned_twice", (owned, name(*first)?, name(*second)?))
            }
            GraphError::JoinReachesItself { neuron, cycle } => {
                let cycle = cycle.iter().map(|&number| name(number)).collect::<PyResult<Vec<_>>>()?;
                names::fault(py, "join_reaches_itself", (name(*neuron)?, cycle))
            }
        })
    };
    made().unwrap_or_else(|error| error)
}
