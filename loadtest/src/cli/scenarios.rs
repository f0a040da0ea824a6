//! The scenarios of `loadtest audit` with what is particular to each.

use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json, to_value};

use super::args::Common;
use super::output::Outcome;
use crate::engines::IndexKind;
use crate::generate::Generator;
use crate::progress::say;
use crate::report;
use crate::run::{Run, TICKS_PER_SECOND};
use crate::scenario::ceiling::Shape;
use crate::scenario::read::Windows;
use crate::scenario::readers::Readers;
use crate::scenario::{Stage, ceiling, pipeline, read, stall, steady, stored};
use crate::stop::Stop;
use crate::verify;

/// A scenario.
#[derive(Debug, Subcommand)]
pub(super) enum Scenario {
    /// Publish events: at a rate or flat out, poisonous and oversized ones among them if asked.
    Produce(ProduceArgs),
    /// The driver alone with the very same rows: what the pipeline is compared with.
    Ceiling(CeilingArgs),
    /// ingest on a full backlog, from its first stored row to its last.
    Pipeline(PipelineArgs),
    /// A rate for a while: end-to-end lag.
    Steady(SteadyArgs),
    /// Cassandra stops in the middle of a backlog: memory.
    Stall(StallArgs),
    /// Windows with and without range reads within one backlog.
    Read(ReadArgs),
    /// Throughput and first pages, before and after many rows are stored.
    Stored(StoredArgs),
    /// Prove that a run is stored, expired or dead-lettered, each record once. Exit code 1 if not.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct ProduceArgs {
    #[command(flatten)]
    common: Common,
    /// Records a second; flat out without.
    #[arg(long)]
    rate: Option<f64>,
}

#[derive(Debug, Args)]
pub(super) struct CeilingArgs {
    #[command(flatten)]
    common: Common,
    /// Rows in a batch, at most; several are measured one after the other.
    #[arg(long, value_delimiter = ',', default_value = "64")]
    batch: Vec<usize>,
    /// Batches on their way at once.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
}

#[derive(Debug, Args)]
pub(super) struct PipelineArgs {
    #[command(flatten)]
    common: Common,
    /// Verify the run afterwards.
    #[arg(long)]
    verify: bool,
}

#[derive(Debug, Args)]
pub(super) struct SteadyArgs {
    #[command(flatten)]
    common: Common,
    /// Records a second.
    #[arg(long, default_value_t = 20_000.0)]
    rate: f64,
    #[arg(long, default_value_t = 30)]
    duration_seconds: u64,
    /// Range reads at once meanwhile; none without.
    #[arg(long)]
    readers: Option<usize>,
    /// Range reads a second of all readers; as fast as they are answered without.
    #[arg(long)]
    read_rate: Option<f64>,
}

#[derive(Debug, Args)]
pub(super) struct StallArgs {
    #[command(flatten)]
    common: Common,
    /// How long Cassandra is stopped.
    #[arg(long, default_value_t = 30)]
    stall_seconds: u64,
}

#[derive(Debug, Args)]
pub(super) struct ReadArgs {
    #[command(flatten)]
    common: Common,
    /// Range reads at once.
    #[arg(long, default_value_t = 4)]
    readers: usize,
    /// Range reads a second of all readers; 0 for as fast as they are answered.
    #[arg(long, default_value_t = 20.0)]
    read_rate: f64,
    /// Seconds of each window.
    #[arg(long, default_value_t = 4.0)]
    window_seconds: f64,
    /// Pairs of windows.
    #[arg(long, default_value_t = 7)]
    pairs: usize,
}

#[derive(Debug, Args)]
pub(super) struct StoredArgs {
    #[command(flatten)]
    common: Common,
    /// Rows to store.
    #[arg(long, default_value_t = 20_000_000)]
    rows: u64,
    /// Rows in each window of throughput.
    #[arg(long, default_value_t = 300_000)]
    window: u64,
    /// Windows before, and after.
    #[arg(long, default_value_t = 7)]
    windows: u64,
    /// First pages at each level.
    #[arg(long, default_value_t = 500)]
    probes: u64,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    common: Common,
    /// Wait so long for the group to have committed everything.
    #[arg(long, default_value_t = 0)]
    settle_seconds: u64,
    /// Good events may be stored and dead-lettered: they were replayed.
    #[arg(long)]
    replayed: bool,
}

