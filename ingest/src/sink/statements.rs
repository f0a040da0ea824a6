//! Prepared statements, and batches of them made once for every size.

use std::sync::{Arc, OnceLock};

use scylla::errors::PrepareError;
use scylla::statement::batch::{Batch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;

use super::row::COLUMNS;
use super::session::Cassandra;
use crate::layout::{CLASSES, ClassId};

/// Batches of up to this many rows are kept: larger ones are rare and cost their making.
const KEPT: usize = 256;

/// The insert of every class, alone and in batches.
pub struct Statements {
    classes: Vec<ClassStatements>,
}

struct ClassStatements {
    insert: PreparedStatement,
    batches: Vec<OnceLock<Arc<Batch>>>,
}

/// The text of the insert; the last two values are the write timestamp (microseconds, of the event,
/// so that a replay changes nothing) and the remaining life (seconds).
fn insert(keyspace: &str, table: &str) -> String {
    let marks = vec!["?"; COLUMNS.len()].join(", ");
    let columns = COLUMNS.join(", ");
    format!(
        "INSERT INTO {keyspace}.{table} ({columns}) VALUES ({marks}) USING TIMESTAMP ? AND TTL ?"
    )
}

impl Statements {
    /// Prepares the inserts.
    ///
    /// # Errors
    /// When the schema is not there, or nobody answers.
    pub async fn prepare(db: &Cassandra) -> Result<Self, PrepareError> {
        let mut classes = Vec::with_capacity(CLASSES.len());
        for class in CLASSES {
            let mut insert = db.session.prepare(insert(&db.keyspace, class.table)).await?;
            insert.set_is_idempotent(true);
            insert.set_consistency(db.consistency);
            let batches = (0..KEPT).map(|_| OnceLock::new()).collect();
            classes.push(ClassStatements { insert, batches });
        }
        Ok(Self { classes })
    }

    /// The insert of one row.
    #[must_use]
    pub fn insert(&self, class: ClassId) -> &PreparedStatement {
        &self.classes[class.index()].insert
    }

    /// An unlogged batch of `rows` inserts. All rows of a batch are of one partition: Cassandra
    /// applies it as one mutation, and its batch-size guard does not concern it.
    #[must_use]
    pub fn batch(&self, class: ClassId, rows: usize) -> Arc<Batch> {
        let class = &self.classes[class.index()];
        match class.batches.get(rows) {
            Some(kept) => Arc::clone(kept.get_or_init(|| Arc::new(class.make(rows)))),
            None => Arc::new(class.make(rows)),
        }
    }
}

impl ClassStatements {
    fn make(&self, rows: usize) -> Batch {
        let statements = vec![BatchStatement::PreparedStatement(self.insert.clone()); rows];
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        // The driver looks at the batch alone, not at its statements.
        batch.set_is_idempotent(true);
        if let Some(consistency) = self.insert.get_consistency() {
            batch.set_consistency(consistency);
        }
        batch
    }
}
