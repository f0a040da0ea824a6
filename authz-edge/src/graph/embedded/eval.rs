//! Answering a query over a graph at one time. No I/O and no lock.

mod recurse;
mod roots;

use std::time::Instant;

use super::plan::{Block, Edge, Field, Filter, Nodes, Plan, Text, Var};
use super::state::{Cell, Node, State};

/// Steps between two looks at the clock.
const LOOK: u64 = 1024;

/// Bytes of a text that count as a step.
const BYTES: u64 = 64;

/// How long a query may take.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    /// Nodes and edges that are looked at.
    Steps(u64),
    Until(Instant),
}

/// Why a query was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its limit was reached.
    Limit,
    /// It is not for this graph.
    Refused(String),
}

type Step<T> = Result<T, Stop>;

/// What a variable holds.
#[derive(Debug, Clone)]
enum Held {
    /// In their order, once their block is done.
    Nodes(Vec<u64>),
    /// The sum of the counts.
    Counts(u64),
}

/// A query that is being answered.
struct Run<'a> {
    state: &'a State,
    args: &'a [&'a str],
    held: Vec<Held>,
    steps: u64,
    /// When the clock is looked at next, in steps.
    look: u64,
    limit: Limit,
    out: Vec<u8>,
}

/// Answers a query in JSON, as Dgraph does: what a node does not have is left out, and a node that has
/// nothing of what is asked. `args` are the values of the plan's parameters, in their order.
///
/// # Errors
/// [`Stop`].
pub(super) fn answer(
    plan: &Plan,
    state: &State,
    args: &[&str],
    limit: Limit,
) -> Result<Vec<u8>, Stop> {
    let held = vec![Held::Nodes(Vec::new()); plan.vars];
    let out = Vec::with_capacity(512);
    let mut run = Run { state, args, held, steps: 0, look: LOOK, limit, out };
    run.out.push(b'{');
    for block in &plan.blocks {
        run.block(block)?;
    }
    run.out.push(b'}');
    Ok(run.out)
}

