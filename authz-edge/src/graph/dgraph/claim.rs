//! Conflicts over nodes that are not there.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use dgraph_tonic::{Mutate as _, Mutation};

use super::super::dql::literal;
use super::super::store::GraphError;
use super::{CommitError, Outcome, Transaction, classify};
use crate::model::Key;

impl Transaction {
    /// Has whoever makes one of these nodes at the same time conflict: gives each key, as its only
    /// `@upsert` predicate, to a node of this transaction, and returns the N-Quads to delete with its
    /// commit, so that nothing is left. A round trip, unless there are none.
    ///
    /// # Errors
    /// [`CommitError`]; nothing is written then.
    pub async fn claim(&mut self, keys: &BTreeSet<Key>) -> Result<String, CommitError> {
        if keys.is_empty() {
            return Ok(String::new());
        }
        let mut set = String::new();
        for (at, key) in keys.iter().enumerate() {
            // Writing into a String cannot fail.
            let _ = writeln!(set, "_:n{at} <xid> {} .", literal(key.as_str()));
        }
        let mutation = Mutation { set_nquads: set.into_bytes(), ..Default::default() };
        let claimed = tokio::time::timeout(self.timeout, self.txn.mutate(mutation)).await;
        let uids = match claimed {
            Err(_) => Err(CommitError::Graph(GraphError::Unavailable("no answer".to_owned()))),
            Ok(Err(error)) => Err(match classify(&error) {
                Outcome::Aborted => CommitError::Aborted,
                Outcome::Lost(reason) => CommitError::Graph(GraphError::Unavailable(reason)),
                Outcome::Refused(reason) => CommitError::Graph(GraphError::Refused(reason)),
            }),
            Ok(Ok(response)) => Ok(response.uids),
        };
        Ok(uids?.into_values().map(|uid| format!("<{uid}> <xid> * .\n")).collect())
    }
}
