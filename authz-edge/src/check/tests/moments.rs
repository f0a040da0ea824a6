//! What an answer may have been made from at a moment: of each view any state since which no change of what
//! it rests on was delivered. Views of two states meet in an answer only as far as changes are still on
//! their way: else it would be one of a state that never was.

use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use contracts::Revision;

use super::memory::Memory;
use super::property::Fence;
use super::world::State;
use crate::check::Question;
use crate::model::Key;

/// One moment while an answer was made.
pub(super) struct Moment {
    /// The last time of the graph.
    pub(super) now: u64,
    /// What had been delivered.
    pub(super) delivered: Vec<Fence>,
}

impl Moment {
    /// Whether some views that hold at this moment, of `from` or later, explain an answer.
    pub(super) fn explains(
        &self,
        memory: &Memory,
        question: &Question,
        from: u64,
        is_so: impl Fn(&State, &State) -> bool,
    ) -> bool {
        if from > self.now {
            return false;
        }
        let states: Vec<(u64, Arc<State>)> = memory.with(|history| {
            let later = history.states.range((Excluded(from), Included(self.now)));
            let later = later.map(|(time, state)| (*time, Arc::clone(state)));
            std::iter::once((from, history.at(from))).chain(later).collect()
        });
        // Nothing was delivered of what comes after the last one.
        let Some((_, last)) = states.last() else { return false };
        if is_so(last, last) {
            return true;
        }
        let (mut subjects, mut resources) = (Vec::new(), Vec::new());
        for (time, state) in &states {
            let [of_subject, of_resource] = memory.visits(state, question);
            if self.holds(*time, &of_subject, question) {
                subjects.push(state);
            }
            if self.holds(*time, &of_resource, question) {
                resources.push(state);
            }
        }
        subjects.iter().any(|s| resources.iter().any(|r| is_so(s, r)))
    }

    /// Whether nothing that was delivered is about these keys and later than a read.
    fn holds(&self, read: u64, visited: &[Key], question: &Question) -> bool {
        let anything = visited.contains(&Key::anything(&question.tenant));
        !self.delivered.iter().any(|fence| {
            fence.at > Revision(read)
                && fence.tenant == question.tenant
                && (anything || fence.keys.iter().any(|key| visited.contains(key)))
        })
    }
}
