//! Identities: every table into MySQL, in the order of its keys, and then both sides compared.
//!
//! | module | what it holds |
//! |---|---|
//! | `tables` | which tables and columns there are, in the order of foreign keys |
//! | `rows` | rows and keys, whichever database they are of |
//! | `copy` | a table, some rows in one transaction |
//! | `verify` | what a table holds, in one number |

mod copy;
mod rows;
mod tables;
mod verify;

use chrono::Utc;
use contracts::TenantId;
use identity_admin::db::{self, Db, Value};

pub(super) use rows::Key;
use tables::{TABLES, Table};

use super::here::Here;
use super::progress::Saved;
use super::tell::{Counted, tell};
use super::{MigrateError, There};

/// Rows that a migration of MySQL's schema makes by itself: the tenant that owns system principals.
const BROUGHT: [(&str, i64); 2] = [("tenants", 1), ("tenant_changes", 1)];

/// The database that identities go to.
pub(super) struct Target(pub(super) Db);

impl Target {
    /// Connects, has the schema be there, and refuses a database that is somebody's.
    pub(super) async fn open(there: &There, saved: &Saved) -> Result<Self, MigrateError> {
        let mut options = there.targets.identity.mysql.options()?;
        // A batch is larger than what requests do.
        options.statement_timeout =
            options.statement_timeout.max(std::time::Duration::from_secs(60));
        let shown = options.place.to_string();
        let failed = |error| MigrateError::Identity { at: shown.clone(), error };
        if there.is_applied {
            db::migrate(&options.place).await.map_err(failed)?;
        }
        let db = Db::new(&options);
        let version = db.version().await.map_err(failed)?;
        if version != db::VERSION {
            let why = format!("{shown} has schema version {version}, not {}", db::VERSION);
            return Err(MigrateError::Refused(why));
        }
        let target = Self(db);
        target.refuse_served(&shown).await?;
        if saved.state.tables.is_empty() {
            target.refuse_used(&shown).await?;
        }
        Ok(target)
    }

    async fn refuse_served(&self, shown: &str) -> Result<(), MigrateError> {
        let sql = "SELECT COUNT(*) AS n FROM relay_leases WHERE expires_at > ?";
        match count(&self.0, sql, &[Value::Time(Utc::now())]).await? {
            0 => Ok(()),
            _ => Err(MigrateError::Refused(format!(
                "an identity-admin works on {shown}: stop it (a killed one holds its lease for some seconds)"
            ))),
        }
    }

    async fn refuse_used(&self, shown: &str) -> Result<(), MigrateError> {
        let names = TABLES.iter().map(|table| table.name).chain(["outbox"]);
        for name in names {
            let found = count(&self.0, &format!("SELECT COUNT(*) AS n FROM {name}"), &[]).await?;
            let brought = BROUGHT.iter().find(|(table, _)| *table == name).map_or(0, |(_, n)| *n);
            if found > brought {
                return Err(MigrateError::Refused(format!(
                    "{shown} is not empty ({name} has {found} rows), and no migration of this folder began there"
                )));
            }
        }
        Ok(())
    }
}

async fn count(db: &Db, sql: &str, params: &[Value]) -> Result<i64, MigrateError> {
    let failed = |error| MigrateError::Identity { at: "counting".to_owned(), error };
    let row = db.row(sql.to_owned(), params).await.map_err(failed)?;
    row.map_or(Ok(0), |row| row.int("n")).map_err(failed)
}

/// Rows that wait to be published.
pub(super) async fn outbox(db: &Db) -> Result<i64, MigrateError> {
    let parked = "SELECT COUNT(*) AS n FROM outbox WHERE parked_at IS NOT NULL";
    match count(db, parked, &[]).await? {
        0 => count(db, "SELECT COUNT(*) AS n FROM outbox", &[]).await,
        parked => Err(MigrateError::Refused(format!(
            "{parked} rows of the outbox of identities are parked: they will never be published"
        ))),
    }
}

/// The last change of every tenant that there ever was.
pub(super) async fn sequences(db: &Db) -> Result<Vec<(TenantId, u64)>, MigrateError> {
    tenants_of(db, "SELECT tenant_id AS id, seq FROM tenant_changes ORDER BY tenant_id").await
}

/// Every tenant that there is, with its last change.
pub(super) async fn tenants(db: &Db) -> Result<Vec<(TenantId, u64)>, MigrateError> {
    let sql = "SELECT t.id AS id, c.seq AS seq FROM tenants t \
               JOIN tenant_changes c ON c.tenant_id = t.id ORDER BY t.id";
    tenants_of(db, sql).await
}

async fn tenants_of(db: &Db, sql: &'static str) -> Result<Vec<(TenantId, u64)>, MigrateError> {
    let rows = db.rows(sql, &[]).await;
    let found = rows.and_then(|rows| {
        let read = |row: &db::Row| Ok((row.text("id")?, row.int("seq")?));
        rows.iter().map(read).collect::<Result<Vec<_>, db::DbError>>()
    });
    let found = found.map_err(MigrateError::identity("tenants"))?;
    let read = |(id, seq): (String, i64)| {
        let tenant = TenantId::parse(&id).map_err(|e| MigrateError::Refused(e.to_string()))?;
        Ok((tenant, u64::try_from(seq).unwrap_or(0)))
    };
    found.into_iter().map(read).collect()
}

/// What changes whenever a process serves the database, and with every change that it makes: who works on it takes
/// the leases in a new term.
pub(super) async fn state(db: &Db) -> Result<String, MigrateError> {
    let failed = MigrateError::identity("its state");
    let found = async {
        let mut state = String::new();
        for lease in db.rows("SELECT name, term FROM relay_leases ORDER BY name", &[]).await? {
            state += &format!("{} {}, ", lease.text("name")?, lease.int("term")?);
        }
        let sql = "SELECT COUNT(*) AS n, COALESCE(SUM(seq), 0) AS changes FROM tenant_changes";
        if let Some(row) = db.row(sql, &[]).await? {
            state += &format!("{} changes of {}", row.int("changes")?, row.int("n")?);
        }
        Ok(state)
    };
    found.await.map_err(failed)
}

/// Copies what is not there yet, and compares all of it.
pub(super) async fn carry(
    here: &Here,
    target: &Target,
    saved: &mut Saved,
) -> Result<Vec<Counted>, MigrateError> {
    let from = &here.stores.db;
    for table in TABLES {
        copy::table(from, &target.0, table, saved).await?;
    }
    copy::counters(from, &target.0).await?;
    let mut all = Vec::new();
    let mut sum = 0;
    for table in TABLES {
        let rows = verified(from, &target.0, table).await?;
        sum += rows;
        if let Some(what) = table.told {
            all.push(Counted { what, copied: rows, verified: rows });
        }
    }
    tell(&format!("identities: {sum} rows of {} tables, verified", TABLES.len()));
    Ok(all)
}

async fn verified(from: &Db, to: &Db, table: &Table) -> Result<u64, MigrateError> {
    let here = verify::digest(from, table, rows::Side::Here).await?;
    let there = verify::digest(to, table, rows::Side::There).await?;
    if here == there {
        return Ok(here.rows);
    }
    Err(MigrateError::Differs(format!(
        "the table {} has {} rows here and {} there{}; empty the database, delete migration.json, and begin anew",
        table.name,
        here.rows,
        there.rows,
        if here.rows == there.rows { ", with other content" } else { "" }
    )))
}
