//! The summary of some seeds.

use std::collections::BTreeMap;

use super::seed::Told;

/// Lines for people: a seed each, then how often each invariant was violated.
#[must_use]
pub fn table(all: &[Told]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:>20} {:>6} {:>8} {:>9} {:>9} {:>9} {:>10}",
        "seed", "faults", "seconds", "done", "failed", "verified", "violations"
    )];
    let mut violated = BTreeMap::<_, usize>::new();
    for told in all {
        let sum = |field: &str| -> u64 {
            let workloads = told.totals.as_object().into_iter().flatten();
            workloads.filter_map(|(_, total)| total[field].as_u64()).sum()
        };
        let verified: u64 = told.verified.values().sum();
        lines.push(format!(
            "{:>20} {:>6} {:>8.0} {:>9} {:>9} {:>9} {:>10}",
            told.seed,
            told.plan.faults.len() - told.left_out.len(),
            told.seconds,
            sum("done"),
            sum("failed"),
            verified,
            told.violations.len()
        ));
        for violation in &told.violations {
            *violated.entry(violation.invariant).or_default() += 1;
        }
    }
    lines.extend(violated.iter().map(|(name, count)| format!("violated: {name}, {count} times")));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::plan::Plan;
    use super::*;
    use crate::trio::work::{Rates, Violation};

    #[test]
    fn a_seed_is_a_line_and_so_is_what_is_wrong() {
        let rates = Rates { events: 1, posts: 1, checks: 1, grants: 1, identities: 1 };
        let process = |at| Violation { invariant: "process", at, detail: "x".to_owned() };
        let told = Told {
            seed: 7,
            plan: Plan::new(7, 180),
            left_out: Vec::new(),
            rates,
            violations: vec![process(1.0), process(2.0)],
            verified: [("rows", 900), ("users", 9)].into(),
            totals: json!({"audit": {"done": 70, "failed": 2}, "checks": {"done": 7, "failed": 1}}),
            windows: json!([]),
            seconds: 200.4,
            logs: None,
            charts: Vec::new(),
        };
        let lines = table(&[told]);
        let words: Vec<_> = lines[1].split_whitespace().collect();
        assert_eq!(words[2..], ["200", "77", "3", "909", "2"]);
        assert_eq!(lines[2], "violated: process, 2 times");
    }
}
