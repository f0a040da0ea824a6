//! The clocks: a monotonic one for lives, the wall's for expiries. Tests own theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where time comes from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System(Instant),
    Manual(Arc<(AtomicU64, AtomicI64)>),
}

impl Clock {
    /// The machine's.
    #[must_use]
    pub fn system() -> Self {
        Self(Kind::System(Instant::now()))
    }

    /// One that stands still until it is moved.
    #[must_use]
    pub fn manual() -> Self {
        Self(Kind::Manual(Arc::new((AtomicU64::new(1), AtomicI64::new(1)))))
    }

    /// Milliseconds since some start, never backwards.
    #[must_use]
    pub fn millis(&self) -> u64 {
        match &self.0 {
            // One more than nothing, so that zero is before everything.
            Kind::System(start) => {
                u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
            }
            Kind::Manual(times) => times.0.load(Ordering::Acquire),
        }
    }

    /// Microseconds since 1970, as the wall's clock shows them.
    #[must_use]
    pub fn micros(&self) -> i64 {
        match &self.0 {
            Kind::System(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
            }
            Kind::Manual(times) => times.1.load(Ordering::Acquire),
        }
    }

    /// Moves a manual clock: so many milliseconds on, and the wall's by so many microseconds, which may be
    /// backwards.
    pub fn step(&self, millis: u64, micros: i64) {
        if let Kind::Manual(times) = &self.0 {
            times.0.fetch_add(millis, Ordering::AcqRel);
            times.1.fetch_add(micros, Ordering::AcqRel);
        }
    }
}
