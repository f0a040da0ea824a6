//! Grafana's dashboards and Prometheus's rules, written by code: a name is written once, and every one is checked
//! against what the services declare.
//!
//! | module | what it holds |
//! |---|---|
//! | [`boards`] | the dashboards |
//! | [`alerts`] | what somebody has to do something about, and the proof that it fires |
//! | [`objectives`] | what is promised to callers |
//! | [`slo`] | alerts on how fast error budgets burn |
//! | [`grafana`], [`prometheus`] | the forms of both |
//! | [`linter`] | what Grafana's `dashboard-linter` lets pass |
//! | [`source`] | asking a running Prometheus |
//! | [`draw`] | pictures of the dashboards, of what it answers |

pub mod alerts;
pub mod boards;
pub mod draw;
pub mod grafana;
pub mod linter;
pub mod objectives;
pub mod prometheus;
pub mod slo;
pub mod source;
#[cfg(test)]
mod tests;

use prometheus::{Group, Rules, Tests};

/// Said at the head of what is written.
const HEAD: &str = "# Written by `cargo run -p dashboards`; change the code, not this file.\n";

/// Every file, by its path in this folder.
///
/// # Errors
/// None that is known: what is written holds nothing that JSON and YAML cannot.
pub fn files() -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for board in boards::all() {
        let text = serde_json::to_string_pretty(&board.model())? + "\n";
        files.push((format!("grafana/{}.json", board.uid), text));
    }
    files.push(("grafana/.lint".to_owned(), yaml(&linter::exceptions())?));
    files.push(("prometheus/rules.yaml".to_owned(), yaml(&rules())?));
    files.push(("prometheus/rules.test.yaml".to_owned(), yaml(&tests())?));
    Ok(files)
}

fn yaml(of: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(HEAD.to_owned() + &serde_saphyr::to_string(of)?)
}

/// An expression, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// A dashboard's panel, or a rule.
    pub place: String,
    /// PromQL, with Grafana's variables filled in: every job and instance.
    pub expr: String,
    /// Whether it finds something only when something is wrong.
    pub is_alert: bool,
}

/// An expression of a panel as Grafana sends it with every job and instance chosen.
#[must_use]
pub fn filled(expr: &str, rate_interval: &str) -> String {
    [("$__rate_interval", rate_interval), ("$job", ".+"), ("$instance", ".+")]
        .iter()
        .fold(expr.to_owned(), |expr, (name, value)| expr.replace(name, value))
}

/// Every expression of every panel and rule.
#[must_use]
pub fn asked(rate_interval: &str) -> Vec<Asked> {
    let mut all = Vec::new();
    for board in boards::all() {
        for panel in board.rows.iter().flat_map(|row| &row.panels) {
            for query in &panel.queries {
                let place = format!("{}: {}: {}", board.uid, panel.title, query.legend);
                let expr = filled(&query.expr, rate_interval);
                all.push(Asked { place, expr, is_alert: false });
            }
        }
    }
    for rule in rules().groups.iter().flat_map(|group| &group.rules) {
        let name = rule.record.as_deref().or(rule.alert.as_deref()).unwrap_or_default();
        let place = format!("{name} {:?}", rule.labels);
        all.push(Asked { place, expr: rule.expr.clone(), is_alert: rule.alert.is_some() });
    }
    all
}

/// Recorded series first, then alerts.
#[must_use]
pub fn rules() -> Rules {
    let objectives = objectives::all();
    let group = |name: &str, rules| Group { name: name.to_owned(), interval: "30s", rules };
    let mut groups = vec![
        group("triad-slo-records", objectives.iter().flat_map(slo::Objective::records).collect()),
        group("triad-slo", objectives.iter().flat_map(slo::Objective::alerts).collect()),
    ];
    groups.extend(alerts::groups());
    Rules { groups }
}

/// The tests of all of them.
#[must_use]
pub fn tests() -> Tests {
    let mut tests = alerts::tests();
    tests.extend(objectives::all().iter().flat_map(slo::Objective::tests));
    Tests { rule_files: vec!["rules.yaml"], evaluation_interval: "1m", tests }
}
