//! The client of a graph database: what every read and write goes through, whichever database it is.
//!
//! Both understand the DQL and the N-Quads that this crate sends, so that there is one code of the graph.
//! They differ in where the graph is, and in nothing that a caller could see but time.

#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use contracts::Revision;
use service_kit::tls::ClientTls;

#[cfg(feature = "engines")]
use super::dgraph::{self, Dgraph};
#[cfg(feature = "embedded")]
use super::embedded::{self, Embedded};
use super::store::GraphError;
use crate::metrics;
use crate::model::Key;

#[cfg(not(any(feature = "engines", feature = "embedded")))]
compile_error!("a graph is needed: the feature `engines`, `embedded`, or both");

/// How old the data of a read may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As new as who answers knows: of a cluster, without asking its other members.
    BestEffort,
    /// Everything that was committed before the read began.
    Strict,
}

/// Where Dgraph is, and how long it is waited for.
#[derive(Debug, Clone)]
pub struct Options {
    /// `host:port` of each alpha's gRPC.
    pub alphas: Vec<String>,
    /// For one request.
    pub timeout: Duration,
    /// For a connection.
    pub connect_timeout: Duration,
    /// How alphas are recognised.
    pub tls: ClientTls,
}

/// A graph database.
pub enum GraphDb {
    /// A Dgraph cluster.
    #[cfg(feature = "engines")]
    Dgraph(Dgraph),
    /// In this process.
    #[cfg(feature = "embedded")]
    Embedded(Embedded),
}

/// An answer, still in JSON.
#[derive(Debug)]
pub struct Answer {
    /// The graph's time of the read.
    pub revision: Revision,
    json: Vec<u8>,
}

impl Answer {
    pub(super) fn new(revision: Revision, json: Vec<u8>) -> Self {
        Self { revision, json }
    }

    /// Reads the answer's blocks.
    ///
    /// # Errors
    /// An answer of another shape, which only another schema gives.
    pub fn read<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, GraphError> {
        serde_json::from_slice(&self.json)
            .map_err(|error| GraphError::Refused(format!("an answer of another shape: {error}")))
    }

    /// Its size, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// Whether nothing came.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }
}

impl GraphDb {
    /// A client of a Dgraph cluster; nothing is connected yet.
    ///
    /// # Errors
    /// No address, or one that is none; certificates that the client does not take.
    #[cfg(feature = "engines")]
    pub fn dgraph(options: &Options) -> Result<Self, GraphError> {
        Dgraph::new(options).map(Self::Dgraph)
    }

    /// Runs a query with its variables.
    ///
    /// # Errors
    /// `Unavailable`, or `Refused` for a query that the database does not take.
    pub async fn query(
        &self,
        mode: Mode,
        dql: &str,
        vars: &[(&str, &str)],
    ) -> Result<Answer, GraphError> {
        let begun = Instant::now();
        let answer = match self {
            #[cfg(feature = "engines")]
            Self::Dgraph(graph) => graph.query(mode, dql, vars).await,
            #[cfg(feature = "embedded")]
            Self::Embedded(graph) => graph.query(dql, vars).await,
        };
        let kind = if mode == Mode::Strict { "strict" } else { "best_effort" };
        metrics::graph_request(kind, begun, &answer);
        answer
    }

    /// Begins a transaction, with a query that all of its writes rest on.
    ///
    /// # Errors
    /// As [`GraphDb::query`].
    pub async fn begin(&self, dql: &str) -> Result<(Transaction, Answer), GraphError> {
        let begun = Instant::now();
        let result = match self {
            #[cfg(feature = "engines")]
            Self::Dgraph(graph) => {
                graph.begin(dql).await.map(|(open, answer)| (Transaction::Dgraph(open), answer))
            }
            #[cfg(feature = "embedded")]
            Self::Embedded(graph) => {
                graph.begin(dql).await.map(|(open, answer)| (Transaction::Embedded(open), answer))
            }
        };
        metrics::graph_request("begin", begun, &result);
        result
    }

