//! A graph in this process: in memory, with a log on disk. It takes the DQL and the N-Quads that this crate
//! sends to Dgraph, and answers, conflicts and counts time as Dgraph does. What it does not understand it
//! refuses by name. One process has it; nothing else sees it. See `docs/adr/0022-embedded-graph.md`.
//!
//! | module | what it holds |
//! |---|---|
//! | `types` | predicates, as the schema declares them |
//! | `state`, `uids` | the graph at one time; sets of nodes. Copies are cheap |
//! | `edit`, `nquads` | changing it |
//! | `commit`, `conflicts` | transactions: who came first, when it is durable, who sees it |
//! | `log` | triples on disk |
//! | `lex`, `parse`, `plan`, `plans` | queries, and those that are kept parsed |
//! | `eval` | answering them |

mod commit;
mod conflicts;
mod edit;
mod eval;
mod lex;
mod log;
mod nquads;
mod parse;
mod plan;
mod plans;
mod state;
#[cfg(test)]
mod tests;
mod types;
mod uids;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::Revision;
use service_kit::embedded::Disk;
use tokio::sync::Semaphore;

use self::commit::{Core, Moment, Open};
use self::edit::{Mark, value_mark};
use self::eval::{Limit, Stop};
use self::plan::Plan;
use self::plans::Plans;
use self::state::State;
use self::types::Types;
use super::client::{Answer, CommitError};
use super::store::GraphError;
use crate::model::Key;

/// Nodes and edges that a query may look at where it was asked, so that others hardly wait for it; what
/// takes more begins again on a thread of its own.
const AT_ONCE: u64 = 10_000;

/// Queries at once that have threads of their own.
const LONG: usize = 4;

fn refused(reason: impl Into<String>) -> GraphError {
    GraphError::Refused(reason.into())
}

fn unavailable(reason: impl std::fmt::Display) -> GraphError {
    GraphError::Unavailable(reason.to_string())
}

/// A graph in this process. Clones are the same one.
#[derive(Clone)]
pub struct Embedded {
    core: Arc<Core>,
    reads: Arc<Reads>,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
}

impl From<Embedded> for super::GraphDb {
    fn from(graph: Embedded) -> Self {
        Self::Embedded(graph)
    }
}

impl Embedded {
    /// An empty one that is gone with the process. Requests may take `timeout`.
    #[must_use]
    pub fn in_memory(timeout: Duration) -> Self {
        Self::with(Core::in_memory(timeout), timeout)
    }

    /// The one of a disk: read into memory, some 140 000 triples a second, or empty if there is none.
    /// Requests may take `timeout`.
    ///
    /// # Errors
    /// `Unavailable` when the disk does not give it, `Refused` when what it has is no graph of ours.
    pub async fn open(disk: &Disk, timeout: Duration) -> Result<Self, GraphError> {
        let disk = disk.clone();
        let opened = tokio::task::spawn_blocking(move || Core::open(disk, timeout)).await;
        let core = opened.map_err(|_| unavailable("reading the graph died"))??;
        Ok(Self::with(core, timeout))
    }

    fn with(core: Core, timeout: Duration) -> Self {
        let reads = Reads {
            plans: Plans::new(),
            long: Semaphore::new(LONG),
            timeout,
            #[cfg(test)]
            recorder: Arc::clone(&core.recorder),
        };
        Self { core: Arc::new(core), reads: Arc::new(reads) }
    }

    /// Runs a query on all that is committed.
    ///
    /// # Errors
    /// `Unavailable` when it takes too long, `Refused` for what is not understood.
    pub async fn query(&self, dql: &str, vars: &[(&str, &str)]) -> Result<Answer, GraphError> {
        self.reads.read(&self.core.moment(), dql, vars, self.reads.timeout).await
    }

    /// Begins a transaction, with a query that all of its writes rest on.
    ///
    /// # Errors
    /// As [`Embedded::query`].
    pub async fn begin(&self, dql: &str) -> Result<(Transaction, Answer), GraphError> {
        let (open, moment) = Open::begin(&self.core);
        let answer = self.reads.read(&moment, dql, &[], self.reads.timeout).await?;
        let types = Arc::clone(&moment.state.types);
        Ok((Transaction { open, claims: Vec::new(), types }, answer))
    }

    /// Begins many reads at one time.
    ///
    /// # Errors
    /// As [`Embedded::query`].
    pub async fn snapshot(
        &self,
        dql: &str,
        vars: &[(&str, &str)],
    ) -> Result<(Snapshot, Answer), GraphError> {
        let (moment, reads) = (self.core.moment(), Arc::clone(&self.reads));
        let answer = reads.read(&moment, dql, vars, reads.timeout).await?;
        Ok((Snapshot { moment, reads }, answer))
    }

