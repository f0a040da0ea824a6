//! What a check may answer, by the history of what it asks about. Pure: times come in.
//!
//! A right is written by one writer, one write after the other, so that its states follow each other. A state may be
//! seen from when its write was begun; it must not be seen any more once a later write was acknowledged: at once by
//! who shows that write's token, and after the bound by everybody. What lies in between explains either answer.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// States that a description of a history names, the latest.
const DESCRIBED: usize = 6;

/// The states of one right.
#[derive(Debug, Clone)]
pub(super) struct History {
    states: Vec<State>,
    /// Since when a denial, and a grant, may come back at any time.
    lurking: [Option<Instant>; 2],
}

#[derive(Debug, Clone)]
struct State {
    allowed: bool,
    begun: Instant,
    acknowledged: Option<Instant>,
    token: Option<Arc<str>>,
}

/// What a check said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// The decision.
    pub(super) allowed: bool,
    /// Before the question was sent.
    pub(super) sent: Instant,
    /// After the answer came.
    pub(super) received: Instant,
    /// The write whose token was shown.
    pub(super) at_least: Option<usize>,
}

impl History {
    /// One that has been in a state for as long as anybody knows.
    pub(super) fn new(allowed: bool, now: Instant) -> Self {
        let first = State { allowed, begun: now, acknowledged: Some(now), token: None };
        Self { states: vec![first], lurking: [None; 2] }
    }

    /// What it is, or is becoming.
    pub(super) fn allows(&self) -> bool {
        self.states.last().is_some_and(|state| state.allowed)
    }

    /// A write is about to be sent; its place.
    pub(super) fn begin(&mut self, allowed: bool, now: Instant) -> usize {
        self.states.push(State { allowed, begun: now, acknowledged: None, token: None });
        self.states.len() - 1
    }

    /// A write was acknowledged with a token.
    pub(super) fn acknowledge(&mut self, write: usize, now: Instant, token: Option<Arc<str>>) {
        if let Some(state) = self.states.get_mut(write) {
            state.acknowledged = Some(now);
            state.token = token;
        }
    }

    /// An attempt at a write was never answered: it may be done at any later time, also behind writes that follow.
    pub(super) fn doubt(&mut self, write: usize) {
        if let Some(State { allowed, begun, .. }) = self.states.get(write) {
            let since = &mut self.lurking[usize::from(*allowed)];
            *since = Some(since.map_or(*begun, |since| since.min(*begun)));
        }
    }

    /// Whether a write may still be done that was followed by another.
    pub(super) fn is_doubtful(&self) -> bool {
        self.lurking.iter().any(Option::is_some)
    }

    /// The last write that was acknowledged with a token, and its token.
    pub(super) fn token(&self) -> Option<(usize, Arc<str>)> {
        let mut states = self.states.iter().enumerate().rev();
        states.find_map(|(at, state)| Some((at, Arc::clone(state.token.as_ref()?))))
    }

    /// How many writes of a kind were acknowledged.
    pub(super) fn acknowledged(&self, allowed: bool) -> u64 {
        let written = self.states.iter().skip(1);
        let done = written.filter(|state| state.allowed == allowed && state.acknowledged.is_some());
        done.count() as u64
    }

