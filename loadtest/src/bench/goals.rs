//! The figures of audit events, and what each is to reach.

use serde::Serialize;
use serde_json::Value;

use crate::latency::median;

/// A figure's goal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    pub(super) id: &'static str,
    pub(super) what: &'static str,
    pub(super) goal: f64,
    pub(super) at_least: bool,
    pub(super) unit: &'static str,
}

const fn goal(
    id: &'static str,
    goal: f64,
    at_least: bool,
    unit: &'static str,
    what: &'static str,
) -> Goal {
    Goal { id, what, goal, at_least, unit }
}

pub(super) const GOALS: [Goal; 11] = [
    goal(
        "audit.pipeline_ratio_pinned",
        0.95,
        true,
        "ratio",
        "pipeline rows/s ÷ ceiling rows/s, full backlog, 200 tenants; Cassandra on CPU 1, Kafka and ingest or the driver on CPU 0",
    ),
    goal("audit.pipeline_ratio_unpinned", 0.80, true, "ratio", "the same, nothing pinned"),
    goal(
        "audit.pipeline_ratio_pinned_random_keys",
        0.85,
        true,
        "ratio",
        "pinned, random Kafka keys",
    ),
    goal(
        "audit.hot_tenant_ratio",
        0.85,
        true,
        "ratio",
        "pipeline rows/s with one tenant of 90 % of the traffic ÷ even traffic, nothing pinned",
    ),
    goal(
        "audit.cpu_per_row_us",
        4.0,
        false,
        "µs",
        "CPU of the ingest process a row, from its first stored row to its last, nothing pinned",
    ),
    goal(
        "audit.rss_mib",
        256.0,
        false,
        "MiB",
        "largest resident memory of ingest, backlog of 5 M, Cassandra stopped for 30 s in its middle",
    ),
    goal(
        "audit.stored_20m_ratio",
        0.90,
        true,
        "ratio",
        "pipeline rows/s with 20 M rows stored ÷ with an empty table, medians of seven windows each",
    ),
    goal(
        "audit.lag_p99_ms",
        250.0,
        false,
        "ms",
        "p99 end-to-end lag at half the ceiling, pinned; the producer on CPU 0 too",
    ),
    goal("audit.lag_p99_unpinned_ms", 250.0, false, "ms", "the same, nothing pinned"),
    goal(
        "audit.first_page_p99_ms",
        50.0,
        false,
        "ms",
        "first page (100 events) of a tenant's day, 20 M rows stored, p99; runs show it by rows stored",
    ),
    goal(
        "audit.read_slowdown",
        0.05,
        false,
        "share",
        "by how much 20 first pages a second slow the pipeline's writes, neighbouring windows of one backlog",
    ),
];

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
    pub(super) fn median(id: &str, runs: Vec<Value>) -> Option<Self> {
        let measured = median(values(&runs));
        Self::of(id, measured, runs)
    }

    /// The figure `id`; `None` for an unknown one or without runs.
    pub(super) fn of(id: &str, measured: f64, runs: Vec<Value>) -> Option<Self> {
        let Goal { id, what, goal, at_least, unit } = *GOALS.iter().find(|goal| goal.id == id)?;
        (!runs.is_empty()).then_some(Self { id, what, goal, at_least, measured, unit, runs })
    }

    fn reached(&self) -> bool {
        if self.at_least { self.measured >= self.goal } else { self.measured <= self.goal }
    }
}

fn values(runs: &[Value]) -> Vec<f64> {
    runs.iter().filter_map(|run| run["value"].as_f64()).collect()
}

/// Prints goal beside measured, with the spread of the runs.
#[allow(clippy::print_stdout, reason = "the table is the command's result")]
pub(super) fn print(figures: &[Figure]) {
    println!(
        "{:<42} {:>10} {:>10}  {:<6} {:>19}",
        "figure", "goal", "measured", "unit", "lowest to highest"
    );
    for figure in figures {
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
