//! Rows that Kafka will never take: `identity-admin outbox list|retry|skip`.
//!
//! A parked change stops its tenant's changes, as what follows must not be seen before it. It is tried again,
//! or given up: then a `change.skipped` takes its number, so that no reader waits for it. A parked audit event
//! stops nothing; given up, it is told without its details.

use chrono::{DateTime, Utc};
use contracts::TenantId;
use contracts::audit::AuditEvent;
use contracts::identity::{Change, ChangeKind, Skipped};
use serde_json::{Map, json};
use uuid::Uuid;

use crate::change::{Author, Core, Topic, record};
use crate::db::{DbError, Row, Tx, params};

/// Rows of one answer.
const LISTED: i64 = 1000;

/// A parked row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// What `retry` and `skip` name it by.
    pub id: i64,
    /// `changes` or `audit`.
    pub topic: String,
    /// Whose.
    pub tenant: String,
    /// The number of its change.
    pub seq: i64,
    /// Its size in bytes.
    pub bytes: i64,
    /// Since when.
    pub since: DateTime<Utc>,
    /// What Kafka said.
    pub error: String,
}

/// The parked rows, the oldest first; the first thousand of them.
///
/// # Errors
/// As [`crate::db::Db::rows`].
pub async fn list(core: &Core) -> Result<Vec<Parked>, DbError> {
    let sql = "SELECT id, topic, tenant_id, seq, OCTET_LENGTH(payload) AS bytes, parked_at, error \
               FROM outbox WHERE parked_at IS NOT NULL ORDER BY id LIMIT ?";
    let of = |row: &Row| {
        Ok(Parked {
            id: row.int("id")?,
            topic: row.text("topic")?,
            tenant: row.text("tenant_id")?,
            seq: row.opt_int("seq")?.unwrap_or(0),
            bytes: row.int("bytes")?,
            since: row.time("parked_at")?,
            error: row.opt_text("error")?.unwrap_or_default(),
        })
    };
    core.db.rows(sql, params![LISTED]).await?.iter().map(of).collect()
}

/// Has a parked row tried again; `false` when it is not parked.
///
/// # Errors
/// As [`crate::db::Db::execute`].
pub async fn retry(core: &Core, id: i64) -> Result<bool, DbError> {
    let sql = "UPDATE outbox SET parked_at = NULL, error = NULL \
               WHERE id = ? AND parked_at IS NOT NULL";
    Ok(core.db.execute(sql, params![id]).await? > 0)
}

/// Gives a parked row up; `false` when it is not parked. That a change was given up is audited.
///
/// # Errors
/// As [`crate::db::Tx::execute`].
pub async fn skip(core: &Core, id: i64, reason: &str) -> Result<bool, DbError> {
    let mut tx = core.db.begin().await?;
    let sql = format!(
        "SELECT topic, tenant_id, seq, payload FROM outbox \
         WHERE id = ? AND parked_at IS NOT NULL{}",
        tx.lock()
    );
    let Some(row) = tx.row(sql, params![id]).await? else {
        tx.rollback().await;
        return Ok(false);
    };
    match Topic::parse(&row.text("topic")?) {
        Some(Topic::Audit) => cut(&mut tx, id, &row, reason).await?,
        _ => give_up(&mut tx, core.clock.now(), id, &row, reason).await?,
    }
    tx.commit().await?;
    Ok(true)
}

async fn give_up(
    tx: &mut Tx,
    now: DateTime<Utc>,
    id: i64,
    row: &Row,
    reason: &str,
) -> Result<(), DbError> {
    let tenant_id = TenantId::parse(&row.text("tenant_id")?)
        .map_err(|error| DbError::Refused(error.to_string()))?;
    let number = row.opt_int("seq")?.unwrap_or(0);
    let seq = u64::try_from(number).unwrap_or(0);
    let kind = ChangeKind::ChangeSkipped(Skipped { reason: Some(reason.to_owned()) });
    let change = Change {
        event_id: Uuid::now_v7(),
        tenant_id: tenant_id.clone(),
        seq,
        occurred_at: now,
        kind: kind.clone(),
    };
    replace(tx, id, &change.event_id.to_string(), &change).await?;
    let mut details = Map::new();
    details.insert("reason".to_owned(), json!(reason));
    record(tx, &tenant_id, &Author::operator(), now, seq, &kind, details).await
}

async fn cut(tx: &mut Tx, id: i64, row: &Row, reason: &str) -> Result<(), DbError> {
    let mut event: AuditEvent = row.json("payload")?;
    event.details = [("cut".to_owned(), json!(reason))].into();
    let event_id = event.id.clone().unwrap_or_default();
    replace(tx, id, &event_id, &event).await
}

async fn replace(
    tx: &mut Tx,
    id: i64,
    event_id: &str,
    event: &impl serde::Serialize,
) -> Result<(), DbError> {
    let payload =
        serde_json::to_string(event).map_err(|error| DbError::Refused(error.to_string()))?;
    let sql = "UPDATE outbox SET payload = ?, event_id = ?, parked_at = NULL, error = NULL \
               WHERE id = ?";
    tx.execute(sql, params![payload, event_id, id]).await.map(drop)
}
