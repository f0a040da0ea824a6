//! What a table holds, in one number that does not depend on the order of rows.

use identity_admin::db::{Db, Value};

use super::rows::{self, Key, Side, encode, page};
use super::tables::Table;
use crate::migrate::MigrateError;

/// A table's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Digest {
    /// How many rows.
    pub(super) rows: u64,
    /// The sum of their hashes (BLAKE3, 128 bits each).
    sum: u128,
}

impl Digest {
    fn add(&mut self, row: &[Value]) {
        let hash = blake3::hash(&encode(row));
        let mut half = [0; 16];
        half.copy_from_slice(&hash.as_bytes()[..16]);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(u128::from_le_bytes(half));
    }
}

/// Reads all of a table.
pub(super) async fn digest(db: &Db, table: &Table, side: Side) -> Result<Digest, MigrateError> {
    let (mut digest, mut after) = (Digest::default(), None);
    loop {
        let rows = page(db, table, side, after.as_ref()).await;
        let rows = rows.map_err(MigrateError::identity(format!("the table {}", table.name)))?;
        rows.iter().for_each(|row| digest.add(row));
        match rows.last().filter(|_| rows.len() == rows::PAGE) {
            Some(last) => after = Some(Key::of(table, last)),
            None => return Ok(digest),
        }
    }
}
