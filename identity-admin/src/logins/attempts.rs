//! Lock-out: how often somebody may be wrong about one account from one place, counted in the database, so that
//! replicas share it.
//!
//! An attempt counts as wrong when it begins, and the count is forgotten when it succeeds: whoever sends many at
//! once gets no more tries than one after the other.

use std::net::IpAddr;

use chrono::{DateTime, Duration, Utc};

use super::network;
use crate::db::{Db, DbError, Row, Tx, params};
use crate::rules;

/// Separates these hashes from any other.
const CONTEXT: &str = "triad identity-admin 2026-11 login attempt";
/// Tries of a transaction that another one was faster than.
const TRIES: usize = 8;

/// When somebody is locked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LockOut {
    /// So many attempts may be wrong.
    pub(crate) max_failures: u32,
    /// Then none is looked at for so long. As long after the last one, all are forgotten.
    pub(crate) lock: Duration,
}

/// Whether an attempt is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It is, and counts. With a time, it is the last one that is looked at before then.
    Counted(Option<DateTime<Utc>>),
    /// Not before then.
    Locked(DateTime<Utc>),
}

/// What attempts on one account from one place have in common. Neither can be read from it.
pub(crate) fn id(tenant: &str, name: &str, source: Option<IpAddr>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    for part in [tenant, &rules::called(name), &network(source)] {
        hasher.update(&(part.len() as u64).to_be_bytes()).update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// What everything from one place has in common.
pub(crate) fn source_id(source: Option<IpAddr>) -> [u8; 32] {
    id("", "", source)
}

/// Whether an attempt would be looked at now; it does not count.
///
/// # Errors
/// What the database brings.
pub(crate) async fn is_locked(
    db: &Db,
    id: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Begun, DbError> {
    let sql = "SELECT failures, locked_until, expires_at FROM login_attempts WHERE id = ?";
    let row = db.row(sql, params![id]).await?;
    let standing = row.map(|row| standing(&row, now)).transpose()?;
    Ok(standing.and_then(|(_, locked)| locked).map_or(Begun::Counted(None), Begun::Locked))
}

/// Counts an attempt that begins now.
///
/// # Errors
/// What the database brings; then it must not be looked at.
pub(crate) async fn begin(
    db: &Db,
    id: &[u8; 32],
    lock_out: &LockOut,
    now: DateTime<Utc>,
) -> Result<Begun, DbError> {
    let mut last = DbError::Contended;
    for _ in 0..TRIES {
        let mut tx = db.begin().await?;
        let counted = count(&mut tx, id, lock_out, now).await;
        match tx.end(counted).await {
            // Another attempt came between: it is there now, and is counted on from.
            Err(error @ (DbError::Duplicate { .. } | DbError::Contended)) => last = error,
            ended => return ended,
        }
    }
    Err(last)
}

async fn count(
    tx: &mut Tx,
    id: &[u8; 32],
    lock_out: &LockOut,
    now: DateTime<Utc>,
) -> Result<Begun, DbError> {
    let sql = format!(
        "SELECT failures, locked_until, expires_at FROM login_attempts WHERE id = ?{}",
        tx.lock()
    );
    let row = tx.row(sql, params![id]).await?;
    let before = match &row {
        Some(row) => match standing(row, now)? {
            (_, Some(until)) => return Ok(Begun::Locked(until)),
            (failures, None) => failures,
        },
        None => 0,
    };
    let (failures, until) = (before + 1, now + lock_out.lock);
    let locked = (failures >= i64::from(lock_out.max_failures)).then_some(until);
    let sql = match row {
        Some(_) => {
            "UPDATE login_attempts SET failures = ?, locked_until = ?, expires_at = ? WHERE id = ?"
        }
        None => {
            "INSERT INTO login_attempts (failures, locked_until, expires_at, id) VALUES (?, ?, ?, ?)"
        }
    };
    tx.execute(sql, params![failures, locked, until, id]).await?;
    Ok(Begun::Counted(locked))
}

/// The failures that still count, and until when nothing is looked at.
fn standing(row: &Row, now: DateTime<Utc>) -> Result<(i64, Option<DateTime<Utc>>), DbError> {
    if row.time("expires_at")? <= now {
        return Ok((0, None));
    }
    let locked = row.opt_time("locked_until")?.filter(|until| *until > now);
    Ok((row.int("failures")?, locked))
}

/// Forgets the failures: somebody proved who they are.
///
/// # Errors
/// What the database brings.
pub(crate) async fn succeeded(db: &Db, id: &[u8; 32]) -> Result<(), DbError> {
    db.execute("DELETE FROM login_attempts WHERE id = ?", params![id]).await.map(drop)
}
