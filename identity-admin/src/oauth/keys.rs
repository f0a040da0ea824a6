//! Rows of API keys, looked up for whoever proves itself: many with one statement.
//!
//! While one statement is under way, those who come queue; the next one finds all of theirs. So nobody waits for
//! company, under load a statement is shared, and each is told what the database holds after it asked: there is no
//! cache, and nothing to void.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use contracts::{Scope, TenantId};
use tokio::sync::{mpsc, oneshot};

use crate::credentials::Secrets;
use crate::db::{Db, DbError, Row, Value, places};

/// Hashes of one statement, at most. A power of two: statements have as many places, so that few are prepared.
const BATCH: usize = 128;
/// Those who wait; beyond it, those who come are told to come again.
const QUEUE: usize = 4096;

type Hash = [u8; 32];

/// A service account that is known by one of its keys, as the database holds both.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) tenant: TenantId,
    pub(super) account: String,
    pub(super) key: String,
    /// Whether it was asked for by the secret before the present one.
    pub(super) is_previous: bool,
    /// Until when that one is good.
    pub(super) previous_until: Option<DateTime<Utc>>,
    /// When the key ends.
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) is_revoked: bool,
    pub(super) last_used_at: Option<DateTime<Utc>>,
    /// Whether its account is.
    pub(super) is_active: bool,
    /// Whether its tenant is.
    pub(super) tenant_is_active: bool,
    /// What the account may do, as far as the key may.
    pub(super) scopes: BTreeSet<Scope>,
}

impl Client {
    /// The claim `sub` of its tokens.
    pub(super) fn subject(&self) -> String {
        format!("service_account:{}", self.account)
    }
}

/// Somebody who asks for a key.
struct Asked {
    /// Of its text, under each pepper.
    hashes: Vec<Hash>,
    answer: oneshot::Sender<Result<Option<Arc<Client>>, DbError>>,
}

/// Where keys are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Keys(mpsc::Sender<Asked>);

/// Where keys are asked for, and what looks them up for as long as it is polled.
pub(crate) fn keys(db: Db) -> (Keys, impl Future<Output = ()> + Send) {
    let (send, receive) = mpsc::channel(QUEUE);
    (Keys(send), look_up(db, receive))
}

impl Keys {
    /// The key of that text.
    ///
    /// # Errors
    /// [`DbError::Saturated`] when too many wait, and what the database brings.
    pub(super) async fn of(
        &self,
        secrets: &Secrets,
        text: &str,
    ) -> Result<Option<Arc<Client>>, DbError> {
        let hashes = secrets.peppered(text).map(|known| known.hmac).collect();
        let (answer, found) = oneshot::channel();
        self.0.try_send(Asked { hashes, answer }).map_err(|_| DbError::Saturated)?;
        found.await.map_err(|_| DbError::Lost("nobody looks up keys any more".to_owned()))?
    }
}

async fn look_up(db: Db, mut asked: mpsc::Receiver<Asked>) {
    let mut batch = Vec::with_capacity(BATCH);
    while asked.recv_many(&mut batch, BATCH).await > 0 {
        let hashes: BTreeSet<Hash> = batch.iter().flat_map(|asked| asked.hashes.clone()).collect();
        let hashes: Vec<Hash> = hashes.into_iter().collect();
        let mut found = HashMap::new();
        let mut failed = None;
        // More than one only with several peppers.
        for hashes in hashes.chunks(BATCH) {
            match select(&db, hashes).await {
                Ok(more) => found.extend(more),
                Err(error) => failed = Some(error),
            }
        }
        for Asked { hashes, answer } in batch.drain(..) {
            let own = hashes.iter().find_map(|hash| found.get(hash)).map(Arc::clone);
            let told = match &failed {
                Some(error) => Err(error.clone()),
                None => Ok(own),
            };
            // Who left does not hear of it.
            let _ = answer.send(told);
        }
    }
}

async fn select(db: &Db, hashes: &[Hash]) -> Result<Vec<(Hash, Arc<Client>)>, DbError> {
    let Some(last) = hashes.last() else { return Ok(Vec::new()) };
    let width = hashes.len().next_power_of_two();
    let marks = places(width);
    let select = |column: &str, is_previous: u8| {
        format!(
            "SELECT k.{column} AS hash, {is_previous} AS is_previous, k.id, k.tenant_id, \
             k.service_account_id, k.previous_until, k.expires_at, k.revoked_at, k.last_used_at, \
             s.is_active, t.status, \
             (SELECT GROUP_CONCAT(scope) FROM principal_scopes p WHERE p.tenant_id = k.tenant_id \
              AND p.service_account_id = k.service_account_id) AS of_account, \
             (SELECT GROUP_CONCAT(scope) FROM principal_scopes p WHERE p.tenant_id = k.tenant_id \
              AND p.api_key_id = k.id) AS of_key \
             FROM api_keys k \
             JOIN service_accounts s ON s.tenant_id = k.tenant_id AND s.id = k.service_account_id \
             JOIN tenants t ON t.id = k.tenant_id WHERE k.{column} IN ({marks})"
        )
    };
    let sql = format!("{} UNION ALL {}", select("secret_hmac", 0), select("previous_hmac", 1));
    let filled = hashes.iter().chain(std::iter::repeat(last)).take(width);
    let once: Vec<Value> = filled.map(Value::from).collect();
    let values: Vec<Value> = once.iter().chain(&once).cloned().collect();
    let rows = db.rows(sql, &values).await?;
    rows.iter().map(found).collect()
}

fn found(row: &Row) -> Result<(Hash, Arc<Client>), DbError> {
    let refused = |what: &str| DbError::Refused(format!("{what} of a key"));
    let hash = row.bytes("hash")?.try_into().map_err(|_| refused("hash"))?;
    let parse = |names: String| names.split(',').filter_map(Scope::parse).collect::<BTreeSet<_>>();
    let of_account = parse(row.opt_text("of_account")?.unwrap_or_default());
    // A key without scopes of its own may all that its account may; one with scopes that are not known, nothing.
    let scopes = match row.opt_text("of_key")?.map(parse) {
        Some(of_key) => of_account.intersection(&of_key).copied().collect(),
        None => of_account,
    };
    let client = Client {
        tenant: TenantId::parse(&row.text("tenant_id")?).map_err(|_| refused("tenant"))?,
        account: row.text("service_account_id")?,
        key: row.text("id")?,
        is_previous: row.flag("is_previous")?,
        previous_until: row.opt_time("previous_until")?,
        expires_at: row.opt_time("expires_at")?,
        is_revoked: row.opt_time("revoked_at")?.is_some(),
        last_used_at: row.opt_time("last_used_at")?,
        is_active: row.flag("is_active")?,
        tenant_is_active: row.text("status")? == "active",
        scopes,
    };
    Ok((hash, Arc::new(client)))
}
