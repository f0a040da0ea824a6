//! The parts of a service's figures, one after the other, each within its share of the time.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::file;
use super::goals::{self, Figure, Goal};
use crate::deploy;
use crate::progress::say;
use crate::stop::Stop;
use crate::system::Machine;

/// A part of the measurement, with its share of the time and the figures that it yields.
pub(super) struct Part {
    pub(super) name: &'static str,
    /// Minutes that it takes on two cores, roughly.
    pub(super) weight: f64,
    pub(super) ids: &'static [&'static str],
}

/// All figures of a service.
pub(super) struct Suite {
    pub(super) service: &'static str,
    pub(super) parts: &'static [Part],
    pub(super) goals: &'static [Goal],
}

/// What was measured, and what failed.
pub(super) struct Outcome {
    wanted: Vec<&'static str>,
    measured: Vec<Figure>,
    failed: Vec<String>,
    out: PathBuf,
}

impl Suite {
    /// Measures the figures in `only`, or all. They are written to `out` as soon as they are there, so
    /// that an end by time loses nothing.
    ///
    /// # Errors
    /// An unknown figure, or a file that cannot be written. A part that fails is in the outcome.
    pub(super) async fn run(
        &self,
        only: &[String],
        out: Option<&Path>,
        stop: &Stop,
        mut measure: impl AsyncFnMut(&str, &[&str], Instant) -> anyhow::Result<Vec<Figure>>,
    ) -> anyhow::Result<Outcome> {
        let wanted = self.wanted(only)?;
        let out = out.map_or_else(default_file, |out| Ok(out.to_owned()))?;
        file::write_machine(&out, self.service, &Machine::here())?;
        let (mut measured, mut failed) = (Vec::new(), Vec::new());
        for (index, part) in self.parts.iter().enumerate() {
            let ids: Vec<_> = part.ids.iter().copied().filter(|id| wanted.contains(id)).collect();
            if ids.is_empty() {
                continue;
            }
            let begun = Instant::now();
            let until = begun + self.allowance(stop, index, &wanted);
            let minutes = until.saturating_duration_since(begun).as_secs_f64() / 60.0;
            say(&format!("{}: {} (within {minutes:.0} min)", part.name, ids.join(", ")));
            match measure(part.name, &ids, until).await {
                Ok(figures) => {
                    file::merge(&out, &figures)?;
                    measured.extend(figures);
                }
                Err(error) => {
                    say(&format!("{} failed: {error:#}", part.name));
                    failed.push(format!("{}: {error:#}", part.name));
                }
            }
            say(&format!("{} took {:.1} min", part.name, begun.elapsed().as_secs_f64() / 60.0));
        }
        Ok(Outcome { wanted, measured, failed, out })
    }

    /// The asked ids, or all.
    pub(super) fn wanted(&self, only: &[String]) -> anyhow::Result<Vec<&'static str>> {
        let known = || self.goals.iter().map(|goal| goal.id);
        let plain = |id: &str| {
            let rest = id.strip_prefix(self.service).and_then(|rest| rest.strip_prefix('.'));
            rest.unwrap_or(id).to_owned()
        };
        if only.is_empty() {
            return Ok(known().collect());
        }
        let mut wanted = Vec::new();
        for asked in only {
            if let Some(part) = self.parts.iter().find(|part| part.name == asked) {
                wanted.extend(part.ids);
                continue;
            }
            let found = known().find(|known| plain(known) == plain(asked));
            wanted.push(found.with_context(|| {
                let all = known().collect::<Vec<_>>().join(", ");
                format!("--only: no figure {asked}; there are {all}")
            })?);
        }
        Ok(wanted)
    }

    /// The part's share of the time that is left, some of it kept for the end.
    fn allowance(&self, stop: &Stop, index: usize, wanted: &[&str]) -> Duration {
        let asked = |part: &&Part| part.ids.iter().any(|id| wanted.contains(id));
        let left = stop.deadline().saturating_duration_since(Instant::now()).mul_f64(0.97);
        let weights: f64 = self.parts[index..].iter().filter(asked).map(|part| part.weight).sum();
        left.mul_f64(self.parts[index].weight / weights)
    }
}

impl Outcome {
    /// Prints the table; returns whether nothing failed.
    pub(super) fn tell(&self) -> bool {
        goals::print(&self.wanted, &self.measured);
        for failure in &self.failed {
            say(failure);
        }
        say(&format!("written to {}", self.out.display()));
        self.failed.is_empty()
    }
}

/// `target/bench.json` of the workspace that the engines' script belongs to.
///
/// # Errors
/// When there is none.
pub(crate) fn default_file() -> anyhow::Result<PathBuf> {
    Ok(deploy::target()?.join("bench.json"))
}

#[cfg(test)]
mod tests {
    use super::super::{audit, authz, identity, standalone};
    use super::*;

    #[test]
    fn every_goal_belongs_to_one_part() {
        for suite in [&audit::SUITE, &authz::SUITE, &identity::SUITE, &standalone::SUITE] {
            for goal in suite.goals {
                let parts = suite.parts.iter().filter(|part| part.ids.contains(&goal.id)).count();
                assert_eq!(parts, 1, "{}", goal.id);
                assert!(goal.id.starts_with(suite.service), "{}", goal.id);
            }
            let ids: usize = suite.parts.iter().map(|part| part.ids.len()).sum();
            assert_eq!(ids, suite.goals.len());
        }
    }

    #[test]
    fn figures_are_picked_by_their_ids_or_by_their_part() {
        let pick = |ids: &[&str]| {
            audit::SUITE.wanted(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(pick(&["rss_mib"]).unwrap(), ["audit.rss_mib"]);
        assert_eq!(pick(&["audit.lag_p99_ms"]).unwrap(), ["audit.lag_p99_ms"]);
        let part = ["audit.stored_20m_ratio", "audit.first_page_p99_ms"];
        assert_eq!(pick(&["stored"]).unwrap(), part);
        assert_eq!(pick(&[]).unwrap().len(), audit::GOALS.len());
        assert!(pick(&["speed"]).is_err());
    }

    #[test]
    fn time_is_shared_by_weight_among_what_is_left() {
        let stop = Stop::after(Duration::from_secs(1000));
        let all: Vec<_> = audit::GOALS.iter().map(|goal| goal.id).collect();
        let share =
            |index, wanted: &[&str]| audit::SUITE.allowance(&stop, index, wanted).as_secs_f64();
        assert!((share(8, &all) - 970.0).abs() < 5.0, "the last has all");
        assert!((share(0, &["audit.pipeline_ratio_pinned"]) - 970.0).abs() < 5.0);
        let first = share(0, &all);
        assert!((first - 970.0 * 15.0 / 46.0).abs() < 5.0, "{first}");
    }
}