    /// Begins many reads at one time, with a query that is asked at that time.
    ///
    /// # Errors
    /// As [`GraphDb::query`].
    pub async fn snapshot(
        &self,
        dql: &str,
        vars: &[(&str, &str)],
    ) -> Result<(Snapshot, Answer), GraphError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Dgraph(graph) => {
                let (of, answer) = graph.snapshot(dql, vars).await?;
                Ok((Snapshot::Dgraph(of), answer))
            }
            #[cfg(feature = "embedded")]
            Self::Embedded(graph) => {
                let (of, answer) = graph.snapshot(dql, vars).await?;
                Ok((Snapshot::Embedded(of), answer))
            }
        }
    }

    /// Changes the schema.
    ///
    /// # Errors
    /// As [`GraphDb::query`]; `Contended` while transactions are open that it would touch.
    pub async fn alter(&self, schema: &str) -> Result<(), GraphError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Dgraph(graph) => graph.alter(schema).await,
            #[cfg(feature = "embedded")]
            Self::Embedded(graph) => graph.alter(schema).await,
        }
    }
}

/// A transaction that has read and may write once.
pub enum Transaction {
    /// Of a cluster.
    #[cfg(feature = "engines")]
    Dgraph(dgraph::Transaction),
    /// Of this process.
    #[cfg(feature = "embedded")]
    Embedded(embedded::Transaction),
}

impl Transaction {
    /// Has whoever makes one of these nodes at the same time conflict. Returns the N-Quads to delete with
    /// the commit, so that nothing is left.
    ///
    /// # Errors
    /// [`CommitError`]; nothing is written then.
    pub async fn claim(&mut self, keys: &BTreeSet<Key>) -> Result<String, CommitError> {
        if keys.is_empty() {
            return Ok(String::new());
        }
        let begun = Instant::now();
        let result = match self {
            #[cfg(feature = "engines")]
            Self::Dgraph(open) => open.claim(keys).await,
            #[cfg(feature = "embedded")]
            Self::Embedded(open) => {
                open.claim(keys);
                Ok(String::new())
            }
        };
        metrics::graph_commit("claim", begun, &result);
        result
    }

    /// Writes and commits; what it read is as it was, as far as conflicts are detected: by node, edge
    /// and external key that it writes.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit(self, set: String, delete: String) -> Result<Revision, CommitError> {
        let begun = Instant::now();
        let result = match self {
            #[cfg(feature = "engines")]
            Self::Dgraph(open) => open.commit(set, delete).await,
            #[cfg(feature = "embedded")]
            Self::Embedded(open) => open.commit(set, delete).await,
        };
        metrics::graph_commit("commit", begun, &result);
        result
    }
}

/// Why a commit failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitError {
    /// Another transaction wrote the same things first; nothing was written.
    Aborted,
    /// Anything else.
    Graph(GraphError),
}

/// Reads that all see the same: everything that was committed before the first one, and nothing after it.
/// Dgraph drops old versions some thousands of transactions later, and then answers with less instead of
/// an error: whoever reads for long counts.
pub enum Snapshot {
    /// Of a cluster.
    #[cfg(feature = "engines")]
    Dgraph(dgraph::Snapshot),
    /// Of this process; what it sees stays in memory while it lives.
    #[cfg(feature = "embedded")]
    Embedded(embedded::Snapshot),
}

impl Snapshot {
    /// Another query at that time, of the same member of a cluster.
    ///
    /// # Errors
    /// As [`GraphDb::query`].
    pub async fn query(
        &self,
        dql: &str,
        vars: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Answer, GraphError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Dgraph(of) => of.query(dql, vars, timeout).await,
            #[cfg(feature = "embedded")]
            Self::Embedded(of) => of.query(dql, vars, timeout).await,
        }
    }
}
