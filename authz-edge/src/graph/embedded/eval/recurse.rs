//! `@recurse(loop: false)`: each edge is followed once.

use std::collections::HashSet;

use foldhash::fast::FixedState;

use super::super::plan::{Block, Field};
use super::{Run, Step, Stop};

/// Edges that one block may follow, as Dgraph has it.
const EDGES: u64 = 1_000_000;

impl<'a> Run<'a> {
    /// Follows a block's edges on and on; each variable gets what its edge leads to anywhere.
    pub(super) fn recurse(&mut self, block: &'a Block, nodes: &[u64]) -> Step<()> {
        let mut met: HashSet<u64, FixedState> = nodes.iter().copied().collect();
        let (mut frontier, mut edges) = (nodes.to_vec(), 0);
        while let Some(from) = frontier.pop() {
            let Some(node) = self.state.node(from) else { continue };
            for field in &block.fields {
                let Field::Edge(edge) = field else { continue };
                let Some(cell) = edge.slot.and_then(|slot| node.get(slot)) else { continue };
                let found = self.follow(edge, cell, |_, to| {
                    if met.insert(to) {
                        frontier.push(to);
                    }
                    Ok(())
                })?;
                edges += found as u64;
                if edges > EDGES {
                    return Err(Stop::Refused(format!(
                        "Exceeded query edge limit = {EDGES}. Found {edges} edges."
                    )));
                }
            }
        }
        Ok(())
    }
}
