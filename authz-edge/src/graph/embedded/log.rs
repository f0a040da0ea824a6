//! The graph on disk: each triple under a key of its own, so that what is deleted leaves nothing and the log
//! compacts itself.
//!
//! | key | value |
//! |---|---|
//! | `c` | the time of the last commit, the next node's id |
//! | `p`, predicate | its declaration |
//! | `t`, node, predicate | a value, or the node that one edge leads to |
//! | `t`, node, predicate, node | nothing: one of many edges |
//!
//! Numbers are big-endian, so that keys are in the order of nodes.

use service_kit::embedded::{Changes, DiskError, Space};

use super::super::store::GraphError;
use super::edit::Editor;
use super::state::{Cell, State};
use super::types::{Kind, Number, Types};
use super::{refused, unavailable};

const COUNTERS: u8 = b'c';
const PREDICATE: u8 = b'p';
const TRIPLE: u8 = b't';

/// What a commit changes on disk.
#[derive(Debug, Default)]
pub(super) struct Records {
    list: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn key(uid: u64, number: Number, to: Option<u64>) -> Vec<u8> {
    let mut key = Vec::with_capacity(19);
    key.push(TRIPLE);
    key.extend(uid.to_be_bytes());
    key.extend(number.to_be_bytes());
    key.extend(to.map(u64::to_be_bytes).into_iter().flatten());
    key
}

impl Records {
    pub(super) fn put_value(&mut self, uid: u64, number: Number, cell: &Cell) {
        let value = match cell {
            Cell::Text(text) => text.as_bytes().to_vec(),
            Cell::Int(int) => int.to_be_bytes().to_vec(),
            Cell::Flag(flag) => vec![u8::from(*flag)],
            Cell::Edge(to) => to.to_be_bytes().to_vec(),
            // Each is a key.
            Cell::Edges(_) => return,
        };
        self.list.push((key(uid, number, None), Some(value)));
    }

    pub(super) fn delete_value(&mut self, uid: u64, number: Number) {
        self.list.push((key(uid, number, None), None));
    }

    pub(super) fn put_edge(&mut self, uid: u64, number: Number, to: u64) {
        self.list.push((key(uid, number, Some(to)), Some(Vec::new())));
    }

    pub(super) fn delete_edge(&mut self, uid: u64, number: Number, to: u64) {
        self.list.push((key(uid, number, Some(to)), None));
    }

    /// Every declaration.
    pub(super) fn put_types(&mut self, types: &Types) {
        for (number, predicate) in types.all() {
            let mut key = vec![PREDICATE];
            key.extend(number.to_be_bytes());
            self.list.push((key, Some(predicate.line().into_bytes())));
        }
    }

    pub(super) fn put_counters(&mut self, counters: Counters) {
        let value = [counters.time.to_be_bytes(), counters.next.to_be_bytes()].concat();
        self.list.push((vec![COUNTERS], Some(value)));
    }

    /// Adds them to what is to be written.
    pub(super) fn write_to(self, changes: &mut Changes, space: &Space) {
        for (key, value) in self.list {
            match value {
                Some(value) => changes.put(space, key, value),
                None => changes.delete(space, key),
            }
        }
    }
}

/// What only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counters {
    /// Of the last commit.
    pub(super) time: u64,
    /// The id of the next node.
    pub(super) next: u64,
}

/// Reads a graph back, some 140 000 triples a second.
///
/// # Errors
/// `Unavailable` when the disk does not give it, `Refused` for what no build of ours wrote.
pub(super) fn read(space: &Space) -> Result<(State, Counters), GraphError> {
    let mut schema = String::new();
    for pair in space.prefix(&[PREDICATE]) {
        let (_, line) = pair.map_err(|error| lost(&error))?;
        schema += std::str::from_utf8(&line).map_err(|_| foreign())?;
        schema.push('\n');
    }
    let types = Types::default().with(&schema)?;
    let mut editor = Editor::new(State::new(types.into()), None);
    for pair in space.prefix(&[TRIPLE]) {
        let (key, value) = pair.map_err(|error| lost(&error))?;
        restore(&mut editor, &key, &value).ok_or_else(foreign)?;
        editor.marks.clear();
    }
    let counters = space.get(&[COUNTERS]).map_err(|error| lost(&error))?;
    let counters = match counters {
        None => Counters { time: 0, next: 1 },
        Some(value) => {
            let (time, next) = value.split_first_chunk().ok_or_else(foreign)?;
            let next = next.try_into().map_err(|_| foreign())?;
            Counters { time: u64::from_be_bytes(*time), next: u64::from_be_bytes(next) }
        }
    };
    Ok((editor.state, counters))
}

fn lost(error: &DiskError) -> GraphError {
    unavailable(error)
}

fn foreign() -> GraphError {
    refused("the disk has what is no graph".to_owned())
}

fn restore(editor: &mut Editor, key: &[u8], value: &[u8]) -> Option<()> {
    let (uid, rest) = key.get(1..)?.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (uid, number) = (u64::from_be_bytes(*uid), Number::from_be_bytes(*number));
    let types = std::sync::Arc::clone(&editor.state.types);
    let of = types.get(number)?;
    let eight = || value.try_into().ok();
    match of.kind {
        Kind::Edges => {
            editor.add_edge(uid, number, of, u64::from_be_bytes(rest.try_into().ok()?));
        }
        Kind::Edge => editor.set_edge(uid, number, of, u64::from_be_bytes(eight()?)),
        Kind::Text => {
            let text = std::str::from_utf8(value).ok()?.into();
            editor.set_value(uid, number, of, Cell::Text(text));
        }
        Kind::Int => editor.set_value(uid, number, of, Cell::Int(i64::from_be_bytes(eight()?))),
        Kind::Flag => editor.set_value(uid, number, of, Cell::Flag(value == [1])),
    }
    Some(())
}
