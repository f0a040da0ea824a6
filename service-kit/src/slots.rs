//! Slots for work that goes on for long: so much runs at once, and no more than half of it for one tenant.

use crate::problem::Problem;
use contracts::TenantId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Slots of one kind of work. A tenant has half of them (rounded up) at most: one that takes all it can leaves the rest
/// to the others. Cheap to clone; nothing is awaited, and nobody is remembered who holds none.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: usize,
    what: &'static str,
    retry_seconds: u64,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_tenant: HashMap<TenantId, usize>,
}

/// A slot, until it is dropped.
#[derive(Debug)]
pub struct Slot {
    shared: Arc<Shared>,
    tenant: TenantId,
}

impl Slots {
    /// So many slots, at least one. Whoever gets none is told that there are too many of `what`, in the plural, and to
    /// wait so long.
    #[must_use]
    pub fn new(slots: usize, what: &'static str, retry_seconds: u64) -> Self {
        let (slots, taken) = (slots.max(1), Mutex::default());
        Self(Arc::new(Shared { slots, what, retry_seconds, taken }))
    }

    /// A slot for a tenant's work.
    ///
    /// # Errors
    /// 503 when none is free, 429 when the tenant has its share of them; both with Retry-After.
    pub fn take(&self, tenant: &TenantId) -> Result<Slot, Problem> {
        let Shared { slots, what, retry_seconds, .. } = *self.0;
        let mut taken = self.0.taken();
        if taken.all >= slots {
            let detail = format!("too many {what} run already");
            return Err(Problem::unavailable(detail, retry_seconds));
        }
        let own = taken.by_tenant.get(tenant).copied().unwrap_or_default();
        if own >= slots.div_ceil(2) {
            let detail = format!("{own} {what} of the tenant run already, which is its share");
            return Err(Problem::too_many_requests(detail, retry_seconds));
        }
        taken.all += 1;
        taken.by_tenant.insert(tenant.clone(), own + 1);
        drop(taken);
        Ok(Slot { shared: Arc::clone(&self.0), tenant: tenant.clone() })
    }
}

impl Shared {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.shared.taken();
        taken.all -= 1;
        if let Some(own) = taken.by_tenant.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                taken.by_tenant.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{http::header, response::IntoResponse};

    fn refused(slots: &Slots, tenant: &TenantId) -> u16 {
        let refusal = slots.take(tenant).unwrap_err().into_response();
        assert_eq!(refusal.headers()[header::RETRY_AFTER], "7");
        refusal.status().as_u16()
    }

    #[test]
    fn a_tenant_has_half_of_the_slots_and_whoever_is_left_the_rest() {
        let [greedy, other] = ["greedy", "other"].map(|id| TenantId::parse(id).unwrap());
        for (all, share) in [(1, 1), (2, 1), (3, 2), (8, 4)] {
            let slots = Slots::new(all, "exports", 7);
            let mut held: Vec<_> = (0..share).map(|_| slots.take(&greedy).unwrap()).collect();
            assert_eq!(refused(&slots, &greedy), if all == 1 { 503 } else { 429 });
            held.extend((share..all).map(|_| slots.take(&other).unwrap()));
            assert_eq!((refused(&slots, &greedy), refused(&slots, &other)), (503, 503));
            // What is given back is for whoever has not its share.
            drop(held.remove(0));
            drop(slots.take(&greedy).unwrap());
            drop(held);
            let taken = slots.0.taken();
            assert!(taken.all == 0 && taken.by_tenant.is_empty(), "{taken:?}");
        }
    }

    #[test]
    fn there_is_always_one() {
        let tenant = TenantId::parse("acme").unwrap();
        assert!(Slots::new(0, "exports", 7).take(&tenant).is_ok());
    }
}
