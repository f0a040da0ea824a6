//! Prometheus's rule files and the files of `promtool test rules`.

use std::collections::BTreeMap;

use serde::Serialize;

/// A file of rules.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Rules {
    /// Each is evaluated in order, apart from the others.
    pub groups: Vec<Group>,
}

/// Rules that are evaluated one after the other.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Its name in the file.
    pub name: String,
    /// Time between evaluations.
    pub interval: &'static str,
    /// In order: a rule sees the results of those before it.
    pub rules: Vec<Rule>,
}

/// A recorded series or an alert.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Rule {
    /// The series that is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// The alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// PromQL.
    pub expr: String,
    /// How long it must hold before the alert fires.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub hold: Option<&'static str>,
    /// Put on the result.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<&'static str, String>,
    /// Told with the alert.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<&'static str, String>,
}

/// A file of `promtool test rules`.
#[derive(Debug, Clone, Serialize)]
pub struct Tests {
    /// Relative to the file.
    pub rule_files: Vec<&'static str>,
    /// As the groups have it.
    pub evaluation_interval: &'static str,
    /// One for each world that is tried.
    pub tests: Vec<Test>,
}

/// What is scraped, and which alerts there are then.
#[derive(Debug, Clone, Serialize)]
pub struct Test {
    /// Told when it fails.
    pub name: String,
    /// Time between samples.
    pub interval: &'static str,
    /// What was scraped.
    pub input_series: Vec<Series>,
    /// What must fire, and what must not.
    pub alert_rule_test: Vec<Expected>,
}

/// A series in promtool's notation.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    /// Name and labels.
    pub series: String,
    /// Such as `0+10x60`.
    pub values: String,
}

/// Which alerts of a name fire at a time.
#[derive(Debug, Clone, Serialize)]
pub struct Expected {
    /// Since the beginning.
    pub eval_time: String,
    /// The alert.
    pub alertname: String,
    /// None: it is quiet.
    pub exp_alerts: Vec<Firing>,
}

/// One alert that fires.
#[derive(Debug, Clone, Serialize)]
pub struct Firing {
    /// All of them, the alert's name apart.
    pub exp_labels: BTreeMap<String, String>,
    /// All of them.
    pub exp_annotations: BTreeMap<&'static str, String>,
}
