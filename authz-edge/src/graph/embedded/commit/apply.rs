//! N-Quads into a graph.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::super::client::CommitError;
use super::super::super::store::GraphError;
use super::super::edit::Editor;
use super::super::nquads::{Id, Object, Quad, parse};
use super::super::refused;
use super::super::state::Cell;
use super::super::types::{Kind, Number, Predicate, Types};

/// What a transaction removes, and then sets.
pub(super) struct Quads<'a> {
    delete: Vec<Quad<'a>>,
    set: Vec<Quad<'a>>,
}

/// Reads both.
pub(super) fn read<'a>(set: &'a str, delete: &'a str) -> Result<Quads<'a>, CommitError> {
    let read = |text| parse(text).map_err(CommitError::Graph);
    Ok(Quads { delete: read(delete)?, set: read(set)? })
}

/// Applies all of them; `next` is the id of the next node that is made.
///
/// # Errors
/// `Refused`; what was applied before is of no use then.
pub(super) fn apply(
    editor: &mut Editor,
    quads: &Quads<'_>,
    next: &mut u64,
) -> Result<(), GraphError> {
    let types = Arc::clone(&editor.state.types);
    let made = *next;
    for quad in &quads.delete {
        let ((number, of), subject) = (predicate(&types, quad)?, stored(quad, quad.subject, made)?);
        match (&quad.object, of.kind) {
            (Object::Star, _) => editor.clear(subject, number, of),
            (Object::Node(to), Kind::Edges) => {
                editor.remove_edge(subject, number, of, stored(quad, *to, made)?);
            }
            (Object::Node(to), Kind::Edge) => {
                editor.unset_edge(subject, number, of, stored(quad, *to, made)?);
            }
            _ => return Err(unfit(quad)),
        }
    }
    let mut blank = HashMap::new();
    let mut node = |quad: &_, id| match id {
        Id::Blank(name) => Ok(*blank.entry(name).or_insert_with(|| {
            *next += 1;
            *next - 1
        })),
        id @ Id::Stored(_) => stored(quad, id, made),
    };
    for quad in &quads.set {
        let ((number, of), subject) = (predicate(&types, quad)?, node(quad, quad.subject)?);
        match (&quad.object, of.kind) {
            (Object::Node(to), Kind::Edge) => {
                editor.set_edge(subject, number, of, node(quad, *to)?);
            }
            (Object::Node(to), Kind::Edges) => {
                editor.add_edge(subject, number, of, node(quad, *to)?);
            }
            (Object::Text(text), kind) => {
                let cell = value(text, kind).ok_or_else(|| unfit(quad))?;
                editor.set_value(subject, number, of, cell);
            }
            _ => return Err(unfit(quad)),
        }
    }
    Ok(())
}

fn predicate<'t>(types: &'t Types, quad: &Quad<'_>) -> Result<(Number, &'t Predicate), GraphError> {
    let unknown = || refused(format!("a write of the unknown predicate {}", quad.predicate));
    types.find(quad.predicate).ok_or_else(unknown)
}

/// A node that was made before.
fn stored(quad: &Quad<'_>, id: Id<'_>, made: u64) -> Result<u64, GraphError> {
    match id {
        Id::Stored(uid) if (1..made).contains(&uid) => Ok(uid),
        _ => Err(unfit(quad)),
    }
}

fn unfit(quad: &Quad<'_>) -> GraphError {
    refused(format!("a write that does not fit its predicate: {quad:?}"))
}

fn value(text: &str, kind: Kind) -> Option<Cell> {
    Some(match kind {
        Kind::Text => Cell::Text(text.into()),
        Kind::Int => Cell::Int(text.parse().ok()?),
        Kind::Flag => Cell::Flag(text.parse().ok()?),
        Kind::Edge | Kind::Edges => return None,
    })
}
