//! `scale graph`: a small and a large graph in one Dgraph, and an edge that is asked about both in turns.
//!
//! | module | what it does |
//! |---|---|
//! | `parts` | which tenants, how many, and of what shape |
//! | `load` | the graphs as files for `dgraph bulk`, or for `graph import` |
//! | `checks` | cold, hot and wide checks of both |
//!
//! Tenants of both are alike; the large graph only has more of them. Hot questions are as many for both, and of
//! all tenants each: what differs is how much lies around what is asked for.

mod checks;
mod load;
mod parts;

use std::time::Instant;

use anyhow::ensure;
use serde_json::{Value, json};

use super::output::{Output, disk_bytes};
use crate::bench::authz::bed::Place;
use crate::bench::goals::Figure;
use crate::cli::{By, GraphScaleArgs};
use crate::deploy::{self, Local};
use crate::progress::say;
use crate::report::Chart;
use crate::stop::Stop;
use crate::system::{self, Machine};
use checks::Checks;
use parts::Parts;

/// Measures both graphs; returns whether all of it was done.
///
/// # Errors
/// When an engine or `authz-edge` does not do its part, and an answer that is wrong.
pub async fn graph(args: &GraphScaleArgs, stop: &Stop) -> anyhow::Result<bool> {
    let output = Output::new(&args.output, "graph")?;
    let launch = args.launch();
    let binary = launch.binary.display();
    ensure!(launch.binary.is_file(), "{binary} is no file: build it or give --authz-edge");
    let parts = Parts::of(args)?;
    say(&parts.line());
    let state = std::env::temp_dir().join(format!("triad-scale-{}", std::process::id()));
    let mut local = Local::new(state);
    let measured = Box::pin(measure(args, &mut local, &parts, &output, stop)).await;
    local.reset().await?;
    measured
}

async fn measure(
    args: &GraphScaleArgs,
    local: &mut Local,
    parts: &Parts,
    output: &Output,
    stop: &Stop,
) -> anyhow::Result<bool> {
    let (place, loaded) = match args.by {
        By::Bulk => {
            local.start_without("kafka,dgraph", ALPHA).await?;
            let loaded = load::bulk(local, parts, stop).await?;
            local.start_one(ALPHA).await?;
            (Place::prepare(local, &args.settings).await?, loaded)
        }
        By::Import => {
            local.start("kafka,dgraph", &[]).await?;
            let place = Place::prepare(local, &args.settings).await?;
            let loaded = load::import(&args.launch(), &place, parts, stop).await?;
            (place, loaded)
        }
    };
    say(&format!("loaded in {:.0} s", loaded.seconds));
    let data = place.state.join(ALPHA).join("p");
    let mut result = json!({
        "machine": Machine::here(), "small": parts.small, "large": parts.large, "loaded": loaded,
        "disk_bytes": disk_bytes(&data), "alpha_started": memory(&place, ALPHA),
    });
    output.save(&result, &[])?;
    let checks = Checks { args, place: &place, parts, stop };
    let end = stop.deadline();
    let cold = checks.cold(share(end, 0.3)).await?;
    result["cold"] = json!(cold);
    output.save(&result, &[])?;
    let edge = place.edge(&args.launch(), &[]).await?;
    result["edge_started"] = json!(system::memory(edge.pid())?);
    let hot = checks.hot(&edge, share(end, 0.5)).await?;
    result["hot"] = json!(hot);
    result["edge_after_hot"] = json!(system::memory(edge.pid())?);
    output.save(&result, &[])?;
    result["wide"] = checks.wide(&edge).await?;
    result["edge_after_wide"] = json!(system::memory(edge.pid())?);
    result["alpha"] = memory(&place, ALPHA);
    result["zero"] = memory(&place, "dgraph-zero");
    result["disk_bytes"] = json!(disk_bytes(&data));
    edge.stop().await?;
    let figures = Figure::median("scale.hot_ratio", hot.clone()).into_iter().collect::<Vec<_>>();
    output.finish(&result, &charts(parts, &cold, &hot), &figures)?;
    Ok(true)
}

/// The process that has the graph, and the folder of its data.
const ALPHA: &str = "dgraph-alpha";

/// Resident memory of an engine; nothing if it cannot be told.
fn memory(place: &Place, name: &str) -> Value {
    let pid = deploy::pid(&place.state, name);
    json!(pid.and_then(|pid| system::memory(pid).ok()))
}

/// The instant by which a share of the time that is left is over.
fn share(end: Instant, share: f64) -> Instant {
    let now = Instant::now();
    now + end.saturating_duration_since(now).mul_f64(share)
}

fn charts(parts: &Parts, cold: &[Value], hot: &[Value]) -> Vec<Chart> {
    let points = |runs: &[Value], small: &str, large: &str| {
        let median = |field: &str| {
            crate::latency::median(runs.iter().filter_map(|run| run[field].as_f64()).collect())
        };
        let all = |part: &parts::Part| part.relationships as f64;
        vec![(all(&parts.small), median(small)), (all(&parts.large), median(large))]
    };
    let chart = |title, unit, lines| Chart::over("relationships", title, unit, lines);
    vec![
        chart("Hot checks", "1/s", vec![("median", points(hot, "small", "large"))]),
        chart(
            "Cold checks",
            "ms",
            vec![
                ("p50", points(cold, "small_p50_ms", "large_p50_ms")),
                ("p99", points(cold, "small_p99_ms", "large_p99_ms")),
            ],
        ),
    ]
}
