//! Random graphs, and what can be said of them by brute force, without the code under test.

use cnstra_core::{CollateralId, DendriteId, Graph, GraphBuilder, GraphError, JoinId, NeuronId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fmt;

/// What a handler does.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// One signal on each of these, in order; of its own neuron.
    pub(crate) emits: Vec<CollateralId>,
    /// It goes on as a task before it settles.
    pub(crate) suspends: bool,
    /// It fails if its signal has this much fuel.
    pub(crate) fails_at: Option<u8>,
}

#[derive(Clone)]
pub(crate) struct Dendrite {
    pub(crate) collateral: CollateralId,
    pub(crate) join: Option<JoinId>,
    pub(crate) does: Behaviour,
}

#[derive(Clone)]
pub(crate) struct Neuron {
    pub(crate) emits: Vec<CollateralId>,
    pub(crate) dendrites: Vec<Dendrite>,
    pub(crate) limit: Option<usize>,
}

/// A graph with behaviour. Collaterals below `entries` are nobody's.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) entries: u32,
    pub(crate) collaterals: u32,
    pub(crate) neurons: Vec<Neuron>,
}

/// One neuron as it is drawn: how much it emits; its dendrites (collateral, emissions, whether a join's, suspends,
/// fails at); its limit. Picks are made valid by [`Plan::draw`], so that a case still means something as it shrinks.
type Raw = (u32, Vec<(u32, Vec<u8>, bool, bool, Option<u8>)>, Option<usize>);

/// In which direction signals may go.
#[derive(Clone, Copy, Debug)]
enum Flow {
    /// To neurons later in the list: no cycles.
    Forward,
    /// To neurons earlier in the list: no cycles either, but the order of the list is against the flow.
    Backward,
    Anywhere,
}

impl Plan {
    fn draw(entries: u32, flow: Flow, joins: bool, raw: &[Raw]) -> Self {
        let mut firsts = vec![entries];
        for neuron in raw {
            firsts.push(firsts[firsts.len() - 1] + neuron.0);
        }
        let collaterals = firsts[raw.len()];
        let mut join = 0;
        let mut neurons = Vec::new();
        for (number, (owned, dendrites, limit)) in raw.iter().enumerate() {
            let emits: Vec<u32> = (firsts[number]..firsts[number] + owned).collect();
            let from: Vec<u32> = match flow {
                Flow::Forward => (0..firsts[number]).collect(),
                Flow::Backward => (0..entries).chain(firsts[number + 1]..collaterals).collect(),
                Flow::Anywhere => (0..collaterals).collect(),
            };
            let mut made: Vec<Dendrite> = Vec::new();
            for (pick, emissions, joining, suspends, fails_at) in dendrites {
                let collateral = from[*pick as usize % from.len()];
                let emits = match emits.len() {
                    0 => Vec::new(),
                    owned => emissions.iter().map(|&pick| emits[pick as usize % owned]).collect(),
                };
                let joining = (joins && *joining).then(|| {
                    // Neighbours collect for one join; a collateral can be in it only once.
                    let open = made.last().and_then(|last| last.join);
                    let heard = made.iter().any(|d| d.join == open && d.collateral == collateral);
                    match open {
                        Some(open) if !heard => open,
                        _ => {
                            join += 1;
                            join - 1
                        }
                    }
                });
                // A join is one handler, whichever of its collaterals it was woken by.
                let first = made.iter().find(|other| joining.is_some() && other.join == joining);
                let does = match first {
                    Some(first) => first.does.clone(),
                    None => Behaviour { emits, suspends: *suspends, fails_at: *fails_at },
                };
                made.push(Dendrite { collateral, join: joining, does });
            }
            neurons.push(Neuron { emits, dendrites: made, limit: *limit });
        }
        Self { entries, collaterals, neurons }
    }

    /// Build the graph, with the code under test.
    pub(crate) fn build(&self) -> Result<Graph, GraphError> {
        let mut builder = GraphBuilder::new(self.collaterals);
        for neuron in &self.neurons {
            builder.neuron();
            for &collateral in &neuron.emits {
                builder.emits(collateral)?;
            }
            for dendrite in &neuron.dendrites {
                builder.dendrite(dendrite.collateral, dendrite.join);
            }
        }
        builder.build()
    }

    /// All dendrites with their neurons, by number.
    pub(crate) fn dendrites(&self) -> Vec<(NeuronId, &Dendrite)> {
        (0..).zip(&self.neurons).flat_map(|(number, n)| n.dendrites.iter().map(move |d| (number, d))).collect()
    }

    pub(crate) fn subscribers(&self, collateral: CollateralId) -> Vec<DendriteId> {
        (0..).zip(self.dendrites()).filter(|(_, (_, d))| d.collateral == collateral).map(|(number, _)| number).collect()
    }

    pub(crate) fn edges(&self) -> Vec<Vec<NeuronId>> {
        let heard_by = |collateral: u32| (0..).zip(&self.neurons).filter(move |(_, n)| n.hears(collateral));
        let after = |neuron: &Neuron| -> BTreeSet<NeuronId> {
            neuron.emits.iter().flat_map(|&collateral| heard_by(collateral)).map(|(number, _)| number).collect()
        };
        self.neurons.iter().map(|neuron| after(neuron).into_iter().collect()).collect()
    }

