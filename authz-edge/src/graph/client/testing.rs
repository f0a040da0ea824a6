//! What tests on a real Dgraph ask of the client.

use std::time::Duration;

use dgraph_tonic::{Mutate as _, Mutation};

use super::{Dgraph, Options, Transaction};

impl Dgraph {
    /// The alpha that `TRIAD_DGRAPH` names.
    pub fn from_test_env() -> Self {
        let alphas = vec![std::env::var("TRIAD_DGRAPH").expect("TRIAD_DGRAPH names an alpha")];
        let timeout = Duration::from_secs(10);
        Self::new(&Options { alphas, timeout, connect_timeout: timeout }).unwrap()
    }
}

impl Transaction {
    /// Writes without a commit.
    pub async fn hold(&mut self, set: String) {
        let set_nquads = set.into_bytes();
        self.txn.mutate(Mutation { set_nquads, ..Default::default() }).await.unwrap();
    }
}
