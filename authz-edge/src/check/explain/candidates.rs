//! Every binding with every permission of its role for the action, and what became of each.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::{Condition, Counts, MAX_PATHS, Outcome};
use crate::model::condition::{Budget, Compiler, Inputs, Undecided};
use crate::model::trace::{Bound, Permitted, Trace};
use crate::model::view::{Micros, Node, Standing};

/// One binding with one permission.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'a> {
    pub(super) outcome: Outcome,
    pub(super) bound: &'a Bound,
    pub(super) permitted: &'a Permitted,
    /// What its condition came to, if that mattered.
    pub(super) condition: Option<Condition>,
}

/// All of them, as far as they are shown.
pub(super) struct Candidates<'a> {
    /// By outcome, the first of each.
    found: [Vec<Candidate<'a>>; Outcome::ALL],
    /// How many there are, shown or not.
    pub(super) total: usize,
    /// Roles that are held and lack the action.
    pub(super) others: BTreeSet<String>,
    passed_over: usize,
}

/// A permission for the action, as far as it does not depend on the binding.
struct Judged<'a> {
    permitted: &'a Permitted,
    covers: bool,
    condition: Option<Evaluated>,
}

#[derive(Clone)]
struct Evaluated {
    outcome: Outcome,
    shown: Option<Condition>,
}

impl<'a> Candidates<'a> {
    /// Conditions are evaluated where all else grants, once each; after a grant, no more than are shown.
    pub(super) fn find(trace: &'a Trace, action: &str, inputs: &Inputs<'_>, now: Micros) -> Self {
        let mut permissions = BTreeMap::<Node, Vec<Judged<'a>>>::new();
        for permitted in trace.permissions.iter().filter(|p| p.action == action) {
            let covers = trace.resource.is_covered_by(&permitted.on.covers);
            let judged = Judged { permitted, covers, condition: None };
            permissions.entry(permitted.role).or_default().push(judged);
        }
        let kept = permissions.values().map(Vec::len).sum::<usize>();
        let mut all = Self {
            found: std::array::from_fn(|_| Vec::new()),
            total: 0,
            others: BTreeSet::new(),
            passed_over: trace.permissions.len() - kept,
        };
        let (compiler, budget) = (Compiler::new(), Budget::default());
        let mut evaluator = Evaluator { compiler, inputs, evaluated: 0, budget };
        for bound in &trace.bindings {
            match permissions.get_mut(&bound.role) {
                None => all.others.extend(trace.roles.get(&bound.role).cloned()),
                Some(permissions) => {
                    all.total += permissions.len();
                    let covers = trace.resource.is_covered_by(&bound.on.covers);
                    for judged in permissions {
                        all.judge(bound, covers, judged, &mut evaluator, now);
                    }
                }
            }
        }
        if trace.subject.standing != Standing::Active {
            let mut granted = std::mem::take(&mut all.found[Outcome::Granted as usize]);
            granted.iter_mut().for_each(|candidate| candidate.outcome = Outcome::WouldGrant);
            all.found[Outcome::WouldGrant as usize] = granted;
        }
        all
    }

    fn judge(
        &mut self,
        bound: &'a Bound,
        covers: bool,
        judged: &mut Judged<'a>,
        evaluator: &mut Evaluator<'_>,
        now: Micros,
    ) {
        let (outcome, condition) = if !covers {
            (Outcome::BindingOutOfScope, None)
        } else if !judged.covers {
            (Outcome::PermissionOutOfScope, None)
        } else if bound.until <= now {
            (Outcome::Expired, None)
        } else {
            let granted = !self.found[Outcome::Granted as usize].is_empty();
            if judged.condition.is_none() {
                if granted && evaluator.evaluated >= MAX_PATHS {
                    return;
                }
                judged.condition = Some(evaluator.evaluate(judged.permitted));
            }
            match &judged.condition {
                Some(Evaluated { outcome, shown }) => (*outcome, shown.clone()),
                None => return,
            }
        };
        let known = &mut self.found[outcome as usize];
        if known.len() < MAX_PATHS {
            known.push(Candidate { outcome, bound, permitted: judged.permitted, condition });
        }
    }

    /// Those that are shown, the best first.
    pub(super) fn best(&self) -> impl Iterator<Item = &Candidate<'a>> {
        self.found.iter().flatten().take(MAX_PATHS)
    }

    /// What became of the best one.
    pub(super) fn nearest(&self) -> Option<Outcome> {
        self.best().next().map(|candidate| candidate.outcome)
    }

    pub(super) fn counts(&self, trace: &Trace) -> Counts {
        let of_team = |holder: &&crate::model::trace::Holder| {
            holder.subject.type_ == crate::model::SubjectType::Team
        };
        Counts {
            teams: trace.holders.iter().filter(of_team).count(),
            ancestors: trace.lineage.len().saturating_sub(1),
            bindings: trace.bindings.len(),
            paths: self.total,
            other_actions: self.passed_over,
            narrowed: trace.narrowed,
        }
    }
}

struct Evaluator<'a> {
    compiler: Compiler,
    inputs: &'a Inputs<'a>,
    evaluated: usize,
    /// Of all of them, as in a check.
    budget: Budget,
}

impl Evaluator<'_> {
    fn evaluate(&mut self, permitted: &Permitted) -> Evaluated {
        let Some(text) = &permitted.condition else {
            return Evaluated { outcome: Outcome::Granted, shown: None };
        };
        self.evaluated += 1;
        let mut shown =
            Condition { text: text.clone(), result: None, error: None, missing: Vec::new() };
        let outcome = match self.compiler.compile(text) {
            Err(error) => {
                shown.error = Some(format!("it does not compile: {error}"));
                Outcome::ConditionFailed
            }
            Ok(condition) => {
                let missing = condition.missing(self.inputs);
                shown.missing = missing.iter().map(|&name| name.to_owned()).collect();
                match condition.holds_within(self.inputs, &mut self.budget) {
                    Ok(holds) => {
                        shown.result = Some(holds);
                        if holds { Outcome::Granted } else { Outcome::ConditionFalse }
                    }
                    Err(undecided) => {
                        shown.error = Some(plainly(&undecided, &missing));
                        Outcome::ConditionFailed
                    }
                }
            }
        };
        Evaluated { outcome, shown: Some(shown) }
    }
}

/// Why a condition cannot be evaluated, without any value that it was evaluated on.
fn plainly(undecided: &Undecided, missing: &[&str]) -> String {
    match undecided {
        Undecided::Absent(name) if !missing.contains(&name.as_str()) => {
            "a member that a value names is absent".to_owned()
        }
        Undecided::Function { function, .. } => format!("`{function}` failed on its argument"),
        other => other.to_string(),
    }
}
