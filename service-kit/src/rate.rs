//! Rates of tenants: who asks for more than their share is told to wait, and takes nothing from the others.

use crate::{
    config::{ConfigError, check_ranges},
    problem::Problem,
};
use contracts::TenantId;
use metrics::Counter;
use serde::Deserialize;
use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Tenants kept in each half of a table; all of it is some 4 MiB at most.
const HALF: usize = 10_000;

/// One who is told to wait is named in the log so often at most: who floods is, and the log is not flooded.
const NAMED: Duration = Duration::from_secs(10);

/// The section `rate` of every service's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateConfig {
    /// What a tenant may take each second, of each replica; 0 is no limit.
    pub per_second: u32,
    /// What a tenant that took nothing for a while may take at once.
    pub burst: u32,
}

impl RateConfig {
    /// Checks what a type cannot.
    ///
    /// # Errors
    /// The key that is refused, under `rate.`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_ranges([
            ("rate.per_second", self.per_second, 0, 1_000_000),
            ("rate.burst", self.burst, 1, 10_000_000),
        ])
    }

    /// Whether anything is limited.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.per_second > 0
    }
}

/// A token bucket for each tenant.
///
/// Whoever has anything left may take, and what is taken may be more than was left: it is owed then, so that over
/// any time a tenant gets `burst`, `per_second` for each second, and one request more. What a request costs need
/// not be known before it is let in.
///
/// Off it costs a branch; on, one lock for everybody and one or two look-ups, some 100 ns. Nothing is awaited.
#[derive(Debug)]
pub struct Rates(Option<Limit>);

#[derive(Debug)]
struct Limit {
    per_second: f64,
    burst: f64,
    half: usize,
    buckets: Mutex<Buckets>,
    refused: Counter,
    named: Mutex<Option<Instant>>,
}

impl Rates {
    /// As configured; `refused` counts who is told to wait.
    pub fn new(config: RateConfig, refused: Counter) -> Self {
        Self(config.is_on().then(|| Limit::new(config, HALF, refused)))
    }

    /// Without a limit.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Takes `cost` for a tenant whose caller is known and may do what it asks for: strangers use nothing up.
    /// A cost of 0 only asks whether anything is left.
    ///
    /// # Errors
    /// 429 with the seconds until something is left again.
    #[inline]
    pub fn take(&self, tenant: &TenantId, cost: usize) -> Result<(), Problem> {
        match &self.0 {
            None => Ok(()),
            Some(limit) => limit.take(tenant, cost),
        }
    }
}

impl Limit {
    fn new(RateConfig { per_second, burst }: RateConfig, half: usize, refused: Counter) -> Self {
        let (per_second, burst) = (per_second.into(), burst.into());
        let (buckets, named) = (Mutex::default(), Mutex::default());
        Self { per_second, burst, half, buckets, refused, named }
    }

    fn take(&self, tenant: &TenantId, cost: usize) -> Result<(), Problem> {
        let now = Instant::now();
        self.take_at(tenant, cost, now).map_err(|wait| {
            self.refused.increment(1);
            if self.is_to_be_named(now) {
                tracing::warn!(%tenant, "a tenant is above its rate");
            }
            // Whole seconds, and never less than it takes.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            Problem::too_many_requests("the tenant is above its rate", seconds.max(1)).held_back()
        })
    }

    fn is_to_be_named(&self, now: Instant) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = named.is_none_or(|at| now.saturating_duration_since(at) >= NAMED);
        if is_due {
            *named = Some(now);
        }
        is_due
    }

    /// The error is how long it takes until something is left.
    fn take_at(&self, tenant: &TenantId, cost: usize, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.of(tenant, self, now, |bucket| bucket.take(cost, self, now))
    }
}

/// What is left to a tenant, as of a moment; below 0 it owes.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, cost: usize, limit: &Limit, now: Instant) -> Result<(), Duration> {
        // Whoever read the clock first may come second.
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.left = (self.left + since * limit.per_second).min(limit.burst);
        if self.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.left) / limit.per_second));
        }
        self.left -= cost as f64;
        Ok(())
    }
}

/// Of the tenants that asked last. When the young half is full the old one is forgotten and they change places: who
/// asks goes on as before, and who did not while as many others did begins anew, with a full bucket.
#[derive(Debug, Default)]
struct Buckets {
    young: HashMap<TenantId, Bucket>,
    old: HashMap<TenantId, Bucket>,
}

