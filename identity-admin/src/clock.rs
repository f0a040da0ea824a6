//! The wall's clock, to the microsecond. Tests own theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};

/// Where time comes from. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The machine's.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// One that stands still at `now` until it is moved.
    #[must_use]
    pub fn manual(now: DateTime<Utc>) -> Self {
        Self(Some(Arc::new(AtomicI64::new(now.timestamp_micros()))))
    }

    /// Moves a manual clock.
    pub fn step(&self, by: chrono::Duration) {
        if let Some(manual) = &self.0 {
            manual.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::AcqRel);
        }
    }

    /// Now, in whole microseconds: what databases keep.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = match &self.0 {
            None => Utc::now().timestamp_micros(),
            Some(manual) => manual.load(Ordering::Acquire),
        };
        DateTime::from_timestamp_micros(micros).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_microseconds_and_a_manual_clock_stands_still() {
        assert_eq!(Clock::system().now().timestamp_subsec_nanos() % 1000, 0);
        let start = DateTime::UNIX_EPOCH;
        let clock = Clock::manual(start);
        clock.step(chrono::Duration::hours(24));
        assert_eq!(clock.clone().now(), start + chrono::Duration::hours(24));
    }
}
