//! `scale month`: a month of skewed tenants through the layouts, rates and promotions of `ingest` itself, on a
//! clock of its own and without any engine: how large do partitions become?
//!
//! | module | what it does |
//! |---|---|
//! | `tenants` | who writes how much when: Zipf, days, bursts, growth, backfills |
//! | `draw` | random numbers |
//! | `simulate` | replicas that count rates, promote and place rows |

mod draw;
mod simulate;
mod tenants;

use anyhow::{Context, ensure};
use futures::StreamExt as _;
use ingest::Config;
use ingest::config::{LayoutConfig, LimitsConfig};
use serde::Serialize;
use serde_json::{Value, json, to_value};

use super::output::Output;
use super::sizes::Sizes;
use crate::bench::goals::Figure;
use crate::cli::MonthArgs;
use crate::engines::Engines;
use crate::progress::{bar, say};
use crate::report::Chart;
use crate::run::Names;
use crate::stop::Stop;
use simulate::Simulation;
pub use tenants::Traffic;

/// What the month of one exponent left.
#[derive(Debug, Clone, Serialize)]
pub struct Month {
    /// Zipf's.
    pub exponent: f64,
    /// Rows of the whole month, backfills among them.
    pub rows: u64,
    /// Rows of backfills.
    pub backfilled: u64,
    /// Layout rows that promotion appended.
    pub promotions: u64,
    /// Tenants that were promoted at least once.
    pub promoted_tenants: u64,
    /// Partitions of a day, on average.
    pub partitions_a_day: f64,
    /// All partitions.
    pub all: Sizes,
    /// Those under a layout that promotion appended.
    pub promoted: Sizes,
    /// Those under the default layout: of small tenants, and of large ones until they were promoted.
    pub default: Sizes,
    /// What there would have been if nobody were ever promoted.
    pub without_promotion: Sizes,
}

/// Simulates a month for each exponent; returns whether all of it was done.
///
/// # Errors
/// When a setting is refused, or it is to stop.
pub async fn month(args: &MonthArgs, stop: &Stop) -> anyhow::Result<bool> {
    let output = Output::new(&args.output, "month")?;
    let config = config(&args.settings)?;
    let mut months: Vec<Month> = Vec::new();
    let simulated = futures::stream::iter(&args.exponents).map(|exponent| {
        let traffic = Traffic {
            tenants: args.tenants,
            rows_per_day: args.rows_per_day,
            days: args.days,
            exponent: *exponent,
            row_bytes: args.row_bytes,
            seed: args.seed,
        };
        let (layout, limits, stop) = (config.layout.clone(), config.limits, stop.clone());
        let replicas = usize::from(args.replicas);
        let work = move || simulate(&traffic, &layout, &limits, replicas, &stop);
        tokio::task::spawn_blocking(work)
    });
    // Nothing is timed: as many as there are cores.
    let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut simulated = simulated.buffered(at_once);
    while let Some(month) = simulated.next().await {
        let month = month.context("the simulation broke")??;
        tell(&month);
        months.push(month);
        output.save(&result(args, &config.layout, &months)?, &charts(&months))?;
    }
    let figures = figures(&months);
    output.finish(&result(args, &config.layout, &months)?, &charts(&months), &figures)?;
    Ok(true)
}

/// The configuration of an `ingest` that is nowhere.
fn config(settings: &[(String, String)]) -> anyhow::Result<Config> {
    let nobody = vec!["127.0.0.1:1".to_owned()];
    let engines = Engines {
        kafka: nobody.clone(),
        cassandra: nobody,
        replication: 1,
        partitions: 12,
        settings: settings.to_vec(),
        ..Engines::default()
    };
    engines.config(&Names::of("month"))
}

/// One month.
///
/// # Errors
/// When it is to stop, the layouts' notice is too short for the simulation's steps, or nobody is promoted where there is
/// need: figures of promoted partitions would be good then, and of nothing.
pub fn simulate(
    traffic: &Traffic,
    layout: &LayoutConfig,
    limits: &LimitsConfig,
    replicas: usize,
    stop: &Stop,
) -> anyhow::Result<Month> {
    let mut simulation = Simulation::new(traffic, layout, limits, replicas)?;
    let slots = simulation.slots();
    let bar = bar("slots", slots);
    for slot in 0..slots {
        stop.check()?;
        simulation.step(slot)?;
        bar.set_position(slot + 1);
    }
    bar.finish_and_clear();
    let month = simulation.month();
    let (promotions, most) = (month.promotions, month.without_promotion.max_rows);
    let bound = layout.partition_rows;
    ensure!(promotions > 0 || most <= bound, "nobody is promoted, with {most} rows in a day");
    Ok(month)
}

