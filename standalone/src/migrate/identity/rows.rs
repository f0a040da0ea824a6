//! Rows and keys, whichever database they are of.

use chrono::{DateTime, Utc};
use identity_admin::db::{Db, DbError, Row, Value};
use serde::{Deserialize, Serialize};

use super::tables::{Kind, Table};

/// Rows of one page, and of one transaction.
pub(super) const PAGE: usize = 500;

/// Which database a statement is for: each finds the next page by its index only when it is told so in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// SQLite.
    Here,
    /// MySQL.
    There,
}

/// A primary key, as it is kept in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::migrate) struct Key(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Text(String),
    Int(i64),
    Bytes(Vec<u8>),
}

impl Key {
    /// That of a row.
    pub(super) fn of(table: &Table, row: &[Value]) -> Self {
        let part = |value: &Value| match value {
            Value::Text(text) => Part::Text(text.clone()),
            Value::Int(number) => Part::Int(*number),
            Value::Time(time) => Part::Int(time.timestamp_micros()),
            Value::Bytes(bytes) => Part::Bytes(bytes.clone()),
            // No part of a primary key is absent.
            Value::Null => Part::Int(0),
        };
        Self(row.iter().take(table.key).map(part).collect())
    }

    fn values(&self) -> Vec<Value> {
        let value = |part: &Part| match part {
            Part::Text(text) => Value::Text(text.clone()),
            Part::Int(number) => Value::Int(*number),
            Part::Bytes(bytes) => Value::Bytes(bytes.clone()),
        };
        self.0.iter().map(value).collect()
    }
}

/// The rows behind a key, in the order of keys of that database.
pub(super) async fn page(
    db: &Db,
    table: &Table,
    side: Side,
    after: Option<&Key>,
) -> Result<Vec<Vec<Value>>, DbError> {
    let columns = names(table.columns);
    let order = names(table.keys());
    let (behind, params) = match after {
        Some(key) => behind(table, side, key),
        None => (String::new(), Vec::new()),
    };
    let name = table.name;
    let sql = format!("SELECT {columns} FROM {name}{behind} ORDER BY {order} LIMIT {PAGE}");
    let rows = db.rows(sql, &params).await?;
    rows.iter().map(|row| read(row, table.columns)).collect()
}

/// Columns, separated.
pub(super) fn names(columns: &[(&str, Kind)]) -> String {
    columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn behind(table: &Table, side: Side, key: &Key) -> (String, Vec<Value>) {
    let (names, values) = (table.keys(), key.values());
    if side == Side::Here || names.len() == 1 {
        let places = vec!["?"; names.len()].join(", ");
        return (format!(" WHERE ({}) > ({places})", self::names(names)), values);
    }
    // The first greater; or it equal, and the second greater; and so on.
    let (mut any, mut params) = (Vec::new(), Vec::new());
    for (at, (name, _)) in names.iter().enumerate() {
        let mut all: Vec<_> =
            names.iter().take(at).map(|(name, _)| format!("{name} = ?")).collect();
        all.push(format!("{name} > ?"));
        any.push(format!("({})", all.join(" AND ")));
        params.extend(values.iter().take(at + 1).cloned());
    }
    (format!(" WHERE {}", any.join(" OR ")), params)
}

/// The values of these columns.
pub(super) fn read(row: &Row, columns: &[(&str, Kind)]) -> Result<Vec<Value>, DbError> {
    let value = |(name, kind): &(&str, Kind)| {
        Ok(match kind {
            Kind::Text => row.opt_text(name)?.into(),
            Kind::Int => row.opt_int(name)?.into(),
            Kind::Bytes => row.opt_bytes(name)?.into(),
            Kind::Time => row.opt_time(name)?.into(),
        })
    };
    columns.iter().map(value).collect()
}

/// Values one behind the other, each with its kind and length: two rows have the same bytes if they are the same.
pub(super) fn encode<'v>(values: impl IntoIterator<Item = &'v Value>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut put = |kind: u8, bytes: &[u8]| {
        out.push(kind);
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    for value in values {
        match value {
            Value::Null => put(0, &[]),
            Value::Int(number) => put(1, &number.to_le_bytes()),
            Value::Text(text) => put(2, text.as_bytes()),
            Value::Bytes(bytes) => put(3, bytes),
            Value::Time(time) => put(4, &micros(time).to_le_bytes()),
        }
    }
    out
}

fn micros(time: &DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

#[cfg(test)]
mod tests {
    use super::super::tables::TABLES;
    use super::*;

    #[test]
    fn the_next_page_is_behind_the_last_key() {
        let table = TABLES.iter().find(|table| table.name == "revocations").unwrap();
        let row = ["t", "jti", "x"].map(Value::from);
        let key = Key::of(table, &row);
        let (sql, params) = behind(table, Side::Here, &key);
        assert_eq!(sql, " WHERE (tenant_id, kind, value) > (?, ?, ?)");
        assert_eq!(params.len(), 3);
        let (sql, params) = behind(table, Side::There, &key);
        assert_eq!(
            sql,
            " WHERE (tenant_id > ?) OR (tenant_id = ? AND kind > ?) \
             OR (tenant_id = ? AND kind = ? AND value > ?)"
        );
        assert_eq!(params.len(), 6);
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), key);
    }

    #[test]
    fn rows_have_the_same_bytes_only_if_they_are_the_same() {
        let all = [
            vec![Value::Null, "ab".into()],
            vec!["".into(), "ab".into()],
            vec!["a".into(), "b".into()],
            vec!["ab".into(), Value::Null],
            vec![Value::Bytes(b"a".to_vec()), "b".into()],
            vec![Value::Int(97), "b".into()],
        ];
        let found: std::collections::BTreeSet<_> = all.iter().map(encode).collect();
        assert_eq!(found.len(), all.len());
    }
}
