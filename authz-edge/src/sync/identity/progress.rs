//! How far each partition is dealt with, and may be committed. No I/O.

use std::collections::BTreeMap;

/// Where a record stands in the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// The next offset of a partition: to be read, and as committed, as far as that is known.
#[derive(Debug, Clone, Copy)]
struct Reached {
    read: i64,
    committed: Option<i64>,
}

/// What this consumer has read.
#[derive(Debug, Default)]
pub(super) struct Progress(BTreeMap<i32, Reached>);

impl Progress {
    pub(super) fn read(&mut self, place: Place) {
        let read = place.offset + 1;
        self.0
            .entry(place.partition)
            .and_modify(|reached| reached.read = read)
            .or_insert(Reached { read, committed: None });
    }

    /// What is to be committed, each with the next offset: all that was read, but nothing that is still
    /// `held`.
    pub(super) fn due(&self, held: impl Iterator<Item = Place>) -> Vec<Place> {
        let mut due: BTreeMap<_, _> =
            self.0.iter().map(|(partition, reached)| (*partition, reached.read)).collect();
        for place in held {
            due.entry(place.partition).and_modify(|next| *next = place.offset.min(*next));
        }
        let is_new = |place: &Place| {
            let committed = self.0.get(&place.partition).and_then(|reached| reached.committed);
            committed.is_none_or(|committed| place.offset > committed)
        };
        let places = due.into_iter().map(|(partition, offset)| Place { partition, offset });
        places.filter(is_new).collect()
    }

    pub(super) fn committed(&mut self, place: Place) {
        if let Some(reached) = self.0.get_mut(&place.partition) {
            reached.committed = Some(place.offset);
        }
    }

    /// It has another owner by now; if it comes back, it comes with records.
    pub(super) fn forget(&mut self, partition: i32) {
        self.0.remove(&partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: i32, offset: i64) -> Place {
        Place { partition, offset }
    }

    #[test]
    fn what_is_held_is_not_committed_and_what_is_let_go_is() {
        let mut progress = Progress::default();
        let none = || std::iter::empty();
        assert_eq!(progress.due(none()), []);
        [place(0, 4), place(0, 5), place(1, 9)].into_iter().for_each(|at| progress.read(at));
        assert_eq!(
            progress.due([place(0, 5), place(0, 4)].into_iter()),
            [place(0, 4), place(1, 10)]
        );
        progress.due(none()).into_iter().for_each(|at| progress.committed(at));
        assert_eq!(progress.due(none()), []);
        // Held from before a commit of another partition's owner, or read again: nothing goes back.
        progress.read(place(0, 2));
        assert_eq!(progress.due([place(1, 3), place(7, 1)].into_iter()), []);
        progress.read(place(0, 6));
        assert_eq!(progress.due(none()), [place(0, 7)]);
        progress.forget(0);
        assert_eq!(progress.due(none()), []);
    }
}
