//! The graph at one time. A copy costs next to nothing and stays as it is, whatever becomes of the original:
//! readers work on one without any lock.

use std::ops::Bound;
use std::sync::Arc;

use foldhash::fast::FixedState;
use rpds::{HashTrieMapSync, RedBlackTreeMapSync};

use super::types::{Index, Number, Slot, Types};
use super::uids::{After, Uids};

/// What a node has of a predicate.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Text(Arc<str>),
    Int(i64),
    Flag(bool),
    Edge(u64),
    /// Also of every predicate backwards.
    Edges(Uids),
}

impl Cell {
    /// The nodes that it leads to, above `after`.
    pub(super) fn targets(&self, after: u64) -> After<'_> {
        match self {
            Self::Edge(to) if *to > after => After::few(std::slice::from_ref(to)),
            Self::Edges(to) => to.after(after),
            _ => After::few(&[]),
        }
    }

    pub(super) fn leads_to(&self, uid: u64) -> bool {
        match self {
            Self::Edge(to) => *to == uid,
            Self::Edges(to) => to.contains(uid),
            _ => false,
        }
    }
}

/// A node: what it has, by slot. Nodes have few of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Node(Vec<(Slot, Cell)>);

impl Node {
    pub(super) fn get(&self, slot: Slot) -> Option<&Cell> {
        self.0.iter().find(|(of, _)| *of == slot).map(|(_, cell)| cell)
    }

    fn get_mut(&mut self, slot: Slot) -> Option<&mut Cell> {
        self.0.iter_mut().find(|(of, _)| *of == slot).map(|(_, cell)| cell)
    }

    fn set(&mut self, slot: Slot, cell: Cell) -> Option<Cell> {
        match self.0.binary_search_by_key(&slot, |(of, _)| *of) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, cell)),
            Err(at) => {
                self.0.insert(at, (slot, cell));
                None
            }
        }
    }

    fn take(&mut self, slot: Slot) -> Option<Cell> {
        let at = self.0.iter().position(|(of, _)| *of == slot)?;
        Some(self.0.remove(at).1)
    }

    /// All that it has forwards.
    pub(super) fn forwards(&self) -> impl Iterator<Item = (Number, &Cell)> {
        self.0.iter().filter_map(|(slot, cell)| Some((slot.number()?, cell)))
    }
}

/// Nodes by the values of a predicate.
#[derive(Debug, Clone)]
pub(super) enum Values {
    None,
    Hash(HashTrieMapSync<Arc<str>, Uids, FixedState>),
    Exact(RedBlackTreeMapSync<Arc<str>, Uids>),
}

impl Values {
    fn new(index: Index) -> Self {
        match index {
            Index::None => Self::None,
            Index::Hash => Self::Hash(HashTrieMapSync::default()),
            Index::Exact => Self::Exact(RedBlackTreeMapSync::default()),
        }
    }

    pub(super) fn get(&self, text: &str) -> Option<&Uids> {
        match self {
            Self::None => None,
            Self::Hash(map) => map.get(text),
            Self::Exact(map) => map.get(text),
        }
    }

