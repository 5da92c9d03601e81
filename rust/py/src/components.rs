//! Strongly connected components, for `cns.network`.

use pyo3::prelude::*;

/// The components of a graph given as successor lists, those that emit last first.
#[pyfunction]
#[pyo3(signature = (edges, /))]
pub(crate) fn components(py: Python<'_>, edges: Vec<Vec<u32>>) -> Vec<Vec<u32>> {
    let nodes = u32::try_from(edges.len()).unwrap_or(u32::MAX);
    py.detach(|| cnstra_core::components(nodes, |node| &edges[node as usize]))
}