impl Scenario {
    pub(super) fn common(&self) -> &Common {
        match self {
            Self::Produce(args) => &args.common,
            Self::Ceiling(args) => &args.common,
            Self::Pipeline(args) => &args.common,
            Self::Steady(args) => &args.common,
            Self::Stall(args) => &args.common,
            Self::Read(args) => &args.common,
            Self::Stored(args) => &args.common,
            Self::Verify(args) => &args.common,
        }
    }

    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Produce(_) => "produce",
            Self::Ceiling(_) => "ceiling",
            Self::Pipeline(_) => "pipeline",
            Self::Steady(_) => "steady",
            Self::Stall(_) => "stall",
            Self::Read(_) => "read",
            Self::Stored(_) => "stored",
            Self::Verify(_) => "verify",
        }
    }

    /// How many records it has if nobody says.
    fn events(&self) -> u64 {
        match self {
            Self::Steady(args) => whole(args.rate * args.duration_seconds as f64),
            Self::Stall(_) | Self::Read(_) => 5_000_000,
            _ => 1_500_000,
        }
    }

    pub(super) async fn run(self, stop: &Stop) -> anyhow::Result<Outcome> {
        let common = self.common().clone();
        let stage = common.stage(stop)?;
        let alone = stage.engines.index.is_some_and(IndexKind::for_ceiling_alone);
        if alone && !matches!(self, Self::Ceiling(_)) {
            bail!("--index table and entries are for ceiling alone: ingest writes no such table");
        }
        let mut run = common.run.run(self.events())?;
        if let (Self::Steady(args), None) = (&self, &common.run.file) {
            // Events happen as they are published.
            run.step = whole(TICKS_PER_SECOND as f64 / args.rate);
            run.base += 50 * 60 * TICKS_PER_SECOND;
        }
        if let Some(path) = &common.output.save {
            run.save(path)?;
        }
        say(&format!("run {} of {} events", run.id, run.events));
        let keep = common.output.keep
            || common.output.save.is_some()
            || common.run.file.is_some()
            || matches!(self, Self::Produce(_) | Self::Verify(_));
        let outcome = self.measure(&stage, &run).await;
        if !keep && let Err(error) = stage.clean(&run.names).await {
            say(&format!("cleaning up: {error:#}"));
        }
        outcome
    }

    async fn measure(self, stage: &Stage, run: &Run) -> anyhow::Result<Outcome> {
        match self {
            Self::Produce(args) => {
                stage.engines.apply_topics(&run.names).await?;
                let produced = to_value(stage.publish(run, args.rate).await?)?;
                let letters = to_value(Generator::new(run).expected_dead_letters())?;
                let parts =
                    [("", produced), ("expected_dead_letters", letters), ("run", to_value(run)?)];
                Ok(Outcome::of("produce", &parts, Vec::new()))
            }
            Self::Ceiling(args) => ceilings(stage, run, &args).await,
            Self::Pipeline(args) => pipelines(stage, run, &args).await,
            Self::Steady(args) => {
                let readers =
                    args.readers.map(|concurrency| Readers { concurrency, rate: args.read_rate });
                let measured = steady::measure(stage, run, args.rate, readers).await?;
                let charts = report::charts(&measured.timeline);
                Ok(Outcome::of(
                    "steady",
                    &[("", to_value(&measured)?), ("run", to_value(run)?)],
                    charts,
                ))
            }
            Self::Stall(args) => {
                let produced = backlog(stage, run, &args.common).await?;
                let stall = Duration::from_secs(args.stall_seconds);
                let measured = stall::measure(stage, run, stall).await?;
                let charts = report::charts(&measured.pipeline.timeline);
                Ok(Outcome::of(
                    "stall",
                    &[("", to_value(&measured)?), ("produced", produced)],
                    charts,
                ))
            }
            Self::Read(args) => {
                let produced = backlog(stage, run, &args.common).await?;
                let rate = Some(args.read_rate).filter(|rate| *rate > 0.0);
                let readers = Readers { concurrency: args.readers, rate };
                let windows = Windows { seconds: args.window_seconds, pairs: args.pairs };
                let measured = read::measure(stage, run, readers, windows).await?;
                let charts = report::charts(&measured.timeline);
                Ok(Outcome::of(
                    "read",
                    &[("", to_value(&measured)?), ("produced", produced)],
                    charts,
                ))
            }
            Self::Stored(args) => {
                let plan = stored::Plan {
                    rows: args.rows,
                    window: args.window,
                    windows: args.windows,
                    probes: args.probes,
                };
                let measured = stored::measure(stage, run, plan).await?;
                Ok(Outcome::of("stored", &[("", to_value(&measured)?)], Vec::new()))
            }
            Self::Verify(args) => {
                let settle = Duration::from_secs(args.settle_seconds);
                let options = verify::Options { settle, replayed: args.replayed };
                let verdict = verify::verify(&stage.engines, run, options, &stage.stop).await?;
                tell(&verdict);
                let outcome = Outcome::of("verify", &[("", to_value(&verdict)?)], Vec::new());
                Ok(Outcome { ok: verdict.ok, ..outcome })
            }
        }
    }
}

