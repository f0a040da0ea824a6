//! An explanation as it is answered. Stored attributes are not part of it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::model::{ResourceRef, SubjectRef};

/// The most paths of one answer, and roles that lack the action.
pub const MAX_PATHS: usize = 100;
/// The most steps of one way; of a longer one its ends are shown.
pub const MAX_HOPS: usize = 100;
/// The most cycles of one answer.
pub const MAX_CYCLES: usize = 10;

/// Why a question is decided as it is.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// As a check decides.
    pub decision: bool,
    /// In one word.
    pub reason: Reason,
    /// In one sentence.
    pub summary: String,
    /// The time that expiries were compared with.
    pub evaluated_at: DateTime<Utc>,
    /// Who was asked about.
    pub subject: Subject,
    /// What was asked about.
    pub resource: Resource,
    /// Bindings with permissions for the action: first those that grant, then the nearest to it; at most
    /// [`MAX_PATHS`]. Of several ways to one binding, a shortest.
    pub paths: Vec<Path>,
    /// Roles that are held and lack the action, sorted.
    pub roles_without_action: Vec<String>,
    /// How much there is.
    pub counts: Counts,
    /// Rings of teams or resources on the way. They are harmless.
    pub cycles: Vec<Cycle>,
    /// Whether there is more than is said here.
    pub truncated: bool,
}

/// Why, in a word that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Some path grants it.
    Allowed,
    /// The tenant is suspended.
    TenantSuspended,
    /// The subject is deactivated.
    SubjectInactive,
    /// The graph has no such subject.
    SubjectUnknown,
    /// Only a condition that cannot be evaluated is in the way.
    ConditionFailed,
    /// Only a condition is in the way.
    ConditionFalse,
    /// Only an expiry is in the way.
    Expired,
    /// A role with the action is bound to the resource, but its permission is on something else.
    PermissionOutOfScope,
    /// A role with the action is held, but on something else.
    BindingOutOfScope,
    /// Roles are held, none of them with the action.
    NoPermission,
    /// No role is held.
    NoBinding,
}

/// What became of a path; the best come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It allows the question.
    Granted,
    /// It would, if the subject might act at all.
    WouldGrant,
    /// Its condition cannot be evaluated, which grants nothing.
    ConditionFailed,
    /// Its condition does not hold.
    ConditionFalse,
    /// Its binding has expired.
    Expired,
    /// Its permission does not cover the resource.
    PermissionOutOfScope,
    /// Its binding does not cover the resource.
    BindingOutOfScope,
}

impl Outcome {
    /// How many there are.
    pub const ALL: usize = 7;

    /// As a reason for the whole.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Granted | Self::WouldGrant => Reason::Allowed,
            Self::ConditionFailed => Reason::ConditionFailed,
            Self::ConditionFalse => Reason::ConditionFalse,
            Self::Expired => Reason::Expired,
            Self::PermissionOutOfScope => Reason::PermissionOutOfScope,
            Self::BindingOutOfScope => Reason::BindingOutOfScope,
        }
    }
}

/// Who was asked about.
#[derive(Debug, Clone, Serialize)]
pub struct Subject {
    /// Who.
    #[serde(flatten)]
    pub of: SubjectRef,
    /// `active`, `inactive`, `unknown` or `tenant_suspended`.
    pub standing: &'static str,
}

/// What was asked about.
#[derive(Debug, Clone, Serialize)]
pub struct Resource {
    /// Which.
    #[serde(flatten)]
    pub of: ResourceRef,
    /// Whether the graph has it; what it does not have, bindings to everything or to its type cover.
    pub known: bool,
}

/// A binding with one permission of its role.
#[derive(Debug, Clone, Serialize)]
pub struct Path {
    /// What became of it.
    pub outcome: Outcome,
    /// The same in a sentence.
    pub because: String,
    /// From the subject to who holds the role; each is a member of the next, or the last is everyone.
    pub through: Vec<SubjectRef>,
    /// The binding.
    pub binding: Binding,
    /// The permission.
    pub permission: Permission,
}

/// A binding of a path.
#[derive(Debug, Clone, Serialize)]
pub struct Binding {
    /// The role's id.
    pub role: String,
    /// Where it applies; everywhere when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<On>,
    /// From when on it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// From the resource to what the scope names: each is below the next. Empty where nothing is named or
    /// it is not reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<ResourceRef>,
}

/// A permission of a path.
#[derive(Debug, Clone, Serialize)]
pub struct Permission {
    /// What may be done.
    pub action: String,
    /// On what; on everything when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<On>,
    /// As of a binding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<ResourceRef>,
    /// When, if not always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// A scope; with neither member it named a resource that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct On {
    /// The type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// The resource's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whether what it named is gone: it covers nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// A condition, and what it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// As it was written.
    pub text: String,
    /// Whether it holds; absent when it was not evaluated or could not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<bool>,
    /// Why it could not be evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The members that it reads and neither the request nor the graph has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Teams that the subject belongs to, through others too.
    pub teams: usize,
    /// Ancestors of the resource.
    pub ancestors: usize,
    /// Bindings that were looked at.
    pub bindings: usize,
    /// Bindings with permissions for the action: of these, `paths` shows the first.
    pub paths: usize,
    /// Permissions of other actions that were passed over.
    pub other_actions: usize,
    /// Whether the subject holds so much that only bindings to the resource, its ancestors, types and
    /// everything were looked at.
    pub narrowed: bool,
}

/// A ring: each is a member of, or below, the next, and the last of the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "of", content = "members", rename_all = "snake_case")]
pub enum Cycle {
    /// Of teams.
    Teams(Vec<SubjectRef>),
    /// Of resources.
    Resources(Vec<ResourceRef>),
}
