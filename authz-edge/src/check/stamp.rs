//! What a cached entry depends on. Shared by a view and every decision made from it, so that a decision
//! outlives the view that moka evicts and is still voided with it.

use std::collections::BTreeMap;
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
    /// The graph's time of the read; of the oldest one, if there were several.
    pub revision: Revision,
    life: Life,
    /// Raised when everything cached is dropped.
    generation: u64,
    tenant: TenantPlace,
    places: Places,
    /// The tenant's count at which all fences were below the reads.
    verified: AtomicU64,
    /// Whether it was found void.
    is_void: AtomicBool,
}

/// Whose fences must be below which read.
#[derive(Debug)]
enum Places {
    /// All of them below the one read.
    AtOnce(Box<[Place]>),
    /// Each below the read of its part.
    Apart(Box<[(Place, Revision)]>),
}

impl Places {
    fn allow(&self, fences: &Fences, revision: Revision) -> bool {
        match self {
            Self::AtOnce(places) => fences.allow(places, revision),
            Self::Apart(places) => places.iter().all(|(at, read)| fences.allow(&[*at], *read)),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::AtOnce(places) => places.is_empty(),
            Self::Apart(places) => places.is_empty(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::AtOnce(places) => size_of_val(&**places),
            Self::Apart(places) => size_of_val(&**places),
        }
    }

    fn each(&self, revision: Revision) -> Vec<(Place, Revision)> {
        match self {
            Self::AtOnce(places) => places.iter().map(|place| (*place, revision)).collect(),
            Self::Apart(places) => places.to_vec(),
        }
    }
}

/// Of what was read before everything was dropped: no generation is this one.
const DROPPED: u64 = 0;

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
    /// What both allow.
    fn shorter(self, other: Self) -> Self {
        Self {
            begun: self.begun.min(other.begun),
            unconfirmed: self.unconfirmed.min(other.unconfirmed),
            ends: self.ends.min(other.ends),
        }
    }

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
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Life, Self::Fence, Self::Cleared];

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
        let (tenant, places) = (fences.tenant_place(tenant), places(fences, visited));
        Self::from_parts(revision, life, generation, tenant, Places::AtOnce(places))
    }

    fn from_parts(
        revision: Revision,
        life: Life,
        generation: u64,
        tenant: TenantPlace,
        places: Places,
    ) -> Self {
        // No count is this one: the first look is at the fences.
        let (verified, is_void) = (AtomicU64::new(u64::MAX), AtomicBool::new(false));
        Self { revision, life, generation, tenant, places, verified, is_void }
    }

    /// Of a part of the same read, which depends on `keys` alone.
    #[must_use]
    pub fn part<'a>(&self, fences: &Fences, keys: impl IntoIterator<Item = &'a Key>) -> Self {
        let places = Places::AtOnce(places(fences, keys));
        Self::from_parts(self.revision, self.life, self.generation, self.tenant, places)
    }

    /// Of what is made of several reads in one tenant: it holds as long as each of them does.
    #[must_use]
    pub fn of_all(&self, others: &[&Self]) -> Self {
        let (mut revision, mut life, mut generation) = (self.revision, self.life, self.generation);
        let mut places = BTreeMap::new();
        for of in std::iter::once(&self).chain(others) {
            revision = revision.min(of.revision);
            life = life.shorter(of.life);
            if generation != of.generation {
                generation = DROPPED;
            }
            for (place, read) in of.places.each(of.revision) {
                let oldest = places.entry(place).or_insert(read);
                *oldest = read.min(*oldest);
            }
        }
        let places = Places::Apart(places.into_iter().collect());
        Self::from_parts(revision, life, generation, self.tenant, places)
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
        if !self.places.allow(fences, self.revision) {
            return Err(Void::Fence);
        }
        self.verified.store(count, Ordering::Release);
        Ok(())
    }

    /// Whether it counts no more, whatever comes. What has lapsed for want of a watermark may hold again, and what a
    /// fence voids may be mended.
    #[must_use]
    pub fn is_past(&self, present: Present) -> bool {
        self.generation != present.generation || present.now >= self.life.ends
    }

    /// Whether no fence voids it.
    #[must_use]
    pub fn is_of_nothing(&self) -> bool {
        self.places.is_empty()
    }

    /// Before the read was sent.
    #[must_use]
    pub fn begun(&self) -> Millis {
        self.life.begun
    }

    /// Memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + 16 + self.places.bytes()
    }
}

fn places<'a>(fences: &Fences, keys: impl IntoIterator<Item = &'a Key>) -> Box<[Place]> {
    let mut places: Vec<_> = keys.into_iter().map(|key| fences.place(key)).collect();
    places.sort_unstable();
    places.dedup();
    places.into()
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
    fn what_is_made_of_several_reads_holds_as_long_as_each_of_them() {
        let tenant = TenantId::parse("acme").unwrap();
        let keys = ["old", "new"].map(|role| Key::role(&tenant, role));
        let fences = Fences::default();
        let read = |key: &Key, at, begun, generation| {
            let life = Life { begun, unconfirmed: 100, ends: 1000 - at };
            let key = std::slice::from_ref(key);
            Stamp::new(&fences, &tenant, key, Revision(at), life, generation)
        };
        let (old, new) = (read(&keys[0], 5, 0, 1), read(&keys[1], 9, 50, 1));
        let both = new.of_all(&[&old]);
        assert_eq!((both.revision, both.begun()), (Revision(5), 0));
        assert_eq!(both.check(&fences, at(100, 0, 1)), Err(Void::Life), "as the older one");
        assert_eq!(both.check(&fences, at(991, 990, 1)), Err(Void::Life), "as the newer one");
        // Above the older read, which does not depend on it.
        fences.raise(&tenant, [&keys[1]], Revision(8));
        assert_eq!(both.check(&fences, at(0, 0, 1)), Ok(()));
        fences.raise(&tenant, [&keys[0]], Revision(6));
        assert_eq!(both.check(&fences, at(0, 0, 1)), Err(Void::Fence));
        let cleared = new.of_all(&[&read(&keys[0], 9, 0, 2)]);
        for generation in [1, 2] {
            assert_eq!(cleared.check(&fences, at(0, 0, generation)), Err(Void::Cleared));
        }
        assert_eq!(both.part(&fences, []).check(&fences, at(0, 0, 1)), Ok(()), "of nothing");
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