impl<'a> Run<'a> {
    /// Counts a node or an edge.
    fn step(&mut self) -> Step<()> {
        self.steps += 1;
        match self.limit {
            Limit::Steps(most) if self.steps > most => Err(Stop::Limit),
            Limit::Until(end) if self.steps >= self.look => {
                self.look = self.steps + LOOK;
                if Instant::now() >= end { Err(Stop::Limit) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn text(&self, text: &'a Text) -> &'a str {
        match text {
            Text::Literal(text) => text,
            Text::Param(at) => self.args[*at],
        }
    }

    fn nodes_of(&self, var: Var) -> &[u64] {
        match &self.held[var] {
            Held::Nodes(nodes) => nodes,
            Held::Counts(_) => &[],
        }
    }

    fn hold(&mut self, var: Var, node: u64) {
        if let Held::Nodes(nodes) = &mut self.held[var] {
            nodes.push(node);
        }
    }

    fn block(&mut self, block: &'a Block) -> Step<()> {
        let nodes = self.begin(block)?;
        if block.recurse {
            self.recurse(block, &nodes)?;
        } else if let Some(label) = &block.label {
            self.comma();
            self.out.extend(label.bytes());
            self.out.push(b'[');
            self.rows(block, &nodes)?;
            self.out.push(b']');
        } else {
            for node in &nodes {
                self.fields(&block.fields, *node)?;
            }
        }
        if let Some(var) = block.var {
            self.held[var] = Held::Nodes(nodes);
        }
        for var in &block.defines {
            if let Held::Nodes(nodes) = &mut self.held[*var] {
                nodes.sort_unstable();
                nodes.dedup();
            }
        }
        Ok(())
    }

    fn rows(&mut self, block: &'a Block, nodes: &[u64]) -> Step<()> {
        let (label, count) = match &block.fields[..] {
            [Field::CountNodes(label)] => (label, nodes.len().to_string()),
            [Field::Sum(label, var)] => match self.held[*var] {
                Held::Counts(sum) => (label, sum.to_string()),
                // Nothing was counted.
                Held::Nodes(_) => (label, "null".to_owned()),
            },
            fields => {
                return nodes.iter().try_for_each(|node| self.object(fields, *node));
            }
        };
        self.out.extend(format!("{{{label}{count}}}").bytes());
        Ok(())
    }

    /// Writes a node, unless it has nothing of what is asked.
    fn object(&mut self, fields: &'a [Field], node: u64) -> Step<()> {
        let begun = self.out.len();
        self.comma();
        self.out.push(b'{');
        let empty = self.out.len();
        self.fields(fields, node)?;
        if self.out.len() == empty {
            self.out.truncate(begun);
        } else {
            self.out.push(b'}');
        }
        Ok(())
    }

    fn fields(&mut self, fields: &'a [Field], uid: u64) -> Step<()> {
        let node = self.state.node(uid);
        for field in fields {
            match field {
                Field::Uid(label) => {
                    self.label(label);
                    self.out.extend(format!("\"{uid:#x}\"").bytes());
                }
                Field::Value(label, slot) => {
                    let cell = node.zip(*slot).and_then(|(node, slot)| node.get(slot));
                    if let Some(cell) = cell {
                        self.value(label, cell);
                    }
                }
                Field::Count(count) => {
                    let cell = node.zip(count.slot).and_then(|(node, slot)| node.get(slot));
                    let edges = cell.map_or(0, edges);
                    if let Some(label) = &count.label {
                        self.label(label);
                        self.out.extend(edges.to_string().bytes());
                    }
                    if let Some(var) = count.var {
                        let before = match self.held[var] {
                            Held::Counts(sum) => sum,
                            Held::Nodes(_) => 0,
                        };
                        self.held[var] = Held::Counts(before + edges);
                    }
                }
                Field::Edge(edge) => self.edge(edge, node)?,
                // They are of the block.
                Field::CountNodes(_) | Field::Sum(..) => {}
            }
        }
        Ok(())
    }

    /// The nodes that an edge leads to: for its variable, and as they are asked for.
    fn edge(&mut self, edge: &'a Edge, node: Option<&'a Node>) -> Step<()> {
        let Some(cell) = node.zip(edge.slot).and_then(|(node, slot)| node.get(slot)) else {
            return Ok(());
        };
        let begun = self.out.len();
        let is_shown = !edge.fields.is_empty();
        if is_shown {
            self.label(&edge.label);
            self.out.extend(edge.is_list.then_some(b'['));
        }
        let empty = self.out.len();
        self.follow(
            edge,
            cell,
            |run, to| {
                if is_shown { run.object(&edge.fields, to) } else { Ok(()) }
            },
        )?;
        if self.out.len() == empty {
            self.out.truncate(begun);
        } else {
            self.out.extend(edge.is_list.then_some(b']'));
        }
        Ok(())
    }

    /// Calls `each` for every node of an edge's page that passes its filter, and counts them; its variable gets them.
    fn follow(
        &mut self,
        edge: &'a Edge,
        cell: &'a Cell,
        mut each: impl FnMut(&mut Self, u64) -> Step<()>,
    ) -> Step<usize> {
        let mut found = 0;
        for to in cell.targets(edge.page.after) {
            if found == edge.page.first {
                break;
            }
            self.step()?;
            if let Some(filter) = &edge.filter
                && !self.passes(filter, to)?
            {
                continue;
            }
            found += 1;
            if let Some(var) = edge.var {
                self.hold(var, to);
            }
            each(self, to)?;
        }
        Ok(found)
    }

    fn passes(&mut self, filter: &'a Filter, uid: u64) -> Step<bool> {
        let cell = |slot: &Option<_>| slot.and_then(|slot| self.state.cell(uid, slot));
        Ok(match filter {
            Filter::All(all) => {
                for one in all {
                    if !self.passes(one, uid)? {
                        return Ok(false);
                    }
                }
                true
            }
            Filter::Any(any) => {
                for one in any {
                    if self.passes(one, uid)? {
                        return Ok(true);
                    }
                }
                false
            }
            Filter::Not(of) => !self.passes(of, uid)?,
            Filter::Has(slot) => cell(slot).is_some(),
            Filter::Eq(slot, texts) => match cell(slot) {
                Some(Cell::Text(found)) => texts.iter().any(|text| self.text(text) == &**found),
                _ => false,
            },
            Filter::Uid(nodes) => self.has(nodes, uid),
            Filter::UidIn(slot, nodes) => {
                let Some(cell) = cell(slot) else { return Ok(false) };
                for to in cell.targets(0) {
                    self.step()?;
                    if self.has(nodes, to) {
                        return Ok(true);
                    }
                }
                false
            }
        })
    }

    fn has(&self, nodes: &Nodes, uid: u64) -> bool {
        let of_var = |var: &Var| self.nodes_of(*var).binary_search(&uid).is_ok();
        nodes.named.binary_search(&uid).is_ok() || nodes.vars.iter().any(of_var)
    }

    fn comma(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[' | b':')) {
            self.out.push(b',');
        }
    }

    fn label(&mut self, label: &str) {
        self.comma();
        self.out.extend(label.bytes());
    }

    fn value(&mut self, label: &str, cell: &Cell) {
        self.label(label);
        match cell {
            Cell::Text(text) => {
                self.steps += text.len() as u64 / BYTES;
                // Writing into memory cannot fail.
                let _ = serde_json::to_writer(&mut self.out, &**text);
            }
            Cell::Int(int) => self.out.extend(int.to_string().bytes()),
            Cell::Flag(flag) => self.out.extend(flag.to_string().bytes()),
            // The parser lets none through.
            Cell::Edge(_) | Cell::Edges(_) => self.out.extend(b"null"),
        }
    }
}

fn edges(cell: &Cell) -> u64 {
    match cell {
        Cell::Edge(_) => 1,
        Cell::Edges(edges) => edges.len() as u64,
        _ => 0,
    }
}
