//! `bench audit`: the goals beside what was measured, on engines of its own.
//!
//! | module | what it does |
//! |---|---|
//! | `goals` | the figures, their goals, and how a figure is written down |
//! | `file` | `target/bench.json`, shared with the figures of other services |
//! | `bed` | engines, backlogs, one run of the ceiling or of the pipeline |
//! | `ratios` | alternating runs, pinned and not |
//! | `others` | lag, memory, reads, stored rows |

mod bed;
mod file;
mod goals;
mod others;
mod ratios;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::cli::BenchArgs;
use crate::deploy;
use crate::progress::say;
use crate::stop::Stop;
use crate::system::Machine;
use bed::{Bed, Pinning};
pub use goals::Figure;
use goals::GOALS;

/// A part of the measurement, with its share of the time and the figures that it yields.
struct Part {
    name: &'static str,
    /// Minutes that it takes on two cores, roughly.
    weight: f64,
    ids: &'static [&'static str],
}

const PARTS: [Part; 7] = [
    Part {
        name: "pinned",
        weight: 15.0,
        ids: &["audit.pipeline_ratio_pinned", "audit.pipeline_ratio_pinned_random_keys"],
    },
    Part { name: "lag", weight: 2.0, ids: &["audit.lag_p99_ms"] },
    Part {
        name: "unpinned",
        weight: 11.0,
        ids: &["audit.pipeline_ratio_unpinned", "audit.hot_tenant_ratio", "audit.cpu_per_row_us"],
    },
    Part { name: "lag unpinned", weight: 2.0, ids: &["audit.lag_p99_unpinned_ms"] },
    Part { name: "rss", weight: 3.5, ids: &["audit.rss_mib"] },
    Part { name: "read", weight: 3.5, ids: &["audit.read_slowdown"] },
    Part {
        name: "stored",
        weight: 7.0,
        ids: &["audit.stored_20m_ratio", "audit.first_page_p99_ms"],
    },
];

/// Measures what `args` ask for; returns whether all of it was measured. Figures are written as soon
/// as they are there, so that an end by time loses nothing.
///
/// # Errors
/// When nothing can be measured: no engines, no `ingest`, an unknown figure.
pub async fn audit(args: &BenchArgs, stop: &Stop) -> anyhow::Result<bool> {
    let wanted = wanted(&args.only)?;
    let out = args.out.clone().map_or_else(default_file, Ok)?;
    file::write_machine(&out, "audit", &Machine::here())?;
    let mut bed = Bed::new(args, stop)?;
    let (mut measured, mut failed) = (Vec::new(), Vec::new());
    for (index, part) in PARTS.iter().enumerate() {
        let ids: Vec<_> = part.ids.iter().copied().filter(|id| wanted.contains(id)).collect();
        if ids.is_empty() {
            continue;
        }
        let until = Instant::now() + allowance(stop, index, &wanted);
        say(&format!("{}: {} (within {:.0} min)", part.name, ids.join(", "), minutes_to(until)));
        let begun = Instant::now();
        match measure(&mut bed, part.name, &ids, until).await {
            Ok(figures) => {
                file::merge(&out, &figures)?;
                measured.extend(figures);
            }
            Err(error) => failed.push(format!("{}: {error:#}", part.name)),
        }
        say(&format!("{} took {:.1} min", part.name, begun.elapsed().as_secs_f64() / 60.0));
    }
    bed.down().await?;
    goals::print(&measured);
    for failure in &failed {
        say(failure);
    }
    say(&format!("written to {}", out.display()));
    Ok(failed.is_empty())
}

async fn measure(
    bed: &mut Bed,
    part: &str,
    ids: &[&str],
    until: Instant,
) -> anyhow::Result<Vec<Figure>> {
    match part {
        "pinned" => Box::pin(ratios::pinned(bed, ids, until)).await,
        "unpinned" => Box::pin(ratios::unpinned(bed, ids, until)).await,
        "lag" => Box::pin(others::lag(bed, ids[0], Pinning::Pinned)).await,
        "lag unpinned" => Box::pin(others::lag(bed, ids[0], Pinning::Unpinned)).await,
        "rss" => Box::pin(others::memory(bed)).await,
        "read" => Box::pin(others::reads(bed)).await,
        _ => Box::pin(others::stored(bed, ids)).await,
    }
}

/// The asked ids, or all.
fn wanted(only: &[String]) -> anyhow::Result<Vec<&'static str>> {
    let known = || GOALS.iter().map(|goal| goal.id);
    if only.is_empty() {
        return Ok(known().collect());
    }
    let find = |id: &String| {
        let plain = id.trim_start_matches("audit.");
        let found = known().find(|known| known.trim_start_matches("audit.") == plain);
        found.with_context(|| {
            format!("--only: no figure {id}; there are {}", known().collect::<Vec<_>>().join(", "))
        })
    };
    only.iter().map(find).collect()
}

/// The part's share of the time that is left, some of it kept for the end.
fn allowance(stop: &Stop, index: usize, wanted: &[&str]) -> Duration {
    let asked = |part: &&Part| part.ids.iter().any(|id| wanted.contains(id));
    let left = stop.deadline().saturating_duration_since(Instant::now()).mul_f64(0.97);
    let weights: f64 = PARTS[index..].iter().filter(asked).map(|part| part.weight).sum();
    left.mul_f64(PARTS[index].weight / weights)
}

fn minutes_to(until: Instant) -> f64 {
    until.saturating_duration_since(Instant::now()).as_secs_f64() / 60.0
}

/// `target/bench.json` of the workspace that the engines' script belongs to.
fn default_file() -> anyhow::Result<PathBuf> {
    let script = deploy::script()?;
    let root = script.ancestors().nth(3).map(Path::to_owned).context("the workspace has a root")?;
    ensure!(root.join("Cargo.toml").is_file(), "{} is no workspace", root.display());
    Ok(root.join("target/bench.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_goal_belongs_to_one_part() {
        for goal in &GOALS {
            let parts = PARTS.iter().filter(|part| part.ids.contains(&goal.id)).count();
            assert_eq!(parts, 1, "{}", goal.id);
        }
        assert_eq!(PARTS.iter().map(|part| part.ids.len()).sum::<usize>(), GOALS.len());
    }

    #[test]
    fn figures_are_picked_by_their_ids() {
        let pick =
            |ids: &[&str]| wanted(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        assert_eq!(pick(&["rss_mib"]).unwrap(), ["audit.rss_mib"]);
        assert_eq!(pick(&["audit.lag_p99_ms"]).unwrap(), ["audit.lag_p99_ms"]);
        assert_eq!(pick(&[]).unwrap().len(), GOALS.len());
        assert!(pick(&["speed"]).is_err());
    }

    #[test]
    fn time_is_shared_by_weight_among_what_is_left() {
        let stop = Stop::after(Duration::from_secs(1000));
        let all: Vec<_> = GOALS.iter().map(|goal| goal.id).collect();
        assert!((allowance(&stop, 6, &all).as_secs_f64() - 970.0).abs() < 5.0, "the last has all");
        assert!(
            (allowance(&stop, 0, &["audit.pipeline_ratio_pinned"]).as_secs_f64() - 970.0).abs()
                < 5.0
        );
        let first = allowance(&stop, 0, &all).as_secs_f64();
        assert!((first - 970.0 * 15.0 / 44.0).abs() < 5.0, "{first}");
    }
}
