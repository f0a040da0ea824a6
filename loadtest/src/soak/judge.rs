//! What may change over hours, and by how much.

use serde::Serialize;

use super::drift::Drift;
use super::sample::{Measure, Series};
use crate::report::Points;
use crate::trio::work::Rates;

/// Of memory, handles and threads over the whole time, as a share of what they are.
const DRIFT: f64 = 0.05;
/// Handles and threads may be so many more in any case.
const FEW: f64 = 5.0;
/// What is waited for: the last third against the first.
const SLOWER: f64 = 1.25;

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

/// All series from `from` on, in seconds, and the latencies of the work.
pub(super) fn judge(
    series: &Series,
    latencies: &[(&'static str, Points)],
    rates: Rates,
    from: f64,
) -> Vec<Judged> {
    let mut all = Vec::new();
    for measure in [Measure::Memory, Measure::Handles, Measure::Threads] {
        let few = if measure == Measure::Memory { 0.0 } else { FEW };
        let (what, _) = measure.words();
        for (whose, points) in series.of(measure) {
            all.extend(Drift::of(points, from).map(|drift| flat(what, whose, drift, few)));
        }
    }
    // What is behind swings with the moment of the look: by a second's worth of work, at least.
    let events = f64::from(rates.events) + f64::from(rates.posts);
    for (measure, second) in [
        (Measure::Lag, events),
        (Measure::Watermark, 1.0),
        (Measure::Sync, 1.0),
        (Measure::Outbox, 2.0 * f64::from(rates.identities)),
    ] {
        let (what, _) = measure.words();
        for (whose, points) in series.of(measure) {
            all.extend(Drift::of(points, from).map(|drift| steady(what, whose, drift, second)));
        }
    }
    for (whose, points) in latencies {
        let drift = Drift::of(points, from);
        all.extend(drift.map(|drift| steady("latency, p99 in ms", whose, drift, 0.0)));
    }
    all
}

/// It may not grow by more than a share, or `few`.
fn flat(what: &'static str, whose: &'static str, drift: Drift, few: f64) -> Judged {
    let judged = drift.share();
    let ok = judged <= DRIFT || drift.rise <= few;
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
    use crate::trio::member::Member;

    fn rates() -> Rates {
        Rates { events: 100, posts: 0, checks: 1, grants: 1, identities: 1 }
    }

    fn judged(measure: Measure, value: impl Fn(f64) -> f64) -> Judged {
        let mut series = Series::default();
        for at in (0..=60).map(|n| 5.0 * f64::from(n)) {
            series.add(measure, Member::Ingest1, at, value(at));
        }
        let mut all = judge(&series, &[], rates(), 30.0);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
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

    #[test]
    fn latencies_are_those_of_the_work() {
        let points = |last: f64| -> Points {
            (0..30).map(|n| (f64::from(n), if n < 15 { 10.0 } else { last })).collect()
        };
        let all = judge(&Series::default(), &[("checks", points(12.0))], rates(), 0.0);
        assert!(all[0].ok && all[0].whose == "checks");
        let all = judge(&Series::default(), &[("checks", points(13.0))], rates(), 0.0);
        assert!(!all[0].ok, "{all:?}");
    }

    #[test]
    fn what_is_not_judged_is_only_drawn() {
        let mut series = Series::default();
        for at in 0..60 {
            series.add(Measure::Cpu, Member::Edge1, f64::from(at), f64::from(at));
        }
        assert!(judge(&series, &[], rates(), 0.0).is_empty());
    }
}