    /// Those of all values from `low` to `high`, both included.
    pub(super) fn between<'a>(
        &'a self,
        low: &'a str,
        high: &'a str,
    ) -> impl Iterator<Item = &'a Uids> {
        let map = match self {
            Self::Exact(map) if low <= high => Some(map),
            _ => None,
        };
        let bounds = (Bound::Included(low), Bound::Included(high));
        map.into_iter().flat_map(move |map| map.range::<str, _>(bounds).map(|(_, uids)| uids))
    }

    /// Returns the text that all who have it share.
    pub(super) fn insert(&mut self, text: &Arc<str>, uid: u64) -> Arc<str> {
        fn add(known: Option<(&Arc<str>, &Uids)>, text: &Arc<str>, uid: u64) -> (Arc<str>, Uids) {
            let (text, mut uids) = known.map_or_else(
                || (Arc::clone(text), Uids::None),
                |(text, uids)| (Arc::clone(text), uids.clone()),
            );
            uids.insert(uid);
            (text, uids)
        }
        let (text, uids) = match self {
            Self::None => return Arc::clone(text),
            Self::Hash(map) => add(map.get_key_value(&**text), text, uid),
            Self::Exact(map) => add(map.get_key_value(&**text), text, uid),
        };
        match self {
            Self::None => {}
            Self::Hash(map) => map.insert_mut(Arc::clone(&text), uids),
            Self::Exact(map) => map.insert_mut(Arc::clone(&text), uids),
        }
        text
    }

    pub(super) fn remove(&mut self, text: &str, uid: u64) {
        let known = match self {
            Self::None => None,
            Self::Hash(map) => map.get_mut(text),
            Self::Exact(map) => map.get_mut(text),
        };
        let Some(uids) = known else { return };
        uids.remove(uid);
        if uids.is_empty() {
            match self {
                Self::None => {}
                Self::Hash(map) => _ = map.remove_mut(text),
                Self::Exact(map) => _ = map.remove_mut(text),
            }
        }
    }
}

/// Where a predicate is.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// The nodes that have it.
    pub(super) having: Uids,
    pub(super) values: Values,
}

/// The graph at one time.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) types: Arc<Types>,
    nodes: HashTrieMapSync<u64, Arc<Node>, FixedState>,
    /// By predicate.
    pub(super) places: Vec<Places>,
}

impl State {
    /// Without nodes.
    pub(super) fn new(types: Arc<Types>) -> Self {
        let places = |index| Places { having: Uids::None, values: Values::new(index) };
        let places = types.all().map(|(_, of)| places(of.index)).collect();
        Self { types, nodes: HashTrieMapSync::default(), places }
    }

    pub(super) fn node(&self, uid: u64) -> Option<&Node> {
        self.nodes.get(&uid).map(|node| &**node)
    }

    pub(super) fn cell(&self, uid: u64, slot: Slot) -> Option<&Cell> {
        self.node(uid)?.get(slot)
    }

    /// All nodes, in no order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (u64, &Node)> {
        self.nodes.iter().map(|(uid, node)| (*uid, &**node))
    }

    fn node_mut(&mut self, uid: u64) -> Option<&mut Node> {
        self.nodes.get_mut(&uid).map(Arc::make_mut)
    }

    /// Gives a node a cell, and returns the one that it had.
    pub(super) fn set(&mut self, uid: u64, slot: Slot, cell: Cell) -> Option<Cell> {
        if let Some(node) = self.node_mut(uid) {
            return node.set(slot, cell);
        }
        self.nodes.insert_mut(uid, Arc::new(Node(vec![(slot, cell)])));
        None
    }

    /// Takes a cell from a node; with its last one the node goes.
    pub(super) fn take(&mut self, uid: u64, slot: Slot) -> Option<Cell> {
        self.cell(uid, slot)?;
        let node = self.node_mut(uid)?;
        let cell = node.take(slot);
        if node.0.is_empty() {
            self.nodes.remove_mut(&uid);
        }
        cell
    }

    /// Adds to the edges of a slot; whether it was not there.
    pub(super) fn add(&mut self, uid: u64, slot: Slot, to: u64) -> bool {
        if let Some(node) = self.node_mut(uid) {
            if let Some(Cell::Edges(edges)) = node.get_mut(slot) {
                return edges.insert(to);
            }
            return node.set(slot, Cell::Edges(Uids::One(to))).is_none();
        }
        self.set(uid, slot, Cell::Edges(Uids::One(to))).is_none()
    }

    /// Removes from the edges of a slot; whether it was there.
    pub(super) fn drop(&mut self, uid: u64, slot: Slot, to: u64) -> bool {
        if !self.cell(uid, slot).is_some_and(|cell| cell.leads_to(to)) {
            return false;
        }
        let Some(Cell::Edges(edges)) = self.node_mut(uid).and_then(|node| node.get_mut(slot))
        else {
            return false;
        };
        edges.remove(to);
        if edges.is_empty() {
            self.take(uid, slot);
        }
        true
    }
}
