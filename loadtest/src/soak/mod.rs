//! `loadtest soak`: a trio under work for hours, with nothing done to it. What it holds and how long it takes may not grow,
//! and in the end everything must agree.
//!
//! | module | what it holds |
//! |---|---|
//! | `sample` | what is seen of the replicas |
//! | `drift` | where a series goes |
//! | `judge` | by how much what may change |

mod drift;
mod judge;
mod sample;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use serde_json::Value;

pub use judge::Judged;

use crate::cli::SoakArgs;
use crate::deploy;
use crate::progress::say;
use crate::report::Chart;
use crate::scrape;
use crate::stop::Stop;
use crate::system::Machine;
use crate::trio::stage::{Options, Stage};
use crate::trio::watch::Watch;
use crate::trio::work::{Rates, Violation, Work};
use sample::Series;

/// Between looks.
const LOOK: Duration = Duration::from_secs(5);
/// For the metrics of a replica.
const ASKED_WITHIN: Duration = Duration::from_secs(2);
/// Between lines for people.
const TOLD_EVERY: u64 = 60;
/// What is judged is at least so long.
const SHORTEST: u64 = 60;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Told {
    /// Where.
    pub machine: Machine,
    /// From the first request to the verdict.
    pub seconds: f64,
    /// How much was asked for.
    pub rates: Rates,
    /// What was held against its limit.
    pub judged: Vec<Judged>,
    /// What was wrong.
    pub violations: Vec<Violation>,
    /// How much was verified, by what.
    pub verified: BTreeMap<&'static str, u64>,
    /// What was done and what failed, by workload.
    pub totals: Value,
    /// Drawings.
    #[serde(skip)]
    pub charts: Vec<Chart>,
}

impl Told {
    /// Whether nothing drifted and nothing was wrong.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.violations.is_empty() && self.judged.iter().all(|judged| judged.ok)
    }

    /// For people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<22} {:<12} {:>10} {:>10} {:>10} {:>10}",
            "", "", "first", "last", "judged", "limit"
        )];
        for Judged { what, whose, first, last, judged, limit, ok } in &self.judged {
            let mark = if *ok { "" } else { "  DRIFTS" };
            lines.push(format!(
                "{what:<22} {whose:<12} {first:>10.2} {last:>10.2} {judged:>10.3} {limit:>10.3}{mark}"
            ));
        }
        for Violation { invariant, at, detail } in &self.violations {
            lines.push(format!("violated: {invariant} after {at:.0} s: {detail}"));
        }
        lines.push(format!("verified: {:?}", self.verified));
        lines
    }
}

/// Works on a trio for the time that is asked for, and judges it.
///
/// # Errors
/// What kept it from being done. A drift or a violation is no error.
pub async fn soak(args: &SoakArgs, stop: &Stop) -> anyhow::Result<Told> {
    let judged = args.seconds.saturating_sub(args.warm_up_seconds);
    ensure!(judged >= SHORTEST, "--seconds are to be {SHORTEST} more than --warm-up-seconds");
    let machine = Machine::here();
    let binaries = args.binaries.binaries();
    let options = Options { nodes: args.cassandra_nodes, cuts: false, binaries };
    let stage = Box::pin(Stage::start(options)).await?;
    let rates = args.rates.rates();
    let work = Box::pin(Work::begin(stage.site(), args.seed, rates)).await;
    let work = work.context("beginning the work, on a healthy trio")?;
    let begun = Instant::now();
    let (mut watch, mut series) = (Watch::every(begun, LOOK), Series::default());
    let seen = Box::pin(look(&stage, &mut series, (begun, args.seconds), stop));
    watch.during(&stage, &work, seen).await?;
    stage.engines_last().await?;
    say("verifying");
    let verified = watch.verify(work).await;
    for gave_up in stage.drain().await? {
        watch.add("process", gave_up);
    }
    for panic in stage.panics().await? {
        watch.add("panic", panic);
    }
    watch.look(&stage)?;
    if watch.violated() > 0 {
        let folder = deploy::target()?.join("soak");
        stage.keep_logs(&folder)?;
        say(&format!("logs: {}", folder.display()));
    }
    stage.down().await?;
    let (timeline, violations) = watch.end();
    let span = (args.warm_up_seconds as f64, args.seconds as f64);
    Ok(Told {
        machine,
        seconds: begun.elapsed().as_secs_f64(),
        rates,
        judged: judge::judge(&series, &timeline, rates, span),
        violations,
        verified,
        totals: timeline.totals(),
        charts: [series.charts(), timeline.charts("")].concat(),
    })
}

/// Looks at the replicas until the time is over.
async fn look(
    stage: &Stage,
    series: &mut Series,
    (begun, seconds): (Instant, u64),
    stop: &Stop,
) -> anyhow::Result<()> {
    let client = scrape::client(ASKED_WITHIN)?;
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = 0;
    while begun.elapsed().as_secs() < seconds {
        ticks.tick().await;
        stop.check()?;
        let at = begun.elapsed().as_secs();
        series.look(stage, &client, begun.elapsed().as_secs_f64()).await;
        if at >= told + TOLD_EVERY {
            told = at;
            say(&format!("{at} of {seconds} s"));
        }
    }
    Ok(())
}
