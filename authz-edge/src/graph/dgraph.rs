//! Dgraph: several alphas, one warmed transaction each, a deadline on every request.
//!
//! dgraph-tonic connects each transaction anew unless it is cloned from one that has connected, hence
//! the prototype that is kept for each alpha.

mod claim;
mod snapshot;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contracts::Revision;
use dgraph_tonic::{
    Certificate, Client, ClientError, ClientTlsConfig, DgraphError, Endpoint, EndpointConfig,
    Identity, Mutate, Mutation, Operation, Query, Response, Status, Txn, TxnMutated,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use service_kit::config::ConfigError;

pub use snapshot::Snapshot;

use super::client::{Answer, CommitError, Mode, Options};
use super::store::GraphError;

/// A Dgraph cluster.
pub struct Dgraph {
    alphas: Box<[Alpha]>,
    preferred: AtomicUsize,
    timeout: Duration,
}

struct Alpha {
    address: String,
    client: Client,
    prototype: Mutex<Option<Txn>>,
}

#[derive(Clone)]
struct Connect {
    timeout: Duration,
    tls: Option<ClientTlsConfig>,
}

/// Without `tls`, which holds a private key and shows it.
impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Connect {
    /// As configured.
    fn new(options: &Options) -> Result<Self, GraphError> {
        let refused = |error: ConfigError| GraphError::Refused(error.to_string());
        let tls = options.tls.read_named("dgraph.tls").map_err(refused)?.map(|texts| {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(texts.ca));
            let tls = match texts.identity {
                Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
                None => tls,
            };
            match &options.tls.server_name {
                Some(name) => tls.domain_name(name),
                None => tls,
            }
        });
        Ok(Self { timeout: options.connect_timeout, tls })
    }

    /// With TLS if there is any, which the client may not take: it knows neither keys in SEC 1 nor names that are
    /// addresses.
    fn secure(&self, endpoint: Endpoint) -> Result<Endpoint, String> {
        let Some(tls) = self.tls.clone() else { return Ok(endpoint) };
        endpoint
            .tls_config(tls)
            .map_err(|error| format!("dgraph.tls: {:#}", anyhow::Error::from(error)))
    }
}

impl EndpointConfig for Connect {
    fn configure_endpoint(&self, endpoint: Endpoint) -> Endpoint {
        let plain = endpoint
            .connect_timeout(self.timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true);
        // It was tried before: see `Dgraph::new`. Without it, an https endpoint trusts public authorities alone.
        self.secure(plain.clone()).unwrap_or(plain)
    }
}

impl Dgraph {
    /// A client; nothing is connected yet.
    ///
    /// # Errors
    /// No address, or one that is none; certificates that the client does not take.
    pub fn new(options: &Options) -> Result<Self, GraphError> {
        let connect = Connect::new(options)?;
        let scheme = if options.tls.is_on() { "https" } else { "http" };
        let alpha = |address: &String| {
            let refused = |error: String| GraphError::Refused(format!("{address}: {error}"));
            let uri = format!("{scheme}://{address}");
            let endpoint = Endpoint::from_shared(uri.clone());
            let endpoint = endpoint.map_err(|error| refused(error.to_string()))?;
            connect.secure(endpoint).map_err(refused)?;
            let client = Client::new_with_endpoint_config(uri, connect.clone())
                .map_err(|error| refused(error.to_string()))?;
            Ok(Alpha { address: address.clone(), client, prototype: Mutex::new(None) })
        };
        let alphas = options.alphas.iter().map(alpha).collect::<Result<Box<[_]>, _>>()?;
        if alphas.is_empty() {
            return Err(GraphError::Refused("no alpha is configured".to_owned()));
        }
        Ok(Self { alphas, preferred: AtomicUsize::new(0), timeout: options.timeout })
    }

    /// Runs a query with its variables. An alpha that does not answer is passed over for the next one,
    /// all within one deadline.
    ///
    /// # Errors
    /// `Unavailable`, or `Refused` for a query that Dgraph does not take.
    pub async fn query(
        &self,
        mode: Mode,
        dql: &str,
        vars: &[(&str, &str)],
    ) -> Result<Answer, GraphError> {
        let answer = self
            .anywhere(|txn: Txn| {
                async move {
                    let txn = txn.read_only();
                    match mode {
                        Mode::Strict => { txn }.query_with_vars(dql, map(vars)).await,
                        Mode::BestEffort => txn.best_effort().query_with_vars(dql, map(vars)).await,
                    }
                }
                .boxed()
            })
            .await;
        answer.map(answered)
    }

