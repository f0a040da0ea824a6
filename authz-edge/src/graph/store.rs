//! What a graph answers, and how it fails.

use std::future::Future;

use contracts::{Revision, TenantId};

use super::client::Mode;
use crate::model::parts::{Closure, Grants, Holdings};
use crate::model::view::{Node, ResourceView, SubjectView};
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

    /// Who `subject` is, and whose roles it has; `None` when that is too large.
    fn closure(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        mode: Mode,
    ) -> impl Future<Output = Result<Reading<Option<Closure>>, GraphError>> + Send;

    /// Some parts of views, named by their nodes: what `holders` hold, with the roles in it, and `roles`.
    /// Of what is too much for a view, none.
    fn parts(
        &self,
        tenant: &TenantId,
        holders: &[Node],
        roles: &[Node],
        mode: Mode,
    ) -> impl Future<Output = Result<Reading<Parts>, GraphError>> + Send;

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

/// A part of a view: of which node, and the key whose changes make it void. Without one it was deleted, and
/// does not change any more; or, if this was read before its node was first seen, is not there yet.
#[derive(Debug, Clone)]
pub struct Part<T> {
    /// Of what it is.
    pub node: Node,
    /// What it depends on.
    pub key: Option<Key>,
    /// The part.
    pub part: T,
}

/// What holders hold, and roles.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// By holder.
    pub holders: Vec<Part<Holdings>>,
    /// By role: all that the holders have, and those that were asked for.
    pub roles: Vec<Part<Grants>>,
}

impl Parts {
    /// All that they depend on.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        let holders = self.holders.iter().filter_map(|part| part.key.as_ref());
        holders.chain(self.roles.iter().filter_map(|part| part.key.as_ref()))
    }
}

/// A whole subject: everything that its view is made of, at one time.
#[derive(Debug, Clone)]
pub struct Whole {
    /// Who it is.
    pub closure: Closure,
    /// What the closure depends on.
    pub keys: Vec<Key>,
    /// What its holders hold.
    pub parts: Parts,
}

/// A subject, unless it is too large for a view (`None`): above [`MAX_ITEMS`] or [`MAX_VIEW_BYTES`]. Then it
/// is asked for per question.
pub type SubjectReading = Reading<Option<Whole>>;

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
