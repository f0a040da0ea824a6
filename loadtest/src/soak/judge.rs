//! What may change over hours, and by how much.

use serde::Serialize;

use super::drift::Drift;
use super::sample::{Measure, Series};
use crate::trio::member::{Member, REPLICAS, Service};
use crate::trio::timeline::Timeline;
use crate::trio::work::{Done, Rates};

/// Of memory, handles and threads over the whole time, as a share of what they are.
const DRIFT: f64 = 0.05;
/// Handles and threads may be so many more in any case.
const FEW: f64 = 5.0;
/// What is waited for: the last third against the first.
const SLOWER: f64 = 1.25;
/// What is done: the last third against the first, as a share that it may be less.
const LESS: f64 = 0.2;
/// Attempts that may fail, as a share of all.
const FAILURES: f64 = 0.001;
const LATENCY: &str = "latency, p99 in ms";
const DONE: &str = "done/s";

/// One series, held against its limit.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// What was looked at.
    pub what: &'static str,
    /// Whose: a replica, or a workload.
    pub whose: &'static str,
    /// At the beginning: the median of the first third.
    pub first: f64,
    /// At the end: the median of the last third.
    pub last: f64,
    /// What is judged: a share of drift, or the last third itself.
    pub judged: f64,
    /// What it may be at most.
    pub limit: f64,
    /// Whether it is.
    pub ok: bool,
}

/// All series of all replicas within a span, in seconds, and the work from its beginning on. What was not seen is not well.
pub(super) fn judge(
    series: &Series,
    timeline: &Timeline,
    rates: Rates,
    span: (f64, f64),
) -> Vec<Judged> {
    let all = REPLICAS.into_iter().flat_map(|member| replica(series, member, rates, span));
    all.chain(work(timeline, span.0)).collect()
}

/// What is seen of a replica.
fn replica(series: &Series, member: Member, rates: Rates, span: (f64, f64)) -> Vec<Judged> {
    let drift = |measure| Drift::watched(series.one(measure, member), span);
    let whose = member.name();
    let mut all = Vec::new();
    for measure in [Measure::Memory, Measure::Handles, Measure::Threads] {
        let few = if measure == Measure::Memory { 0.0 } else { FEW };
        let (what, _) = measure.words();
        all.push(Judged::of(what, whose, drift(measure), |drift| flat(what, whose, drift, few)));
    }
    // What is behind swings with the moment of the look: by a second's worth of work, at least.
    let events = f64::from(rates.events) + f64::from(rates.posts);
    let behind: &[(Measure, f64)] = match member.service() {
        Some(Service::Ingest) => &[(Measure::Lag, events)],
        Some(Service::Edge) => &[(Measure::Watermark, 1.0), (Measure::Sync, 1.0)],
        Some(Service::Identity) => &[(Measure::Outbox, 2.0 * f64::from(rates.identities))],
        None => &[],
    };
    for (measure, second) in behind {
        let (what, _) = measure.words();
        let drift = drift(*measure);
        all.push(Judged::of(what, whose, drift, |drift| steady(what, whose, drift, *second)));
    }
    all
}

/// The work: how long it waits, how much of it is done, and how much fails, which nothing gives reason to.
fn work(timeline: &Timeline, from: f64) -> Vec<Judged> {
    let mut all = Vec::new();
    for (whose, points) in timeline.lines(|done, _| done.p99_ms) {
        let drift = Drift::of(&points, from);
        all.push(Judged::of(LATENCY, whose, drift, |drift| steady(LATENCY, whose, drift, 0.0)));
    }
    for (whose, points) in
        timeline.lines(|done, span| (span > 0.0).then(|| done.done as f64 / span))
    {
        let drift = Drift::of(&points, from);
        all.push(Judged::of(DONE, whose, drift, |drift| lasting(DONE, whose, drift)));
    }
    let share = |done: &Done, _: f64| {
        let attempts = done.done + done.failed;
        (attempts > 0).then(|| done.failed as f64 / attempts as f64)
    };
    for (whose, points) in timeline.lines(share) {
        let late: Vec<_> =
            points.iter().filter(|(at, _)| *at >= from).map(|(_, share)| *share).collect();
        let judged = late.iter().sum::<f64>() / late.len().max(1) as f64;
        let (first, last) = (late.first().copied(), late.last().copied());
        let (first, last) = (first.unwrap_or(0.0), last.unwrap_or(0.0));
        let ok = judged <= FAILURES && !late.is_empty();
        all.push(Judged { what: "failed, of 1", whose, first, last, judged, limit: FAILURES, ok });
    }
    all
}

impl Judged {
    /// Where a series goes, judged; of too few points to say anything, not well.
    fn of(
        what: &'static str,
        whose: &'static str,
        drift: Option<Drift>,
        judge: impl FnOnce(Drift) -> Self,
    ) -> Self {
        let none = f64::NAN;
        let unseen =
            Self { what, whose, first: none, last: none, judged: none, limit: none, ok: false };
        drift.map_or(unseen, judge)
    }
}

