//! A report that needs nothing but a browser: one HTML file with its drawings inside.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use crate::watch::Timeline;

/// Points over time, in seconds.
pub type Points = Vec<(f64, f64)>;

/// One drawing: lines over time.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The unit of its values.
    pub unit: &'static str,
    /// Lines by name.
    pub lines: Vec<(&'static str, Points)>,
}

const COLOURS: [&str; 6] = ["#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2"];
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 24.0;

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
    let chart = |title: &str, unit, lines| Chart { title: title.to_owned(), unit, lines };
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
    Chart { title: title.to_owned(), unit: "rows/s", lines: vec![("written", points)] }
}

/// Writes the report: the drawings, then the figures.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, title: &str, charts: &[Chart], figures: &Value) -> anyhow::Result<()> {
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>body{{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;color:#111}}\
         svg{{width:100%;height:auto}}text{{font-size:11px;fill:#555}}\
         pre{{background:#f6f8fa;padding:1em;overflow:auto}}</style><h1>{title}</h1>",
        title = escape(title)
    );
    for chart in charts {
        draw(chart, &mut html);
    }
    let text = serde_json::to_string_pretty(figures)?;
    let _ = write!(html, "<h2>Figures</h2><pre>{}</pre></html>", escape(&text));
    std::fs::write(path, html).with_context(|| format!("writing {}", path.display()))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn draw(chart: &Chart, html: &mut String) {
    let points = || chart.lines.iter().flat_map(|(_, points)| points);
    let (right, top) =
        points().fold((0.0_f64, 0.0_f64), |(x, y), point| (x.max(point.0), y.max(point.1)));
    // Writing to a string does not fail.
    let _ = write!(html, "<h2>{} <small>({})</small></h2>", escape(&chart.title), chart.unit);
    if right <= 0.0 {
        html.push_str("<p>nothing was measured</p>");
        return;
    }
    let top = if top > 0.0 { top * 1.05 } else { 1.0 };
    let place = |(x, y): &(f64, f64)| {
        let (width, height) = (WIDTH - LEFT, HEIGHT - BOTTOM);
        format!("{:.1},{:.1}", LEFT + x / right * width, height - y / top * height)
    };
    let _ = write!(html, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let y = (HEIGHT - BOTTOM) * (1.0 - f64::from(step) / 4.0);
        let _ = write!(
            html,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            (y + 4.0).max(10.0),
            number(value)
        );
    }
    for (index, (name, points)) in chart.lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let path: Vec<_> = points.iter().map(place).collect();
        let _ = write!(
            html,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>\
             <text x=\"{:.0}\" y=\"12\" style=\"fill:{colour}\">{name}</text>",
            path.join(" "),
            LEFT + 10.0 + 90.0 * index as f64
        );
    }
    let _ = write!(
        html,
        "<text x=\"{LEFT}\" y=\"{y}\">0 s</text>\
         <text x=\"{WIDTH}\" y=\"{y}\" text-anchor=\"end\">{right:.0} s</text></svg>",
        y = HEIGHT - 6.0
    );
}

fn number(value: f64) -> String {
    match value {
        v if v >= 10_000.0 => format!("{:.0} k", v / 1000.0),
        v if v >= 100.0 => format!("{v:.0}"),
        v => format!("{v:.1}"),
    }
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