fn tell(month: &Month) {
    let Month { exponent, rows, promotions, promoted, all, .. } = month;
    say(&format!(
        "exponent {exponent}: {rows} rows in {} partitions, {promotions} promotions; promoted partitions p99 {} rows, {:.1} MB, largest {} rows",
        all.partitions, promoted.p99_rows, promoted.p99_mb, promoted.max_rows
    ));
}

fn result(args: &MonthArgs, layout: &LayoutConfig, months: &[Month]) -> anyhow::Result<Value> {
    Ok(json!({
        "tenants": args.tenants, "rows_per_day": args.rows_per_day, "days": args.days,
        "replicas": args.replicas, "seed": args.seed, "row_bytes": args.row_bytes,
        "partition_rows": layout.partition_rows, "months": to_value(months)?,
    }))
}

/// The worst exponent's, with all of them.
fn figures(months: &[Month]) -> Vec<Figure> {
    let worst = |id: &str, of: fn(&Sizes) -> f64| {
        let value = |month: &Month| json!({"value": of(&month.promoted), "exponent": month.exponent, "all": of(&month.all)});
        let most = months.iter().map(|month| of(&month.promoted)).fold(0.0, f64::max);
        Figure::of(id, most, months.iter().map(value).collect())
    };
    let rows = worst("scale.partition_p99_rows", |sizes| sizes.p99_rows as f64);
    rows.into_iter().chain(worst("scale.partition_p99_mb", |sizes| sizes.p99_mb)).collect()
}

fn charts(months: &[Month]) -> Vec<Chart> {
    let points = |of: fn(&Month) -> f64| -> Vec<(f64, f64)> {
        months.iter().map(|month| (month.exponent, of(month))).collect()
    };
    let across = "Zipf exponent";
    vec![
        Chart::over(
            across,
            "Rows of a partition, p99",
            "rows",
            vec![
                ("promoted", points(|month| month.promoted.p99_rows as f64)),
                ("never", points(|month| month.without_promotion.p99_rows as f64)),
            ],
        ),
        Chart::over(
            across,
            "Rows in partitions above the bound",
            "% of all rows",
            vec![
                ("promoted", points(|month| 100.0 * month.promoted.share_of_rows_above)),
                ("all", points(|month| 100.0 * month.all.share_of_rows_above)),
                ("never", points(|month| 100.0 * month.without_promotion.share_of_rows_above)),
            ],
        ),
        Chart::over(
            across,
            "Partitions",
            "a day",
            vec![("all", points(|month| month.partitions_a_day))],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn small(seed: u64, exponent: f64) -> Month {
        let config = config(&[]).unwrap();
        let traffic = Traffic {
            tenants: 200,
            rows_per_day: 20_000_000,
            days: 10,
            exponent,
            row_bytes: 450,
            seed,
        };
        let stop = Stop::after(Duration::from_secs(600));
        simulate(&traffic, &config.layout, &config.limits, 3, &stop).unwrap()
    }

    #[test]
    fn a_month_is_the_same_again_and_promotion_keeps_partitions_small() {
        let (one, again) = (small(1, 1.1), small(1, 1.1));
        assert_eq!(to_value(&one).unwrap(), to_value(&again).unwrap());
        assert_ne!(one.rows, small(2, 1.1).rows);
        assert!(one.promotions > 0 && one.promoted_tenants > 0, "{one:?}");
        // Every row is somewhere.
        assert_eq!(one.all.rows, one.rows);
        assert_eq!(one.promoted.rows + one.default.rows, one.rows);
        assert_eq!(one.without_promotion.rows, one.rows);
        assert!(one.backfilled > 0 && one.backfilled < one.rows / 2);
        // The largest tenant has millions of rows a day.
        assert!(one.without_promotion.max_rows > 2_000_000, "{one:?}");
        assert!(one.promoted.p99_rows <= 100_000, "{one:?}");
        assert!(one.promoted.share_of_rows_above < one.without_promotion.share_of_rows_above);
    }

    #[test]
    fn figures_are_those_of_the_worst_exponent() {
        let months = [small(1, 0.8), small(1, 1.3)];
        let figures = figures(&months);
        let expected = months.iter().map(|month| month.promoted.p99_mb).fold(0.0, f64::max);
        assert_eq!(figures.len(), 2);
        assert!((figures[1].measured - expected).abs() < 1e-9);
    }
}
