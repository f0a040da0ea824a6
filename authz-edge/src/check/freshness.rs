//! How fresh this edge is: the watermark of `authz.changes`, identity sync, and the graph's epoch.

use std::sync::atomic::{AtomicU64, Ordering};

use contracts::{GraphEpoch, Revision};

use super::stamp::Millis;

/// Shared by whoever reads changes and whoever answers checks.
pub struct Freshness {
    epoch: AtomicU64,
    generation: AtomicU64,
    watermark: AtomicU64,
    /// Monotonic milliseconds at which the watermark was true.
    at: AtomicU64,
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
        self.watermark.store(0, Ordering::Release);
        self.at.store(0, Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// What cached entries are compared with.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
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
}
