//! The compiled graph: neurons, dendrites and collaterals as numbers, and who hears whom, in flat arrays (CSR).

use crate::components::components;
use crate::error::GraphError;
use std::ops::Range;

pub type NeuronId = u32;
pub type CollateralId = u32;
pub type DendriteId = u32;
pub type JoinId = u32;

const NONE: u32 = u32::MAX;

/// Builds a [`Graph`], neuron by neuron; a neuron's emissions and dendrites follow its [`GraphBuilder::neuron`].
#[derive(Default)]
pub struct GraphBuilder {
    collaterals: u32,
    owner: Vec<u32>,
    emits: Lists,
    dendrite_neuron: Vec<NeuronId>,
    dendrite_collateral: Vec<CollateralId>,
    dendrite_join: Vec<u32>,
    join_neuron: Vec<NeuronId>,
}

/// Lists of numbers, one after the other in one array.
#[derive(Default, Debug)]
struct Lists {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    fn begin(&mut self) {
        self.starts.push(self.items.len() as u32);
    }

    fn range(&self, list: u32) -> Range<usize> {
        let start = self.starts[list as usize] as usize;
        let end = self.starts.get(list as usize + 1).map_or(self.items.len(), |&end| end as usize);
        start..end
    }

    fn get(&self, list: u32) -> &[u32] {
        &self.items[self.range(list)]
    }

    fn len(&self) -> u32 {
        self.starts.len() as u32
    }
}

impl GraphBuilder {
    pub fn new(collaterals: u32) -> Self {
        Self { collaterals, owner: vec![NONE; collaterals as usize], ..Self::default() }
    }

    /// Begin the next neuron and return its number.
    pub fn neuron(&mut self) -> NeuronId {
        self.emits.begin();
        self.emits.len() - 1
    }

    /// The neuron that was begun last owns this collateral.
    pub fn emits(&mut self, collateral: CollateralId) -> Result<(), GraphError> {
        let neuron = self.emits.len() - 1;
        let owner = &mut self.owner[collateral as usize];
        if *owner != NONE {
            return Err(GraphError::OwnedTwice { collateral, first: *owner, second: neuron });
        }
        *owner = neuron;
        self.emits.items.push(collateral);
        Ok(())
    }

    /// The neuron that was begun last hears this collateral, for a join if one is given.
    pub fn dendrite(&mut self, collateral: CollateralId, join: Option<JoinId>) -> DendriteId {
        let neuron = self.emits.len() - 1;
        self.dendrite_neuron.push(neuron);
        self.dendrite_collateral.push(collateral);
        self.dendrite_join.push(join.unwrap_or(NONE));
        if let Some(join) = join {
            let join = join as usize;
            if self.join_neuron.len() <= join {
                self.join_neuron.resize(join + 1, neuron);
            }
            self.join_neuron[join] = neuron;
        }
        self.dendrite_neuron.len() as u32 - 1
    }

    /// Compile, in time linear in neurons, dendrites and emissions.
    pub fn build(self) -> Result<Graph, GraphError> {
        let mut starts = vec![0u32; self.collaterals as usize + 1];
        for &collateral in &self.dendrite_collateral {
            starts[collateral as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        // Dendrites are numbered by neuron, then by place in it, and are filled in that order: that is S1's order.
        let mut next = starts.clone();
        let mut items = vec![0u32; self.dendrite_collateral.len()];
        for (dendrite, &collateral) in self.dendrite_collateral.iter().enumerate() {
            items[next[collateral as usize] as usize] = dendrite as u32;
            next[collateral as usize] += 1;
        }
        starts.pop();
        let mut graph = Graph {
            subscribers: Lists { starts, items },
            owner: self.owner,
            emits: self.emits,
            dendrite_neuron: self.dendrite_neuron,
            dendrite_join: self.dendrite_join,
            join_neuron: self.join_neuron,
            reach: Vec::new(),
        };
        if !graph.join_neuron.is_empty() {
            graph.reach = graph.reach()?;
        }
        Ok(graph)
    }
}

/// An immutable graph.
#[derive(Debug)]
pub struct Graph {
    subscribers: Lists,
    owner: Vec<u32>,
    emits: Lists,
    dendrite_neuron: Vec<NeuronId>,
    dendrite_join: Vec<u32>,
    join_neuron: Vec<NeuronId>,
    /// The joins whose neuron an activation of a neuron could still cause to be reached; empty without joins.
    reach: Vec<Box<[JoinId]>>,
}

impl Graph {
    pub fn neurons(&self) -> u32 {
        self.emits.len()
    }

    pub fn joins(&self) -> usize {
        self.join_neuron.len()
    }

    /// The dendrites on a collateral, by neuron in the list, then by place in the neuron (S1).
    #[inline]
    pub fn subscribers(&self, collateral: CollateralId) -> Range<usize> {
        self.subscribers.range(collateral)
    }

    /// One of the places that [`Graph::subscribers`] gave.
    #[inline]
    pub fn subscriber(&self, place: usize) -> DendriteId {
        self.subscribers.items[place]
    }

    pub fn neuron_of(&self, dendrite: DendriteId) -> NeuronId {
        self.dendrite_neuron[dendrite as usize]
    }

    pub fn join_of(&self, dendrite: DendriteId) -> Option<JoinId> {
        Some(self.dendrite_join[dendrite as usize]).filter(|&join| join != NONE)
    }

    pub fn owner_of(&self, collateral: CollateralId) -> Option<NeuronId> {
        Some(self.owner[collateral as usize]).filter(|&owner| owner != NONE)
    }

    /// The joins that an activation of this neuron could still send something to.
    pub fn reach_of(&self, neuron: NeuronId) -> &[JoinId] {
        self.reach.get(neuron as usize).map_or(&[], |reach| reach)
    }

    /// The neurons that hear what this one may emit, each once, ascending.
    pub fn successors(&self, neuron: NeuronId) -> Vec<NeuronId> {
        let mut heard: Vec<NeuronId> = self
            .emits
            .get(neuron)
            .iter()
            .flat_map(|&collateral| self.subscribers.get(collateral))
            .map(|&dendrite| self.neuron_of(dendrite))
            .collect();
        heard.sort_unstable();
        heard.dedup();
        heard
    }

    fn reach(&self) -> Result<Vec<Box<[JoinId]>>, GraphError> {
        let edges: Vec<Vec<u32>> = (0..self.neurons()).map(|neuron| self.successors(neuron)).collect();
        let mut at: Vec<Vec<JoinId>> = vec![Vec::new(); edges.len()];
        for (join, &neuron) in self.join_neuron.iter().enumerate() {
            at[neuron as usize].push(join as JoinId);
        }
        let mut reach: Vec<Box<[JoinId]>> = vec![Box::default(); edges.len()];
        // Successors come before their predecessors, so one pass over the components is enough.
        for component in components(self.neurons(), |neuron| &edges[neuron as usize]) {
            let first = component[0];
            if component.len() > 1 || edges[first as usize].contains(&first) {
                if let Some(&neuron) = component.iter().find(|&&neuron| !at[neuron as usize].is_empty()) {
                    return Err(GraphError::JoinReachesItself { neuron, cycle: component });
                }
            }
            let mut joins: Vec<JoinId> = component
                .iter()
                .flat_map(|&neuron| &edges[neuron as usize])
                .flat_map(|&after| reach[after as usize].iter().chain(&at[after as usize]))
                .copied()
                .collect();
            joins.sort_unstable();
            joins.dedup();
            for neuron in component {
                reach[neuron as usize] = joins.clone().into_boxed_slice();
            }
        }
        Ok(reach)
    }
}
