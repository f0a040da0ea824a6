//! Fences: the graph's time up to which a read about a key is void.
//!
//! A fixed array, indexed by a hash of the key, never evicted: two keys that share a place cost a read,
//! never a stale answer. Beside it a counter for each tenant (likewise hashed), so that a hit looks at one
//! atomic when nothing in its tenant has changed.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};

use contracts::{Revision, TenantId};
use foldhash::fast::RandomState;

use crate::model::Key;

/// Places of fences: 8 MiB.
const FENCES: usize = 1 << 20;
/// Places of counters: 128 KiB.
const COUNTERS: usize = 1 << 14;

/// The place of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u32);

/// The place of a tenant's counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantPlace(u32);

/// All fences of this process.
pub struct Fences {
    fences: Box<[AtomicU64]>,
    counters: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for Fences {
    fn default() -> Self {
        Self::with_places(FENCES, COUNTERS)
    }
}

impl Fences {
    /// With so many places, each a power of two.
    #[must_use]
    pub fn with_places(fences: usize, counters: usize) -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        // Seeded anew in each process, so that nobody can choose keys that collide.
        Self { fences: zeros(fences), counters: zeros(counters), hasher: RandomState::default() }
    }

    /// Where a key's fence is.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 2^32 places")]
    pub fn place(&self, key: &Key) -> Place {
        Place((self.hasher.hash_one(key.as_str()) as usize & (self.fences.len() - 1)) as u32)
    }

    /// Where a tenant's counter is.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 2^32 places")]
    pub fn tenant_place(&self, tenant: &TenantId) -> TenantPlace {
        let hash = self.hasher.hash_one(tenant.as_str()) as usize;
        TenantPlace((hash & (self.counters.len() - 1)) as u32)
    }

    /// Voids every read about `keys` before `fence`. Order and repetition do not matter.
    pub fn raise<'a>(
        &self,
        tenant: &TenantId,
        keys: impl IntoIterator<Item = &'a Key>,
        fence: Revision,
    ) {
        for key in keys {
            self.fences[self.place(key).0 as usize].fetch_max(fence.0, Ordering::AcqRel);
        }
        let anything = self.place(&Key::anything(tenant));
        self.fences[anything.0 as usize].fetch_max(fence.0, Ordering::AcqRel);
        // After the fences: who sees the old count and no fence looks again at the next hit.
        self.counters[self.tenant_place(tenant).0 as usize].fetch_add(1, Ordering::AcqRel);
    }

    /// How often something changed in the tenant, or in one that shares its place.
    #[must_use]
    pub fn count(&self, tenant: TenantPlace) -> u64 {
        self.counters[tenant.0 as usize].load(Ordering::Acquire)
    }

    /// Whether a read at `revision` about these keys still holds.
    #[must_use]
    pub fn allow(&self, places: &[Place], revision: Revision) -> bool {
        places.iter().all(|p| self.fences[p.0 as usize].load(Ordering::Acquire) <= revision.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantId {
        TenantId::parse("acme").unwrap()
    }

    #[test]
    fn a_fence_voids_earlier_reads_about_its_key_and_goes_up_only() {
        let (fences, tenant) = (Fences::default(), tenant());
        let (a, b) = (Key::role(&tenant, "a"), Key::role(&tenant, "b"));
        let (at_a, at_b) = ([fences.place(&a)], [fences.place(&b)]);
        let before = fences.count(fences.tenant_place(&tenant));
        fences.raise(&tenant, [&a], Revision(10));
        fences.raise(&tenant, [&a], Revision(4));
        assert!(!fences.allow(&at_a, Revision(9)));
        assert!(fences.allow(&at_a, Revision(10)));
        assert!(at_a == at_b || fences.allow(&at_b, Revision(1)));
        assert!(!fences.allow(&[fences.place(&Key::anything(&tenant))], Revision(9)));
        assert_eq!(fences.count(fences.tenant_place(&tenant)), before + 2);
    }

    #[test]
    fn keys_that_share_a_place_void_each_other_and_never_less() {
        let (fences, tenant) = (Fences::with_places(1, 1), tenant());
        fences.raise(&tenant, [&Key::role(&tenant, "a")], Revision(7));
        assert!(!fences.allow(&[fences.place(&Key::role(&tenant, "b"))], Revision(6)));
    }
}
