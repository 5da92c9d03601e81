//! The scheduler of cnstra: which activation of a run is started next, and when the run is over.
//!
//! It knows nothing of Python, threads, clocks or handlers. Each file has a twin of the same name in the pure-Python
//! engine, which is the readable form of the rules (S1–S25) that the comments refer to.
//!
//! - [`graph`]: the compiled graph, numbers in flat arrays
//! - [`mod@components`]: strongly connected components, without recursion
//! - [`run`]: one run: its queue, counters and completion; under it what an activation is, joins, and the frontier
//! - [`slots`]: the places of a neuron with a `concurrency`
//! - [`few`]: a map that mostly has one entry
//! - [`error`]: why a graph cannot be compiled
//!
//! ```
//! use cnstra_core::{GraphBuilder, Run};
//!
//! // Neuron 0 hears collateral 0 and emits collateral 1; neuron 1 hears collateral 1.
//! let mut builder = GraphBuilder::new(2);
//! builder.neuron();
//! builder.emits(1).unwrap();
//! builder.dendrite(0, None);
//! builder.neuron();
//! builder.dendrite(1, None);
//! let graph = builder.build().unwrap();
//!
//! let mut run: Run<&str, String> = Run::new(&graph, None);
//! run.begin_turn();
//! run.emit_now(&graph, 0, || "in", 0, 1, |signal| *signal);
//! let first = run.next(&graph, |signal| *signal).unwrap();
//! assert_eq!((first.number, first.hop, first.dendrite), (1, 1, 0));
//! assert_eq!(run.current().unwrap().signal, "in");
//! ```

#![forbid(unsafe_code)]

pub mod components;
pub mod error;
pub mod few;
pub mod graph;
pub mod run;
pub mod slots;

pub use components::components;
pub use error::GraphError;
pub use few::Few;
pub use graph::{CollateralId, DendriteId, Graph, GraphBuilder, JoinId, NeuronId};
pub use run::{Activation, ActivationRef, Emission, Failure, Left, Number, Phase, Run, Taken, UNKNOWN};
pub use slots::{Slots, Ticket};
