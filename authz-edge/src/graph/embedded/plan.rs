//! A query that is read, with every name resolved: what is kept of a text.

use std::sync::Arc;

use super::types::{Number, Slot, Types};

/// A variable of nodes or of a count: its place among the query's.
pub(super) type Var = usize;

/// A name of an answer, quoted and with its colon.
pub(super) type Label = Box<str>;

/// A query.
#[derive(Debug)]
pub(super) struct Plan {
    /// What its predicates' numbers are of.
    pub(super) types: Arc<Types>,
    /// The names of what is given with it, each with its `$`.
    pub(super) params: Vec<Box<str>>,
    /// How many variables there are.
    pub(super) vars: usize,
    /// In an order in which each needs only what came before.
    pub(super) blocks: Vec<Block>,
}

#[derive(Debug)]
pub(super) struct Block {
    /// None of one that answers nothing itself.
    pub(super) label: Option<Label>,
    pub(super) var: Option<Var>,
    pub(super) root: Root,
    pub(super) page: Page,
    pub(super) filter: Option<Filter>,
    /// Whether its edges are followed on and on.
    pub(super) recurse: bool,
    pub(super) fields: Vec<Field>,
    /// Variables that it needs.
    pub(super) uses: Vec<Var>,
    /// Variables that are known behind it.
    pub(super) defines: Vec<Var>,
}

/// Where a block begins.
#[derive(Debug)]
pub(super) enum Root {
    /// At no node.
    Nothing,
    Eq(Number, Vec<Text>),
    Between(Number, Text, Text),
    Has(Option<Number>),
    Uid(Nodes),
}

/// A text that is in the query, or given with it.
#[derive(Debug)]
pub(super) enum Text {
    Literal(Box<str>),
    Param(usize),
}

/// Nodes that are named, and those of variables.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub(super) named: Vec<u64>,
    pub(super) vars: Vec<Var>,
}

/// Which of some nodes, in the order of their ids.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) first: usize,
    pub(super) after: u64,
}

impl Page {
    pub(super) const ALL: Self = Self { first: usize::MAX, after: 0 };
}

/// A slot is none for a predicate that the schema does not have: no node has it.
#[derive(Debug)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Has(Option<Slot>),
    Eq(Option<Slot>, Vec<Text>),
    Uid(Nodes),
    UidIn(Option<Slot>, Nodes),
}

/// What is asked of each node.
#[derive(Debug)]
pub(super) enum Field {
    Uid(Label),
    Value(Label, Option<Slot>),
    /// How many nodes the block has.
    CountNodes(Label),
    /// How many edges a node has.
    Count(Count),
    /// Of a variable of counts.
    Sum(Label, Var),
    Edge(Edge),
}

#[derive(Debug)]
pub(super) struct Count {
    pub(super) label: Option<Label>,
    pub(super) slot: Option<Slot>,
    pub(super) var: Option<Var>,
}

#[derive(Debug)]
pub(super) struct Edge {
    pub(super) label: Label,
    pub(super) slot: Option<Slot>,
    /// Whether there may be several, so that they are answered as a list.
    pub(super) is_list: bool,
    pub(super) var: Option<Var>,
    pub(super) page: Page,
    pub(super) filter: Option<Filter>,
    /// None are asked for: the edges serve the variable.
    pub(super) fields: Vec<Field>,
}