    /// Whether every write was acknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.states.iter().all(|state| state.acknowledged.is_some())
    }

    /// Whether some state explains an answer. `bound` is how long after the acknowledgement of the next one a state may
    /// be seen by who shows no token of it; without a bound, for ever.
    pub(super) fn explains(&self, answer: &Answer, bound: Option<Duration>) -> bool {
        let since = self.lurking[usize::from(answer.allowed)];
        since.is_some_and(|since| since <= answer.received)
            // The latest explain nearly all of them.
            || (0..self.states.len()).rev().any(|at| self.is_of(at, answer, bound))
    }

    /// Whether an answer may be of the state at a place.
    fn is_of(&self, at: usize, answer: &Answer, bound: Option<Duration>) -> bool {
        let state = &self.states[at];
        let over = self.states[at + 1..].iter().find_map(|later| later.acknowledged);
        let too_late = bound.zip(over).is_some_and(|(bound, over)| answer.sent > over + bound);
        state.allowed == answer.allowed
            && state.begun <= answer.received
            && answer.at_least.is_none_or(|least| at >= least)
            && !too_late
    }

    /// An answer and the last states, in milliseconds since `begun`.
    pub(super) fn describe(&self, answer: &Answer, begun: Instant) -> String {
        let at = |instant: Instant| instant.saturating_duration_since(begun).as_millis();
        let word = |allowed: bool| if allowed { "allow" } else { "deny" };
        let mut text = format!(
            "{} to what was asked in {}..{} ms",
            word(answer.allowed),
            at(answer.sent),
            at(answer.received)
        );
        if let Some(least) = answer.at_least {
            let _ = write!(text, " with the token of write {least}");
        }
        let _ = write!(text, "; writes:");
        let skipped = self.states.len().saturating_sub(DESCRIBED);
        for (place, state) in self.states.iter().enumerate().skip(skipped) {
            let end = state.acknowledged.map_or("?".to_owned(), |end| at(end).to_string());
            let _ = write!(text, " {place} {} in {}..{end}", word(state.allowed), at(state.begun));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Option<Duration> = Some(Duration::from_secs(5));

    /// Denied at first; granted in 10..11, revoked in 20..21.
    struct Scene {
        start: Instant,
        history: History,
    }

    impl Scene {
        fn new() -> Self {
            let start = Instant::now();
            let scene = Self { start, history: History::new(false, start) };
            scene.written(true, 10, Some(11)).written(false, 20, Some(21))
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        fn written(mut self, allowed: bool, begun: u64, acknowledged: Option<u64>) -> Self {
            let write = self.history.begin(allowed, self.at(begun));
            if let Some(acknowledged) = acknowledged {
                let token = Some(Arc::from(format!("t{write}")));
                self.history.acknowledge(write, self.at(acknowledged), token);
            }
            self
        }

        fn may(
            &self,
            allowed: bool,
            (sent, received): (u64, u64),
            at_least: Option<usize>,
        ) -> bool {
            let (sent, received) = (self.at(sent), self.at(received));
            self.history.explains(&Answer { allowed, sent, received, at_least }, BOUND)
        }
    }

    #[test]
    fn before_and_after_a_write_is_known_and_during_it_both_are_true() {
        let scene = Scene::new();
        assert!(scene.may(false, (5, 6), None) && !scene.may(true, (5, 6), None));
        assert!(scene.may(true, (9, 10), None), "asked before, answered while it was written");
        assert!(scene.may(true, (12, 13), None));
        assert!(scene.may(false, (10, 11), None) && scene.may(true, (20, 20), None));
    }

    #[test]
    fn what_was_revoked_is_not_allowed_beyond_the_bound() {
        let scene = Scene::new();
        assert!(scene.may(true, (25, 26), None), "within the bound");
        assert!(scene.may(true, (26, 40), None), "what counts is when it was asked");
        assert!(!scene.may(true, (27, 28), None));
        assert!(scene.may(false, (27, 28), None));
    }

    #[test]
    fn what_was_granted_is_not_denied_beyond_the_bound() {
        let scene = Scene::new();
        assert!(scene.may(false, (15, 16), None));
        assert!(!scene.may(false, (17, 18), None));
        assert!(scene.may(false, (17, 20), None), "the revocation had been begun");
    }

    #[test]
    fn with_a_token_nothing_older_is_an_answer() {
        let scene = Scene::new();
        assert!(!scene.may(false, (12, 13), Some(1)), "at once");
        assert!(!scene.may(true, (22, 23), Some(2)), "at once");
        assert!(scene.may(true, (22, 23), Some(1)), "an older token asks for less");
        assert!(scene.may(false, (12, 20), Some(1)), "newer states are answers");
        assert_eq!(
            scene.history.token().map(|(at, token)| (at, token.to_string())),
            Some((2, "t2".to_owned()))
        );
    }

    #[test]
    fn without_a_bound_only_tokens_count() {
        let scene = Scene::new();
        let answer = |at_least| Answer {
            allowed: true,
            sent: scene.at(90),
            received: scene.at(91),
            at_least,
        };
        assert!(scene.history.explains(&answer(None), None));
        assert!(!scene.history.explains(&answer(Some(2)), None));
    }

    #[test]
    fn a_write_of_unknown_outcome_leaves_both_true_until_the_next_is_acknowledged() {
        let scene = Scene::new().written(true, 30, None);
        assert!(scene.may(true, (50, 51), None) && scene.may(false, (50, 51), None));
        assert!(!scene.history.is_settled());
        let scene = scene.written(false, 60, Some(61));
        assert!(!scene.may(true, (70, 71), None));
    }

    #[test]
    fn an_attempt_that_nobody_answered_may_be_done_later() {
        let mut scene = Scene::new();
        scene.history.doubt(1);
        assert!(scene.may(true, (90, 91), None) && scene.may(true, (90, 91), Some(2)));
        assert!(!scene.may(true, (5, 6), None), "not before it was sent");
        assert!(scene.may(false, (90, 91), Some(2)));
        assert!(scene.history.is_doubtful());
        let mut scene = Scene::new().written(true, 30, Some(31));
        scene.history.doubt(2);
        assert!(scene.may(false, (90, 91), Some(3)) && scene.may(true, (90, 91), Some(3)));
    }

    #[test]
    fn writes_are_counted_by_kind_and_the_first_state_was_none() {
        let scene = Scene::new().written(true, 30, None);
        assert_eq!([scene.history.acknowledged(true), scene.history.acknowledged(false)], [1, 1]);
        assert!(scene.history.allows());
    }
}
