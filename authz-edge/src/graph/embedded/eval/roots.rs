//! Where blocks begin.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::plan::{Block, Nodes, Root};
use super::super::uids::{After, Uids};
use super::{Run, Step};

/// Several sets as one, in order; what is in several comes once.
struct Merged<'a> {
    sets: Vec<After<'a>>,
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    last: Option<u64>,
}

impl<'a> Merged<'a> {
    fn new(sets: impl Iterator<Item = &'a Uids>, after: u64) -> Self {
        let mut sets: Vec<_> = sets.map(|set| set.after(after)).collect();
        let head = |(at, set): (usize, &mut After<'a>)| Some(Reverse((set.next()?, at)));
        let heads = sets.iter_mut().enumerate().filter_map(head).collect();
        Self { sets, heads, last: None }
    }
}

impl Iterator for Merged<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        loop {
            let Reverse((uid, at)) = self.heads.pop()?;
            if let Some(next) = self.sets[at].next() {
                self.heads.push(Reverse((next, at)));
            }
            if self.last.replace(uid) != Some(uid) {
                return Some(uid);
            }
        }
    }
}

impl<'a> Run<'a> {
    /// The nodes of a block, in their order: filtered, then cut to its page.
    pub(super) fn begin(&mut self, block: &'a Block) -> Step<Vec<u64>> {
        let (state, after) = (self.state, block.page.after);
        let values = |number: &u16| &state.places[usize::from(*number)].values;
        let nothing = || After::few(&[]);
        match &block.root {
            Root::Nothing => Ok(Vec::new()),
            Root::Eq(number, texts) => match &texts[..] {
                [one] => {
                    let found = values(number).get(self.text(one));
                    self.cut(block, found.map_or_else(nothing, |uids| uids.after(after)))
                }
                texts => {
                    let texts = texts.iter().map(|text| self.text(text));
                    let found = texts.filter_map(|text| values(number).get(text));
                    let found = Merged::new(found, after);
                    self.cut(block, found)
                }
            },
            Root::Between(number, low, high) => {
                let (low, high) = (self.text(low), self.text(high));
                let found = Merged::new(values(number).between(low, high), after);
                self.cut(block, found)
            }
            Root::Has(number) => {
                let having = number.map(|number| &state.places[usize::from(number)].having);
                self.cut(block, having.map_or_else(nothing, |uids| uids.after(after)))
            }
            Root::Uid(nodes) => {
                let mut all = self.union(nodes);
                all.retain(|uid| *uid > after);
                self.cut(block, all.into_iter())
            }
        }
    }

    fn union(&self, nodes: &Nodes) -> Vec<u64> {
        let of_vars = nodes.vars.iter().flat_map(|var| self.nodes_of(*var));
        let mut all: Vec<_> = nodes.named.iter().chain(of_vars).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn cut(&mut self, block: &'a Block, nodes: impl Iterator<Item = u64>) -> Step<Vec<u64>> {
        let mut found = Vec::new();
        for node in nodes {
            if found.len() == block.page.first {
                break;
            }
            self.step()?;
            let passes = match &block.filter {
                Some(filter) => self.passes(filter, node)?,
                None => true,
            };
            if passes {
                found.push(node);
            }
        }
        Ok(found)
    }
}