    /// Begins a transaction, with a query that all of its writes rest on.
    ///
    /// # Errors
    /// As [`Dgraph::query`].
    pub async fn begin(&self, dql: &str) -> Result<(Transaction, Answer), GraphError> {
        let (txn, response) = self
            .anywhere(|txn: Txn| {
                async move {
                    let mut txn = txn.mutated();
                    let response = txn.query(dql).await?;
                    Ok((txn, response))
                }
                .boxed()
            })
            .await?;
        Ok((Transaction { txn, timeout: self.timeout }, answered(response)))
    }

    /// Changes the schema.
    ///
    /// # Errors
    /// As [`Dgraph::query`].
    pub async fn alter(&self, schema: &str) -> Result<(), GraphError> {
        let operation = Operation { schema: schema.to_owned(), ..Default::default() };
        let alpha = &self.alphas[self.preferred.load(Ordering::Relaxed) % self.alphas.len()];
        let altered = alpha.client.alter(operation);
        let patience = self.timeout.max(Duration::from_secs(60));
        match tokio::time::timeout(patience, altered).await {
            Err(_) => Err(GraphError::Unavailable(format!("{}: no answer", alpha.address))),
            Ok(Err(error)) => Err(classify(&error).at(&alpha.address)),
            Ok(Ok(_)) => Ok(()),
        }
    }

    /// Tries the preferred alpha, then the others once each, within the deadline. For what may be
    /// repeated.
    async fn anywhere<'a, T>(
        &self,
        request: impl Fn(Txn) -> BoxFuture<'a, anyhow::Result<T>>,
    ) -> Result<T, GraphError> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = GraphError::Unavailable("no answer".to_owned());
        // The share of each, so that one that hangs leaves time for the others.
        let share = self.timeout / u32::try_from(self.alphas.len()).unwrap_or(1);
        for turn in 0..self.alphas.len() {
            let at = (first + turn) % self.alphas.len();
            let alpha = &self.alphas[at];
            let until = (tokio::time::Instant::now() + share).min(deadline);
            let attempt = async { request(alpha.transaction().await?).await };
            match tokio::time::timeout_at(until, attempt).await {
                Ok(Ok(answer)) => {
                    if turn > 0 {
                        self.preferred.store(at, Ordering::Relaxed);
                    }
                    return Ok(answer);
                }
                Ok(Err(error)) => match classify(&error) {
                    Outcome::Lost(reason) => last = Outcome::Lost(reason).at(&alpha.address),
                    other => return Err(other.at(&alpha.address)),
                },
                Err(_) => last = GraphError::Unavailable(format!("{}: no answer", alpha.address)),
            }
        }
        Err(last)
    }
}

