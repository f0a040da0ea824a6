//! Alternating runs: in each round the ceiling and the pipelines follow each other, so that what
//! drifts drifts for all of them, and each round yields its own ratio.

use std::time::Instant;

use serde_json::{Value, json};

use super::bed::{Bed, Pinning, Traffic};
use crate::bench::goals::Figure;
use crate::progress::say;
use crate::scenario::Stage;

/// Runs are not made shorter than this, in events: below it starting up is what is measured.
const LEAST: u64 = 200_000;

/// A median of fewer rounds is not worth writing down.
const FEWEST: usize = 3;

/// One round's rows/s.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    events: u64,
    ceiling: f64,
    even: f64,
    other: f64,
    cpu: f64,
    driver_cpu: f64,
}

/// What runs in each round.
struct Plan {
    pinning: Pinning,
    ceiling: bool,
    even: bool,
    other: Option<Traffic>,
}

/// Ratios with Cassandra on a CPU of its own.
pub(super) async fn pinned(
    bed: &mut Bed,
    ids: &[&str],
    until: Instant,
) -> anyhow::Result<Vec<Figure>> {
    let (ratio, random) =
        ("audit.pipeline_ratio_pinned", "audit.pipeline_ratio_pinned_random_keys");
    let plan = Plan {
        pinning: Pinning::Pinned,
        ceiling: true,
        even: ids.contains(&ratio),
        other: ids.contains(&random).then_some(Traffic::RandomKeys),
    };
    let rounds = rounds(bed, &plan, until).await?;
    let mut figures = Vec::new();
    if plan.even {
        figures.extend(Figure::median(ratio, runs(&rounds, |r| (r.even, r.ceiling), "ceiling")));
    }
    if plan.other.is_some() {
        figures.extend(Figure::median(random, runs(&rounds, |r| (r.other, r.ceiling), "ceiling")));
    }
    Ok(figures)
}

/// Ratios with nothing pinned, and what a row costs.
pub(super) async fn unpinned(
    bed: &mut Bed,
    ids: &[&str],
    until: Instant,
) -> anyhow::Result<Vec<Figure>> {
    let (ratio, hot, cpu) =
        ("audit.pipeline_ratio_unpinned", "audit.hot_tenant_ratio", "audit.cpu_per_row_us");
    let plan = Plan {
        pinning: Pinning::Unpinned,
        ceiling: ids.contains(&ratio),
        even: true,
        other: ids.contains(&hot).then_some(Traffic::Hot),
    };
    let rounds = rounds(bed, &plan, until).await?;
    let mut figures = Vec::new();
    if plan.ceiling {
        figures.extend(Figure::median(ratio, runs(&rounds, |r| (r.even, r.ceiling), "ceiling")));
    }
    if plan.other.is_some() {
        figures.extend(Figure::median(hot, runs(&rounds, |r| (r.other, r.even), "even")));
    }
    if ids.contains(&cpu) {
        let cost =
            |r: &Round| json!({"value": r.cpu, "driver_us": r.driver_cpu, "events": r.events});
        figures.extend(Figure::median(cpu, rounds.iter().map(cost).collect()));
    }
    Ok(figures)
}

fn runs(rounds: &[Round], of: impl Fn(&Round) -> (f64, f64), base: &str) -> Vec<Value> {
    let run = |round: &Round| {
        let (rows, reference) = of(round);
        json!({"value": rows / reference, "pipeline": rows, base: reference, "events": round.events})
    };
    rounds.iter().map(run).collect()
}

async fn rounds(bed: &mut Bed, plan: &Plan, until: Instant) -> anyhow::Result<Vec<Round>> {
    let stage = bed.stage(plan.pinning).await?;
    let (pairs, mut events) = (bed.args.pairs, bed.args.events);
    let mut rounds = Vec::new();
    // Published before the first round, which would otherwise be longer than the others.
    bed.backlog(&stage, Traffic::Even).await?;
    if let Some(traffic) = plan.other {
        bed.backlog(&stage, traffic).await?;
    }
    for number in 1..=pairs {
        bed.stop.check()?;
        let begun = Instant::now();
        let measured = match round(bed, &stage, plan, events).await {
            Ok(measured) => measured,
            // What was measured is not thrown away; the figure shows how many runs it has.
            Err(error) if rounds.len() >= FEWEST => {
                say(&format!("round {number} failed, so there are fewer: {error:#}"));
                break;
            }
            Err(error) => return Err(error),
        };
        let Round { ceiling, even, other, .. } = measured;
        say(&format!(
            "round {number} of {pairs}, {events} events: ceiling {ceiling:.0}, pipeline {even:.0}, {:?} {other:.0} rows/s ({:.0} s)",
            plan.other,
            begun.elapsed().as_secs_f64()
        ));
        rounds.push(measured);
        let left = until.saturating_duration_since(Instant::now()).as_secs_f64();
        events = fitting(events, begun.elapsed().as_secs_f64(), left, pairs - number);
    }
    Ok(rounds)
}

/// How many events the next rounds may have, if this one took `took` seconds and `left` are left.
#[allow(clippy::cast_sign_loss, reason = "nothing here is negative")]
fn fitting(events: u64, took: f64, left: f64, rounds: usize) -> u64 {
    if rounds == 0 || took * rounds as f64 <= left {
        return events;
    }
    ((events as f64 * left / (took * rounds as f64)) as u64).max(LEAST).min(events)
}

async fn round(bed: &mut Bed, stage: &Stage, plan: &Plan, events: u64) -> anyhow::Result<Round> {
    let mut round = Round { events, ..Round::default() };
    let even = bed.backlog(stage, Traffic::Even).await?;
    if plan.ceiling {
        let measured = bed.ceiling(stage, &even, events).await?;
        round.ceiling = measured["rows_per_second"].as_f64().unwrap_or(0.0);
        round.driver_cpu = measured["cpu_per_row_us"].as_f64().unwrap_or(0.0);
    }
    if plan.even {
        let measured = bed.pipeline(stage, &even, events).await?;
        (round.even, round.cpu) =
            (measured.stretch.rows_per_second, measured.stretch.cpu_per_row_us);
    }
    if let Some(traffic) = plan.other {
        let other = bed.backlog(stage, traffic).await?;
        round.other = bed.pipeline(stage, &other, events).await?.stretch.rows_per_second;
    }
    Ok(round)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_shortened_only_when_time_is_short() {
        assert_eq!(fitting(1_500_000, 100.0, 700.0, 6), 1_500_000);
        assert_eq!(fitting(1_500_000, 100.0, 300.0, 6), 750_000);
        assert_eq!(fitting(1_500_000, 100.0, 1.0, 6), LEAST);
        assert_eq!(fitting(50_000, 100.0, 1.0, 6), 50_000);
        assert_eq!(fitting(1_500_000, 100.0, 0.0, 0), 1_500_000);
    }

    #[test]
    fn each_round_yields_its_own_ratio() {
        let rounds = [(50.0, 100.0), (90.0, 100.0)];
        let rounds = rounds.map(|(even, ceiling)| Round { even, ceiling, ..Round::default() });
        let runs = runs(&rounds, |r| (r.even, r.ceiling), "ceiling");
        assert_eq!(runs[0], json!({"value": 0.5, "pipeline": 50.0, "ceiling": 100.0, "events": 0}));
        assert_eq!(Figure::median("audit.pipeline_ratio_unpinned", runs).unwrap().measured, 0.7);
    }
}
