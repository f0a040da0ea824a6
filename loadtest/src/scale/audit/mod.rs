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

/// Rows a second that the end is planned with: slower than any that were seen.
const SLOW: f64 = 30_000.0;
/// Of an event, in Kafka or as a row: more than any that were seen.
const EVENT_BYTES: u64 = 400;
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
    local.reset_after(measured).await
}

/// Steps, then pairs. What was measured before something broke is kept, and drawn.
async fn measure(
    args: &AuditScaleArgs,
    stage: &Stage,
    plan: &Plan,
    output: &Output,
) -> anyhow::Result<bool> {
    let mut result = json!({
        "machine": Machine::here(), "asked": args.rows, "tenants": args.tenants,
        "exponent": args.exponent, "rows": 0, "steps": [],
    });
    Box::pin(pipeline::warm_up(stage, &plan.elsewhere("warm", pipeline::WARM_UP))).await?;
    plan.prepare(stage, &plan.keyspace(stage).await?).await?;
    let mut steps = Vec::new();
    let ended = Box::pin(fill(args, stage, plan, &mut steps, |steps| {
        result["rows"] = json!(steps.last().map_or(0, |step| step.rows));
        result["steps"] = to_value(steps)?;
        output.save(&result, &charts(steps))
    }));
    let ended = ended.await;
    result["ended"] = json!(ended.as_ref().map_or_else(|error| format!("{error:#}"), Clone::clone));
    output.save(&result, &charts(&steps))?;
    let stored = steps.last().map_or(0, |step| step.rows);
    say(&format!("{stored} rows: {}", ended?));
    let pairs = Box::pin(pairs::measure(args, stage, plan)).await?;
    result["pairs"] = json!(pairs);
    let figures = Figure::median("scale.audit_rate_ratio", pairs).into_iter().collect::<Vec<_>>();
    output.finish(&result, &charts(&steps), &figures)?;
    Ok(stored > 0)
}

/// Steps, each told to `save`; why there are no more.
async fn fill(
    args: &AuditScaleArgs,
    stage: &Stage,
    plan: &Plan,
    steps: &mut Vec<Step>,
    mut save: impl FnMut(&[Step]) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let (mut took, until) = (Duration::ZERO, reserve(args, &stage.stop));
    let disk = stage.state.as_deref().unwrap_or(".".as_ref());
    loop {
        let number = steps.len() as u64;
        if number >= plan.steps {
            return Ok("all rows are stored".to_owned());
        }
        // A step's rows, once more while they are compacted, and its events in Kafka.
        let wanted = (args.free_gib << 30) + 3 * args.step.saturating_mul(EVENT_BYTES);
        let free = free_bytes(disk).await?;
        if free < wanted {
            return Ok(format!(
                "{} GiB of disk are left, a step wants {}",
                free >> 30,
                wanted >> 30
            ));
        }
        if Instant::now() + took > until {
            return Ok("the time is up".to_owned());
        }
        let begun = Instant::now();
        let stored = steps.last().map_or(0, |step| step.rows);
        let step = step::measure(stage, plan, number, stored, args.probes).await?;
        took = begun.elapsed();
        say(&step.line());
        steps.push(step);
        save(steps)?;
    }
}

/// When steps must end for the pairs to have their time.
fn reserve(args: &AuditScaleArgs, stop: &Stop) -> Instant {
    let seconds = 3.0 * args.pair_events as f64 / SLOW;
    let pair = Duration::from_secs_f64(seconds) + PAIR;
    let all = pair * u32::try_from(args.pairs.max(FEWEST)).unwrap_or(1);
    stop.deadline().checked_sub(all).unwrap_or_else(Instant::now)
}

fn charts(steps: &[Step]) -> Vec<Chart> {
    let points = |of: &dyn Fn(&Step) -> f64| -> Vec<(f64, f64)> {
        steps.iter().map(|step| (step.rows as f64, of(step))).collect()
    };
    let chart = |title, unit, lines| Chart::over("rows", title, unit, lines);
    vec![
        chart(
            "Write rate",
            "rows/s",
            vec![
                ("median of seconds", points(&|step| step.rate)),
                ("slowest tenth of seconds", points(&|step| step.slow_rate)),
                ("first row to last", points(&|step| step.pipeline.stretch.rows_per_second)),
            ],
        ),
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