    /// Changes the schema. Transactions that are open are aborted; to change nothing disturbs nobody.
    ///
    /// # Errors
    /// `Refused` for a schema that is not understood, or that does not fit what is stored; else as
    /// [`Transaction::commit`].
    pub async fn alter(&self, schema: &str) -> Result<(), GraphError> {
        match commit::alter(&self.core, schema.to_owned()).await {
            Ok(_) => Ok(()),
            Err(CommitError::Aborted) => Err(GraphError::Contended),
            Err(CommitError::Graph(error)) => Err(error),
        }
    }
}

/// A transaction that has read and may write once.
pub struct Transaction {
    open: Open,
    claims: Vec<Mark>,
    types: Arc<Types>,
}

impl Transaction {
    /// Has whoever makes one of these nodes at the same time conflict.
    pub fn claim(&mut self, keys: &BTreeSet<Key>) {
        if let Some((number, _)) = self.types.find("xid") {
            self.claims.extend(keys.iter().map(|key| value_mark(number, key.as_str())));
        }
    }

    /// Writes and commits. It is durable when this returns, and seen by every read that begins later.
    ///
    /// # Errors
    /// `Aborted` when others wrote the same things since it began, or it is too old to tell; `Refused` for
    /// what is not understood; `Unavailable` when nothing was written; `Unknown` when it may have been.
    pub async fn commit(self, set: String, delete: String) -> Result<Revision, CommitError> {
        commit::commit(self.open, self.claims, set, delete).await
    }
}

/// Reads that all see the same.
#[derive(Clone)]
pub struct Snapshot {
    moment: Moment,
    reads: Arc<Reads>,
}

impl Snapshot {
    /// Another query at that time.
    ///
    /// # Errors
    /// As [`Embedded::query`].
    pub async fn query(
        &self,
        dql: &str,
        vars: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Answer, GraphError> {
        self.reads.read(&self.moment, dql, vars, timeout).await
    }
}

/// How queries are answered.
struct Reads {
    plans: Plans,
    long: Semaphore,
    timeout: Duration,
    #[cfg(test)]
    recorder: Arc<tests::recorder::Recorder>,
}

impl Reads {
    async fn read(
        &self,
        moment: &Moment,
        dql: &str,
        vars: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Answer, GraphError> {
        #[cfg(test)]
        self.recorder.query(dql, vars);
        let end = Instant::now() + timeout;
        let plan = self.plans.get(dql, &moment.state.types)?;
        let args = arguments(&plan, vars)?;
        let json = match eval::answer(&plan, &moment.state, &args, Limit::Steps(AT_ONCE)) {
            Err(Stop::Limit) => self.read_long(plan, &moment.state, &args, end).await?,
            answered => answered.map_err(stopped)?,
        };
        Ok(Answer::new(Revision(moment.time), json))
    }

    /// On a thread of its own.
    async fn read_long(
        &self,
        plan: Arc<Plan>,
        state: &Arc<State>,
        args: &[&str],
        end: Instant,
    ) -> Result<Vec<u8>, GraphError> {
        let turn = tokio::time::timeout_at(end.into(), self.long.acquire()).await;
        let _turn = turn.map_err(|_| stopped(Stop::Limit))?;
        let (state, args) = (Arc::clone(state), args.iter().map(|arg| (*arg).to_owned()));
        let args: Vec<String> = args.collect();
        let answering = tokio::task::spawn_blocking(move || {
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            eval::answer(&plan, &state, &args, Limit::Until(end))
        });
        let answered = answering.await.map_err(|_| unavailable("a query died"))?;
        answered.map_err(stopped)
    }
}

fn stopped(stop: Stop) -> GraphError {
    match stop {
        Stop::Limit => unavailable("no answer in time"),
        Stop::Refused(reason) => refused(reason),
    }
}

/// The values of a plan's parameters, in their order.
fn arguments<'a>(plan: &Plan, vars: &[(&str, &'a str)]) -> Result<Vec<&'a str>, GraphError> {
    if let Some((name, _)) =
        vars.iter().find(|(name, _)| !plan.params.iter().any(|p| **p == **name))
    {
        return Err(refused(format!("query: {name} is not declared")));
    }
    let value = |param: &str| vars.iter().find(|(name, _)| *name == param).map(|(_, value)| *value);
    let missing = |param| refused(format!("query: {param} is not given"));
    plan.params.iter().map(|param| value(param).ok_or_else(|| missing(param))).collect()
}
