//! What is counted of checks, and the gauges of what is cached.

use metrics::{Counter, Histogram, counter, gauge, histogram};

use super::checker::Checker;
use super::question::{Answer, Source};
use crate::graph::Graph;

/// What is counted of every check, made once.
pub(super) struct Counters {
    /// By result and source.
    checks: [[Counter; 3]; 2],
    /// How long those took that no cached decision answered.
    pub(super) missed: Histogram,
}

impl Counters {
    pub(super) fn new() -> Self {
        let of = |result: &'static str| {
            [Source::Decision, Source::Views, Source::Graph].map(|source| {
                counter!("triad_authz_checks_total", "result" => result, "source" => source.as_str())
            })
        };
        let checks = [of("deny"), of("allow")];
        Self { checks, missed: histogram!("triad_authz_check_seconds") }
    }

    pub(super) fn count(&self, answer: &Answer) {
        self.checks[usize::from(answer.allowed)][answer.source as usize].increment(1);
    }
}

impl<G: Graph> Checker<G> {
    /// Writes the gauges of what is cached.
    pub fn observe(&self) {
        let decisions = self.decisions();
        let decisions = ("decision", decisions.entry_count(), decisions.weighted_size());
        for (kind, entries, weight) in self.views().sizes().into_iter().chain([decisions]) {
            gauge!("triad_authz_cache_entries", "kind" => kind).set(entries as f64);
            gauge!("triad_authz_cache_weight_bytes", "kind" => kind).set(weight as f64);
        }
        let shared = self.shared();
        let now = shared.clock.millis();
        // Without any, it is as old as the process.
        let age = shared.freshness.age(now).min(now);
        gauge!("triad_authz_watermark_age_seconds").set(age as f64 / 1000.0);
        let lag = shared.freshness.identity_lag(now).min(now);
        gauge!("triad_authz_sync_lag_seconds").set(lag as f64 / 1000.0);
    }
}
