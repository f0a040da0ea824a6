//! What is counted meanwhile, and what is wrong.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Done, INVARIANTS, Violation, Window};
use crate::latency::Recorder;

/// Violations of one invariant that are described; all are counted.
const DESCRIBED: usize = 100;

/// Locks what no panic leaves half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Workload {
    Events,
    Posts,
    Checks,
    Grants,
    Identities,
}

impl Workload {
    const NAMES: [&str; 5] = ["events", "posts", "checks", "grants", "identities"];
}

#[derive(Default)]
struct Meter {
    done: u64,
    failed: u64,
    latency: Recorder,
}

#[derive(Default)]
struct Violations {
    described: Vec<Violation>,
    counts: BTreeMap<&'static str, usize>,
}

/// See the module.
pub(super) struct Book {
    pub(super) begun: Instant,
    violations: Mutex<Violations>,
    meters: Mutex<[Meter; 5]>,
    told: Mutex<BTreeMap<&'static str, u64>>,
}

impl Book {
    pub(super) fn new() -> Self {
        let (violations, meters, told) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { begun: Instant::now(), violations, meters, told }
    }

    /// Something that must never be.
    pub(super) fn violation(&self, invariant: &'static str, detail: impl FnOnce() -> String) {
        debug_assert!(INVARIANTS.iter().any(|(name, _)| *name == invariant), "{invariant}");
        let at = self.begun.elapsed().as_secs_f64();
        let mut violations = lock(&self.violations);
        let count = violations.counts.entry(invariant).or_default();
        *count += 1;
        if *count <= DESCRIBED {
            let violation = Violation { invariant, at, detail: detail() };
            violations.described.push(violation);
        }
    }

    /// Those that are described, and a last one of each invariant of which there were more.
    pub(super) fn violations(&self) -> Vec<Violation> {
        let at = self.begun.elapsed().as_secs_f64();
        let violations = lock(&self.violations);
        let beyond = violations.counts.iter().filter(|(_, count)| **count > DESCRIBED);
        let rest = beyond.map(|(invariant, count)| {
            let detail = format!("and {} more", count - DESCRIBED);
            Violation { invariant, at, detail }
        });
        violations.described.iter().cloned().chain(rest).collect()
    }

    /// Something that was asked for was done.
    pub(super) fn done(&self, workload: Workload, elapsed: Duration) {
        let meter = &mut lock(&self.meters)[workload as usize];
        meter.done += 1;
        meter.latency.record(elapsed);
    }

    /// Something was not done, or nobody knows.
    pub(super) fn failed(&self, workload: Workload) {
        lock(&self.meters)[workload as usize].failed += 1;
    }

    /// So many of something were looked at.
    pub(super) fn tell(&self, what: &'static str, count: u64) {
        *lock(&self.told).entry(what).or_default() += count;
    }

    /// What was told.
    pub(super) fn told(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.told).clone()
    }

    /// What was metered since the last call.
    pub(super) fn window(&self) -> Window {
        let mut meters = lock(&self.meters);
        let done = |at: usize| {
            let Meter { done, failed, latency } = &mut meters[at];
            let summary = (latency.count() > 0).then(|| latency.summary());
            let window = Done {
                done: std::mem::take(done),
                failed: std::mem::take(failed),
                p50_ms: summary.map(|summary| summary.p50_ms),
                p99_ms: summary.map(|summary| summary.p99_ms),
            };
            latency.clear();
            (Workload::NAMES[at], window)
        };
        Window { workloads: [0, 1, 2, 3, 4].map(done) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_what_came_since_the_last() {
        let book = Book::new();
        book.done(Workload::Checks, Duration::from_millis(3));
        book.failed(Workload::Checks);
        let [_, _, (name, checks), ..] = book.window().workloads;
        assert_eq!((name, checks.done, checks.failed), ("checks", 1, 1));
        assert!(checks.p50_ms.is_some_and(|ms| (2.9..3.1).contains(&ms)));
        let [.., (_, checks), _, _] = book.window().workloads;
        assert_eq!((checks.done, checks.failed, checks.p99_ms), (0, 0, None));
    }

    #[test]
    fn the_first_violations_are_described_and_the_rest_counted() {
        let book = Book::new();
        for n in 0..DESCRIBED + 7 {
            book.violation("answers", || n.to_string());
        }
        book.violation("no_gap", || "one".to_owned());
        let violations = book.violations();
        assert_eq!(violations.len(), DESCRIBED + 2);
        let last = &violations[DESCRIBED + 1];
        assert_eq!((last.invariant, last.detail.as_str()), ("answers", "and 7 more"));
    }
}
