//! A bounded pool with a bounded queue: what is turned away is turned away at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::QueryError;

/// Reads at once, and reads that wait. First come, first served.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// A place among those at work or waiting.
    places: Arc<Semaphore>,
    /// A place among those at work.
    slots: Arc<Semaphore>,
}

/// A place at work, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _slot: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(concurrency: usize, queue: usize) -> Self {
        let places = concurrency.saturating_add(queue).min(Semaphore::MAX_PERMITS);
        let slots = concurrency.clamp(1, places.max(1));
        Self { places: Arc::new(Semaphore::new(places)), slots: Arc::new(Semaphore::new(slots)) }
    }

    /// Waits for a slot; dropping the future leaves the queue.
    ///
    /// # Errors
    /// `Busy` when the queue is full.
    pub(super) async fn enter(&self) -> Result<Slot, QueryError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| QueryError::Busy)?;
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        // The semaphore is never closed.
        let slot = slot.map_err(|_| QueryError::Busy)?;
        Ok(Slot { _slot: slot, _place: place })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_dropped_waiter_gives_its_place_back() {
        let pool = Pool::new(1, 1);
        let at_work = pool.enter().await.unwrap();
        let mut waits = Box::pin(pool.enter());
        assert!((&mut waits).now_or_never().is_none());
        assert_eq!(pool.enter().await.unwrap_err(), QueryError::Busy);
        drop(waits);
        let mut waits = Box::pin(pool.enter());
        assert!((&mut waits).now_or_never().is_none(), "it waits again");
        drop(at_work);
        let second = waits.await.unwrap();
        drop(second);
        assert!(pool.enter().now_or_never().is_some());
    }
}
