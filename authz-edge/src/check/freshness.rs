//! How fresh this edge is: the watermark of `authz.changes`, identity sync, and the graph's epoch.
//!
//! Watermarks come from other machines, whose clocks may be wrong. How old one is follows from this
//! process's own strict reads of the graph and its own monotonic clock: a watermark at or above such a
//! read says that every change that was committed before that read began has had its fence raised.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use contracts::{GraphEpoch, Revision};

use super::stamp::Millis;

/// Reads that a watermark may still be compared with: more than a minute of them at the relay's fastest.
/// A watermark that is behind all of them is of no use any more.
const READS: usize = 8192;

/// Shared by whoever reads changes and whoever answers checks.
pub struct Freshness {
    epoch: AtomicU64,
    generation: AtomicU64,
    watermark: AtomicU64,
    /// Monotonic milliseconds at which the watermark was true.
    at: AtomicU64,
    /// Strict reads of this generation, oldest first. Held by whoever changes any of the others.
    reads: Mutex<VecDeque<(Revision, Millis)>>,
    /// Monotonic milliseconds up to which all identity changes are applied; [`NOWHERE`] where none come.
    identities: AtomicU64,
}

/// The time up to which identity changes are applied that come from nowhere.
const NOWHERE: Millis = Millis::MAX;

impl Default for Freshness {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            epoch: zero(),
            generation: AtomicU64::new(1),
            watermark: zero(),
            at: zero(),
            reads: Mutex::default(),
            identities: AtomicU64::new(NOWHERE),
        }
    }
}

impl Freshness {
    /// The graph that everything cached is of; another one clears everything.
    pub fn set_epoch(&self, epoch: GraphEpoch) {
        if self.epoch.swap(epoch.0, Ordering::AcqRel) != epoch.0 {
            self.clear("epoch");
        }
    }

    /// The graph's epoch.
    #[must_use]
    pub fn epoch(&self) -> GraphEpoch {
        GraphEpoch(self.epoch.load(Ordering::Acquire))
    }

    /// Voids everything cached, and forgets the watermark: changes may have been missed.
    pub fn clear(&self, reason: &'static str) {
        metrics::counter!("triad_authz_clears_total", "reason" => reason).increment(1);
        let mut reads = self.reads();
        reads.clear();
        self.watermark.store(0, Ordering::Release);
        self.at.store(0, Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// What cached entries are compared with.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The graph was read strictly at `revision`; the read began at `begun`, and `generation` was looked at
    /// before.
    pub fn has_read(&self, generation: u64, revision: Revision, begun: Millis) {
        let mut reads = self.reads();
        if self.generation() != generation {
            return;
        }
        if reads.len() == READS {
            reads.pop_front();
        }
        reads.push_back((revision, begun));
    }

    /// Every change up to `watermark` had its fence published before, and what was published since
    /// `generation` began is heard. It counts from the last read of this generation that it covers: what
    /// was published before is missed by who listens since, and was committed before that read. One that
    /// covers none says nothing.
    pub fn hear(&self, generation: u64, watermark: Revision) {
        let mut reads = self.reads();
        let covered = reads.partition_point(|(revision, _)| *revision <= watermark);
        if self.generation() != generation || covered == 0 {
            return;
        }
        // The last one stays for the watermarks until the next read.
        reads.drain(..covered - 1);
        if let Some((_, begun)) = reads.front() {
            self.advance(watermark, *begun);
        }
    }

    /// Every change up to `watermark` had its fence raised; that was so at `at`.
    pub fn advance(&self, watermark: Revision, at: Millis) {
        self.watermark.fetch_max(watermark.0, Ordering::AcqRel);
        self.at.fetch_max(at, Ordering::AcqRel);
    }

    /// Every change up to here is in what is cached.
    #[must_use]
    pub fn watermark(&self) -> Revision {
        Revision(self.watermark.load(Ordering::Acquire))
    }

    /// When the watermark was true: every change that was committed before then had its fence raised. 0
    /// while there is none.
    #[must_use]
    pub fn confirmed(&self) -> Millis {
        self.at.load(Ordering::Acquire)
    }

    /// Identity changes come from elsewhere: nothing of them is known to be applied yet.
    pub fn follow_identities(&self) {
        self.identities.store(0, Ordering::Release);
    }

    /// Every identity change that was published before `at` is applied.
    pub fn caught_up(&self, at: Millis) {
        self.identities.fetch_max(at, Ordering::AcqRel);
    }

    /// How long identity changes may have waited, in milliseconds; nothing where none come, `Millis::MAX`
    /// before it is known.
    #[must_use]
    pub fn identity_lag(&self, now: Millis) -> Millis {
        match self.identities.load(Ordering::Acquire) {
            0 => Millis::MAX,
            // Of none, too.
            at => now.saturating_sub(at),
        }
    }

    /// How old what is answered may be beside what is cached: by the watermark, and by identity sync.
    #[must_use]
    pub fn lag(&self, now: Millis) -> Millis {
        self.age(now).max(self.identity_lag(now))
    }

    /// How long ago the watermark was true, in milliseconds; `Millis::MAX` while there is none, however
    /// short ago the process began.
    #[must_use]
    pub fn age(&self, now: Millis) -> Millis {
        match self.confirmed() {
            0 => Millis::MAX,
            at => now.saturating_sub(at),
        }
    }

    fn reads(&self) -> MutexGuard<'_, VecDeque<(Revision, Millis)>> {
        // Each step leaves it whole.
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(freshness: &Freshness) -> (u64, Millis) {
        (freshness.watermark().0, freshness.confirmed())
    }

    #[test]
    fn a_watermark_is_as_old_as_the_last_own_read_that_it_covers() {
        let freshness = Freshness::default();
        let now = freshness.generation();
        for (revision, begun) in [(10, 100), (20, 200), (30, 300)] {
            freshness.has_read(now, Revision(revision), begun);
        }
        freshness.hear(now, Revision(9));
        assert_eq!(state(&freshness), (0, 0), "of before the first read: its fences may be missed");
        freshness.hear(now, Revision(25));
        assert_eq!(state(&freshness), (25, 200));
        freshness.hear(now, Revision(29));
        freshness.hear(now, Revision(12));
        assert_eq!(state(&freshness), (29, 200));
        freshness.hear(now, Revision(99));
        assert_eq!(state(&freshness), (99, 300));
    }

    #[test]
    fn after_a_clear_nothing_that_was_read_or_heard_before_it_counts() {
        let freshness = Freshness::default();
        let before = freshness.generation();
        freshness.has_read(before, Revision(10), 100);
        freshness.hear(before, Revision(10));
        freshness.clear("test");
        let now = freshness.generation();
        freshness.has_read(before, Revision(11), 110);
        freshness.hear(now, Revision(15));
        freshness.has_read(now, Revision(20), 120);
        freshness.hear(before, Revision(25));
        freshness.hear(now, Revision(19));
        assert_eq!(state(&freshness), (0, 0));
        freshness.hear(now, Revision(20));
        assert_eq!(state(&freshness), (20, 120));
    }

    #[test]
    fn reads_that_nobody_confirms_are_bounded_and_the_newest_are_kept() {
        let freshness = Freshness::default();
        let (now, last) = (freshness.generation(), 2 * READS as u64);
        (1..=last).for_each(|n| freshness.has_read(now, Revision(n), n));
        assert_eq!(freshness.reads().len(), READS);
        freshness.hear(now, Revision(last));
        assert_eq!(state(&freshness), (last, last));
    }
}
