//! Writes: each is one transaction that reads what it rests on, writes, and leaves an outbox node.
//!
//! Dgraph's snapshots let two transactions commit that each read what the other writes. What a write
//! rests on is therefore written as well: a precondition sets (or deletes) the very edge that it found (or
//! did not find), unless the list writes that edge itself; what is about a role in a scope sets a `guard`
//! edge from subject to role; and where a node is missing, its external key is claimed and let go.

mod bulk;
mod draft;
mod entity;
pub mod identity;
mod load;
mod offline;
mod relationships;
mod role;
pub mod snapshot;
mod sweep;

use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::audit::ActorType;
use contracts::{Revision, TenantId};
use rand::Rng as _;

pub use bulk::shared_nodes;
pub use entity::{Entity, EntityForm};
pub use offline::Offline;
pub use role::StoredRole;
pub(in crate::graph) use role::{ROLE, RoleRow};
pub use sweep::Swept;

use super::client::{CommitError, GraphDb};
use super::store::GraphError;
use crate::model::{Invalid, Key};
use draft::{Draft, Finished};

/// How often a transaction that lost against another is tried again.
const ATTEMPTS: u32 = 12;
const FIRST_BACKOFF: Duration = Duration::from_millis(2);
const LAST_BACKOFF: Duration = Duration::from_millis(250);

/// Who writes, for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The caller's id; none without authentication.
    pub actor: Option<String>,
    /// What the caller is.
    pub actor_type: ActorType,
    /// When it was asked for.
    pub at: DateTime<Utc>,
    /// The request's id, if there is one.
    pub request_id: Option<String>,
}

impl Author {
    /// This program itself, asked by an operator.
    #[must_use]
    pub fn system(at: DateTime<Utc>) -> Self {
        Self { actor: None, actor_type: ActorType::System, at, request_id: None }
    }
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// From which on it is to be seen.
    pub revision: Revision,
    /// What was changed: whose fences are to be raised. Empty when all was so already.
    pub changed: Vec<Key>,
}

/// Who writes users, service accounts, teams and memberships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Sync alone, from an identity system.
    Sync,
    /// Whoever may write.
    Anyone,
}

/// Why a write was not done. Nothing was written, but for [`GraphError::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The request breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// `writes[index]` creates what exists.
    #[error("writes[{index}]: it exists already")]
    Exists {
        /// Its place.
        index: usize,
    },
    /// `preconditions[index]` does not hold.
    #[error("preconditions[{index}] does not hold")]
    Precondition {
        /// Its place.
        index: usize,
    },
    /// Something that must exist does not.
    #[error("{what} does not exist")]
    Missing {
        /// What, for people.
        what: String,
    },
    /// It belongs to sync.
    #[error("{what} is written by identity sync only (sync.mode is identity)")]
    Managed {
        /// What, for people.
        what: String,
    },
    /// The graph did not do it.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl WriteError {
    /// Of a write that nobody asked for in a request: only the graph can fail it, or a fault of this
    /// program.
    fn of_graph(self) -> GraphError {
        match self {
            Self::Graph(error) => error,
            other => GraphError::Refused(other.to_string()),
        }
    }
}

/// Who writes to a graph.
pub struct Writer<'a> {
    /// The cluster.
    pub graph: &'a GraphDb,
    /// Who owns identities.
    pub ownership: Ownership,
}

impl Writer<'_> {
    /// Reads with `dql`, lets `plan` draft from the answer, and commits; again from the start when
    /// another transaction was faster. A draft without writes commits nothing.
    async fn transact<T>(
        &self,
        tenant: &TenantId,
        dql: &str,
        mut plan: impl FnMut(&super::client::Answer) -> Result<(Draft, T), WriteError>,
    ) -> Result<(Written, T), WriteError> {
        let mut backoff = FIRST_BACKOFF;
        for _ in 0..ATTEMPTS {
            let (mut transaction, answer) = self.graph.begin(dql).await?;
            let (draft, result) = plan(&answer)?;
            if draft.changes_nothing() {
                let written = Written { revision: answer.revision, changed: Vec::new() };
                return Ok((written, result));
            }
            let Finished { set, delete, absent, changed } = draft.finish(tenant, Utc::now());
            let committed = async {
                let freed = transaction.claim(&absent).await?;
                transaction.commit(set, delete + &freed).await
            };
            match committed.await {
                Ok(revision) => return Ok((Written { revision, changed }, result)),
                Err(CommitError::Graph(error)) => return Err(error.into()),
                Err(CommitError::Aborted) => {
                    crate::metrics::graph_conflict();
                    let jittered = backoff.mul_f64(rand::rng().random_range(0.5..1.0));
                    tokio::time::sleep(jittered).await;
                    backoff = (2 * backoff).min(LAST_BACKOFF);
                }
            }
        }
        Err(GraphError::Contended.into())
    }
}
