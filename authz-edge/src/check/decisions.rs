//! The cached decisions: allow, deny, or the conditions that are left to evaluate for each request.

use std::sync::Arc;

use contracts::Revision;
use foldhash::fast::RandomState;
use moka::sync::Cache;

use super::question::{Given, Words};
use super::stamp::{Millis, Stamp};
use crate::model::condition::{Inputs, Overlay, Precedence};
use crate::model::view::{Micros, Verdict};
use crate::model::{Condition, Properties};

/// The longest key: five words of at most 255 bytes with their lengths, and the type.
const MAX_KEY: usize = 5 * 256 + 1;

/// A decision's key: each word with its length, so that no two questions share one. Made on the stack.
pub struct DecisionKey {
    bytes: [u8; MAX_KEY],
    len: usize,
}

impl DecisionKey {
    /// `None` when a word is longer than any id may be.
    #[must_use]
    pub fn new(words: &Words<'_>) -> Option<Self> {
        let mut key = Self { bytes: [0; MAX_KEY], len: 0 };
        let all = [
            words.tenant.as_str(),
            words.subject,
            words.action,
            words.resource_type,
            words.resource,
        ];
        for word in all {
            let length = u8::try_from(word.len()).ok()?;
            let end = key.len + 1 + word.len();
            key.bytes[key.len] = length;
            key.bytes[key.len + 1..end].copy_from_slice(word.as_bytes());
            key.len = end;
        }
        key.bytes[key.len] = words.subject_type as u8;
        key.len += 1;
        Some(key)
    }

    /// The key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

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

    /// Whether it allows, for this request; `None` when a binding that it rests on has expired, and the
    /// views must be asked again.
    #[must_use]
    pub fn answer(
        &self,
        words: &Words<'_>,
        given: &Given,
        precedence: Precedence,
        now: Micros,
    ) -> Option<bool> {
        self.kind.answer(words, given, precedence, now)
    }

    fn bytes(&self) -> usize {
        let kind = match &self.kind {
            Kind::Allow(_) | Kind::Deny => 0,
            Kind::When(conditional) => 64 + 24 * conditional.conditions.len(),
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
    ) -> Option<bool> {
        match self {
            Self::Allow(until) => (now < *until).then_some(true),
            Self::Deny => Some(false),
            Self::When(conditional) => Some(conditional.answer(words, given, precedence, now)),
        }
    }
}

/// Whether a verdict of `now` allows, as a decision that is made of it says.
pub(super) fn settle(
    verdict: Verdict,
    stored: Stored,
    words: &Words<'_>,
    given: &Given,
    precedence: Precedence,
    now: Micros,
) -> bool {
    Kind::of(verdict, stored).answer(words, given, precedence, now).unwrap_or(false)
}

impl Conditional {
    fn answer(
        &self,
        words: &Words<'_>,
        given: &Given,
        precedence: Precedence,
        now: Micros,
    ) -> bool {
        let inputs =
            inputs(words, self.subject.as_deref(), self.resource.as_deref(), given, precedence);
        let mut live = self.conditions.iter().filter(|(_, until)| now < *until);
        // What cannot be evaluated grants nothing; `explain` says why.
        live.any(|(condition, _)| condition.holds(&inputs) == Ok(true))
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
    /// The share of its stamps: who made the first of many pays most, which errs on the safe side.
    fn stamps(&self) -> usize {
        let share = |stamp: &Arc<Stamp>| stamp.bytes() / Arc::strong_count(stamp).max(1);
        share(&self.subject) + share(&self.resource)
    }
}

#[cfg(test)]
mod tests {
    use contracts::TenantId;
    use proptest::prelude::*;

    use super::*;
    use crate::model::SubjectType;

    proptest! {
        #[test]
        fn no_two_questions_share_a_key(
            tenants in prop::array::uniform2("[ab0]{1,3}"),
            a in prop::array::uniform4("[ab\u{e9}:0]{0,3}"),
            b in prop::array::uniform4("[ab\u{e9}:0]{0,3}"),
            types in prop::array::uniform2(0..3_usize),
        ) {
            let kinds = [SubjectType::User, SubjectType::ServiceAccount, SubjectType::Team];
            let key = |tenant: &str, w: &[String; 4], type_: usize| {
                let words = Words {
                    tenant: &TenantId::parse(tenant).unwrap(), subject_type: kinds[type_],
                    subject: &w[0], action: &w[1], resource_type: &w[2], resource: &w[3],
                };
                DecisionKey::new(&words).unwrap().as_bytes().to_vec()
            };
            let same = tenants[0] == tenants[1] && a == b && types[0] == types[1];
            let (a, b) = (key(&tenants[0], &a, types[0]), key(&tenants[1], &b, types[1]));
            prop_assert_eq!(a == b, same);
        }
    }
}
