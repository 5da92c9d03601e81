//! States of runs that have ended well, for the next ones.

use crate::guarded::Guarded;
use crate::state::State;
use cnstra_core::{Graph, Run};

/// A state in a place of its own. Those of runs that ended well are kept by their engine for the next ones: to write one
/// anew, in two copies, is dearer than the rest of a run of one.
pub(crate) type BoxedState = Box<Guarded<State>>;

/// How many an engine keeps.
const SPARES: usize = 16;

/// States that have nothing of a run in them.
#[derive(Default)]
pub(crate) struct Spares(Vec<BoxedState>);

impl Spares {
    /// One for a run that has not begun.
    #[inline]
    pub(crate) fn take(&mut self, graph: &Graph, concurrency: Option<u32>) -> BoxedState {
        let Some(mut spare) = self.0.pop() else {
            return Box::new(Guarded::new(State::new(Run::new(graph, concurrency))));
        };
        spare.get_mut().run.renew(concurrency);
        spare
    }

    /// Keep one, if it is worth it; what is not comes back, to be dropped by the caller.
    #[inline]
    pub(crate) fn give(&mut self, mut state: BoxedState) -> Option<BoxedState> {
        let is_spent = state.get_mut().is_spent();
        if is_spent && self.0.len() < SPARES {
            self.0.push(state);
            return None;
        }
        Some(state)
    }
}
