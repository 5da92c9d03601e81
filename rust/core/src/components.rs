//! Strongly connected components, by Tarjan's algorithm without recursion: a million neurons in a chain take no stack.
//!
//! Source: R. E. Tarjan, "Depth-First Search and Linear Graph Algorithms", SIAM J. Comput. 1(2), 1972.

const UNSEEN: u32 = u32::MAX;

/// The components of a graph given as successor lists, those without successors first (reverse topological order),
/// each in ascending order. Time and memory are linear in nodes and edges.
///
/// ```
/// use cnstra_core::components;
/// let edges: Vec<Vec<u32>> = vec![vec![1], vec![2], vec![1], vec![0]];
/// assert_eq!(components(4, |n| &edges[n as usize]), vec![vec![1, 2], vec![0], vec![3]]);
/// ```
pub fn components<'a>(nodes: u32, successors: impl Fn(u32) -> &'a [u32]) -> Vec<Vec<u32>> {
    let mut found = Vec::new();
    let mut index = vec![UNSEEN; nodes as usize];
    let mut low = vec![0u32; nodes as usize];
    let mut on_stack = vec![false; nodes as usize];
    let mut stack: Vec<u32> = Vec::new();
    // A node and how many of its successors have been looked at: what the recursion would keep on the call stack.
    let mut work: Vec<(u32, u32)> = Vec::new();
    let mut next = 0u32;
    for root in 0..nodes {
        if index[root as usize] != UNSEEN {
            continue;
        }
        work.push((root, 0));
        while let Some((node, place)) = work.last_mut() {
            let at = *node as usize;
            if *place == 0 {
                index[at] = next;
                low[at] = next;
                next += 1;
                stack.push(*node);
                on_stack[at] = true;
            }
            let after = successors(*node);
            let mut descend = None;
            while (*place as usize) < after.len() {
                let to = after[*place as usize];
                *place += 1;
                if index[to as usize] == UNSEEN {
                    descend = Some(to);
                    break;
                }
                if on_stack[to as usize] {
                    low[at] = low[at].min(index[to as usize]);
                }
            }
            if let Some(to) = descend {
                work.push((to, 0));
                continue;
            }
            // A node without successors comes here at once; its place stays 0, and it is popped before it is seen again.
            work.pop();
            if let Some((parent, _)) = work.last() {
                let parent = *parent as usize;
                low[parent] = low[parent].min(low[at]);
            }
            if low[at] == index[at] {
                let mut component = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[member as usize] = false;
                    component.push(member);
                    if member as usize == at {
                        break;
                    }
                }
                component.sort_unstable();
                found.push(component);
            }
        }
    }
    found
}
