//! Rows of `device_grants`.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use contracts::{Scope, TenantId};

use super::codes;
use crate::credentials::Secrets;
use crate::db::{Db, DbError, Row, Tx, Value, params, places};
use crate::oauth::issue::names;

/// Of one source that may wait for an answer at once.
const PENDING: i64 = 100;

/// How far a request for a person's consent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    /// The person has not answered.
    Pending,
    /// This person allowed it.
    Allowed {
        tenant: TenantId,
        user: String,
    },
    Denied,
    /// The token was fetched.
    Used,
}

/// What a client asks a person for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) client_id: String,
    pub(super) scopes: BTreeSet<Scope>,
    pub(super) status: Status,
    /// How often the client may look for the answer, and when it did last.
    pub(super) interval: Duration,
    pub(super) polled_at: Option<DateTime<Utc>>,
    pub(super) expires_at: DateTime<Utc>,
}

/// A request that is to be stored.
pub(super) struct New<'a> {
    pub(super) long: &'a str,
    pub(super) short: &'a str,
    pub(super) source: &'a [u8; 32],
    pub(super) client_id: &'a str,
    pub(super) scopes: &'a BTreeSet<Scope>,
    pub(super) interval_seconds: u32,
    pub(super) now: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

const COLUMNS: &str =
    "client_id, scope, status, tenant_id, user_id, interval_seconds, polled_at, expires_at";

impl Asked {
    fn of(row: &Row) -> Result<Self, DbError> {
        let refused = |why: String| DbError::Refused(why);
        let status = match row.text("status")?.as_str() {
            "pending" => Status::Pending,
            "denied" => Status::Denied,
            "used" => Status::Used,
            "allowed" => Status::Allowed {
                tenant: TenantId::parse(&row.text("tenant_id")?)
                    .map_err(|error| refused(error.to_string()))?,
                user: row.text("user_id")?,
            },
            other => return Err(refused(format!("a device grant is {other:?}"))),
        };
        let scope = row.text("scope")?;
        Ok(Self {
            client_id: row.text("client_id")?,
            scopes: scope.split(' ').filter_map(Scope::parse).collect(),
            status,
            interval: Duration::seconds(row.int("interval_seconds")?),
            polled_at: row.opt_time("polled_at")?,
            expires_at: row.time("expires_at")?,
        })
    }
}

/// Stores a request; `false` when too many of its source wait.
///
/// # Errors
/// [`DbError::Duplicate`] for a short code that another request has.
pub(super) async fn insert(db: &Db, secrets: &Secrets, new: &New<'_>) -> Result<bool, DbError> {
    let sql = "SELECT COUNT(*) AS n FROM device_grants WHERE source = ? AND expires_at > ? \
               AND status IN ('pending', 'allowed')";
    let waiting = db.row(sql, params![new.source, new.now]).await?;
    if waiting.map_or(Ok(0), |row| row.int("n"))? >= PENDING {
        return Ok(false);
    }
    let sql = "INSERT INTO device_grants (device_hash, user_code_hmac, source, client_id, scope, \
               status, interval_seconds, created_at, expires_at) \
               VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, ?)";
    let values = params![
        &codes::hash(new.long),
        &secrets.pepper(new.short).hmac,
        new.source,
        new.client_id,
        names(new.scopes),
        i64::from(new.interval_seconds),
        new.now,
        new.expires_at,
    ];
    db.execute(sql, values).await?;
    Ok(true)
}

/// The request of a long code.
pub(super) async fn by_long(db: &Db, long: &str) -> Result<Option<Asked>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM device_grants WHERE device_hash = ?");
    db.row(sql, params![&codes::hash(long)]).await?.as_ref().map(Asked::of).transpose()
}

/// The request of a short code that a person may answer now.
pub(super) async fn open(
    db: &Db,
    secrets: &Secrets,
    short: &str,
    now: DateTime<Utc>,
) -> Result<Option<Asked>, DbError> {
    let hashes: Vec<_> = secrets.peppered(short).map(|known| known.hmac).collect();
    let places = places(hashes.len());
    let sql = format!(
        "SELECT {COLUMNS} FROM device_grants \
         WHERE user_code_hmac IN ({places}) AND status = 'pending' AND expires_at > ?"
    );
    let mut values: Vec<Value> = hashes.iter().map(Value::from).collect();
    values.push(now.into());
    db.row(sql, &values).await?.as_ref().map(Asked::of).transpose()
}

/// A person's answer: who allowed which scopes, or nobody. `false` when there was one before, or it is too late.
pub(super) async fn answer(
    tx: &mut Tx,
    secrets: &Secrets,
    (short, now): (&str, DateTime<Utc>),
    allowed: Option<(&TenantId, &str)>,
) -> Result<bool, DbError> {
    let hashes: Vec<_> = secrets.peppered(short).map(|known| known.hmac).collect();
    let places = places(hashes.len());
    let sql = format!(
        "UPDATE device_grants SET status = ?, tenant_id = ?, user_id = ? \
         WHERE user_code_hmac IN ({places}) AND status = 'pending' AND expires_at > ?"
    );
    let status = if allowed.is_some() { "allowed" } else { "denied" };
    let (tenant, user) = allowed.unzip();
    let mut values: Vec<Value> = vec![status.into(), tenant.into(), user.into()];
    values.extend(hashes.iter().map(Value::from));
    values.push(now.into());
    Ok(tx.execute(sql, &values).await? > 0)
}

/// Notes that the client looked for the answer, and how long it is to wait now.
pub(super) async fn polled(
    db: &Db,
    long: &str,
    now: DateTime<Utc>,
    interval: Duration,
) -> Result<(), DbError> {
    let sql = "UPDATE device_grants SET polled_at = ?, interval_seconds = ? WHERE device_hash = ?";
    db.execute(sql, params![now, interval.num_seconds(), &codes::hash(long)]).await.map(drop)
}

/// Takes what was allowed; `false` when it was taken before.
pub(super) async fn take(tx: &mut Tx, long: &str) -> Result<bool, DbError> {
    let sql =
        "UPDATE device_grants SET status = 'used' WHERE device_hash = ? AND status = 'allowed'";
    Ok(tx.execute(sql, params![&codes::hash(long)]).await? > 0)
}