/// Its last third may not be less than its first by more than a share.
fn lasting(what: &'static str, whose: &'static str, drift: Drift) -> Judged {
    let Drift { first, last, .. } = drift;
    let judged = if first > 0.0 { 1.0 - last / first } else { 1.0 };
    Judged { what, whose, first, last, judged, limit: LESS, ok: judged <= LESS }
}

/// It may not grow by more than a share, or `few`.
fn flat(what: &'static str, whose: &'static str, drift: Drift, few: f64) -> Judged {
    let judged = drift.share();
    let ok = judged <= DRIFT || drift.growth() <= few;
    Judged { what, whose, first: drift.first, last: drift.last, judged, limit: DRIFT, ok }
}

/// Its last third may not be more than [`SLOWER`] times its first, and `beside`.
fn steady(what: &'static str, whose: &'static str, drift: Drift, beside: f64) -> Judged {
    let limit = SLOWER * drift.first + beside;
    let Drift { first, last, .. } = drift;
    Judged { what, whose, first, last, judged: last, limit, ok: last <= limit }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trio::work::Window;

    fn rates() -> Rates {
        Rates { events: 100, posts: 0, checks: 1, grants: 1, identities: 1 }
    }

    fn judged(measure: Measure, value: impl Fn(f64) -> f64) -> Judged {
        let mut series = Series::default();
        for at in (0..=60).map(|n| 5.0 * f64::from(n)) {
            series.add(measure, Member::Ingest1, at, value(at));
        }
        let (what, _) = measure.words();
        let all = replica(&series, Member::Ingest1, rates(), (30.0, 300.0));
        assert_eq!(all.len(), 4, "{all:?}");
        assert_eq!(all.iter().filter(|judged| judged.judged.is_nan() && !judged.ok).count(), 3);
        all.into_iter().find(|judged| judged.what == what).unwrap()
    }

    #[test]
    fn memory_may_not_grow_but_it_may_before_the_warm_up_is_over() {
        assert!(judged(Measure::Memory, |at| if at < 30.0 { at } else { 100.0 }).ok);
        assert!(judged(Measure::Memory, |at| 200.0 - at / 10.0).ok);
        assert!(!judged(Measure::Memory, |at| 100.0 + at / 30.0).ok);
    }

    #[test]
    fn a_few_handles_are_none() {
        assert!(judged(Measure::Handles, |at| 20.0 + (at / 100.0).floor()).ok);
        assert!(!judged(Measure::Handles, |at| 20.0 + (at / 20.0).floor()).ok);
    }

    #[test]
    fn lag_may_swing_but_not_rise() {
        assert!(judged(Measure::Lag, |at| if (at / 5.0) % 2.0 < 1.0 { 0.0 } else { 90.0 }).ok);
        assert!(!judged(Measure::Lag, |at| 10.0 * at).ok);
    }

    /// Those that are not well, of work that goes on like this: done in a second, failed, and p99.
    fn bad(window: impl Fn(u64) -> (u64, u64, Option<f64>)) -> Vec<&'static str> {
        let mut timeline = Timeline::default();
        for at in 1..=30 {
            let (done, failed, p99_ms) = window(at);
            let one = |name| (name, Done { done, failed, p50_ms: None, p99_ms });
            let workloads = ["events", "posts", "checks", "grants", "identities"].map(one);
            timeline.add(at as f64, Window { workloads });
        }
        let all = work(&timeline, 0.0).into_iter();
        all.filter(|judged| !judged.ok && judged.whose == "checks")
            .map(|judged| judged.what)
            .collect()
    }

    #[test]
    fn work_may_become_neither_slower_nor_less_nor_fail() {
        let slower = |by: f64| move |at| (300, 0, Some(if at < 15 { 10.0 } else { by }));
        assert_eq!(bad(slower(12.0)), [""; 0]);
        assert_eq!(bad(slower(13.0)), [LATENCY]);
        assert_eq!(bad(|at| (if at < 15 { 300 } else { 230 }, 0, Some(1.0))), [DONE]);
        assert_eq!(bad(|at| (300, u64::from(at > 5), Some(1.0))), ["failed, of 1"]);
        let nothing = |at| if at < 15 { (300, 0, Some(1.0)) } else { (0, 0, None) };
        assert_eq!(bad(nothing), [DONE], "who is not answered is not slow");
    }

    #[test]
    fn what_is_not_judged_is_only_drawn() {
        assert!(
            judge(&Series::default(), &Timeline::default(), rates(), (0.0, 300.0))
                .iter()
                .all(|judged| { !judged.ok && judged.what != Measure::Cpu.words().0 })
        );
    }
}
