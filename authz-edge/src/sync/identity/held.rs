//! Changes of one tenant that are not applied yet, in the order of their numbers whatever the order in
//! which they came. No I/O: whoever has a [`Step`] done says how it ended.

use std::collections::BTreeMap;

use contracts::identity::Change;

use super::progress::Place;

/// A change, or what stands in the place of one.
#[derive(Debug, Clone, PartialEq)]
enum Entry {
    Change(Box<Change>, Place),
    Poison,
}

/// What is next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// These, in one transaction; their numbers have no gaps.
    Apply(Vec<Change>),
    /// Nothing can be applied before one that is poison; whether it was applied before is to be asked.
    Ask(u64),
    /// Nothing is held.
    Done,
}

/// Why a tenant stands still: `found` is held, and `expected` did not come or is poison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) expected: u64,
    pub(super) found: u64,
}

/// What one tenant waits for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Held {
    entries: BTreeMap<u64, Entry>,
}

impl Held {
    /// Takes a change and where it came from; `false` when it is held already.
    pub(super) fn push(&mut self, change: Change, place: Place) -> bool {
        let seq = change.seq;
        match self.entries.get(&seq) {
            Some(Entry::Change(..)) => false,
            // What a retry brings takes the place of what was parked.
            Some(Entry::Poison) | None => {
                self.entries.insert(seq, Entry::Change(Box::new(change), place));
                true
            }
        }
    }

    /// Takes the number of a record that cannot be applied; `false` when it is held already.
    pub(super) fn poison(&mut self, seq: u64) -> bool {
        !matches!(self.entries.insert(seq, Entry::Poison), Some(Entry::Poison))
    }

    /// Where the changes came from.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Change(_, place) => Some(*place),
            Entry::Poison => None,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it is of use to try again: only with the first missing one at hand.
    pub(super) fn may_resume(&self, stop: Stop) -> bool {
        self.entries.first_key_value().is_some_and(|(seq, entry)| {
            *seq <= stop.expected && *entry != Entry::Poison || *seq < stop.expected
        })
    }

    /// What is next, of at most `limit` changes.
    pub(super) fn next(&self, limit: usize) -> Step {
        let mut run = Vec::<Change>::new();
        for (seq, entry) in self.entries.iter().take(limit.max(1)) {
            match entry {
                Entry::Change(change, _) if run.last().is_none_or(|last| last.seq + 1 == *seq) => {
                    run.push(Change::clone(change));
                }
                Entry::Poison if run.is_empty() => return Step::Ask(*seq),
                _ => break,
            }
        }
        if run.is_empty() { Step::Done } else { Step::Apply(run) }
    }

    /// Everything up to and including `last` is applied, as the graph says. `Some` when nothing goes on.
    pub(super) fn applied(&mut self, last: u64) -> Option<Stop> {
        self.entries = self.entries.split_off(&(last + 1));
        let (found, entry) = self.entries.first_key_value()?;
        let stop = Stop { expected: last + 1, found: *found };
        (*found != last + 1 || *entry == Entry::Poison).then_some(stop)
    }

    /// Forgets the oldest, so that `limit` are left, and says how many: a snapshot that heals the gap has
    /// them.
    pub(super) fn trim(&mut self, limit: usize) -> usize {
        let surplus = self.entries.len().saturating_sub(limit);
        for _ in 0..surplus {
            self.entries.pop_first();
        }
        surplus
    }
}
