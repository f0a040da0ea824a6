//! Who wrote what last, for as long as somebody is open who may not know.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use super::edit::Mark;

/// Marks that are kept at most: some 40 MB. Whoever is older than what was dropped is aborted.
const MOST: usize = 1 << 20;

/// The marks of commits.
#[derive(Debug, Default)]
pub(super) struct Conflicts {
    /// By mark, the time of the last commit with it.
    last: HashMap<Mark, u64, FixedState>,
    /// Oldest first.
    commits: VecDeque<(u64, Box<[Mark]>)>,
    kept: usize,
    /// Of commits up to this time, nothing is known.
    floor: u64,
}

impl Conflicts {
    /// Whether who began at `start` is too old to tell.
    pub(super) fn knows_since(&self, start: u64) -> bool {
        start >= self.floor
    }

    /// The last commit after `start` that has one of the marks.
    pub(super) fn since(&self, start: u64, marks: &[Mark]) -> Option<u64> {
        let times = marks.iter().filter_map(|mark| self.last.get(mark).copied());
        times.filter(|time| *time > start).max()
    }

    /// A commit; times only grow.
    pub(super) fn note(&mut self, time: u64, marks: Vec<Mark>) {
        self.last.extend(marks.iter().map(|mark| (*mark, time)));
        self.kept += marks.len();
        self.commits.push_back((time, marks.into()));
        while self.kept > MOST && self.commits.len() > 1 {
            self.floor = self.forget_first().unwrap_or(self.floor);
        }
    }

    /// Nobody began before `start`.
    pub(super) fn forget(&mut self, start: u64) {
        while self.commits.front().is_some_and(|(time, _)| *time <= start) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) -> Option<u64> {
        let (time, marks) = self.commits.pop_front()?;
        self.kept -= marks.len();
        for mark in marks {
            if self.last.get(&mark) == Some(&time) {
                self.last.remove(&mark);
            }
        }
        Some(time)
    }

    /// Commits after `time` never were.
    pub(super) fn undo(&mut self, time: u64) {
        while let Some((_, marks)) = self.commits.pop_back_if(|(of, _)| *of > time) {
            self.kept -= marks.len();
        }
        self.last.clear();
        for (time, marks) in &self.commits {
            self.last.extend(marks.iter().map(|mark| (*mark, *time)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wrote_the_same_since_is_found_until_nobody_needs_it() {
        let mut conflicts = Conflicts::default();
        conflicts.note(5, vec![1, 2]);
        conflicts.note(7, vec![2]);
        assert_eq!(conflicts.since(4, &[1, 9]), Some(5));
        assert_eq!(conflicts.since(5, &[1, 2]), Some(7));
        assert_eq!(conflicts.since(7, &[1, 2]), None);
        conflicts.forget(5);
        assert_eq!((conflicts.kept, conflicts.last.len()), (1, 1));
        conflicts.note(9, vec![2, 3]);
        conflicts.undo(8);
        assert_eq!((conflicts.since(5, &[2]), conflicts.since(5, &[3])), (Some(7), None));
    }

    #[test]
    fn who_is_older_than_what_is_known_is_told_so() {
        let mut conflicts = Conflicts::default();
        conflicts.note(1, vec![0; MOST]);
        assert!(conflicts.knows_since(0));
        conflicts.note(2, vec![1]);
        assert!(!conflicts.knows_since(0) && conflicts.knows_since(1));
        assert!(conflicts.kept <= MOST);
    }
}
