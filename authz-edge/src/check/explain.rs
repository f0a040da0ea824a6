//! Why: the verdict of a check with the paths that lead to it, or fail to.
//!
//! The decision is made by the code that makes it for checks, from views of the same reading; the paths
//! are found beside it and say the same (`check/tests/explains.rs` compares them). Nothing here is cached
//! or shared with other requests.
//!
//! | module | what it holds |
//! |---|---|
//! | [`answer`] | what is answered |
//! | `candidates` | every binding with every permission of its role for the action, and what became of each |
//! | `walk` | the ways from the subject and from the resource, and cycles on them |
//! | `words` | the sentences |

pub mod answer;
mod candidates;
mod walk;
mod words;

use chrono::{DateTime, Utc};
use contracts::Revision;

use self::answer::{Explanation, MAX_CYCLES, MAX_PATHS, Reason, Resource, Subject};
use self::candidates::Candidates;
use self::walk::Ways;
use super::checker::{Checker, too_many_steps};
use super::decisions::{self, Says, Stored, settle};
use super::question::{AtLeast, CheckError, Given, Question};
use crate::graph::GraphError;
use crate::graph::read::Reader;
use crate::model::condition::Precedence;
use crate::model::trace::Trace;
use crate::model::view::{Micros, Standing, evaluate};

impl Checker<Reader> {
    /// Why the question is decided as it is, and what the reading has in it. Costs one strict read, two
    /// for a subject that is too large for a view.
    ///
    /// # Errors
    /// As [`Checker::check`]; but the watermark's age does not matter, as nothing rests on it.
    pub async fn explain(
        &self,
        question: &Question,
        given: &Given,
        at_least: AtLeast,
    ) -> Result<(Explanation, Revision), CheckError> {
        question.check()?;
        given.check()?;
        let need = self.need(&question.tenant, at_least).await?;
        let Question { tenant, subject, action, resource } = question;
        let shared = self.shared();
        let read = |mode| shared.graph.trace(tenant, subject, action, resource, mode);
        let traced = shared.fill(tenant, true, "explain", read).await?;
        let revision = traced.stamp.revision;
        if revision < need {
            return Err(CheckError::Behind("the graph has no such revision yet".to_owned()));
        }
        let (now, precedence) = (shared.clock.micros(), self.precedence());
        let (question, given) = (question.clone(), given.clone());
        // Every condition that is shown is compiled for it.
        let explaining = tokio::task::spawn_blocking(move || {
            explain(&traced.view, &question, &given, precedence, now)
        });
        let died = |_| GraphError::Unavailable("an explanation died".to_owned());
        Ok((explaining.await.map_err(died)??, revision))
    }
}

/// Explains a question at `now`.
///
/// # Errors
/// `Limit` where a check has one.
pub fn explain(
    trace: &Trace,
    question: &Question,
    given: &Given,
    precedence: Precedence,
    now: Micros,
) -> Result<Explanation, CheckError> {
    let (subject, resource) = (trace.subject.attributes.clone(), trace.resource.attributes.clone());
    let verdict = evaluate(&trace.subject, &trace.resource, &question.action, now);
    let words = question.words();
    let stored = Stored { subject: subject.clone(), resource: resource.clone() };
    let decision = match settle(verdict, stored, &words, given, precedence, now) {
        Says::Limit => return Err(too_many_steps()),
        says => says == Says::Allow,
    };
    let inputs =
        decisions::inputs(&words, subject.as_deref(), resource.as_deref(), given, precedence);

    let teams = Ways::new(trace.holders.iter().map(|h| (h.node, &*h.teams)));
    let parents = Ways::new(trace.lineage.iter().map(|place| (place.node, &*place.parents)));
    let found = Candidates::find(trace, &question.action, &inputs, now);
    let map = words::Map::new(trace, question, &teams, &parents, now);
    let paths: Vec<_> = found.best().map(|candidate| map.path(candidate)).collect();
    let (cycles, more_cycles) = map.cycles(MAX_CYCLES);
    let more = found.total > paths.len() || found.others.len() > MAX_PATHS || more_cycles;
    let reason = if decision { Reason::Allowed } else { refusal(trace, &found) };
    Ok(Explanation {
        decision,
        reason,
        summary: map.summary(reason, paths.first(), &found),
        evaluated_at: DateTime::<Utc>::from_timestamp_micros(now).unwrap_or_default(),
        subject: Subject { of: question.subject.clone(), standing: standing(trace) },
        resource: Resource { of: question.resource.clone(), known: map.knows_resource() },
        counts: found.counts(trace),
        roles_without_action: found.others.iter().take(MAX_PATHS).cloned().collect(),
        truncated: more || map.is_shortened() || trace.cut,
        paths,
        cycles,
    })
}

fn standing(trace: &Trace) -> &'static str {
    match trace.subject.standing {
        Standing::Active => "active",
        Standing::Barred if trace.suspended => "tenant_suspended",
        Standing::Barred => "inactive",
        Standing::Unknown => "unknown",
    }
}

/// What stands in the way: of several, what is nearest to an allow.
fn refusal(trace: &Trace, found: &Candidates<'_>) -> Reason {
    match trace.subject.standing {
        Standing::Barred if trace.suspended => return Reason::TenantSuspended,
        Standing::Barred => return Reason::SubjectInactive,
        Standing::Unknown => return Reason::SubjectUnknown,
        Standing::Active => {}
    }
    match found.nearest() {
        Some(outcome) => outcome.reason(),
        None if trace.bindings.is_empty() => Reason::NoBinding,
        None => Reason::NoPermission,
    }
}
