//! What Grafana's `dashboard-linter` lets pass here, and why: its file `.lint`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::boards;

/// The file.
#[derive(Debug, Clone, Serialize)]
pub struct Exceptions {
    /// By rule.
    pub exclusions: BTreeMap<&'static str, Exclusion>,
}

/// Where a rule is not kept.
#[derive(Debug, Clone, Serialize)]
pub struct Exclusion {
    /// Why that is right.
    pub reason: &'static str,
    /// There and nowhere else.
    pub entries: Vec<Entry>,
}

/// A panel.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Entry {
    /// Its dashboard's title.
    pub dashboard: &'static str,
    /// Its own.
    pub panel: &'static str,
}

/// Panels of recorded series, which have neither job nor instance.
#[must_use]
pub fn exceptions() -> Exceptions {
    let boards = boards::all();
    let entries = boards.iter().flat_map(|board| {
        let panels = board.rows.iter().flat_map(|row| &row.panels);
        let recorded =
            panels.filter(|panel| panel.queries.iter().any(|query| query.expr.contains("triad:")));
        recorded.map(move |panel| Entry { dashboard: board.title, panel: panel.title })
    });
    let exclusion = Exclusion {
        reason: "An objective is one number for all processes: its recorded series have neither job nor instance.",
        entries: entries.collect(),
    };
    let rules = ["target-instance-rule", "target-job-rule"];
    Exceptions { exclusions: rules.map(|rule| (rule, exclusion.clone())).into() }
}
