//! A table into another database: some rows in one transaction, and how far it came behind each.
//!
//! A row whose key is there is made as it is here, and every other is inserted: what another unique index refuses is
//! an error by the field's name, never a row that replaces another.

use std::collections::HashSet;

use identity_admin::db::{Db, DbError, Tx, Value};

use super::rows::{self, Key, Side, encode, names, page};
use super::tables::{COUNTED, Table};
use crate::migrate::MigrateError;
use crate::migrate::progress::Saved;

/// Values of one statement, about, in bytes: below what a server takes by default.
const STATEMENT: usize = 1 << 20;

/// Copies what is not there yet.
pub(super) async fn table(
    from: &Db,
    to: &Db,
    table: &Table,
    saved: &mut Saved,
) -> Result<(), MigrateError> {
    let failed = |error| MigrateError::Identity { at: format!("the table {}", table.name), error };
    let mut place = saved.state.tables.get(table.name).cloned().unwrap_or_default();
    if saved.state.tables.is_empty() {
        // Before the first row: what is found there later is this migration's.
        saved.state.tables.insert(table.name.to_owned(), place.clone());
        saved.save()?;
    }
    while !place.is_whole {
        let rows = page(from, table, Side::Here, place.after.as_ref()).await.map_err(failed)?;
        batch(to, table, &rows).await.map_err(failed)?;
        place.rows += rows.len() as u64;
        place.is_whole = rows.len() < rows::PAGE;
        if let Some(last) = rows.last() {
            place.after = Some(Key::of(table, last));
        }
        saved.state.tables.insert(table.name.to_owned(), place.clone());
        saved.save()?;
    }
    Ok(())
}

async fn batch(to: &Db, table: &Table, rows: &[Vec<Value>]) -> Result<(), DbError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut tx = to.begin().await?;
    let written = write(&mut tx, table, rows).await;
    tx.end(written).await
}

async fn write(tx: &mut Tx, table: &Table, rows: &[Vec<Value>]) -> Result<(), DbError> {
    let there = present(tx, table, rows).await?;
    let key = |row: &&Vec<Value>| there.contains(&encode(row.iter().take(table.key)));
    let (known, new): (Vec<_>, Vec<_>) = rows.iter().partition(key);
    for row in known {
        update(tx, table, row).await?;
    }
    let mut rest = new.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |row: &&&Vec<Value>| {
            bytes += encode(row.iter()).len();
            bytes <= STATEMENT
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (some, behind) = rest.split_at(count.min(rest.len()));
        insert(tx, table, some).await?;
        rest = behind;
    }
    Ok(())
}

/// The keys among those of `rows` that the table has.
async fn present(
    tx: &mut Tx,
    table: &Table,
    rows: &[Vec<Value>],
) -> Result<HashSet<Vec<u8>>, DbError> {
    let one = format!("({})", vec!["?"; table.key].join(", "));
    let (keys, all) = (names(table.keys()), vec![one; rows.len()].join(", "));
    let params: Vec<_> = rows.iter().flat_map(|row| row.iter().take(table.key)).cloned().collect();
    let sql = format!("SELECT {keys} FROM {} WHERE ({keys}) IN ({all})", table.name);
    let found = tx.rows(sql, &params).await?;
    found.iter().map(|row| Ok(encode(&rows::read(row, table.keys())?))).collect()
}

async fn insert(tx: &mut Tx, table: &Table, rows: &[&Vec<Value>]) -> Result<(), DbError> {
    let one = format!("({})", vec!["?"; table.columns.len()].join(", "));
    let (columns, all) = (names(table.columns), vec![one; rows.len()].join(", "));
    let params: Vec<_> = rows.iter().flat_map(|row| row.iter()).cloned().collect();
    let sql = format!("INSERT INTO {} ({columns}) VALUES {all}", table.name);
    tx.execute(sql, &params).await.map(drop)
}

async fn update(tx: &mut Tx, table: &Table, row: &[Value]) -> Result<(), DbError> {
    let sets: Vec<_> =
        table.columns.iter().skip(table.key).map(|(name, _)| format!("{name} = ?")).collect();
    let keys: Vec<_> = table.keys().iter().map(|(name, _)| format!("{name} = ?")).collect();
    let (own, others) = row.split_at(table.key);
    let params: Vec<_> = others.iter().chain(own).cloned().collect();
    let (sets, keys) = (sets.join(", "), keys.join(" AND "));
    let sql = format!("UPDATE {} SET {sets} WHERE {keys}", table.name);
    tx.execute(sql, &params).await.map(drop)
}

/// Has numbers go on where they were, so that none is given twice.
pub(super) async fn counters(from: &Db, to: &Db) -> Result<(), MigrateError> {
    for table in COUNTED {
        let failed =
            |error| MigrateError::Identity { at: format!("the numbers of {table}"), error };
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?";
        let row = from.row(sql, &[table.into()]).await.map_err(failed)?;
        let last = row.map_or(Ok(0), |row| row.int("seq")).map_err(failed)?;
        // A number below what the table holds is raised to that by MySQL itself.
        let sql = format!("ALTER TABLE {table} AUTO_INCREMENT = {}", last.saturating_add(1));
        to.execute(sql, &[]).await.map_err(failed)?;
    }
    Ok(())
}