impl Buckets {
    fn of<T>(
        &mut self,
        tenant: &TenantId,
        limit: &Limit,
        now: Instant,
        work: impl FnOnce(&mut Bucket) -> T,
    ) -> T {
        if let Some(bucket) = self.young.get_mut(tenant) {
            return work(bucket);
        }
        let known = self.old.remove_entry(tenant);
        let full = Bucket { left: limit.burst, at: now };
        let (tenant, bucket) = known.unwrap_or_else(|| (tenant.clone(), full));
        if self.young.len() >= limit.half {
            self.old = mem::take(&mut self.young);
        }
        work(self.young.entry(tenant).or_insert(bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{http::header, response::IntoResponse};
    use metrics_exporter_prometheus::PrometheusBuilder;
    use proptest::prelude::{prop, proptest};

    fn tenant(id: &str) -> TenantId {
        TenantId::parse(id).unwrap()
    }

    fn limit(per_second: u32, burst: u32, half: usize) -> Limit {
        Limit::new(RateConfig { per_second, burst }, half, Counter::noop())
    }

    #[test]
    fn after_a_burst_a_tenant_waits_for_its_rate_and_no_other_does() {
        let (limit, acme, begun) = (limit(10, 3, 8), tenant("acme"), Instant::now());
        for _ in 0..3 {
            assert_eq!(limit.take_at(&acme, 1, begun), Ok(()));
        }
        let wait = limit.take_at(&acme, 1, begun).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(limit.take_at(&tenant("other"), 1, begun), Ok(()));
        assert!(limit.take_at(&acme, 1, begun + wait / 2).is_err(), "too early");
        let later = begun + wait + Duration::from_millis(1);
        assert_eq!(limit.take_at(&acme, 1, later), Ok(()));
        assert!(limit.take_at(&acme, 1, later).is_err());
        // No more than the burst gathers.
        let much_later = begun + Duration::from_secs(3600);
        let taken = (0..9).filter(|_| limit.take_at(&acme, 1, much_later).is_ok()).count();
        assert_eq!(taken, 3);
    }

    #[test]
    fn what_is_taken_beyond_what_was_left_is_owed_and_asking_takes_nothing() {
        let (limit, acme, begun) = (limit(10, 3, 8), tenant("acme"), Instant::now());
        for _ in 0..9 {
            assert_eq!(limit.take_at(&acme, 0, begun), Ok(()));
        }
        assert_eq!(limit.take_at(&acme, 8, begun), Ok(()));
        // 5 are owed, and 1 must be left.
        assert_eq!(limit.take_at(&acme, 0, begun), Err(Duration::from_millis(600)));
        // A clock that was read before changes nothing.
        assert!(
            limit
                .take_at(&acme, 1, begun.checked_sub(Duration::from_secs(9)).unwrap_or(begun))
                .is_err()
        );
        assert_eq!(limit.take_at(&acme, 1, begun + Duration::from_millis(601)), Ok(()));
    }

    #[test]
    fn tenants_that_are_remembered_are_bounded_and_who_goes_on_asking_stays() {
        let (limit, acme, begun) = (limit(1, 2, 10), tenant("acme"), Instant::now());
        assert_eq!(limit.take_at(&acme, 2, begun), Ok(()));
        for number in 0..1000 {
            let _ = limit.take_at(&tenant(&format!("t-{number}")), 1, begun);
            assert!(limit.take_at(&acme, 1, begun).is_err(), "after {number}");
            let buckets = limit.buckets.lock().unwrap();
            assert!(buckets.young.len() <= 10 && buckets.old.len() <= 10);
        }
    }

    #[test]
    fn one_who_is_told_to_wait_is_named_once_in_a_while() {
        let (limit, begun) = (limit(1, 1, 8), Instant::now());
        let after = |millis| begun + Duration::from_millis(millis);
        let named = [0, 1, 9_999, 10_000, 10_001, 20_000];
        let named = named.map(|millis| limit.is_to_be_named(after(millis)));
        assert_eq!(named, [true, false, false, true, false, true]);
    }

    #[test]
    fn off_nothing_is_refused_and_what_is_refused_is_counted_and_says_when() {
        let acme = tenant("acme");
        let off = Rates::new(RateConfig { per_second: 0, burst: 1 }, Counter::noop());
        for rates in [off, Rates::off()] {
            assert!((0..99).all(|_| rates.take(&acme, 99).is_ok()));
        }
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let refused = metrics::counter!("refused_total");
            let rates = Rates::new(RateConfig { per_second: 1, burst: 1 }, refused);
            assert!(rates.take(&acme, 100).is_ok());
            let refusal = rates.take(&acme, 1).unwrap_err().into_response();
            assert_eq!(refusal.status(), 429);
            let wait = refusal.headers()[header::RETRY_AFTER].to_str().unwrap();
            assert!((90..=100).contains(&wait.parse::<u64>().unwrap()), "{wait}");
        });
        assert!(recorder.handle().render().contains("refused_total 1"));
    }

    #[test]
    fn configurations_have_their_ranges() {
        for (per_second, burst, refused) in [
            (0, 1, None),
            (1_000_000, 10_000_000, None),
            (1_000_001, 1, Some("rate.per_second")),
            (1, 0, Some("rate.burst")),
        ] {
            let checked = RateConfig { per_second, burst }.validate();
            assert_eq!(checked.err().as_ref().map(ConfigError::key), refused);
        }
    }

    proptest! {
        /// Over any time: the burst, the rate, and one request more.
        #[test]
        fn whatever_comes_when_a_tenant_gets_no_more_than_its_share(
            asked in prop::collection::vec((0_u64..500, 0_usize..20), 1..200),
            per_second in 1_u32..50,
            burst in 1_u32..50,
        ) {
            let (limit, acme, begun) = (limit(per_second, burst, 8), tenant("acme"), Instant::now());
            let (mut elapsed, mut taken) = (Duration::ZERO, 0.0);
            for (gap, cost) in asked {
                elapsed += Duration::from_millis(gap);
                if limit.take_at(&acme, cost, begun + elapsed).is_ok() {
                    taken += cost as f64;
                }
                let share = f64::from(burst) + f64::from(per_second) * elapsed.as_secs_f64();
                assert!(taken <= share + 20.0, "{taken} of {share}");
            }
        }
    }
}