    /// By join: its neuron.
    pub(crate) fn join_neurons(&self) -> Vec<NeuronId> {
        let mut found: Vec<(JoinId, NeuronId)> =
            self.dendrites().iter().filter_map(|(neuron, d)| d.join.map(|join| (join, *neuron))).collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|(_, neuron)| neuron).collect()
    }

    /// The neurons with a join that are in a cycle.
    pub(crate) fn impossible_joins(&self) -> BTreeSet<NeuronId> {
        let reaches = closure(&self.edges());
        self.join_neurons().into_iter().filter(|&neuron| reaches[neuron as usize][neuron as usize]).collect()
    }

    /// The same with ordinary dendrites where joins are impossible.
    fn without_impossible_joins(mut self) -> Self {
        let impossible = self.impossible_joins();
        let mut renumbered: Vec<JoinId> = Vec::new();
        for (number, neuron) in (0..).zip(&mut self.neurons) {
            for dendrite in &mut neuron.dendrites {
                dendrite.join = dendrite.join.filter(|_| !impossible.contains(&number)).map(|join| {
                    if renumbered.last() != Some(&join) {
                        renumbered.push(join);
                    }
                    u32::try_from(renumbered.len()).unwrap() - 1
                });
            }
        }
        self
    }

    /// The same with handlers that finish at once and in success.
    pub(crate) fn calm(mut self) -> Self {
        for dendrite in self.neurons.iter_mut().flat_map(|neuron| &mut neuron.dendrites) {
            dendrite.does.suspends = false;
            dendrite.does.fails_at = None;
        }
        self
    }

    pub(crate) fn without_failures(mut self) -> Self {
        for dendrite in self.neurons.iter_mut().flat_map(|neuron| &mut neuron.dendrites) {
            dendrite.does.fails_at = None;
        }
        self
    }

    pub(crate) fn without_joins(mut self) -> Self {
        for dendrite in self.neurons.iter_mut().flat_map(|neuron| &mut neuron.dendrites) {
            dendrite.join = None;
        }
        self
    }

    /// The same with handlers that all go on, and places for hardly any of them.
    pub(crate) fn crowded(mut self) -> Self {
        for (number, neuron) in self.neurons.iter_mut().enumerate() {
            neuron.limit = Some(1 + number % 2);
            for dendrite in &mut neuron.dendrites {
                dendrite.does.suspends = true;
            }
        }
        self
    }

    /// The most fuel, up to `wanted`, with which a signal on each entry causes about `limit` activations at most.
    pub(crate) fn fuel(&self, wanted: u8, limit: usize) -> u8 {
        let dendrites = self.dendrites();
        let mut fuel = 0;
        let mut wave: Vec<DendriteId> = (0..self.entries).flat_map(|entry| self.subscribers(entry)).collect();
        let mut total = wave.len();
        while fuel < wanted {
            let emitted = wave.iter().flat_map(|&dendrite| &dendrites[dendrite as usize].1.does.emits);
            wave = emitted.flat_map(|&collateral| self.subscribers(collateral)).take(limit).collect();
            total += wave.len();
            if total >= limit {
                break;
            }
            fuel += 1;
        }
        fuel
    }
}

impl Neuron {
    fn hears(&self, collateral: CollateralId) -> bool {
        self.dendrites.iter().any(|dendrite| dendrite.collateral == collateral)
    }
}

/// Whether a way of at least one edge leads from one node to another: Warshall's algorithm, cubic.
pub(crate) fn closure(edges: &[Vec<u32>]) -> Vec<Vec<bool>> {
    let nodes = edges.len();
    let mut reaches = vec![vec![false; nodes]; nodes];
    for (from, after) in edges.iter().enumerate() {
        for &to in after {
            reaches[from][to as usize] = true;
        }
    }
    for by in 0..nodes {
        let further = reaches[by].clone();
        for from in reaches.iter_mut().filter(|from| from[by]) {
            from.iter_mut().zip(&further).for_each(|(reached, &further)| *reached |= further);
        }
    }
    reaches
}

/// Any graph; its joins may be impossible.
pub(crate) fn any_plan() -> impl Strategy<Value = Plan> {
    let emissions = prop_oneof![1 => Just(Vec::new()), 4 => vec(any::<u8>(), 1..4)];
    let dendrite = (any::<u32>(), emissions, any::<bool>(), any::<bool>(), option::weighted(0.15, 0..4u8));
    let owned = prop_oneof![1 => Just(0u32), 4 => 1..4u32];
    let neuron = (owned, vec(dendrite, 0..5), option::weighted(0.5, 1..3usize));
    let flow = prop_oneof![Just(Flow::Forward), Just(Flow::Backward), Just(Flow::Anywhere)];
    (1..3u32, flow, any::<bool>(), vec(neuron, 1..8))
        .prop_map(|(entries, flow, joins, raw)| Plan::draw(entries, flow, joins, &raw))
}

/// A graph that can be compiled.
pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    any_plan().prop_map(Plan::without_impossible_joins)
}

/// As a reader would write it: `n1 (limit 2): c0 -> c3 c4, suspends; join 0 of c1 -> nothing`.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} entries", self.entries)?;
        for (number, neuron) in self.neurons.iter().enumerate() {
            write!(f, "  n{number}")?;
            if let Some(limit) = neuron.limit {
                write!(f, " (limit {limit})")?;
            }
            write!(f, " owns {:?}:", neuron.emits)?;
            for dendrite in &neuron.dendrites {
                match dendrite.join {
                    Some(join) => write!(f, " join {join} of c{}", dendrite.collateral)?,
                    None => write!(f, " c{}", dendrite.collateral)?,
                }
                write!(f, " -> {:?}", dendrite.does.emits)?;
                if dendrite.does.suspends {
                    write!(f, ", suspends")?;
                }
                if let Some(fuel) = dendrite.does.fails_at {
                    write!(f, ", fails at {fuel}")?;
                }
                write!(f, ";")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
