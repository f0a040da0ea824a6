//! What is asked, and what is answered.

use contracts::{Revision, TenantId};

use crate::graph::GraphError;
use crate::model::Invalid;
use crate::model::key::{EVERYONE, ResourceRef, SubjectRef, SubjectType, check_id, check_resource};
use crate::model::{Properties, check_properties};

/// May this subject do that to this resource?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// In which tenant.
    pub tenant: TenantId,
    /// Who.
    pub subject: SubjectRef,
    /// Does what.
    pub action: String,
    /// To what.
    pub resource: ResourceRef,
}

impl Question {
    /// Its words.
    #[must_use]
    pub fn words(&self) -> Words<'_> {
        Words {
            tenant: &self.tenant,
            subject_type: self.subject.type_,
            subject: &self.subject.id,
            action: &self.action,
            resource_type: &self.resource.type_,
            resource: &self.resource.id,
        }
    }

    /// As [`Words::check`].
    ///
    /// # Errors
    /// The first member that is refused.
    pub fn check(&self) -> Result<(), Invalid> {
        self.words().check()
    }
}

/// A question's words, borrowed from wherever they stand: a cached decision is found without a copy.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// In which tenant.
    pub tenant: &'a TenantId,
    /// What kind of subject.
    pub subject_type: SubjectType,
    /// Which one.
    pub subject: &'a str,
    /// Does what.
    pub action: &'a str,
    /// To what kind of resource.
    pub resource_type: &'a str,
    /// To which one.
    pub resource: &'a str,
}

impl Words<'_> {
    /// Checks every id.
    ///
    /// # Errors
    /// The first member that is refused. Everyone (`*`) asks nothing.
    pub fn check(&self) -> Result<(), Invalid> {
        check_id("subject.id", self.subject)?;
        if self.subject == EVERYONE {
            return Err(Invalid::new("subject.id", "is one subject, not *"));
        }
        check_id("action.name", self.action)?;
        check_resource(self.resource_type, self.resource)
            .map_err(|invalid| invalid.within("resource"))
    }

    /// The question, with words of its own.
    #[must_use]
    pub fn question(&self) -> Question {
        Question {
            tenant: self.tenant.clone(),
            subject: SubjectRef::new(self.subject_type, self.subject),
            action: self.action.to_owned(),
            resource: ResourceRef::new(self.resource_type, self.resource),
        }
    }
}

/// What the request itself says, for conditions. It never enters a cached entry.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Given {
    /// Of the subject.
    pub subject: Option<Properties>,
    /// Of the action.
    pub action: Option<Properties>,
    /// Of the resource.
    pub resource: Option<Properties>,
    /// Of the circumstances.
    pub context: Option<Properties>,
}

impl Given {
    /// Checks their sizes.
    ///
    /// # Errors
    /// The member that is too large.
    pub fn check(&self) -> Result<(), Invalid> {
        check_properties("subject.properties", self.subject.as_ref())?;
        check_properties("action.properties", self.action.as_ref())?;
        check_properties("resource.properties", self.resource.as_ref())?;
        check_properties("context", self.context.as_ref())
    }
}

/// How fresh an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AtLeast {
    /// As fresh as the bound promises.
    #[default]
    Bound,
    /// With this revision of the graph in it.
    Revision(Revision),
    /// With this change of the tenant's identities in it.
    Identity(u64),
}

/// What an answer was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A cached decision.
    Decision,
    /// Cached views.
    Views,
    /// A read.
    Graph,
}

impl Source {
    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Views => "views",
            Self::Graph => "graph",
        }
    }
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Every change up to here is in it.
    pub revision: Revision,
    /// What it was made from.
    pub source: Source,
}

/// Why there is no answer. Never to be taken for a denial, nor for an allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The question breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The graph did not answer, or a limit was reached.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Too much is being read already.
    #[error("too many reads are waiting")]
    Busy,
    /// The answer could not be made as fresh as was asked in time.
    #[error("not there yet: {0}")]
    Behind(String),
    /// The watermark or identity sync is further behind than `fail_closed_on_lag_ms`.
    #[error("the staleness bound cannot be kept: {0}")]
    Lag(String),
}
