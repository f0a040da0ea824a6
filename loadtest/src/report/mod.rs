//! A report that needs nothing but a browser: one HTML file with its drawings inside.

pub(crate) mod plot;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use self::plot::Plot;
use crate::watch::Timeline;

/// Points over what a drawing has across: time, in seconds, mostly.
pub type Points = Vec<(f64, f64)>;

/// One drawing: lines over time, or over something else.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The unit of its values.
    pub unit: &'static str,
    /// The unit of what it has across.
    pub across: &'static str,
    /// Lines by name.
    pub lines: Vec<(&'static str, Points)>,
}

/// Across, unless something else is said.
pub const SECONDS: &str = "s";

impl Chart {
    /// A drawing with `across` from left to right.
    #[must_use]
    pub fn over(
        across: &'static str,
        title: &str,
        unit: &'static str,
        lines: Vec<(&'static str, Points)>,
    ) -> Self {
        Self { title: title.to_owned(), unit, across, lines }
    }
}

/// The drawings of a watched pipeline: throughput, lag, write latency, memory.
#[must_use]
pub fn charts(timeline: &Timeline) -> Vec<Chart> {
    let (mut rate, mut lag, mut slow_lag) = (Points::new(), Points::new(), Points::new());
    let (mut write, mut slow_write, mut memory, mut bytes) =
        (Points::new(), Points::new(), Points::new(), Points::new());
    let mut from = None;
    for sample in &timeline.samples {
        let Some(before) = from.replace(sample) else { continue };
        if sample.at - before.at < 0.9 {
            from = Some(before);
            continue;
        }
        let rows = sample.reading.stored.saturating_sub(before.reading.stored);
        rate.push((sample.at, rows as f64 / (sample.at - before.at)));
        let quantiles =
            |now: &crate::latency::Buckets, then, half: &mut Points, high: &mut Points| {
                let delta = now.since(then);
                for (points, quantile) in [(half, 0.5), (high, 0.99)] {
                    points
                        .extend(delta.quantile(quantile).map(|value| (sample.at, value * 1000.0)));
                }
            };
        quantiles(&sample.reading.lag, &before.reading.lag, &mut lag, &mut slow_lag);
        quantiles(&sample.reading.write, &before.reading.write, &mut write, &mut slow_write);
        memory.push((sample.at, sample.memory.rss_kib as f64 / 1024.0));
        bytes.push((sample.at, sample.reading.in_flight_bytes as f64 / f64::from(1 << 20)));
    }
    let chart = |title, unit, lines| Chart::over(SECONDS, title, unit, lines);
    vec![
        chart("Throughput", "rows/s", vec![("stored", rate)]),
        chart("End-to-end lag", "ms", vec![("p50", lag), ("p99", slow_lag)]),
        chart("Batch write latency", "ms", vec![("p50", write), ("p99", slow_write)]),
        chart("Memory of ingest", "MiB", vec![("resident", memory), ("in flight", bytes)]),
    ]
}

/// The drawing of cumulative counts over time.
#[must_use]
pub fn throughput(title: &str, counts: &[(f64, u64)]) -> Chart {
    let mut points = Points::new();
    let mut from: Option<(f64, u64)> = None;
    for (at, count) in counts {
        let (before, then) = *from.get_or_insert((*at, *count));
        if at - before >= 0.9 {
            points.push((*at, (count - then) as f64 / (at - before)));
            from = Some((*at, *count));
        }
    }
    Chart::over(SECONDS, title, "rows/s", vec![("written", points)])
}

/// Writes the report: the drawings, then the figures.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, title: &str, charts: &[Chart], figures: &Value) -> anyhow::Result<()> {
    let mut html = head(title);
    for chart in charts {
        let lines = chart.lines.iter().map(|(name, points)| (*name, points.as_slice()));
        let (title, unit) = (chart.title.as_str(), chart.unit);
        plot::lines(&Plot { title, unit, across: chart.across, lines: lines.collect() }, &mut html);
    }
    let text = serde_json::to_string_pretty(figures)?;
    let _ = write!(html, "<h2>Figures</h2><pre>{}</pre></html>", escape(&text));
    std::fs::write(path, html).with_context(|| format!("writing {}", path.display()))
}

/// The beginning of a page, with its title.
pub(crate) fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>body{{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;color:#111}}\
         svg{{width:100%;height:auto}}text{{font-size:11px;fill:#555}}\
         table{{border-collapse:collapse}}td,th{{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:left}}\
         pre{{background:#f6f8fa;padding:1em;overflow:auto}}</style><h1>{title}</h1>",
        title = escape(title)
    )
}

/// Text as it stands in a page.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_file_that_asks_nobody() {
        let path =
            std::env::temp_dir().join(format!("loadtest-report-{}.html", std::process::id()));
        let chart = throughput("ceiling", &[(0.0, 0), (1.0, 1000), (2.0, 3000)]);
        assert_eq!(chart.lines[0].1, [(1.0, 1000.0), (2.0, 2000.0)]);
        write(&path, "a < b", &[chart], &serde_json::json!({"rows": 3000})).unwrap();
        let html = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        assert!(html.contains("<polyline") && html.contains("a &lt; b"));
        assert!(!html.contains("http"), "nothing is loaded from elsewhere");
    }
}
