//! Changing a graph, triple by triple: values, edges in both directions, indexes; with what is to be
//! logged, and what others may not have written meanwhile.

use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::log::Records;
use super::state::{Cell, State};
use super::types::{Index, Kind, Number, Predicate, Slot};

/// What a transaction wrote, as far as others conflict over it: a hash of node and predicate, with the other
/// end of one of many edges; or of a value whose writers conflict. Two different things with one hash cost
/// a needless abort.
pub(super) type Mark = u64;

/// The end of an edge that stands for every edge.
const STAR: u64 = u64::MAX;

fn mark(of: impl Hash) -> Mark {
    FixedState::default().hash_one(of)
}

/// Of whoever gives this value to a node, or takes it off one.
pub(super) fn value_mark(number: Number, text: &str) -> Mark {
    mark((number, text))
}

/// A graph that is being changed. Nobody sees it yet.
#[derive(Debug)]
pub(super) struct Editor {
    pub(super) state: State,
    /// For the disk; nothing is noted without one.
    pub(super) records: Option<Records>,
    pub(super) marks: Vec<Mark>,
}

impl Editor {
    pub(super) fn new(state: State, records: Option<Records>) -> Self {
        Self { state, records, marks: Vec::new() }
    }

    fn record(&mut self, note: impl FnOnce(&mut Records)) {
        if let Some(records) = &mut self.records {
            note(records);
        }
    }

    /// Gives a node a value that is no edge.
    pub(super) fn set_value(&mut self, uid: u64, number: Number, of: &Predicate, mut cell: Cell) {
        self.marks.push(mark((number, uid)));
        self.record(|records| records.put_value(uid, number, &cell));
        let slot = Slot::forward(number);
        if of.index != Index::None {
            self.leave_index(uid, number, of);
            if let Cell::Text(text) = &mut cell {
                if of.upsert {
                    self.marks.push(value_mark(number, text));
                }
                *text = self.state.places[usize::from(number)].values.insert(text, uid);
            }
        }
        if self.state.set(uid, slot, cell).is_none() {
            self.state.places[usize::from(number)].having.insert(uid);
        }
    }

    fn leave_index(&mut self, uid: u64, number: Number, of: &Predicate) {
        let Some(Cell::Text(old)) = self.state.cell(uid, Slot::forward(number)) else { return };
        let old = Arc::clone(old);
        if of.upsert {
            self.marks.push(value_mark(number, &old));
        }
        self.state.places[usize::from(number)].values.remove(&old, uid);
    }

    /// The one edge of a node; the one that it had goes.
    pub(super) fn set_edge(&mut self, uid: u64, number: Number, of: &Predicate, to: u64) {
        self.marks.push(mark((number, uid)));
        self.record(|records| records.put_value(uid, number, &Cell::Edge(to)));
        let old = self.state.set(uid, Slot::forward(number), Cell::Edge(to));
        match old {
            Some(Cell::Edge(old)) if of.reverse => {
                self.state.drop(old, Slot::backward(number), uid);
            }
            Some(_) => {}
            None => _ = self.state.places[usize::from(number)].having.insert(uid),
        }
        if of.reverse {
            self.state.add(to, Slot::backward(number), uid);
        }
    }

    /// One of a node's edges.
    pub(super) fn add_edge(&mut self, uid: u64, number: Number, of: &Predicate, to: u64) {
        self.marks.push(mark((number, uid, to)));
        if !self.state.add(uid, Slot::forward(number), to) {
            return;
        }
        self.record(|records| records.put_edge(uid, number, to));
        self.state.places[usize::from(number)].having.insert(uid);
        if of.reverse {
            self.state.add(to, Slot::backward(number), uid);
        }
    }

    /// Removes one of a node's edges, if it is there.
    pub(super) fn remove_edge(&mut self, uid: u64, number: Number, of: &Predicate, to: u64) {
        self.marks.push(mark((number, uid, to)));
        if !self.state.drop(uid, Slot::forward(number), to) {
            return;
        }
        self.record(|records| records.delete_edge(uid, number, to));
        if of.reverse {
            self.state.drop(to, Slot::backward(number), uid);
        }
        self.left(uid, number);
    }

    /// Removes the one edge of a node, if it is that one.
    pub(super) fn unset_edge(&mut self, uid: u64, number: Number, of: &Predicate, to: u64) {
        let slot = Slot::forward(number);
        if self.state.cell(uid, slot).is_some_and(|cell| cell.leads_to(to)) {
            self.clear(uid, number, of);
        } else {
            self.marks.push(mark((number, uid)));
        }
    }

    /// Removes all that a node has of a predicate.
    pub(super) fn clear(&mut self, uid: u64, number: Number, of: &Predicate) {
        if of.index != Index::None {
            self.leave_index(uid, number, of);
        }
        let is_list = of.kind == Kind::Edges;
        self.marks.push(if is_list { mark((number, uid, STAR)) } else { mark((number, uid)) });
        let Some(old) = self.state.take(uid, Slot::forward(number)) else { return };
        if is_list {
            let edges = old.targets(0);
            self.record(|records| edges.for_each(|to| records.delete_edge(uid, number, to)));
        } else {
            self.record(|records| records.delete_value(uid, number));
        }
        if of.reverse {
            for to in old.targets(0) {
                self.state.drop(to, Slot::backward(number), uid);
            }
        }
        self.left(uid, number);
    }

    /// A node that may have nothing of a predicate any more.
    fn left(&mut self, uid: u64, number: Number) {
        if self.state.cell(uid, Slot::forward(number)).is_none() {
            self.state.places[usize::from(number)].having.remove(uid);
        }
    }
}
