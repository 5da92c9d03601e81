//! The compiled graph: neurons, dendrites and collaterals as numbers, and who hears whom, in flat arrays (CSR).

use crate::components::components;
use crate::error::GraphError;

/// A neuron: its place in the list that the graph was built from.
pub type NeuronId = u32;
/// A collateral: any numbering from 0 without gaps.
pub type CollateralId = u32;
/// A dendrite: numbered over the whole graph, by neuron, then by place in it.
pub type DendriteId = u32;
/// A join: any numbering from 0 without gaps, over the whole graph. A join is one dendrite per collateral it collects.
pub type JoinId = u32;

/// No owner, or no join: a niche, since an `Option<u32>` is twice as wide.
const NONE: u32 = u32::MAX;

/// A count as a number of this module.
///
/// # Panics
/// If it does not fit; `u32::MAX` itself stays free for "none" and "unknown", because an index is below its count.
fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a graph holds fewer than 2^32 neurons, dendrites and connections")
}

/// Builds a [`Graph`], neuron by neuron; a neuron's emissions and dendrites follow its [`GraphBuilder::neuron`].
///
/// ```
/// use cnstra_core::GraphBuilder;
/// // Neuron 0 hears collateral 0 and emits collateral 1, which neuron 1 hears.
/// let mut builder = GraphBuilder::new(2);
/// builder.neuron();
/// builder.emits(1)?;
/// builder.dendrite(0, None);
/// builder.neuron();
/// builder.dendrite(1, None);
/// assert_eq!(builder.build()?.successors(0), [1]);
/// # Ok::<(), cnstra_core::GraphError>(())
/// ```
#[derive(Debug, Default)]
pub struct GraphBuilder {
    collaterals: u32,
    owner: Vec<u32>,
    emits: Lists,
    dendrite_neuron: Vec<NeuronId>,
    dendrite_collateral: Vec<CollateralId>,
    dendrite_join: Vec<u32>,
    join_neuron: Vec<NeuronId>,
}

/// Lists of numbers, one after the other in one array: a list of a million lists is two allocations.
#[derive(Debug, Default)]
struct Lists {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    fn begin(&mut self) {
        self.starts.push(number(self.items.len()));
    }

    /// From the first item of a list to before its last.
    #[inline]
    fn range(&self, list: u32) -> (u32, u32) {
        let end = self.starts.get(list as usize + 1).copied().unwrap_or_else(|| number(self.items.len()));
        (self.starts[list as usize], end)
    }

    fn get(&self, list: u32) -> &[u32] {
        let (start, end) = self.range(list);
        &self.items[start as usize..end as usize]
    }

    fn len(&self) -> u32 {
        number(self.starts.len())
    }
}

impl GraphBuilder {
    /// A graph without neurons.
    ///
    /// # Arguments
    /// - `collaterals`: how many there are; those that nobody owns or hears count too
    #[must_use]
    pub fn new(collaterals: u32) -> Self {
        Self { collaterals, owner: vec![NONE; collaterals as usize], ..Self::default() }
    }

    /// Begin the next neuron and return its number.
    pub fn neuron(&mut self) -> NeuronId {
        self.emits.begin();
        self.last()
    }

    fn last(&self) -> NeuronId {
        self.emits.len().checked_sub(1).expect("begin a neuron before what it emits and hears")
    }

    /// The neuron that was begun last owns this collateral.
    ///
    /// # Errors
    /// [`GraphError::OwnedTwice`] if the collateral has an owner already.
    ///
    /// # Panics
    /// If no neuron was begun, or there is no such collateral.
    pub fn emits(&mut self, collateral: CollateralId) -> Result<(), GraphError> {
        let neuron = self.last();
        let owner = &mut self.owner[collateral as usize];
        if *owner != NONE {
            return Err(GraphError::OwnedTwice { collateral, first: *owner, second: neuron });
        }
        *owner = neuron;
        self.emits.items.push(collateral);
        Ok(())
    }

    /// The neuron that was begun last hears this collateral.
    ///
    /// # Arguments
    /// - `collateral`: what it hears
    /// - `join`: the join that collects what arrives, if it is for one
    ///
    /// # Returns
    /// The dendrite's number: 0 for the first of the graph, then one more each.
    ///
    /// # Panics
    /// If no neuron was begun, or the join is another neuron's; in [`GraphBuilder::build`], if there is no such collateral
    /// or the numbers of the joins have a gap.
    pub fn dendrite(&mut self, collateral: CollateralId, join: Option<JoinId>) -> DendriteId {
        let neuron = self.last();
        let dendrite = number(self.dendrite_neuron.len());
        self.dendrite_neuron.push(neuron);
        self.dendrite_collateral.push(collateral);
        self.dendrite_join.push(join.unwrap_or(NONE));
        if let Some(join) = join {
            let join = join as usize;
            if self.join_neuron.len() <= join {
                self.join_neuron.resize(join + 1, NONE);
            }
            let first = self.join_neuron[join];
            assert!(
                first == NONE || first == neuron,
                "join {join} is of neuron {first}, and neuron {neuron} collects for it"
            );
            self.join_neuron[join] = neuron;
        }
        dendrite
    }