fn map(vars: &[(&str, &str)]) -> HashMap<String, String> {
    vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn answered(response: Response) -> Answer {
    let revision = Revision(response.txn.map_or(0, |txn| txn.start_ts));
    Answer::new(revision, response.json)
}

impl Alpha {
    /// A transaction over the connection that is there, or over a new one.
    async fn transaction(&self) -> anyhow::Result<Txn> {
        let warmed = |txn: &mut Option<Txn>| txn.as_mut().map(Txn::clone_and_reset);
        if let Some(txn) = warmed(&mut self.prototype()) {
            return Ok(txn);
        }
        // Any query connects; the prototype keeps the connection.
        let mut txn = self.client.new_txn();
        txn.query("schema(pred: [xid]) { type }").await?;
        let fresh = txn.clone_and_reset();
        *self.prototype() = Some(txn);
        Ok(fresh)
    }

    fn prototype(&self) -> std::sync::MutexGuard<'_, Option<Txn>> {
        self.prototype.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction that has read and may write once.
pub struct Transaction {
    txn: TxnMutated,
    timeout: Duration,
}

impl Transaction {
    /// Writes and commits; what it read is as it was, as far as conflicts are detected: by node, edge
    /// and external key that it writes.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit(self, set: String, delete: String) -> Result<Revision, CommitError> {
        let mutation = Mutation {
            set_nquads: set.into_bytes(),
            del_nquads: delete.into_bytes(),
            ..Default::default()
        };
        let committed = self.txn.mutate_and_commit_now(mutation);
        let committed = tokio::time::timeout(self.timeout, committed).await;
        match committed {
            Err(_) => Err(CommitError::Graph(GraphError::Unknown("no answer".to_owned()))),
            Ok(Err(error)) => Err(match classify(&error) {
                Outcome::Aborted => CommitError::Aborted,
                Outcome::Lost(reason) => CommitError::Graph(GraphError::Unknown(reason)),
                Outcome::Refused(reason) => CommitError::Graph(GraphError::Refused(reason)),
            }),
            Ok(Ok(response)) => match response.txn.map_or(0, |txn| txn.commit_ts) {
                0 => Err(CommitError::Graph(GraphError::Unknown("no commit timestamp".to_owned()))),
                commit => Ok(Revision(commit)),
            },
        }
    }

    /// Writes without a commit, and returns the nodes that it made.
    #[cfg(test)]
    pub(super) async fn hold(&mut self, set: String) -> Vec<u64> {
        let set_nquads = set.into_bytes();
        let made = self.txn.mutate(Mutation { set_nquads, ..Default::default() }).await.unwrap();
        made.uids.values().filter_map(|uid| super::dql::parse_uid(uid)).collect()
    }
}

/// What an error of the client means.
enum Outcome {
    /// Nobody answered, or the connection broke.
    Lost(String),
    /// A conflict with other transactions.
    Aborted,
    /// An answer of no.
    Refused(String),
}

impl Outcome {
    fn at(self, alpha: &str) -> GraphError {
        match self {
            Self::Lost(reason) => GraphError::Unavailable(format!("{alpha}: {reason}")),
            Self::Aborted => GraphError::Contended,
            Self::Refused(reason) => GraphError::Refused(format!("{alpha}: {reason}")),
        }
    }
}

fn classify(error: &anyhow::Error) -> Outcome {
    use dgraph_tonic::ClientError as E;
    let inner = match error.downcast_ref::<DgraphError>() {
        Some(DgraphError::GrpcError(inner)) => inner,
        _ => error,
    };
    let Some(known) = inner.downcast_ref::<ClientError>() else {
        // The transport's: connecting failed.
        return Outcome::Lost(format!("{inner:#}"));
    };
    let status: &Status = match known {
        E::CannotAlter(status)
        | E::CannotQuery(status)
        | E::CannotMutate(status)
        | E::CannotDoRequest(status)
        | E::CannotCommitOrAbort(status)
        | E::CannotCheckVersion(status)
        | E::CannotLogin(status)
        | E::CannotRefreshLogin(status) => status,
        E::InvalidEndpoint | E::NoEndpointsDefined => return Outcome::Refused(known.to_string()),
    };
    // A status with a cause was made on this side of a connection that broke: no answer came, or not all of it.
    if std::error::Error::source(status).is_some() {
        return Outcome::Lost(status.message().to_owned());
    }
    judge(i32::from(status.code()), status.message())
}

/// By gRPC status code (0 to 16) and message: Dgraph says most things with `Unknown`.
fn judge(code: i32, message: &str) -> Outcome {
    const CANCELLED: i32 = 1;
    const DEADLINE: i32 = 4;
    const EXHAUSTED: i32 = 8;
    const ABORTED: i32 = 10;
    const UNAVAILABLE: i32 = 14;
    let passing = [
        "Please retry",
        "not ready",
        "No connection exists",
        "Unable to find any servers",
        "context deadline exceeded",
        "connection refused",
        "transport",
        "Server is shutting down",
        "overloaded",
    ];
    match code {
        ABORTED => Outcome::Aborted,
        CANCELLED | DEADLINE | EXHAUSTED | UNAVAILABLE => Outcome::Lost(message.to_owned()),
        _ if message.contains("Transaction has been aborted") => Outcome::Aborted,
        // A change of the schema.
        _ if message.contains("Pending transactions found") => Outcome::Aborted,
        _ if passing.iter().any(|text| message.contains(text)) => Outcome::Lost(message.to_owned()),
        _ => Outcome::Refused(message.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_is_told_from_an_outage_and_both_from_a_refusal() {
        let aborted = "Transaction has been aborted. Please retry";
        assert!(matches!(judge(10, aborted), Outcome::Aborted));
        assert!(matches!(judge(2, aborted), Outcome::Aborted));
        let pending = "Pending transactions found. Please retry operation";
        assert!(matches!(judge(2, pending), Outcome::Aborted));
        assert!(matches!(judge(14, "error trying to connect"), Outcome::Lost(_)));
        assert!(matches!(judge(2, "Please retry again, server is not ready"), Outcome::Lost(_)));
        assert!(matches!(judge(2, "line 1 column 7: Unrecognized character"), Outcome::Refused(_)));
    }

    #[test]
    fn an_answer_that_breaks_off_is_no_refusal() {
        let classified = |status| classify(&ClientError::CannotDoRequest(status).into());
        let reset = "error reading a body from connection: connection reset";
        let broken = Status::from_error(std::io::Error::other(reset).into());
        assert!(matches!(classified(broken), Outcome::Lost(_)), "a commit's outcome is unknown");
        assert!(
            matches!(classified(Status::unknown(reset)), Outcome::Refused(_)),
            "Dgraph said it"
        );
    }
}
