//! What a figure is to reach, and how one is written down and printed.

use serde::Serialize;
use serde_json::Value;

use super::{audit, authz, identity, standalone};
use crate::latency::median;
use crate::scale;

/// A figure's goal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) goal: f64,
    pub(crate) at_least: bool,
    pub(crate) unit: &'static str,
}

pub(crate) const fn goal(
    id: &'static str,
    goal: f64,
    at_least: bool,
    unit: &'static str,
    what: &'static str,
) -> Goal {
    Goal { id, what, goal, at_least, unit }
}

/// A measured figure, as `target/bench.json` has it.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// Its id, with the prefix of the service.
    pub id: &'static str,
    /// What it is, in words.
    pub what: &'static str,
    /// What it is to reach.
    pub goal: f64,
    /// Whether more is better.
    pub at_least: bool,
    /// What it is.
    pub measured: f64,
    /// Of both.
    pub unit: &'static str,
    /// What it is made of; `value` of each is what the median is taken of.
    pub runs: Vec<Value>,
}

impl Figure {
    /// The figure `id`, which is the median of its runs' `value`s.
    pub(crate) fn median(id: &str, runs: Vec<Value>) -> Option<Self> {
        let measured = median(values(&runs));
        Self::of(id, measured, runs)
    }

    /// The figure `id`; `None` for an unknown one or without runs.
    pub(crate) fn of(id: &str, measured: f64, runs: Vec<Value>) -> Option<Self> {
        let Goal { id, what, goal, at_least, unit } = *find(id)?;
        (!runs.is_empty()).then_some(Self { id, what, goal, at_least, measured, unit, runs })
    }

    fn reached(&self) -> bool {
        if self.at_least { self.measured >= self.goal } else { self.measured <= self.goal }
    }
}

fn find(id: &str) -> Option<&'static Goal> {
    let all = audit::GOALS.iter().chain(&authz::GOALS).chain(&identity::GOALS);
    let mut all = all.chain(&standalone::GOALS).chain(&scale::GOALS);
    all.find(|goal| goal.id == id)
}

fn values(runs: &[Value]) -> Vec<f64> {
    runs.iter().filter_map(|run| run["value"].as_f64()).collect()
}

/// Prints goal beside measured, with the spread of the runs, for each of the ids.
#[allow(clippy::print_stdout, reason = "the table is the command's result")]
pub(crate) fn print(wanted: &[&str], figures: &[Figure]) {
    println!(
        "{:<42} {:>10} {:>10}  {:<6} {:>19}",
        "figure", "goal", "measured", "unit", "lowest to highest"
    );
    for id in wanted {
        let Some(figure) = figures.iter().find(|figure| figure.id == *id) else {
            println!("{id:<42} not measured");
            continue;
        };
        let values = values(&figure.runs);
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sign = if figure.at_least { "≥" } else { "≤" };
        println!(
            "{:<42} {:>10} {:>10.3}  {:<6} {:>19} {}",
            figure.id,
            format!("{sign} {}", figure.goal),
            figure.measured,
            figure.unit,
            format!("{low:.3} to {high:.3}"),
            if figure.reached() { "" } else { "NOT REACHED" }
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_figure_is_the_median_of_its_runs_and_has_the_issue_s_fields() {
        let runs = [0.9, 1.1, 0.97].map(|value| json!({"value": value, "ceiling": 1.0}));
        let figure = Figure::median("audit.pipeline_ratio_pinned", runs.to_vec()).unwrap();
        assert_eq!(figure.measured, 0.97);
        assert!(figure.reached());
        let json = serde_json::to_value(&figure).unwrap();
        let fields: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        let mut expected =
            ["id", "what", "goal", "at_least", "measured", "unit", "runs"].map(str::to_owned);
        expected.sort();
        assert_eq!(fields, expected);
    }

    #[test]
    fn less_is_better_where_the_goal_says_so() {
        let figure = |value: f64| {
            Figure::median("audit.cpu_per_row_us", vec![json!({"value": value})]).unwrap()
        };
        assert!(figure(3.9).reached() && !figure(4.1).reached());
        assert!(Figure::median("audit.none", vec![json!({"value": 1})]).is_none());
        assert!(Figure::median("audit.rss_mib", Vec::new()).is_none());
    }
}
