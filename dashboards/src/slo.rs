//! Objectives, and alerts on how fast their error budgets burn: several windows and burn rates, as Google's SRE workbook
//! has them (chapter 5, "Multiwindow, Multi-Burn-Rate Alerts", <https://sre.google/workbook/alerting-on-slos/>).
//!
//! The budget is one of thirty days. 14.4 is the rate at which an hour burns 2 % of it, 6 at which six hours burn 5 %;
//! those page. 3 over a day and 1 over three days end in a ticket. The short window, a twelfth of the long one, has the
//! alert end soon after the cause does.

use std::collections::BTreeMap;

use crate::prometheus::{Expected, Firing, Rule, Series, Test};

/// What is promised to callers.
#[derive(Debug, Clone)]
pub struct Objective {
    /// The value of label `slo`.
    pub name: &'static str,
    /// In words.
    pub says: &'static str,
    /// The share of events that must be good.
    pub target: f64,
    /// Bad events a second, one value, `{w}` for the window.
    pub bad: String,
    /// The same of all events.
    pub all: String,
    /// The runbook's page.
    pub runbook: &'static str,
    /// In which it is tried: it burns its budget in one at least, and keeps it in another.
    pub worlds: Vec<World>,
}

/// What is scraped for two hours, and whether a budget burns by it.
#[derive(Debug, Clone)]
pub struct World {
    /// Told when it fails.
    pub how: &'static str,
    /// A sample a minute.
    pub series: Vec<Series>,
    /// Whether a page and a ticket come of it.
    pub burns: bool,
}

/// Long window, short window, burn rate, severity.
pub const BURNS: [(&str, &str, f64, &str); 4] = [
    ("1h", "5m", 14.4, "page"),
    ("6h", "30m", 6.0, "page"),
    ("1d", "2h", 3.0, "ticket"),
    ("3d", "6h", 1.0, "ticket"),
];

/// Each once.
const WINDOWS: [&str; 7] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];

/// The recorded share of bad events over a window.
#[must_use]
pub fn ratio(name: &str, window: &str) -> String {
    format!("triad:slo_errors:ratio_rate{window}{{slo=\"{name}\"}}")
}

impl Objective {
    /// The share of bad events, by window. Without events nothing is bad.
    pub fn records(&self) -> impl Iterator<Item = Rule> {
        WINDOWS.into_iter().map(|window| Rule {
            record: Some(format!("triad:slo_errors:ratio_rate{window}")),
            expr: format!(
                "{} / ({} > 0)",
                self.bad.replace("{w}", window),
                self.all.replace("{w}", window)
            ),
            labels: [("slo", self.name.to_owned())].into(),
            ..Rule::default()
        })
    }

    /// What is left of 1.
    #[must_use]
    pub fn budget(&self) -> f64 {
        // To the digits that a target has.
        ((1.0 - self.target) * 1e6).round() / 1e6
    }

    /// The alert's name: the same for all windows, so that one thing that is wrong is one alert.
    #[must_use]
    pub fn alert(&self) -> String {
        let words = self.name.split('-').map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_uppercase() + rest
        });
        format!("Triad{}Budget", words.collect::<String>())
    }

    /// A page and a ticket.
    pub fn alerts(&self) -> impl Iterator<Item = Rule> {
        ["page", "ticket"].into_iter().map(|severity| {
            let burns = BURNS.iter().filter(|(.., of)| *of == severity);
            let either = burns.map(|(long, short, rate, _)| {
                let above = |window: &str| {
                    format!("{} > {rate} * {}", ratio(self.name, window), self.budget())
                };
                format!("({} and {})", above(long), above(short))
            });
            Rule {
                alert: Some(self.alert()),
                expr: either.collect::<Vec<_>>().join("\nor\n"),
                labels: [("severity", severity.to_owned())].into(),
                annotations: self.told(),
                ..Rule::default()
            }
        })
    }

    fn told(&self) -> BTreeMap<&'static str, String> {
        let summary = format!("{}: the error budget burns too fast.", self.says);
        crate::alerts::annotations(&summary, self.runbook)
    }

    /// What becomes of it in each of its worlds.
    pub fn tests(&self) -> impl Iterator<Item = Test> {
        let firing = move |severity: &str| Firing {
            exp_labels: [("severity", severity), ("slo", self.name)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            exp_annotations: self.told(),
        };
        self.worlds.iter().map(move |world| Test {
            name: format!("{} {}", self.alert(), world.how),
            interval: "1m",
            input_series: world.series.clone(),
            alert_rule_test: vec![Expected {
                eval_time: "2h".to_owned(),
                alertname: self.alert(),
                exp_alerts: match world.burns {
                    true => vec![firing("page"), firing("ticket")],
                    false => Vec::new(),
                },
            }],
        })
    }
}
