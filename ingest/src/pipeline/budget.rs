//! How many bytes are between Kafka and Cassandra: the back-pressure of the whole pipeline.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A bound on bytes in flight. Who takes has waited for its mark ([`Budget::wait_below`]) and exceeds
/// that by at most one chunk, so that a chunk of any size passes when nothing else is in flight.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
    waiting: Mutex<()>,
    released: Condvar,
}

impl Budget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        let (waiting, released) = (Mutex::default(), Condvar::new());
        Arc::new(Self { limit, used: AtomicUsize::new(0), waiting, released })
    }

    /// The bound, in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What is in flight now, in bytes.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// Takes `bytes` now; the caller has waited with [`Budget::wait_below`].
    #[must_use]
    pub fn take(self: &Arc<Self>, bytes: usize, share: &Arc<AtomicUsize>) -> Permit {
        self.used.fetch_add(bytes, Ordering::AcqRel);
        share.fetch_add(bytes, Ordering::AcqRel);
        Permit { budget: Arc::clone(self), share: Arc::clone(share), bytes }
    }

    /// Waits until less than `mark` bytes are in flight, for at most `limit`; tells whether it is so.
    pub fn wait_below(&self, mark: usize, limit: Duration) -> bool {
        if self.used() < mark {
            return true;
        }
        let deadline = Instant::now() + limit;
        let mut guard = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while self.used() >= mark {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            let waited = self.released.wait_timeout(guard, left);
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Bytes in flight, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    /// What the Kafka partition of these bytes has in flight.
    share: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.share.fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.used.fetch_sub(self.bytes, Ordering::AcqRel);
        // Taking the lock orders this release before a waiter's check, or after its wait began.
        drop(self.budget.waiting.lock());
        self.budget.released.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_wake_who_waits() {
        let budget = Budget::new(100);
        let share = Arc::new(AtomicUsize::new(0));
        let permit = budget.take(150, &share);
        assert_eq!((budget.used(), share.load(Ordering::Acquire)), (150, 150));
        assert!(!budget.wait_below(100, Duration::ZERO));
        let waiter = std::thread::spawn({
            let budget = Arc::clone(&budget);
            move || budget.wait_below(100, Duration::from_secs(60))
        });
        drop(permit);
        assert!(waiter.join().unwrap());
        assert_eq!((budget.used(), share.load(Ordering::Acquire)), (0, 0));
    }
}
