//! `scale audit`: rows into one Cassandra, a day of them after the other, by `ingest` from Kafka.
//!
//! | module | what it does |
//! |---|---|
//! | `plan` | which day is which run; layouts of those who have too many rows for a partition a day |
//! | `step` | one day: published, stored, looked at |
//! | `pages` | first pages, pages from within a day by cursor, pages of one actor |
//! | `cassandra` | what Cassandra tells of itself by CQL |
//! | `pairs` | in turns: the fullest table and an empty one |
//!
//! A step's events are published before it is measured, and its topic goes with it: what lies in Kafka is one
//! step. Cassandra and Kafka share the machine with all else, as in `bench`.

mod cassandra;
mod pages;
mod pairs;
mod plan;
mod step;

use std::time::{Duration, Instant};

use serde_json::{json, to_value};

use super::output::{Output, free_bytes};
use crate::bench::goals::Figure;
use crate::bench::turns::FEWEST;
use crate::cli::AuditScaleArgs;
use crate::deploy::Local;
use crate::progress::say;
use crate::report::Chart;
use crate::scenario::{Stage, pipeline};
use crate::stop::Stop;
use crate::system::Machine;
use plan::Plan;
use step::Step;

/// Rows written before anything is measured: a JVM is slow at first.
const WARM_UP: u64 = 2_000_000;
/// Rows a second that the end is planned with: slower than any that were seen.
const SLOW: f64 = 30_000.0;
/// Starting and stopping `ingest` twice, and what is compacted in between.
const PAIR: Duration = Duration::from_secs(60);

/// Measures as many rows as there are to be, and as disk and time allow; returns whether any were.
///
/// # Errors
/// When an engine or `ingest` does not do its part.
pub async fn audit(args: &AuditScaleArgs, stop: &Stop) -> anyhow::Result<bool> {
    let output = Output::new(&args.output, "audit")?;
    let state = std::env::temp_dir().join(format!("triad-scale-{}", std::process::id()));
    let mut local = Local::new(state.clone());
    local.start("kafka,cassandra", &[]).await?;
    let mut engines = local.engines().await?;
    engines.settings.clone_from(&args.settings);
    let launch = args.ingest.launch();
    let stage = Stage { engines, launch, state: Some(state), stop: stop.clone() };
    let plan = Plan::new(args, &stage)?;
    let measured = Box::pin(measure(args, &stage, &plan, &output)).await;
    local.reset().await?;
    measured
}

async fn measure(
    args: &AuditScaleArgs,
    stage: &Stage,
    plan: &Plan,
    output: &Output,
) -> anyhow::Result<bool> {
    warm_up(stage, plan).await?;
    plan.prepare(stage, &plan.keyspace(stage).await?).await?;
    let mut result = json!({
        "machine": Machine::here(), "asked": args.rows, "tenants": args.tenants,
        "exponent": args.exponent, "rows": 0, "steps": [],
    });
    let (mut steps, mut stored, until) = (Vec::new(), 0, reserve(args, &stage.stop));
    let mut took = Duration::ZERO;
    let ended = loop {
        let number = steps.len() as u64;
        if number >= plan.steps {
            break "all rows are stored".to_owned();
        }
        let free = free_bytes(stage.state.as_deref().unwrap_or(".".as_ref())).await?;
        if free < args.free_gib << 30 {
            break format!("{} GiB of disk are left", free >> 30);
        }
        if Instant::now() + took > until {
            break "the time is up".to_owned();
        }
        let begun = Instant::now();
        let step = step::measure(stage, plan, number, stored, args.probes).await?;
        took = begun.elapsed();
        stored = step.rows;
        say(&step.line());
        steps.push(step);
        result["rows"] = json!(stored);
        result["steps"] = to_value(&steps)?;
        output.save(&result)?;
    };
    say(&format!("{stored} rows: {ended}"));
    result["ended"] = json!(ended);
    let pairs = pairs::measure(args, stage, plan).await?;
    result["pairs"] = json!(pairs);
    let figures = Figure::median("scale.audit_rate_ratio", pairs).into_iter().collect::<Vec<_>>();
    output.finish(&result, &charts(&steps), &figures)?;
    Ok(stored > 0)
}

/// When steps must end for the pairs to have their time.
fn reserve(args: &AuditScaleArgs, stop: &Stop) -> Instant {
    let seconds = 3.0 * args.pair_events as f64 / SLOW;
    let pair = Duration::from_secs_f64(seconds) + PAIR;
    let all = pair * u32::try_from(args.pairs.max(FEWEST)).unwrap_or(1);
    stop.deadline().checked_sub(all).unwrap_or_else(Instant::now)
}

async fn warm_up(stage: &Stage, plan: &Plan) -> anyhow::Result<()> {
    say("warming up");
    let run = plan.elsewhere("warm", WARM_UP);
    stage.backlog(&run).await?;
    pipeline::measure(stage, &run, run.events).await?;
    stage.clean(&run.names).await
}

fn charts(steps: &[Step]) -> Vec<Chart> {
    let points = |of: &dyn Fn(&Step) -> f64| -> Vec<(f64, f64)> {
        steps.iter().map(|step| (step.rows as f64, of(step))).collect()
    };
    let chart = |title, unit, lines| Chart::over("rows", title, unit, lines);
    vec![
        chart("Write rate", "rows/s", vec![("median", points(&|step| step.rate))]),
        chart(
            "Pages, p99",
            "ms",
            vec![
                ("first", points(&|step| step.pages.first.latency.p99_ms)),
                ("within", points(&|step| step.pages.within.p99_ms)),
                ("actor", points(&|step| step.pages.actor.p99_ms)),
            ],
        ),
        chart(
            "Partitions",
            "rows",
            vec![
                ("p50", points(&|step| step.partitions.p50_rows as f64)),
                ("p99", points(&|step| step.partitions.p99_rows as f64)),
                ("largest", points(&|step| step.partitions.max_rows as f64)),
            ],
        ),
        chart("Disk", "bytes a row", vec![("all tables", points(&|step| step.disk_bytes_a_row))]),
    ]
}
