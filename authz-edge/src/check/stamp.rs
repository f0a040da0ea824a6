//! What a cached entry depends on. Shared by a view and every decision made from it, so that a decision
//! outlives the view that moka evicts and is still voided with it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use contracts::{Revision, TenantId};

use super::fences::{Fences, Place, TenantPlace};
use crate::model::Key;

/// Milliseconds of this process's monotonic clock.
pub type Millis = u64;

/// A duration in them.
pub(crate) fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// When and from what something was read.
#[derive(Debug)]
pub struct Stamp {
    /// The graph's time of the read.
    pub revision: Revision,
    life: Life,
    /// Raised when everything cached is dropped.
    generation: u64,
    tenant: TenantPlace,
    places: Box<[Place]>,
    /// The tenant's count at which all fences were below `revision`.
    verified: AtomicU64,
    /// Whether it was found void.
    is_void: AtomicBool,
}

/// How long a read counts.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// Before the read was sent.
    pub begun: Millis,
    /// How long it counts without word: after it began, or after the last watermark, while its fences
    /// hold.
    pub unconfirmed: Millis,
    /// When it counts no more, whatever the watermark says.
    pub ends: Millis,
}

impl Life {
    /// Whether it is over. `confirmed` is when the watermark was true: with its fences down, a read counts
    /// as if it had begun then.
    #[must_use]
    pub fn is_over(&self, now: Millis, confirmed: Millis) -> bool {
        now >= self.ends || now >= self.begun.max(confirmed).saturating_add(self.unconfirmed)
    }
}

/// What a stamp is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Present {
    /// The time.
    pub now: Millis,
    /// When the watermark was true; looked at before the generation and before any fence.
    pub confirmed: Millis,
    /// Of everything cached.
    pub generation: u64,
}

/// Why an entry does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Void {
    /// Its life is over.
    Life,
    /// Something that it depends on changed.
    Fence,
    /// Everything was dropped.
    Cleared,
}

impl Void {
    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Life => "life",
            Self::Fence => "fence",
            Self::Cleared => "cleared",
        }
    }
}

impl Stamp {
    /// Of a read about `visited`.
    #[must_use]
    pub fn new(
        fences: &Fences,
        tenant: &TenantId,
        visited: &[Key],
        revision: Revision,
        life: Life,
        generation: u64,
    ) -> Self {
        let mut places: Vec<_> = visited.iter().map(|key| fences.place(key)).collect();
        places.sort_unstable();
        places.dedup();
        // No count is this one: the first look is at the fences.
        let verified = AtomicU64::new(u64::MAX);
        let (tenant, is_void) = (fences.tenant_place(tenant), AtomicBool::new(false));
        Self { revision, life, generation, tenant, places: places.into(), verified, is_void }
    }

    /// Whether nobody found it void before: all that share it do, one after the other.
    pub(super) fn first_void(&self) -> bool {
        !self.is_void.swap(true, Ordering::Relaxed)
    }

    /// Whether it still holds.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self, fences: &Fences, present: Present) -> Result<(), Void> {
        if self.generation != present.generation {
            return Err(Void::Cleared);
        }
        if self.life.is_over(present.now, present.confirmed) {
            return Err(Void::Life);
        }
        // Before the fences: what is raised after this look changes the count.
        let count = fences.count(self.tenant);
        if self.verified.load(Ordering::Acquire) == count {
            return Ok(());
        }
        if !fences.allow(&self.places, self.revision) {
            return Err(Void::Fence);
        }
        self.verified.store(count, Ordering::Release);
        Ok(())
    }

    /// Before the read was sent.
    #[must_use]
    pub fn begun(&self) -> Millis {
        self.life.begun
    }

    /// Memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + 16 + size_of_val(&*self.places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Life = Life { begun: 0, unconfirmed: 100, ends: 1000 };

    fn at(now: Millis, confirmed: Millis, generation: u64) -> Present {
        Present { now, confirmed, generation }
    }

    fn stamp(fences: &Fences, tenant: &TenantId, key: &Key) -> Stamp {
        Stamp::new(fences, tenant, std::slice::from_ref(key), Revision(5), LIFE, 1)
    }

    #[test]
    fn life_fences_and_a_clear_void_an_entry_each_for_itself() {
        let tenant = TenantId::parse("acme").unwrap();
        let (mine, other) = (Key::role(&tenant, "mine"), Key::role(&tenant, "other"));
        let fences = Fences::default();
        let stamp = stamp(&fences, &tenant, &mine);
        assert_eq!(stamp.check(&fences, at(99, 0, 1)), Ok(()));
        assert_eq!(stamp.check(&fences, at(100, 0, 1)), Err(Void::Life));
        assert_eq!(stamp.check(&fences, at(0, 0, 2)), Err(Void::Cleared));
        assert_ne!(fences.place(&mine), fences.place(&other), "by chance; run again");
        fences.raise(&tenant, [&other], Revision(9));
        assert_eq!(stamp.check(&fences, at(0, 0, 1)), Ok(()));
        fences.raise(&tenant, [&mine], Revision(9));
        assert_eq!(stamp.check(&fences, at(0, 0, 1)), Err(Void::Fence));
    }

    #[test]
    fn a_watermark_lengthens_a_life_up_to_its_end() {
        for (now, confirmed, is_over) in
            [(149, 50, false), (150, 50, true), (999, 950, false), (1000, 1000, true)]
        {
            assert_eq!(LIFE.is_over(now, confirmed), is_over, "{now} {confirmed}");
        }
    }

    #[test]
    fn of_two_changes_with_one_fence_the_second_is_not_missed() {
        // One round of a relay gives all its changes the same fence.
        let tenant = TenantId::parse("acme").unwrap();
        let (mine, other) = (Key::role(&tenant, "mine"), Key::role(&tenant, "other"));
        let fences = Fences::default();
        let stamp = stamp(&fences, &tenant, &mine);
        fences.raise(&tenant, [&other], Revision(9));
        let _ = stamp.check(&fences, at(0, 0, 1));
        fences.raise(&tenant, [&mine], Revision(9));
        assert_eq!(stamp.check(&fences, at(0, 0, 1)), Err(Void::Fence));
    }
}
