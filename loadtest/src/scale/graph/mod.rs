//! `scale graph`: a small and a large graph, each in a Dgraph of its own, and edges that are asked about them in turns.
//!
//! | module | what it does |
//! |---|---|
//! | `parts` | which tenants, how many, and of what shape |
//! | `load` | the graphs as files for `dgraph bulk`, or for `graph import` |
//! | `checks` | cold, hot and wide checks of both |
//!
//! Tenants of both are alike; the large graph only has more of them. Hot questions are as many for both, and of
//! all tenants each: what differs is how much lies around what is asked for. Both sets of engines are up while either is
//! asked.

mod checks;
mod load;
mod parts;

use std::time::Instant;

use anyhow::ensure;
use serde_json::{Value, json};

use super::output::{Output, disk_bytes};
use crate::bench::authz::bed::Place;
use crate::bench::authz::edge::Edge;
use crate::bench::goals::Figure;
use crate::cli::{By, GraphScaleArgs};
use crate::deploy::{self, Local};
use crate::progress::say;
use crate::report::Chart;
use crate::stop::Stop;
use crate::system::{self, Machine};
use checks::Checks;
use parts::{Part, Parts};

/// A graph, and the engines that it is in.
struct Home {
    name: &'static str,
    part: Part,
    place: Place,
}

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
    let state =
        |name| std::env::temp_dir().join(format!("triad-scale-{}-{name}", std::process::id()));
    let mut locals = [Local::new(state("small")), Local::new(state("large"))];
    let measured = Box::pin(measure(args, &mut locals, parts, &output, stop)).await;
    let [small, large] = locals;
    large.reset_after(small.reset_after(measured).await).await
}

async fn measure(
    args: &GraphScaleArgs,
    [small, large]: &mut [Local; 2],
    parts: Parts,
    output: &Output,
    stop: &Stop,
) -> anyhow::Result<bool> {
    // The large one first, with the machine for itself.
    let (large, told_of_large) = Home::make(args, large, ("large", parts.large), stop).await?;
    let (small, told_of_small) = Home::make(args, small, ("small", parts.small), stop).await?;
    let homes = [small, large];
    let mut result =
        json!({ "machine": Machine::here(), "small": told_of_small, "large": told_of_large });
    output.save(&result, &[])?;
    let checks = Checks { args, homes: &homes, stop };
    let end = stop.deadline();
    let cold = checks.cold(share(end, 0.3)).await?;
    result["cold"] = json!(cold);
    output.save(&result, &charts(&homes, &cold, &[]))?;
    let edges = checks.edges().await?;
    result["edges_started"] = resident(&edges)?;
    let hot = checks.hot(&edges, share(end, 0.5)).await?;
    result["hot"] = json!(hot);
    result["edges_after_hot"] = resident(&edges)?;
    output.save(&result, &charts(&homes, &cold, &hot))?;
    result["wide"] = checks.wide(&edges).await?;
    result["edges_after_wide"] = resident(&edges)?;
    result["many"] = checks.many(&edges).await?;
    result["edges_after_many"] = resident(&edges)?;
    for home in &homes {
        home.tell(&mut result[home.name]);
    }
    for edge in edges {
        edge.stop().await?;
    }
    let figures = Figure::median("scale.hot_ratio", hot.clone()).into_iter().collect::<Vec<_>>();
    output.finish(&result, &charts(&homes, &cold, &hot), &figures)?;
    Ok(true)
}

impl Home {
    /// Engines of its own with the graph in them, how it came there, and what it takes.
    async fn make(
        args: &GraphScaleArgs,
        local: &mut Local,
        (name, part): (&'static str, Part),
        stop: &Stop,
    ) -> anyhow::Result<(Self, Value)> {
        let (place, loaded) = match args.by {
            By::Bulk => {
                local.start_without("kafka,dgraph", ALPHA).await?;
                let loaded = load::bulk(local, &part, stop).await?;
                local.start_one(ALPHA).await?;
                (Place::prepare(local, &args.settings).await?, loaded)
            }
            By::Import => {
                local.start("kafka,dgraph", &[]).await?;
                let place = Place::prepare(local, &args.settings).await?;
                let loaded = load::import(&args.launch(), &place, &part, stop).await?;
                (place, loaded)
            }
        };
        say(&format!("{name}: loaded in {:.0} s", loaded.seconds));
        let started = memory(&place, ALPHA);
        let mut told = json!({ "part": part, "loaded": loaded, "alpha_started": started });
        let home = Self { name, part, place };
        home.tell(&mut told);
        Ok((home, told))
    }

    /// Says what it takes by now.
    fn tell(&self, told: &mut Value) {
        told["disk_bytes"] = json!(disk_bytes(&self.place.state.join(ALPHA).join("p")));
        told["alpha"] = memory(&self.place, ALPHA);
        told["zero"] = memory(&self.place, "dgraph-zero");
    }
}

/// The process that has the graph, and the folder of its data.
const ALPHA: &str = "dgraph-alpha";

/// Resident memory of an engine; nothing if it cannot be told.
fn memory(place: &Place, name: &str) -> Value {
    let pid = deploy::pid(&place.state, name);
    json!(pid.and_then(|pid| system::memory(pid).ok()))
}

/// Resident memory of both edges.
fn resident(edges: &[Edge; 2]) -> anyhow::Result<Value> {
    let [small, large] = edges.each_ref().map(|edge| system::memory(edge.pid()));
    Ok(json!({ "small": small?, "large": large? }))
}

/// The instant by which a share of the time that is left is over.
fn share(end: Instant, share: f64) -> Instant {
    let now = Instant::now();
    now + end.saturating_duration_since(now).mul_f64(share)
}

fn charts(homes: &[Home; 2], cold: &[Value], hot: &[Value]) -> Vec<Chart> {
    let points = |runs: &[Value], what: &str| -> Vec<(f64, f64)> {
        let point = |home: &Home| {
            let field = format!("{}{what}", home.name);
            let values: Vec<_> = runs.iter().filter_map(|run| run[&field].as_f64()).collect();
            let known = !values.is_empty();
            known.then(|| (home.part.relationships as f64, crate::latency::median(values)))
        };
        homes.iter().filter_map(point).collect()
    };
    let chart = |title, unit, lines| Chart::over("relationships", title, unit, lines);
    vec![
        chart("Hot checks", "1/s", vec![("median", points(hot, ""))]),
        chart(
            "Cold checks",
            "ms",
            vec![("p50", points(cold, "_p50_ms")), ("p99", points(cold, "_p99_ms"))],
        ),
    ]
}
