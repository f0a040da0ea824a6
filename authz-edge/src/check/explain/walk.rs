//! Ways along memberships or parents: shortest ones, and the rings among them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::model::view::Node;

/// Nodes and where each leads; only among themselves.
pub(super) struct Ways<'a>(BTreeMap<Node, &'a [Node]>);

/// From where each node is reached first, and in how many steps.
pub(super) struct Reached(BTreeMap<Node, (usize, Option<Node>)>);

impl<'a> Ways<'a> {
    pub(super) fn new(nodes: impl Iterator<Item = (Node, &'a [Node])>) -> Self {
        Self(nodes.collect())
    }

    fn next(&self, from: Node) -> impl Iterator<Item = Node> + use<'_, 'a> {
        let edges = self.0.get(&from).copied().unwrap_or_default();
        edges.iter().copied().filter(|to| self.0.contains_key(to))
    }

    /// Everything that is reached from a node, breadth first.
    pub(super) fn from(&self, start: Option<Node>) -> Reached {
        let start = start.filter(|start| self.0.contains_key(start));
        let mut reached = BTreeMap::from_iter(start.map(|start| (start, (0, None))));
        let mut queue = VecDeque::from_iter(start.map(|start| (start, 0)));
        while let Some((at, steps)) = queue.pop_front() {
            for to in self.next(at) {
                reached.entry(to).or_insert_with(|| {
                    queue.push_back((to, steps + 1));
                    (steps + 1, Some(at))
                });
            }
        }
        Reached(reached)
    }

    /// At most `most` rings that are met from a node, and whether there are more. Each node is left once,
    /// so that of rings which share edges some stay unnamed; where there are any, at least one is named.
    pub(super) fn rings(&self, start: Option<Node>, most: usize) -> (Vec<Vec<Node>>, bool) {
        let (mut rings, mut done) = (Vec::new(), BTreeSet::new());
        let mut path = Vec::new();
        let mut on_path = BTreeMap::new();
        let mut stack: Vec<_> = start.map(|at| (at, self.next(at))).into_iter().collect();
        for (at, _) in &stack {
            on_path.insert(*at, path.len());
            path.push(*at);
        }
        while let Some((at, edges)) = stack.last_mut() {
            let Some(to) = edges.next() else {
                done.insert(*at);
                on_path.remove(at);
                path.pop();
                stack.pop();
                continue;
            };
            if let Some(since) = on_path.get(&to) {
                if rings.len() == most {
                    return (rings, true);
                }
                rings.push(path[*since..].to_vec());
            } else if !done.contains(&to) {
                on_path.insert(to, path.len());
                path.push(to);
                stack.push((to, self.next(to)));
            }
        }
        (rings, false)
    }
}

impl Reached {
    /// The way to a node, both ends included; none if it is not reached.
    pub(super) fn way(&self, to: Node) -> Option<Vec<Node>> {
        let mut way = vec![to];
        let mut from = self.0.get(&to)?.1;
        while let Some(at) = from {
            way.push(at);
            from = self.0.get(&at)?.1;
        }
        way.reverse();
        Some(way)
    }

    /// The way to the nearest node that `is_it`.
    pub(super) fn nearest(&self, is_it: impl Fn(Node) -> bool) -> Option<Vec<Node>> {
        let found = self.0.iter().filter(|(node, _)| is_it(**node));
        self.way(*found.min_by_key(|(_, (steps, _))| *steps)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [(u64, &[u64]); 6] =
        [(1, &[2, 3]), (2, &[4]), (3, &[3, 9]), (4, &[1, 5]), (5, &[]), (6, &[1])];

    fn ways() -> Vec<(Node, Vec<Node>)> {
        let node =
            |(from, to): &(u64, &[u64])| (Node(*from), to.iter().map(|n| Node(*n)).collect());
        EDGES.iter().map(node).collect()
    }

    #[test]
    fn ways_are_shortest_and_rings_are_met_once_each() {
        let edges = ways();
        let ways = Ways::new(edges.iter().map(|(from, to)| (*from, &**to)));
        let reached = ways.from(Some(Node(1)));
        assert_eq!(reached.way(Node(5)), Some([1, 2, 4, 5].map(Node).to_vec()));
        // One that leads there only, and one that is known to nobody.
        assert_eq!((reached.way(Node(6)), reached.way(Node(9))), (None, None));
        assert_eq!(reached.nearest(|node| node.0 > 2), Some([1, 3].map(Node).to_vec()));
        let rings = vec![[1, 2, 4].map(Node).to_vec(), vec![Node(3)]];
        assert_eq!(ways.rings(Some(Node(1)), 9), (rings.clone(), false));
        assert_eq!(ways.rings(Some(Node(1)), 1), (rings[..1].to_vec(), true));
        assert_eq!(ways.rings(None, 9), (Vec::new(), false));
    }
}
