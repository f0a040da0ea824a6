//! The transaction around every mutation.

use std::sync::Arc;
use std::time::Instant;

use chrono::Duration;
use contracts::TenantId;
use tokio::sync::Notify;

use super::write::Pending;
use super::{Answer, Author, Key, Mutation, Refused, Write, outbox};
use crate::clock::Clock;
use crate::credentials::Secrets;
use crate::db::{Db, DbError, Retry, Tx, params};
use crate::metrics::{self, Mutated};

/// What mutations rest on.
#[derive(Debug)]
pub struct Core {
    /// Where rows are.
    pub db: Db,
    /// Gives everything its time.
    pub clock: Clock,
    /// How long an answer is kept for its Idempotency-Key.
    pub answers_live: Duration,
    /// What encrypts kept answers that hold secrets.
    pub secrets: Option<Arc<Secrets>>,
    /// Told of every commit that left something to publish.
    pub committed: Notify,
}

impl Core {
    /// On a database, without secrets.
    #[must_use]
    pub fn new(db: Db, clock: Clock, answers_live: Duration) -> Self {
        Self { db, clock, answers_live, secrets: None, committed: Notify::new() }
    }
}

/// How the tenant is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The tenant is there.
    Existing,
    /// The mutation makes it. Creations wait for each other at the system tenant's row.
    New,
}

/// Around a mutation: whose it is, who asks, and how a repeat is known.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whose rows it is about.
    pub tenant: TenantId,
    /// Whether they are there.
    pub opening: Opening,
    /// For the audit trail.
    pub author: Author,
    /// The Idempotency-Key, if the client sent one.
    pub key: Option<Key>,
}

/// A mutation that was made.
#[derive(Debug, Clone)]
pub struct Done {
    /// Its answer.
    pub answer: Answer,
    /// The tenant's last change in it: what a consistency token names.
    pub seq: u64,
    /// Whether it was made by an earlier request with the same key.
    pub repeated: bool,
}

impl Core {
    /// Makes a mutation. Deadlocks and lost connections are tried again, with backoff and jitter; an outcome
    /// that is not known, only if an Idempotency-Key tells a repeat.
    ///
    /// # Errors
    /// Why it was not made; after [`DbError::Unknown`] it may have been.
    pub async fn run(&self, request: &Request, mutation: &impl Mutation) -> Result<Done, Refused> {
        let begun = Instant::now();
        let done = self.until_done(request, mutation).await;
        let outcome = match &done {
            Ok(done) if done.repeated => Mutated::Repeated,
            Ok(_) => Mutated::Done,
            Err(Refused::Db(_)) => Mutated::Failed,
            Err(_) => Mutated::Refused,
        };
        metrics::mutated(outcome, begun);
        done
    }

    async fn until_done(
        &self,
        request: &Request,
        mutation: &impl Mutation,
    ) -> Result<Done, Refused> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.once(request, mutation).await {
                Err(Refused::Db(DbError::LockTimeout)) if request.key.is_some() => {
                    return Err(Refused::KeyInUse);
                }
                Err(Refused::Db(error)) => error,
                done => return done,
            };
            let repeatable = matches!(error, DbError::Unknown(_)) && request.key.is_some();
            let wait = Retry::TRANSACTION.wait(attempt, &mut rand::rng());
            let Some(wait) = wait.filter(|_| error.is_transient() || repeatable) else {
                return Err(Refused::Db(error));
            };
            metrics::retried(&error);
            tracing::debug!(%error, attempt, "trying a transaction again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn once(&self, request: &Request, mutation: &impl Mutation) -> Result<Done, Refused> {
        let mut tx = self.db.begin().await?;
        match self.within(&mut tx, request, mutation).await {
            // What a repeat began is undone: it takes no number.
            Ok((done, _)) if done.repeated => {
                tx.rollback().await;
                Ok(done)
            }
            Ok((done, kinds)) => {
                tx.commit().await?;
                if !kinds.is_empty() {
                    self.committed.notify_one();
                }
                kinds.into_iter().for_each(metrics::changed);
                Ok(done)
            }
            Err(refused) => {
                tx.rollback().await;
                Err(refused)
            }
        }
    }

    async fn within(
        &self,
        tx: &mut Tx,
        request: &Request,
        mutation: &impl Mutation,
    ) -> Result<(Done, Vec<&'static str>), Refused> {
        lock(tx, request).await?;
        // After the lock, so that times follow the numbers.
        let now = self.clock.now();
        if let Some(key) = &request.key
            && let Some((answer, seq)) = key.find(tx, self.secrets.as_deref(), now).await?
        {
            return Ok((Done { answer, seq: number(seq)?, repeated: true }, Vec::new()));
        }
        let before = open(tx, request).await?;
        let mut write = Write { tx, tenant: &request.tenant, now, changes: Vec::new() };
        let answer = mutation.apply(&mut write).await?;
        let Write { tx, changes, .. } = write;
        let kinds = changes.iter().map(|change| change.kind.name()).collect();
        let seq = self.close(tx, request, (before, changes), now).await?;
        if let Some(key) = &request.key {
            let until = now + self.answers_live;
            let within = (&request.tenant, self.secrets.as_deref());
            key.keep(tx, within, (&answer, seq), now, until).await?;
        }
        Ok((Done { answer, seq: number(seq)?, repeated: false }, kinds))
    }

    /// Numbers the changes and writes their events; the last number.
    async fn close(
        &self,
        tx: &mut Tx,
        request: &Request,
        (before, changes): (i64, Vec<Pending>),
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<i64, Refused> {
        let last = before + i64::try_from(changes.len()).unwrap_or(i64::MAX - before);
        // Taking the lock counted one on.
        if last != before + 1 {
            let sql = "UPDATE tenant_changes SET seq = ? WHERE tenant_id = ?";
            tx.execute(sql, params![last, &request.tenant]).await?;
        }
        let first = number(before + 1)?;
        outbox::write(tx, &request.tenant, &request.author, now, first, changes).await?;
        Ok(last)
    }
}

/// The first statement: whoever comes next waits here.
async fn lock(tx: &mut Tx, request: &Request) -> Result<(), Refused> {
    match request.opening {
        Opening::Existing => {
            let sql = "UPDATE tenant_changes SET seq = seq + 1 WHERE tenant_id = ?";
            match tx.execute(sql, params![&request.tenant]).await? {
                0 => Err(Refused::Missing("tenant")),
                _ => Ok(()),
            }
        }
        Opening::New => {
            let sql = format!("SELECT seq FROM tenant_changes WHERE tenant_id = ?{}", tx.lock());
            tx.row(sql, params![TenantId::SYSTEM]).await?;
            Ok(())
        }
    }
}

/// The number of the tenant's last change before this mutation.
async fn open(tx: &mut Tx, request: &Request) -> Result<i64, Refused> {
    if request.opening == Opening::New {
        let sql = "INSERT INTO tenant_changes (tenant_id, seq) VALUES (?, 1)";
        tx.execute(sql, params![&request.tenant]).await?;
        return Ok(0);
    }
    // The row outlives the tenant.
    let sql = "SELECT c.seq FROM tenant_changes c JOIN tenants t ON t.id = c.tenant_id \
               WHERE c.tenant_id = ?";
    let row = tx.row(sql, params![&request.tenant]).await?;
    let row = row.ok_or(Refused::Missing("tenant"))?;
    Ok(row.int("seq")? - 1)
}

fn number(seq: i64) -> Result<u64, DbError> {
    u64::try_from(seq).map_err(|_| DbError::Refused("a negative seq".to_owned()))
}
