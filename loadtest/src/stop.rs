//! When to give up: a deadline for everything, and a flag for work on threads of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;

/// Ends blocking work that no dropped future would end. Clones share the flag.
#[derive(Debug, Clone)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    deadline: Instant,
}

impl Stop {
    /// Says stop after `limit`.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self { flag: Arc::default(), deadline: Instant::now() + limit }
    }

    /// Says stop from now on.
    pub fn now(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// When it will be said.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// When it is time to stop.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.flag.load(Ordering::Relaxed) {
            bail!("stopped");
        }
        if Instant::now() > self.deadline {
            bail!("the time is up (--timeout-seconds)");
        }
        Ok(())
    }

    /// Says stop to blocking work when it is dropped with its owner.
    #[must_use]
    pub fn guard(&self) -> StopGuard {
        StopGuard(self.clone())
    }
}

/// See [`Stop::guard`].
pub struct StopGuard(Stop);

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.0.now();
    }
}
