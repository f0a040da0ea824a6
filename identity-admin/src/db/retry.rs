//! When to try a transaction again.

use std::time::Duration;

use rand::Rng;

/// Exponential backoff with full jitter, bounded in tries.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Tries in all, the first among them.
    pub attempts: u32,
    /// The longest wait before the second try; it doubles from try to try.
    pub base: Duration,
    /// The longest wait of all.
    pub cap: Duration,
}

impl Retry {
    /// For deadlocks and lost connections: six tries within some two seconds, so that a server that is
    /// restarted in place is waited for only briefly, and callers hear of an outage.
    pub const TRANSACTION: Self =
        Self { attempts: 6, base: Duration::from_millis(20), cap: Duration::from_millis(800) };

    /// The wait before try number `attempt` (the first is 1), or `None` when it is not to be made. Random,
    /// so that those who met do not meet again.
    #[must_use]
    pub fn wait(&self, attempt: u32, rng: &mut impl Rng) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let longest = self.base.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        let longest = longest.min(self.cap);
        Some(longest.mul_f64(rng.random_range(0.0..1.0)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    proptest! {
        #[test]
        fn waits_grow_to_the_cap_and_end(seed in any::<u64>(), attempt in 1..40_u32) {
            let retry = Retry::TRANSACTION;
            let wait = retry.wait(attempt, &mut SmallRng::seed_from_u64(seed));
            prop_assert_eq!(wait.is_some(), attempt < retry.attempts);
            let bound = retry.base.saturating_mul(1 << (attempt - 1).min(16)).min(retry.cap);
            prop_assert!(wait.is_none_or(|wait| wait <= bound));
        }
    }
}