    /// Compile: in time and memory linear in neurons, dendrites and connections, and, where there are joins, in the
    /// pairs of a neuron and a join that it can reach.
    ///
    /// # Errors
    /// [`GraphError::JoinReachesItself`] if a join's neuron is in a cycle.
    pub fn build(self) -> Result<Graph, GraphError> {
        let gap = self.join_neuron.iter().position(|&neuron| neuron == NONE);
        assert!(gap.is_none(), "there is no join {}, but a greater one", gap.unwrap_or_default());
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
        for (dendrite, &collateral) in (0u32..).zip(&self.dendrite_collateral) {
            items[next[collateral as usize] as usize] = dendrite;
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

/// An immutable graph. What is not said to cost more is a look-up in an array; numbers that the graph does not have panic.
#[derive(Debug)]
pub struct Graph {
    /// By collateral.
    subscribers: Lists,
    /// By collateral; [`NONE`] for an entry.
    owner: Vec<u32>,
    /// By neuron: collaterals.
    emits: Lists,
    dendrite_neuron: Vec<NeuronId>,
    /// By dendrite; [`NONE`] for ordinary ones.
    dendrite_join: Vec<u32>,
    join_neuron: Vec<NeuronId>,
    /// By neuron: the joins whose neuron one of its activations could still cause to be reached; empty without joins,
    /// so that a graph without joins pays nothing (S25).
    reach: Vec<Box<[JoinId]>>,
}

impl Graph {
    /// How many neurons there are.
    #[must_use]
    pub fn neurons(&self) -> u32 {
        self.emits.len()
    }

    /// How many joins there are.
    #[must_use]
    pub fn joins(&self) -> usize {
        self.join_neuron.len()
    }

    /// The dendrites on a collateral, by neuron in the list, then by place in the neuron (S1): places for
    /// [`Graph::subscriber`], from the first to before the last. Numbers and no slice, so that they can be kept.
    #[inline]
    #[must_use]
    pub fn subscribers(&self, collateral: CollateralId) -> (u32, u32) {
        self.subscribers.range(collateral)
    }

    /// The dendrite at one of the places that [`Graph::subscribers`] gave.
    #[inline]
    #[must_use]
    pub fn subscriber(&self, place: u32) -> DendriteId {
        self.subscribers.items[place as usize]
    }

    /// The neuron that a dendrite belongs to.
    #[inline]
    #[must_use]
    pub fn neuron_of(&self, dendrite: DendriteId) -> NeuronId {
        self.dendrite_neuron[dendrite as usize]
    }

    /// The join that a dendrite collects for; `None` for an ordinary one.
    #[inline]
    #[must_use]
    pub fn join_of(&self, dendrite: DendriteId) -> Option<JoinId> {
        Some(self.dendrite_join[dendrite as usize]).filter(|&join| join != NONE)
    }

    /// The neuron on whose axon a collateral is; `None` for one that only enters from outside.
    #[inline]
    #[must_use]
    pub fn owner_of(&self, collateral: CollateralId) -> Option<NeuronId> {
        Some(self.owner[collateral as usize]).filter(|&owner| owner != NONE)
    }

    /// The joins that an activation of this neuron could still send something to, ascending.
    #[must_use]
    pub fn reach_of(&self, neuron: NeuronId) -> &[JoinId] {
        self.reach.get(neuron as usize).map_or(&[], |reach| reach)
    }

    /// The neurons that hear what this one may emit, each once, ascending. Sorts them at every call.
    #[must_use]
    pub fn successors(&self, neuron: NeuronId) -> Vec<NeuronId> {
        let mut heard = Vec::new();
        self.push_successors(neuron, &mut heard);
        heard
    }

    fn push_successors(&self, neuron: NeuronId, heard: &mut Vec<NeuronId>) {
        let dendrites = self.emits.get(neuron).iter().flat_map(|&collateral| self.subscribers.get(collateral));
        heard.extend(dendrites.map(|&dendrite| self.neuron_of(dendrite)));
        heard.sort_unstable();
        heard.dedup();
    }

    /// The strongly connected components of the neurons, those that emit last first (reverse topological order), each
    /// in ascending order. Computed at every call, in time linear in neurons and connections.
    #[must_use]
    pub fn components(&self) -> Vec<Vec<NeuronId>> {
        let edges = self.edges();
        components(self.neurons(), |neuron| edges.get(neuron))
    }

    fn edges(&self) -> Lists {
        let mut edges = Lists::default();
        let mut heard = Vec::new();
        for neuron in 0..self.neurons() {
            self.push_successors(neuron, &mut heard);
            edges.begin();
            edges.items.append(&mut heard);
        }
        edges
    }

    fn reach(&self) -> Result<Vec<Box<[JoinId]>>, GraphError> {
        let edges = self.edges();
        let mut at: Vec<Vec<JoinId>> = vec![Vec::new(); self.neurons() as usize];
        for (join, &neuron) in (0..).zip(&self.join_neuron) {
            at[neuron as usize].push(join);
        }
        let mut reach: Vec<Box<[JoinId]>> = vec![Box::default(); at.len()];
        // Successors come before their predecessors, so one pass over the components is enough.
        for component in components(self.neurons(), |neuron| edges.get(neuron)) {
            let first = component[0];
            let cyclic = component.len() > 1 || edges.get(first).contains(&first);
            let joining = component.iter().find(|&&neuron| !at[neuron as usize].is_empty());
            if let (true, Some(&neuron)) = (cyclic, joining) {
                return Err(GraphError::JoinReachesItself { neuron, cycle: component });
            }
            let mut joins: Vec<JoinId> = component
                .iter()
                .flat_map(|&neuron| edges.get(neuron))
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
