//! The cached decisions: allow, deny, or the conditions that are left to evaluate for each request.

use std::sync::Arc;

use contracts::Revision;
use foldhash::fast::RandomState;
use moka::sync::Cache;

use super::question::{Given, Words};
use super::stamp::{Millis, Present, Stamp};
use crate::model::condition::{Budget, Inputs, Overlay, Precedence, Undecided};
use crate::model::view::{Micros, Verdict};
use crate::model::weight::share_of;
use crate::model::{Condition, Properties};

/// What was decided from two views.
#[derive(Debug)]
pub struct Decision {
    kind: Kind,
    /// What the subject's view depends on.
    pub subject: Arc<Stamp>,
    /// What the resource's view depends on.
    pub resource: Arc<Stamp>,
}

#[derive(Debug)]
enum Kind {
    Allow(Micros),
    Deny,
    When(Box<Conditional>),
}

#[derive(Debug)]
struct Conditional {
    conditions: Vec<(Condition, Micros)>,
    subject: Option<Arc<Properties>>,
    resource: Option<Arc<Properties>>,
}

/// What a decision says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// It is allowed.
    Allow,
    /// It is not.
    Deny,
    /// A binding that it rests on has expired: the views must be asked again.
    Expired,
    /// No condition that was evaluated holds, and not all could be: nobody knows.
    Limit,
}

/// What a decision says, and what that took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// What it says.
    pub says: Says,
    /// Steps of conditions.
    pub steps: u64,
}

impl From<Says> for Said {
    fn from(says: Says) -> Self {
        Self { says, steps: 0 }
    }
}

/// The stored attributes of both.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// Of the subject.
    pub subject: Option<Arc<Properties>>,
    /// Of the resource.
    pub resource: Option<Arc<Properties>>,
}

impl Decision {
    /// Of a verdict.
    #[must_use]
    pub fn new(
        verdict: Verdict,
        stored: Stored,
        (subject, resource): (Arc<Stamp>, Arc<Stamp>),
    ) -> Self {
        Self { kind: Kind::of(verdict, stored), subject, resource }
    }

    /// Whether it denies whatever the request says.
    #[must_use]
    pub fn denies(&self) -> bool {
        matches!(self.kind, Kind::Deny)
    }

    /// When the older of the reads that it was made from began.
    #[must_use]
    pub fn begun(&self) -> Millis {
        self.subject.begun().min(self.resource.begun())
    }

    /// The oldest read that it was made from.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.subject.revision.min(self.resource.revision)
    }

    /// Whether it allows, for this request. Conditions take [`MAX_DECISION_STEPS`] together at most.
    ///
    /// [`MAX_DECISION_STEPS`]: crate::model::condition::MAX_DECISION_STEPS
    #[must_use]
    pub fn answer(
        &self,
        words: &Words<'_>,
        given: &Given,
        precedence: Precedence,
        now: Micros,
    ) -> Said {
        self.kind.answer(words, given, precedence, now)
    }

    fn bytes(&self) -> usize {
        let kind = match &self.kind {
            Kind::Allow(_) | Kind::Deny => 0,
            Kind::When(conditional) => conditional.bytes(),
        };
        size_of::<Self>() + 16 + kind
    }
}

impl Kind {
    fn of(verdict: Verdict, stored: Stored) -> Self {
        match verdict {
            Verdict::Allow(until) => Self::Allow(until),
            Verdict::Deny => Self::Deny,
            Verdict::When(conditions) => {
                let Stored { subject, resource } = stored;
                Self::When(Box::new(Conditional { conditions, subject, resource }))
            }
        }
    }

    fn answer(
        &self,
        words: &Words<'_>,
        given: &Given,
        precedence: Precedence,
        now: Micros,
    ) -> Said {
        match self {
            Self::Allow(until) if now < *until => Says::Allow.into(),
            Self::Allow(_) => Says::Expired.into(),
            Self::Deny => Says::Deny.into(),
            Self::When(conditional) => conditional.answer(words, given, precedence, now),
        }
    }
}

/// What a decision that is made of a verdict of `now` says.
pub(super) fn settle(
    verdict: Verdict,
    stored: Stored,
    words: &Words<'_>,
    given: &Given,
    precedence: Precedence,
    now: Micros,
) -> Says {
    Kind::of(verdict, stored).answer(words, given, precedence, now).says
}

impl Conditional {
    fn answer(
        &self,
        words: &Words<'_>,
        given: &Given,
        precedence: Precedence,
        now: Micros,
    ) -> Said {
        let inputs =
            inputs(words, self.subject.as_deref(), self.resource.as_deref(), given, precedence);
        let (mut says, mut budget) = (Says::Deny, Budget::default());
        for (condition, _) in self.conditions.iter().filter(|(_, until)| now < *until) {
            match condition.holds_within(&inputs, &mut budget) {
                Ok(true) => return Said { says: Says::Allow, steps: budget.spent() },
                // A cheaper one may still hold.
                Err(Undecided::OverBudget) => says = Says::Limit,
                // What cannot be evaluated grants nothing; `explain` says why.
                Ok(false) | Err(_) => {}
            }
        }
        Said { says, steps: budget.spent() }
    }

    /// Memory, in bytes, roughly; of what views or other decisions hold too, a part.
    fn bytes(&self) -> usize {
        let conditions = self.conditions.iter().map(|(condition, _)| 24 + condition.share());
        64 + conditions.sum::<usize>() + share_of(&self.subject) + share_of(&self.resource)
    }
}

