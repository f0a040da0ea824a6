//! What a graph answers, and how it fails.

use std::future::Future;

use contracts::{Revision, TenantId};

use super::client::Mode;
use crate::model::view::{ResourceView, SubjectView};
use crate::model::{Key, ResourceRef, SubjectRef};

/// A store of the graph, as far as checks ask it.
pub trait Graph: Send + Sync + 'static {
    /// Everything that `subject` holds.
    fn subject(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        mode: Mode,
    ) -> impl Future<Output = Result<SubjectReading, GraphError>> + Send;

    /// What `subject` holds that may allow `action` on `resource`, when everything is too much.
    fn narrowed(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        action: &str,
        resource: &ResourceRef,
        mode: Mode,
    ) -> impl Future<Output = Result<Reading<SubjectView>, GraphError>> + Send;

    /// What `resource` is below.
    fn resource(
        &self,
        tenant: &TenantId,
        resource: &ResourceRef,
        mode: Mode,
    ) -> impl Future<Output = Result<ResourceReading, GraphError>> + Send;

    /// The last change of the tenant's identities that was applied (0 before any), and a revision that
    /// has it.
    fn applied(
        &self,
        tenant: &TenantId,
    ) -> impl Future<Output = Result<(u64, Revision), GraphError>> + Send;
}

/// What one read found, and what it depends on.
#[derive(Debug, Clone)]
pub struct Reading<T> {
    /// The graph's time of the read: every commit up to it is in the result, none after it is.
    pub revision: Revision,
    /// Every external key whose change may change the result, absent ones among them.
    pub visited: Vec<Key>,
    /// The result.
    pub view: T,
}

/// A subject's view, unless it is too large to hold.
#[derive(Debug, Clone)]
pub enum SubjectReading {
    /// All of it.
    Whole(Reading<SubjectView>),
    /// It is above [`MAX_ITEMS`] or [`MAX_VIEW_BYTES`]: ask per question.
    TooLarge(Reading<()>),
}

impl SubjectReading {
    /// The view, if it is not too large.
    #[must_use]
    pub fn maybe(self) -> Reading<Option<SubjectView>> {
        match self {
            Self::Whole(Reading { revision, visited, view }) => {
                Reading { revision, visited, view: Some(view) }
            }
            Self::TooLarge(Reading { revision, visited, .. }) => {
                Reading { revision, visited, view: None }
            }
        }
    }
}

/// A resource's reading.
pub type ResourceReading = Reading<ResourceView>;

/// The most holdings, grants, teams or ancestors of one view.
pub const MAX_ITEMS: usize = 4096;

/// The most memory of one view, in bytes.
pub const MAX_VIEW_BYTES: usize = 256 << 10;

/// Why a graph did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Nobody answered in time. A read can be repeated; nothing was written.
    #[error("the graph does not answer: {0}")]
    Unavailable(String),
    /// A write was sent and no answer came: it may have been done.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// Other writes of the same things came first, again and again.
    #[error("too many concurrent writes of the same things")]
    Contended,
    /// The question needs more than a view may hold.
    #[error("a limit was reached: {0}")]
    Limit(String),
    /// The graph refused: a missing schema, or a fault of this program.
    #[error("the graph refused: {0}")]
    Refused(String),
}
