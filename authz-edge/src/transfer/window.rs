//! Lines of one kind that are read ahead, and how they are cut into transactions that do not conflict.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::{BufRead, Read as _};

use super::TransferError;
use super::format::{Counts, Line, MAX_LINE, Position};
use crate::graph::write::{Entity, EntityForm};
use crate::model::{Relationship, ResourceRef, Scope, SubjectRef};

/// A window is full at so many bytes, whatever its lines.
const WINDOW_BYTES: usize = 16 << 20;

/// Lines of one kind, with their numbers.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) lines: Vec<(u64, Line)>,
    /// What was read with its last line.
    pub(super) counts: Counts,
    /// The offset behind its last line.
    pub(super) offset: u64,
}

/// Reads windows. What was returned is sound; nothing is returned of a window with a bad line.
pub(super) struct Windows<R> {
    input: R,
    position: Position,
    offset: u64,
    line: u64,
    most: usize,
    /// The first line of the next window.
    held: Option<(u64, Line, Position, u64)>,
}

impl<R: BufRead> Windows<R> {
    /// Begins at the start of a file.
    pub(super) fn new(input: R, most: usize) -> Self {
        Self { input, position: Position::default(), offset: 0, line: 0, most, held: None }
    }

    /// Goes on in `input`, which stands at `offset`, behind `counts` lines and the header.
    pub(super) fn behind(input: R, most: usize, counts: Counts, offset: u64) -> Self {
        let (position, line) = (Position::behind(counts), 1 + counts.total());
        Self { input, position, offset, line, most, held: None }
    }

    /// The next line, whatever its kind; `None` behind the end.
    pub(super) fn line(&mut self) -> Result<Option<(u64, Line)>, TransferError> {
        let mut text = Vec::new();
        self.line += 1;
        let malformed = |reason: String| TransferError::Line { line: self.line, reason };
        let read = self.input.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut text)?;
        if read == 0 {
            let cut = || malformed("the file was cut before its end".to_owned());
            return if self.position.is_ended() { Ok(None) } else { Err(cut()) };
        }
        if read > MAX_LINE {
            return Err(malformed(format!("is above {MAX_LINE} bytes")));
        }
        let line = self.position.take(&text).map_err(malformed)?;
        self.offset += read as u64;
        Ok(Some((self.line, line)))
    }

    /// The next window; `None` when the file was read to its end.
    pub(super) fn window(&mut self) -> Result<Option<Window>, TransferError> {
        let (mut window, mut begun) = (Window::default(), self.offset);
        if let Some((number, line, position, offset)) = self.held.take() {
            (window.counts, window.offset) = (position.counts(), offset);
            window.lines.push((number, line));
            begun = offset;
        }
        while let Some((number, line)) = self.line()? {
            if matches!(line, Line::Header(_) | Line::End(_)) {
                continue;
            }
            if window.lines.first().is_some_and(|(_, first)| !first.is_of_kind(&line)) {
                self.held = Some((number, line, self.position.clone(), self.offset));
                return Ok(Some(window));
            }
            window.lines.push((number, line));
            (window.counts, window.offset) = (self.position.counts(), self.offset);
            let bytes = usize::try_from(self.offset - begun).unwrap_or(usize::MAX);
            if window.lines.len() >= self.most || bytes >= WINDOW_BYTES {
                return Ok(Some(window));
            }
        }
        Ok(Some(window).filter(|window| !window.lines.is_empty()))
    }
}

/// Of those with the same name only the last, in the order of the file.
pub(super) fn last_of_each<T, K: Eq + Hash>(all: Vec<T>, name: impl Fn(&T) -> K) -> Vec<T> {
    let mut last = HashMap::new();
    for (at, one) in all.iter().enumerate() {
        last.insert(name(one), at);
    }
    let mut kept: Vec<_> = last.into_values().collect();
    kept.sort_unstable();
    let mut kept = kept.into_iter().peekable();
    let is_kept = |(at, one)| kept.next_if_eq(&at).map(|_| one);
    all.into_iter().enumerate().filter_map(is_kept).collect()
}

/// Cuts entities where a batch has `most` of them, or is as large as that many small ones.
pub(super) fn entity_batches(
    all: Vec<(u64, Entity, EntityForm)>,
    most: usize,
) -> Vec<Vec<(u64, Entity, EntityForm)>> {
    /// Bytes of attributes that weigh as much as an entity.
    const UNIT: usize = 256;
    let weight = |form: &EntityForm| {
        let attributes = form.attributes.iter().flatten();
        1 + attributes.map(|(name, value)| name.len() + size(value)).sum::<usize>() / UNIT
    };
    let (mut batches, mut sum) = (vec![], most);
    for one in all {
        let own = weight(&one.2);
        if sum + own > most {
            batches.push(vec![]);
            sum = 0;
        }
        sum += own;
        if let Some(batch) = batches.last_mut() {
            batch.push(one);
        }
    }
    batches
}

fn size(value: &serde_json::Value) -> usize {
    use serde_json::Value as V;
    match value {
        V::String(text) => text.len(),
        V::Array(values) => values.iter().map(size).sum(),
        V::Object(members) => members.iter().map(|(name, value)| name.len() + size(value)).sum(),
        _ => 8,
    }
}

/// The node at which a relationship begins: what begins at one node is best written at once.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Start<'a> {
    Subject(&'a SubjectRef),
    Resource(&'a ResourceRef),
}

/// What it leads to; with the start, which relationship it is.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Target<'a> {
    Team(&'a str),
    Role(&'a str, &'a Scope),
    Parent(&'a ResourceRef),
}

fn identity(relationship: &Relationship) -> (Start<'_>, Target<'_>) {
    match relationship {
        Relationship::MemberOf { subject, team } => (Start::Subject(subject), Target::Team(team)),
        Relationship::HasRole { subject, role, on, .. } => {
            (Start::Subject(subject), Target::Role(role, on))
        }
        Relationship::Parent { resource, parent } => {
            (Start::Resource(resource), Target::Parent(parent))
        }
    }
}

/// Cuts relationships where a batch has `most` of them and another node begins: such batches write no
/// edge and no guard in common. What begins at one node is cut only at eight times that; then two batches
/// may conflict, and one of them is tried again. Of two about the same one the later is kept.
pub(super) fn relationship_batches(
    mut all: Vec<(u64, Relationship)>,
    most: usize,
) -> Vec<Vec<(u64, Relationship)>> {
    all.sort_by(|(a, one), (b, other)| (identity(one), b).cmp(&(identity(other), a)));
    all.dedup_by(|(_, earlier), (_, later)| identity(earlier) == identity(later));
    let mut batches: Vec<Vec<(u64, Relationship)>> = vec![];
    for one in all {
        let fits = batches.last().is_some_and(|batch: &Vec<(u64, Relationship)>| {
            let is_same = batch.last().is_some_and(|(_, l)| identity(l).0 == identity(&one.1).0);
            batch.len() < if is_same { 8 * most } else { most }
        });
        if !fits {
            batches.push(vec![]);
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(one);
        }
    }
    batches
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
