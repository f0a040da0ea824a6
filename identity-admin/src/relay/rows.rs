//! The outbox, read and deleted.

use chrono::{DateTime, Utc};

use super::LEASE;
use crate::change::Topic;
use crate::db::{Db, DbError, params, places};

/// Tenants that stand still because of a parked change: more than that is no matter of single rows.
const STOPPED: i64 = 1000;
/// Of an error's text.
const ERROR: usize = 1000;

/// A row that waits.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) id: i64,
    pub(super) topic: Topic,
    pub(super) tenant: String,
    pub(super) payload: String,
    pub(super) created_at: DateTime<Utc>,
}

/// The first rows, without the changes of tenants that have a parked one; `leaving` of them may be about to go.
pub(super) async fn waiting(db: &Db, limit: u32, leaving: usize) -> Result<Vec<Waiting>, DbError> {
    let sql = "SELECT DISTINCT tenant_id FROM outbox \
               WHERE parked_at IS NOT NULL AND topic = ? ORDER BY tenant_id LIMIT ?";
    let stopped = db.rows(sql, params![Topic::Changes.as_str(), STOPPED]).await?;
    let mut values = Vec::with_capacity(stopped.len() + 2);
    let mut sql =
        "SELECT id, topic, tenant_id, payload, created_at FROM outbox WHERE parked_at IS NULL"
            .to_owned();
    if !stopped.is_empty() {
        let places = places(stopped.len());
        sql.push_str(&format!(" AND NOT (topic = ? AND tenant_id IN ({places}))"));
        values.push(Topic::Changes.as_str().into());
        for row in &stopped {
            values.push(row.text("tenant_id")?.into());
        }
    }
    sql.push_str(" ORDER BY id LIMIT ?");
    let leaving = i64::try_from(leaving).unwrap_or(i64::MAX - i64::from(limit));
    values.push((i64::from(limit) + leaving).into());
    let rows = db.rows(sql, &values).await?;
    rows.iter()
        .map(|row| {
            let topic = row.text("topic")?;
            let unknown = || DbError::Refused(format!("the outbox names a topic {topic}"));
            Ok(Waiting {
                id: row.int("id")?,
                topic: Topic::parse(&topic).ok_or_else(unknown)?,
                tenant: row.text("tenant_id")?,
                payload: row.text("payload")?,
                created_at: row.time("created_at")?,
            })
        })
        .collect()
}

/// Deletes rows while the lease is held in that term; `false` when it is not.
pub(super) async fn delete(
    db: &Db,
    ids: &[i64],
    (holder, term): (&str, i64),
) -> Result<bool, DbError> {
    if ids.is_empty() {
        return Ok(true);
    }
    let held = "EXISTS (SELECT 1 FROM relay_leases WHERE name = ? AND holder = ? AND term = ?)";
    Ok(db.delete("outbox", ids, (held, params![LEASE, holder, term])).await? > 0)
}

/// Sets a row aside, with what Kafka said.
pub(super) async fn park(db: &Db, id: i64, error: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    let sql = "UPDATE outbox SET parked_at = ?, error = ? WHERE id = ?";
    let error: String = error.chars().take(ERROR).collect();
    db.execute(sql, params![now, error, id]).await.map(drop)
}
