//! The outbox: what a transaction says to the others, in the transaction.

use chrono::{DateTime, Utc};
use contracts::TenantId;
use contracts::audit::AuditEvent;
use contracts::identity::{Change, ChangeKind};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::audit::{self, Author};
use super::write::Pending;
use crate::clock::Clock;
use crate::db::{Db, DbError, Tx, Value, params};

/// Where a row of the outbox is published. Names, not topics: those are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// `identity.changes`.
    Changes,
    /// `audit.events`.
    Audit,
}

impl Topic {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Changes, Self::Audit];

    /// Its name in the column `topic`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Audit => "audit",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == name)
    }
}

/// Rows of one statement.
const ROWS: usize = 1000;
/// Depth is counted so far; beyond it, a relay is not keeping up and the number says no more.
const COUNTED: i64 = 10_000;

/// Writes the events of changes, numbered from `first`, in as few statements as may be.
pub(super) async fn write(
    tx: &mut Tx,
    tenant: &TenantId,
    author: &Author,
    at: DateTime<Utc>,
    first: u64,
    changes: Vec<Pending>,
) -> Result<(), DbError> {
    let mut values = Vec::with_capacity(12 * changes.len());
    for (seq, Pending { kind, details }) in (first..).zip(changes) {
        let (audited, event) = audit::event(tenant, author, at, seq, &kind, details);
        let event_id = Uuid::now_v7();
        let change = Change { event_id, tenant_id: tenant.clone(), seq, occurred_at: at, kind };
        let (told, seq) = (event_id.to_string(), Some(seq));
        values.extend(row(Topic::Changes, tenant, seq, told, json(&change)?, at));
        values.extend(row(Topic::Audit, tenant, seq, audited.to_string(), json(&event)?, at));
    }
    insert(tx, &values).await
}

/// Writes the audit event of something that an operator did to a change, without a change of its own.
pub(crate) async fn record(
    tx: &mut Tx,
    tenant: &TenantId,
    author: &Author,
    at: DateTime<Utc>,
    seq: u64,
    kind: &ChangeKind,
    details: Map<String, Json>,
) -> Result<(), DbError> {
    let (id, event) = audit::event(tenant, author, at, seq, kind, details);
    insert(tx, &row(Topic::Audit, tenant, Some(seq), id.to_string(), json(&event)?, at)).await
}

/// Stores an audit event that tells of no change, in a transaction of its subject.
pub(crate) async fn store_event(
    tx: &mut Tx,
    tenant: &TenantId,
    at: DateTime<Utc>,
    event: &AuditEvent,
) -> Result<(), DbError> {
    let id = event.id.clone().unwrap_or_default();
    insert(tx, &row(Topic::Audit, tenant, None, id, json(event)?, at)).await
}

/// Stores audit events that tell of no change, with one commit.
pub(crate) async fn store_events<'a>(
    db: &Db,
    events: impl Iterator<Item = (&'a TenantId, DateTime<Utc>, &'a AuditEvent)>,
) -> Result<(), DbError> {
    let mut values = Vec::new();
    for (tenant, at, event) in events {
        let id = event.id.clone().unwrap_or_default();
        values.extend(row(Topic::Audit, tenant, None, id, json(event)?, at));
    }
    if values.is_empty() {
        return Ok(());
    }
    db.execute(insertion(values.len()), &values).await.map(drop)
}

/// Rows of [`row`], one behind the other.
async fn insert(tx: &mut Tx, values: &[Value]) -> Result<(), DbError> {
    // An import has many changes, and a statement takes only so many parameters.
    for values in values.chunks(6 * ROWS) {
        tx.execute(insertion(values.len()), values).await?;
    }
    Ok(())
}

fn insertion(values: usize) -> String {
    const ROW: &str = "(?, ?, ?, ?, ?, ?)";
    let rows = vec![ROW; values / 6].join(", ");
    format!(
        "INSERT INTO outbox (topic, tenant_id, seq, event_id, payload, created_at) VALUES {rows}"
    )
}

fn json(event: &impl serde::Serialize) -> Result<String, DbError> {
    serde_json::to_string(event).map_err(|error| DbError::Refused(error.to_string()))
}

fn row(
    topic: Topic,
    tenant: &TenantId,
    seq: Option<u64>,
    event_id: String,
    payload: String,
    at: DateTime<Utc>,
) -> [Value; 6] {
    let seq = seq.map(|seq| i64::try_from(seq).unwrap_or(i64::MAX));
    [topic.as_str().into(), tenant.into(), seq.into(), event_id.into(), payload.into(), at.into()]
}

/// How the outbox stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutboxLevel {
    /// Rows that are there, up to 10 000.
    pub depth: i64,
    /// Age of the oldest that was not set aside, in seconds.
    pub age_seconds: f64,
    /// Rows that were set aside, of each topic: a change stops its tenant's later ones, an audit event
    /// nothing.
    pub parked: [(Topic, i64); 2],
}

/// How the outbox stands now.
///
/// # Errors
/// As [`Db::rows`].
pub async fn outbox_level(db: &Db, clock: &Clock) -> Result<OutboxLevel, DbError> {
    let depth = "SELECT COUNT(*) AS depth FROM (SELECT 1 AS one FROM outbox LIMIT ?) AS waiting";
    let depth = db.row(depth, params![COUNTED]).await?.map_or(Ok(0), |row| row.int("depth"))?;
    let oldest = "SELECT created_at FROM outbox WHERE parked_at IS NULL ORDER BY id LIMIT 1";
    let oldest = db.row(oldest, params![]).await?;
    let age = match oldest {
        Some(row) => clock.now() - row.time("created_at")?,
        None => chrono::Duration::zero(),
    };
    let mut parked = Topic::ALL.map(|topic| (topic, 0));
    let sql = "SELECT topic, COUNT(*) AS parked FROM outbox WHERE parked_at IS NOT NULL \
               GROUP BY topic";
    for row in db.rows(sql, params![]).await? {
        let (name, count) = (row.text("topic")?, row.int("parked")?);
        for (topic, parked) in &mut parked {
            if topic.as_str() == name {
                *parked = count;
            }
        }
    }
    Ok(OutboxLevel { depth, age_seconds: age.as_seconds_f64().max(0.0), parked })
}
