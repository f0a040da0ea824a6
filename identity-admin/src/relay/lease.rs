//! Whose turn it is: a row that one replica holds until a time.
//!
//! Times are the replicas' own. A clock that is wrong by more than the lease makes two relays at once, which
//! only publish the same twice.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::db::{Db, DbError, params};

/// The lease as this process knows it.
#[derive(Debug)]
pub(crate) struct Lease {
    name: &'static str,
    holder: String,
    life: Duration,
    held: Option<Held>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    term: i64,
    renewed: Instant,
}

impl Lease {
    /// Of the row of that name, which a migration made.
    pub(crate) fn new(name: &'static str, holder: String, life: Duration) -> Self {
        Self { name, holder, life, held: None }
    }

    /// Takes the lease if it is free, or renews it once a third of its life is over; whether it is held.
    pub(crate) async fn hold(&mut self, db: &Db, now: DateTime<Utc>) -> Result<bool, DbError> {
        if self.held.is_some_and(|held| held.renewed.elapsed() < self.life / 3) {
            return Ok(true);
        }
        let asked = Instant::now();
        // Unknown until the database has answered.
        self.held = None;
        // The term first: MySQL reads the columns as they are assigned, from left to right.
        let sql = "UPDATE relay_leases SET term = CASE WHEN holder = ? THEN term ELSE term + 1 END, \
                   holder = ?, expires_at = ? WHERE name = ? AND (holder = ? OR expires_at <= ?)";
        let (holder, ends) = (self.holder.as_str(), now + self.life);
        if db.execute(sql, params![holder, holder, ends, self.name, holder, now]).await? == 0 {
            return Ok(false);
        }
        let sql = "SELECT term FROM relay_leases WHERE name = ? AND holder = ?";
        let Some(row) = db.row(sql, params![self.name, holder]).await? else { return Ok(false) };
        self.held = Some(Held { term: row.int("term")?, renewed: asked });
        Ok(true)
    }

    /// What a statement must find in `relay_leases` to be this holder's: name, holder, term.
    pub(super) fn fence(&self) -> Option<(&str, i64)> {
        self.held.map(|held| (self.holder.as_str(), held.term))
    }

    /// Somebody else took it.
    pub(super) fn lost(&mut self) {
        self.held = None;
    }

    /// Gives it back.
    pub(super) async fn release(&mut self, db: &Db) -> Result<(), DbError> {
        let Some(held) = self.held.take() else { return Ok(()) };
        let sql =
            "UPDATE relay_leases SET expires_at = ? WHERE name = ? AND holder = ? AND term = ?";
        let never = DateTime::<Utc>::UNIX_EPOCH + chrono::Duration::days(10_957);
        db.execute(sql, params![never, self.name, self.holder.as_str(), held.term]).await.map(drop)
    }
}
