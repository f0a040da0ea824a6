//! What a panel shows: the lines that its queries find, on one grid of moments.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use crate::grafana::{Draw, Panel};
use crate::source::{Series, Source, Window};

/// A line of a panel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) name: String,
    /// One for each moment, or only the last one; nothing where there is no number.
    pub(super) values: Vec<Option<f64>>,
}

impl Line {
    /// All its values together, for comparing lines.
    pub(super) fn sum(&self) -> f64 {
        self.values.iter().flatten().sum()
    }
}

/// Asks everything that a panel does.
pub(super) async fn shown(source: &Source, panel: &Panel, window: Window) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for query in &panel.queries {
        let expr = crate::filled(&query.expr, &rate_interval(window));
        let found = match panel.draw {
            Draw::Now(..) => source.now(&expr).await,
            Draw::Lines | Draw::Stack => source.over(&expr, window).await,
        };
        let found = found.with_context(|| format!("{}: {expr}", panel.title))?;
        lines.extend(found.iter().map(|series| Line {
            name: named(query.legend, &series.labels),
            values: match panel.draw {
                Draw::Now(..) => series.samples.iter().map(|(_, value)| finite(*value)).collect(),
                Draw::Lines | Draw::Stack => on_grid(series, window),
            },
        }));
    }
    Ok(lines)
}

/// As Grafana's `$__rate_interval`, of a Prometheus that scrapes every quarter of a minute or more often.
fn rate_interval(window: Window) -> String {
    format!("{}s", (window.step + 15).max(60))
}

/// A legend with its `{{labels}}` filled in.
fn named(legend: &str, labels: &BTreeMap<String, String>) -> String {
    let (mut text, mut rest) = (String::new(), legend);
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((name, after)) = behind.split_once("}}") else { break };
        text.push_str(before);
        text.push_str(labels.get(name.trim()).map_or("", String::as_str));
        rest = after;
    }
    text + rest
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn on_grid(series: &Series, window: Window) -> Vec<Option<f64>> {
    let mut samples = series.samples.iter().peekable();
    let near = |at: f64, moment: f64| (at - moment).abs() < 0.5;
    let values = window.moments().map(|moment| {
        let moment = f64::from(moment);
        while samples.next_if(|(at, _)| *at <= moment - 0.5).is_some() {}
        samples.next_if(|(at, _)| near(*at, moment)).and_then(|(_, value)| finite(*value))
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_at_their_moments_and_gaps_stay() {
        let window = Window { end: 130, step: 10, points: 4 };
        let samples = vec![(100.0, 1.0), (110.0, f64::NAN), (130.0, 3.0)];
        let series = Series { labels: BTreeMap::new(), samples };
        assert_eq!(on_grid(&series, window), [Some(1.0), None, None, Some(3.0)]);
    }

    #[test]
    fn legends_are_filled_in_by_labels() {
        let labels = BTreeMap::from([("route".to_owned(), "/v1/x".to_owned())]);
        for (legend, expected) in [
            ("half are below", "half are below"),
            ("{{route}}", "/v1/x"),
            ("99 % of {{ route }} are {{missing}}.", "99 % of /v1/x are ."),
            ("{{broken", "{{broken"),
        ] {
            assert_eq!(named(legend, &labels), expected);
        }
    }
}