/// The whole part; nothing is below zero here.
#[allow(clippy::cast_sign_loss, reason = "rates and durations are positive")]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}

/// Publishes the run, unless it was loaded: then its backlog is there.
async fn backlog(stage: &Stage, run: &Run, common: &Common) -> anyhow::Result<Value> {
    if common.run.file.is_some() {
        return Ok(Value::Null);
    }
    Ok(to_value(stage.backlog(run).await?)?)
}

async fn ceilings(stage: &Stage, run: &Run, args: &CeilingArgs) -> anyhow::Result<Outcome> {
    let (mut all, mut charts) = (Vec::new(), Vec::new());
    for batch in &args.batch {
        // Every batch size begins with an empty table.
        stage.engines.drop_keyspace(&run.names).await?;
        let shape = Shape { batch: *batch, in_flight: args.in_flight };
        let measured = ceiling::measure(&stage.engines, run, shape, &stage.stop).await?;
        say(&format!("batch {batch}: {:.0} rows/s", measured.driven.rows_per_second));
        charts.push(report::throughput(&format!("Batches of {batch}"), &measured.driven.timeline));
        all.push(measured);
    }
    let best =
        all.iter().max_by(|a, b| a.driven.rows_per_second.total_cmp(&b.driven.rows_per_second));
    Ok(Outcome::of("ceiling", &[("", to_value(best)?), ("runs", to_value(&all)?)], charts))
}

async fn pipelines(stage: &Stage, run: &Run, args: &PipelineArgs) -> anyhow::Result<Outcome> {
    let produced = backlog(stage, run, &args.common).await?;
    let measured = pipeline::measure(stage, run, run.events).await?;
    let charts = report::charts(&measured.timeline);
    let verdict = if args.verify {
        let options = verify::Options { settle: Duration::from_secs(60), replayed: false };
        Some(verify::verify(&stage.engines, run, options, &stage.stop).await?)
    } else {
        None
    };
    if let Some(verdict) = &verdict {
        tell(verdict);
    }
    let parts = [("", to_value(&measured)?), ("produced", produced), ("verify", json!(verdict))];
    let outcome = Outcome::of("pipeline", &parts, charts);
    Ok(Outcome { ok: verdict.is_none_or(|verdict| verdict.ok), ..outcome })
}

fn tell(verdict: &verify::Verdict) {
    for problem in &verdict.first {
        say(problem);
    }
}
