//! Alerts: what a person has to do something about. Each has a runbook page, and proof that it fires and stays quiet.
//!
//! `page` wakes somebody; `ticket` waits for the morning. No expression names a job: the one process (`triad`) has the
//! metrics of all three services.

mod authz;
mod identity;
mod ingest;
mod processes;

use std::collections::BTreeMap;

use crate::prometheus::{Expected, Firing, Group, Rule, Series, Test};

/// Where the pages of runbooks are, from the repository's root.
pub const RUNBOOKS: &str = "docs/runbooks";

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// At once, at any time.
    Page,
    /// During the day.
    Ticket,
}

impl Severity {
    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

/// Something is wrong.
#[derive(Debug, Clone)]
pub struct Alert {
    /// Its name.
    pub name: &'static str,
    /// Who is told.
    pub severity: Severity,
    /// PromQL: what it finds is wrong.
    pub expr: String,
    /// How long it is so before anybody is told.
    pub hold: &'static str,
    /// In a sentence, with `{{ $labels.… }}` and `{{ $value }}`.
    pub summary: &'static str,
    /// The page's name in [`RUNBOOKS`].
    pub runbook: &'static str,
    /// What has it fire, in promtool's notation, a sample a minute.
    pub fires: Vec<(&'static str, &'static str)>,
    /// When it fires by then.
    pub after: &'static str,
    /// The labels of what is found, `severity` apart.
    pub labels: Vec<(&'static str, &'static str)>,
    /// The summary, filled in.
    pub told: &'static str,
    /// What looks similar, and is nobody's trouble.
    pub quiet: Vec<(&'static str, &'static str)>,
}

/// What goes with an alert.
#[must_use]
pub fn annotations(summary: &str, runbook: &str) -> BTreeMap<&'static str, String> {
    [("summary", summary.to_owned()), ("runbook", format!("{RUNBOOKS}/{runbook}.md"))].into()
}

impl Alert {
    fn rule(&self) -> Rule {
        Rule {
            alert: Some(self.name.to_owned()),
            expr: self.expr.clone(),
            hold: Some(self.hold),
            labels: [("severity", self.severity.as_str().to_owned())].into(),
            annotations: annotations(self.summary, self.runbook),
            ..Rule::default()
        }
    }

    /// It fires on what it is for, and stays quiet on what it is not for.
    fn tests(&self) -> [Test; 2] {
        let severity = ("severity".to_owned(), self.severity.as_str().to_owned());
        let own = self.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let firing = Firing {
            exp_labels: own.chain([severity]).collect(),
            exp_annotations: annotations(self.told, self.runbook),
        };
        let test = |how: &str, series: &[(&str, &str)], exp_alerts| Test {
            name: format!("{} {how}", self.name),
            interval: "1m",
            input_series: series
                .iter()
                .map(|(series, values)| Series {
                    series: (*series).to_owned(),
                    values: (*values).to_owned(),
                })
                .collect(),
            alert_rule_test: vec![Expected {
                eval_time: self.after.to_owned(),
                alertname: self.name.to_owned(),
                exp_alerts,
            }],
        };
        [test("fires", &self.fires, vec![firing]), test("stays quiet", &self.quiet, Vec::new())]
    }
}

/// Every alert that is no objective's.
#[must_use]
pub fn all() -> Vec<(&'static str, Vec<Alert>)> {
    vec![
        ("processes", processes::alerts()),
        ("ingest", ingest::alerts()),
        ("authz-edge", authz::alerts()),
        ("identity-admin", identity::alerts()),
    ]
}

/// The rules, a group for each service.
#[must_use]
pub fn groups() -> Vec<Group> {
    let groups = all().into_iter().map(|(service, alerts)| Group {
        name: format!("triad-{service}"),
        interval: "30s",
        rules: alerts.iter().map(Alert::rule).collect(),
    });
    groups.collect()
}

/// Two tests for each.
#[must_use]
pub fn tests() -> Vec<Test> {
    all().iter().flat_map(|(_, alerts)| alerts).flat_map(Alert::tests).collect()
}
