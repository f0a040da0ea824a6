//! What the work did, window by window.

use serde_json::{Map, Value, json};

use super::work::{Done, Window};
use crate::report::{Chart, Points, SECONDS};

/// Windows of the work, oldest first.
#[derive(Default)]
pub struct Timeline(Vec<(f64, f64, Window)>);

impl Timeline {
    /// A window that ended `at`, in seconds since the work began.
    pub fn add(&mut self, at: f64, window: Window) {
        let begun = self.0.last().map_or(0.0, |(_, at, _)| *at);
        self.0.push((begun, at, window));
    }

    /// All of it: `{"at": …, "events": {"done": …, "failed": …, "p50_ms": …, "p99_ms": …}, …}` by window.
    #[must_use]
    pub fn told(&self) -> Value {
        let told = |(_, at, window): &(f64, f64, Window)| {
            let mut fields = Map::from_iter([("at".to_owned(), rounded(*at))]);
            for (name, done) in &window.workloads {
                let (p50, p99) = (done.p50_ms.map(rounded), done.p99_ms.map(rounded));
                let told = json!({"done": done.done, "failed": done.failed, "p50_ms": p50,
                    "p99_ms": p99});
                fields.insert((*name).to_owned(), told);
            }
            Value::Object(fields)
        };
        self.0.iter().map(told).collect()
    }

    /// How much was done and how much failed, of each workload.
    #[must_use]
    pub fn totals(&self) -> Value {
        let mut totals = Map::new();
        for (_, _, window) in &self.0 {
            for (name, done) in &window.workloads {
                let total = totals.entry(*name).or_insert_with(|| json!({"done": 0, "failed": 0}));
                for (field, more) in [("done", done.done), ("failed", done.failed)] {
                    total[field] = json!(total[field].as_u64().unwrap_or(0) + more);
                }
            }
        }
        Value::Object(totals)
    }

    /// One value of each workload over time, by workload.
    pub fn lines(&self, value: impl Fn(&Done, f64) -> Option<f64>) -> Vec<(&'static str, Points)> {
        let mut lines: Vec<(&'static str, Points)> = Vec::new();
        for (begun, at, window) in &self.0 {
            for (name, done) in &window.workloads {
                let Some(value) = value(done, at - begun) else { continue };
                match lines.iter_mut().find(|(line, _)| line == name) {
                    Some((_, points)) => points.push((*at, value)),
                    None => lines.push((name, vec![(*at, value)])),
                }
            }
        }
        lines
    }

    /// Drawings of what was done, what failed, and how long it took; `title` says of what.
    #[must_use]
    pub fn charts(&self, title: &str) -> Vec<Chart> {
        let rate = |count: u64, span: f64| (span > 0.0).then(|| count as f64 / span);
        let chart =
            |what: &str, unit, lines| Chart::over(SECONDS, &format!("{title}{what}"), unit, lines);
        vec![
            chart("done", "1/s", self.lines(|done, span| rate(done.done, span))),
            chart("failed", "1/s", self.lines(|done, span| rate(done.failed, span))),
            chart("latency, p99", "ms", self.lines(|done, _| done.p99_ms)),
        ]
    }
}

/// To tenths: what is kept by the thousand should be short.
fn rounded(value: f64) -> Value {
    json!((value * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(done: u64, p99_ms: Option<f64>) -> Window {
        let one = |name| (name, Done { done, failed: 1, p50_ms: None, p99_ms });
        Window { workloads: ["events", "posts", "checks", "grants", "identities"].map(one) }
    }

    #[test]
    fn rates_are_those_of_windows() {
        let mut timeline = Timeline::default();
        timeline.add(2.0, window(10, Some(1.26)));
        timeline.add(4.0, window(20, None));
        let charts = timeline.charts("seed 1: ");
        assert_eq!(charts[0].title, "seed 1: done");
        assert_eq!(charts[0].lines[0], ("events", vec![(2.0, 5.0), (4.0, 10.0)]));
        assert_eq!(charts[2].lines[4], ("identities", vec![(2.0, 1.26)]));
        assert_eq!(timeline.totals()["checks"], json!({"done": 30, "failed": 2}));
        let told = timeline.told();
        assert_eq!(told[0]["posts"]["p99_ms"], 1.3);
        assert_eq!(told[1]["posts"]["p99_ms"], Value::Null);
    }
}
