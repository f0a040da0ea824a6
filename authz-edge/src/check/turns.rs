//! Whose turn it is to read the graph: so many at once, and no tenant more than its share of them, so that
//! one that asks for everything at once does not keep the others waiting.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use contracts::TenantId;
use foldhash::fast::RandomState;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::question::CheckError;

/// Places of shares: two tenants in one place have the share of one.
const SHARES: usize = 256;
/// Reads of one share that wait, for each read at once.
const QUEUE: usize = 128;

/// All turns.
pub struct Turns {
    all: Semaphore,
    shares: Box<[Share]>,
    hasher: RandomState,
    /// Of one share.
    queue: usize,
    patience: Duration,
}

struct Share {
    turns: Semaphore,
    waiting: AtomicUsize,
}

/// A turn, until it is dropped.
pub struct Turn<'a> {
    _permits: [SemaphorePermit<'a>; 2],
}

/// A place in a queue, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    /// For so many reads at once, half of them of one tenant, each waited for so long.
    #[must_use]
    pub fn new(reads: usize, patience: Duration) -> Self {
        let share =
            |_| Share { turns: Semaphore::new(reads.div_ceil(2)), waiting: AtomicUsize::new(0) };
        Self {
            all: Semaphore::new(reads),
            shares: (0..SHARES).map(share).collect(),
            hasher: RandomState::default(),
            queue: QUEUE * reads,
            patience,
        }
    }

    /// A turn for a tenant's read.
    ///
    /// # Errors
    /// `Busy` when too many of its reads wait, or when it has waited too long.
    pub async fn take(&self, tenant: &TenantId) -> Result<Turn<'_>, CheckError> {
        let share = &self.shares[self.hasher.hash_one(tenant.as_str()) as usize % SHARES];
        let before = share.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&share.waiting);
        if before >= self.queue {
            return Err(CheckError::Busy);
        }
        let taken = tokio::time::timeout(self.patience, async {
            let own = share.turns.acquire().await?;
            // Whoever is in this queue has a turn of its tenant: it is short, whatever one tenant asks.
            Ok::<_, tokio::sync::AcquireError>(Turn { _permits: [own, self.all.acquire().await?] })
        });
        // They are never closed.
        taken.await.ok().and_then(Result::ok).ok_or(CheckError::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn tenants(turns: &Turns) -> [TenantId; 2] {
        let tenant = |n: usize| TenantId::parse(&format!("t{n}")).unwrap();
        let place = |of: &TenantId| turns.hasher.hash_one(of.as_str()) as usize % SHARES;
        let other = (1..).map(tenant).find(|other| place(other) != place(&tenant(0)));
        [tenant(0), other.unwrap()]
    }

    #[tokio::test]
    async fn one_tenant_takes_its_share_and_what_is_beyond_its_queue_is_busy() {
        let turns = Turns::new(2, DAY);
        let [greedy, other] = tenants(&turns);
        let held = turns.take(&greedy).await.unwrap();
        let mut queue: Vec<_> = (0..2 * QUEUE).map(|_| Box::pin(turns.take(&greedy))).collect();
        for waiting in &mut queue {
            assert!(futures::poll!(waiting).is_pending());
        }
        assert_eq!(turns.take(&greedy).await.err(), Some(CheckError::Busy));
        // Nobody else waits for it.
        drop(turns.take(&other).await.unwrap());
        drop(held);
        assert!(queue.remove(0).await.is_ok());
        // Who leaves the queue makes room in it.
        drop(queue);
        assert!(turns.take(&greedy).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_that_it_is_busy() {
        let turns = Turns::new(1, Duration::from_secs(1));
        let [one, other] = tenants(&turns);
        let _held = turns.take(&one).await.unwrap();
        assert_eq!(turns.take(&one).await.err(), Some(CheckError::Busy));
        assert_eq!(turns.take(&other).await.err(), Some(CheckError::Busy));
    }
}
