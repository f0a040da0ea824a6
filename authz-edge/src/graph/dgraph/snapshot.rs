//! Many reads at one time of the graph.

use std::time::Duration;

use dgraph_tonic::{Query, TxnReadOnly};
use futures::FutureExt as _;

use super::super::client::Answer;
use super::super::store::GraphError;
use super::{Dgraph, answered, classify, map};

/// See [`super::super::client::Snapshot`].
pub struct Snapshot {
    txn: TxnReadOnly,
    address: String,
}

impl Dgraph {
    /// Begins with a query that is asked at that time.
    ///
    /// # Errors
    /// As [`Dgraph::query`].
    pub async fn snapshot(
        &self,
        dql: &str,
        vars: &[(&str, &str)],
    ) -> Result<(Snapshot, Answer), GraphError> {
        let begun = self.anywhere(|txn| {
            async move {
                let mut txn = txn.read_only();
                let response = txn.query_with_vars(dql, map(vars)).await?;
                Ok((txn, response))
            }
            .boxed()
        });
        let (txn, response) = begun.await?;
        let first = self.preferred.load(std::sync::atomic::Ordering::Relaxed);
        let address = self.alphas[first % self.alphas.len()].address.clone();
        Ok((Snapshot { txn, address }, answered(response)))
    }
}

impl Snapshot {
    /// Another query at that time, of the same alpha.
    ///
    /// # Errors
    /// As [`Dgraph::query`].
    pub async fn query(
        &self,
        dql: &str,
        vars: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Answer, GraphError> {
        let mut txn = self.txn.clone();
        match tokio::time::timeout(timeout, txn.query_with_vars(dql, map(vars))).await {
            Err(_) => Err(GraphError::Unavailable(format!("{}: no answer", self.address))),
            Ok(Err(error)) => Err(classify(&error).at(&self.address)),
            Ok(Ok(response)) => Ok(answered(response)),
        }
    }
}