/// What conditions see.
#[must_use]
pub fn inputs<'a>(
    words: &Words<'a>,
    subject: Option<&'a Properties>,
    resource: Option<&'a Properties>,
    given: &'a Given,
    precedence: Precedence,
) -> Inputs<'a> {
    Inputs {
        subject_type: words.subject_type.as_str(),
        subject_id: words.subject,
        subject_properties: Overlay::new(subject, given.subject.as_ref(), precedence),
        resource_type: words.resource_type,
        resource_id: words.resource,
        resource_properties: Overlay::new(resource, given.resource.as_ref(), precedence),
        action_name: words.action,
        action_properties: Overlay::new(None, given.action.as_ref(), precedence),
        context: given.context.as_ref(),
    }
}

/// What two views say about a question.
pub(super) struct Looked {
    pub(super) verdict: Verdict,
    /// When, on the wall.
    pub(super) now: Micros,
    pub(super) stored: Stored,
    pub(super) stamps: (Arc<Stamp>, Arc<Stamp>),
    /// Whether nothing was read for it.
    pub(super) cached: bool,
    /// Whether it was read for this question alone: no view would give it again.
    pub(super) narrowed: bool,
}

/// All cached decisions.
pub type Decisions = Cache<Box<[u8]>, Arc<Decision>, RandomState>;

/// An empty cache of so many bytes. Stamps are shared by the decisions about one subject or resource;
/// each decision is weighed with a part of them.
#[must_use]
pub fn decisions(bytes: u64) -> Decisions {
    Cache::builder()
        .max_capacity(bytes)
        .weigher(
            #[allow(clippy::borrowed_box, reason = "moka hands the key out so")]
            |key: &Box<[u8]>, decision: &Arc<Decision>| {
                // moka's own entry is some 150 bytes.
                let all = key.len() + 150 + decision.bytes() + decision.stamps();
                u32::try_from(all).unwrap_or(u32::MAX)
            },
        )
        .eviction_listener(crate::metrics::evictions("decision"))
        .build_with_hasher(RandomState::default())
}

impl Decision {
    /// Whether it counts no more, whatever comes.
    pub(super) fn is_past(&self, present: Present) -> bool {
        self.subject.is_past(present) || self.resource.is_past(present)
    }

    /// The share of its stamps: who made the first of many pays most, which errs on the safe side.
    fn stamps(&self) -> usize {
        let share = |stamp: &Arc<Stamp>| stamp.bytes() / Arc::strong_count(stamp).max(1);
        share(&self.subject) + share(&self.resource)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use contracts::TenantId;

    use super::*;
    use crate::check::fences::Fences;
    use crate::check::stamp::Life;
    use crate::model::SubjectType;
    use crate::model::view::NEVER;

    fn decision(verdict: Verdict, stored: Stored) -> Decision {
        let (fences, tenant) = (Fences::with_places(1, 1), TenantId::parse("acme").unwrap());
        let day = crate::check::stamp::millis(Duration::from_secs(86_400));
        let life = Life { begun: 0, unconfirmed: day, ends: day };
        let stamp = || Arc::new(Stamp::new(&fences, &tenant, &[], Revision(1), life, 1));
        Decision::new(verdict, stored, (stamp(), stamp()))
    }

    fn when(texts: impl IntoIterator<Item = String>) -> Verdict {
        let compiled = texts.into_iter().map(|text| (Condition::compile(&text).unwrap(), NEVER));
        Verdict::When(compiled.collect())
    }

    /// What conditions say of a context whose `n` is a list of so many numbers.
    fn says(texts: impl IntoIterator<Item = String>, numbers: u64) -> Says {
        let list: Vec<u64> = (0..numbers).collect();
        let context = Properties::from_iter([("n".to_owned(), serde_json::json!(list))]);
        let given = Given { context: Some(context), ..Given::default() };
        let tenant = TenantId::parse("acme").unwrap();
        let words = Words {
            tenant: &tenant,
            subject_type: SubjectType::User,
            subject: "anna",
            action: "read",
            resource_type: "doc",
            resource: "1",
        };
        let said =
            decision(when(texts), Stored::default()).answer(&words, &given, Precedence::Request, 0);
        assert!(said.steps <= crate::model::condition::MAX_DECISION_STEPS);
        said.says
    }

    #[test]
    fn a_decision_that_takes_too_many_steps_is_a_limit_and_no_denial() {
        let dear = |n: usize| format!("context.n.all(a, context.n.exists(b, a + b < {n} - 1))");
        let (dears, cheap) = (|count| (0..count).map(dear), "context.n.size() > 0".to_owned());
        // Each by itself is within its own bound.
        assert_eq!(says(dears(1), 40), Says::Deny);
        assert_eq!(says(dears(1000), 40), Says::Limit);
        // Whatever holds within the budget allows, also behind what does not fit.
        assert_eq!(says(dears(100).chain([cheap]), 40), Says::Allow);
        // As many usual ones as a view may hold are within it.
        let usual = |n: usize| format!("context.a{n} == subject.id && has(context.b)");
        assert_eq!(says((0..4096).map(usual), 40), Says::Deny);
    }

    #[test]
    fn a_decision_weighs_the_attributes_and_conditions_that_it_holds() {
        let bytes = crate::model::MAX_PROPERTIES_BYTES;
        let text = "x".repeat(bytes).into();
        let subject = Some(Arc::new(Properties::from_iter([("x".to_owned(), text)])));
        let of = |stored| decision(when(["true".to_owned()]), stored).bytes();
        let alone = of(Stored { subject, resource: None });
        assert!(alone >= bytes, "{alone}");
        let long = format!("context.a == '{}'", "x".repeat(1000));
        assert!(decision(when([long]), Stored::default()).bytes() >= 1000);
    }
}
